//! What became of an import. A refusal names file, line, expression and what to do, never what stands
//! there.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use fhir::definitions::ResourceType;
use serde::Serialize;
use service::program::ProgramError;
use service::refusal::Refusal;

use super::source::Origin;
use crate::store::write::Written;

/// Refusals kept to be shown at the end; the report's file has all.
const SHOWN_COUNT: usize = 20;
/// What resources without a type that R4 knows are counted as.
const NO_TYPE: &str = "(no type)";

/// How many resources of a type became what.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// A version was stored.
    pub stored: u64,
    /// The record says the same already.
    pub unchanged: u64,
    /// Not accepted.
    pub refused: u64,
}

/// What became of an import.
#[derive(Debug)]
pub struct Report {
    counts: BTreeMap<&'static str, Counts>,
    shown: Vec<String>,
    file: Option<BufWriter<File>>,
}

/// A line about a refusal.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "line")]
    at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<&'a str>,
    sentence: &'a str,
}

/// A line about a type.
#[derive(Serialize)]
struct Total<'a> {
    #[serde(rename = "type")]
    of_type: &'a str,
    #[serde(flatten)]
    counts: Counts,
}

impl Report {
    /// An empty report, written to `file` as it grows.
    pub(super) fn to(file: Option<&Path>) -> Result<Self, ProgramError> {
        let create = |path: &Path| {
            let failed =
                |error| super::usage(format!("{} cannot be written: {error}", path.display()));
            Ok::<_, ProgramError>(BufWriter::new(File::create(path).map_err(failed)?))
        };
        let file = file.map(create).transpose()?;
        Ok(Self { counts: BTreeMap::new(), shown: Vec::new(), file })
    }

    /// Counts per type.
    pub fn counts(&self) -> &BTreeMap<&'static str, Counts> {
        &self.counts
    }

    /// Counts of all types.
    pub fn total(&self) -> Counts {
        self.counts.values().fold(Counts::default(), |all, one| Counts {
            stored: all.stored + one.stored,
            unchanged: all.unchanged + one.unchanged,
            refused: all.refused + one.refused,
        })
    }

    pub(super) fn wrote(&mut self, resource_type: ResourceType, written: &Written) {
        if written.stored { self.stored(resource_type) } else { self.unchanged(resource_type) }
    }

    pub(super) fn stored(&mut self, resource_type: ResourceType) {
        self.of(resource_type.as_str()).stored += 1;
    }

    pub(super) fn unchanged(&mut self, resource_type: ResourceType) {
        self.of(resource_type.as_str()).unchanged += 1;
    }

    pub(super) fn refused(
        &mut self,
        origin: &Origin,
        resource_type: Option<ResourceType>,
        refusal: &Refusal,
    ) -> Result<(), ProgramError> {
        self.of(resource_type.map_or(NO_TYPE, ResourceType::as_str)).refused += 1;
        for issue in &refusal.outcome.issue {
            let line = Line {
                file: &origin.file,
                at: origin.line,
                expression: issue.expression.first().map(String::as_str),
                sentence: issue.diagnostics.as_deref().unwrap_or_default(),
            };
            if self.shown.len() < SHOWN_COUNT {
                self.shown.push(line.to_string());
            }
            write(self.file.as_mut(), &line)?;
        }
        Ok(())
    }

    /// Writes the counts below the refusals.
    pub(super) fn end(&mut self) -> Result<(), ProgramError> {
        for (of_type, counts) in &self.counts {
            write(self.file.as_mut(), &Total { of_type, counts: *counts })?;
        }
        match &mut self.file {
            Some(file) => file.flush().map_err(unwritable),
            None => Ok(()),
        }
    }

    fn of(&mut self, of_type: &'static str) -> &mut Counts {
        self.counts.entry(of_type).or_default()
    }
}

fn write(file: Option<&mut BufWriter<File>>, line: &impl Serialize) -> Result<(), ProgramError> {
    let Some(file) = file else { return Ok(()) };
    serde_json::to_writer(&mut *file, line).map_err(unwritable)?;
    file.write_all(b"\n").map_err(unwritable)
}

fn unwritable(error: impl fmt::Display) -> ProgramError {
    ProgramError::failed("writing the report", error)
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)?;
        if let Some(line) = self.at {
            write!(f, ":{line}")?;
        }
        if let Some(expression) = self.expression {
            write!(f, ": {expression}")?;
        }
        write!(f, ": {}", self.sentence)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.shown {
            writeln!(f, "{line}")?;
        }
        if self.shown.len() == SHOWN_COUNT {
            writeln!(f, "There may be more: --report FILE has all.")?;
        }
        let row = |f: &mut fmt::Formatter<'_>, name: &str, counts: Counts| {
            let Counts { stored, unchanged, refused } = counts;
            write!(f, "\n{name:<32} {stored:>10} {unchanged:>10} {refused:>10}")
        };
        write!(f, "{:<32} {:>10} {:>10} {:>10}", "", "stored", "unchanged", "refused")?;
        for (name, counts) in &self.counts {
            row(f, name, *counts)?;
        }
        row(f, "all", self.total())
    }
}
