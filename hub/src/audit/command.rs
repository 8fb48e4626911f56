//! The command: reads the trail and the heads, and says what was done to them. It opens nothing for
//! writing, so it may run while a hub serves the record.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use service::program::ProgramError;

use super::chain::{Tip, from_hex};
use super::head::{Head, SigningKey, VerifyingKey};
use super::keeper::beside_journal;
use super::verify::{Fault, Marks, verify};
use crate::command::Shown;
use crate::config::HubConfig;
use crate::store::StoreError;
use crate::store::trail::Trail;

/// Heads that are read at a time.
const HEADS_MAX: i64 = 512;

/// What it is held against.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// A file of heads that a witness kept, beside those that are here; may be repeated
    #[arg(long)]
    pub heads: Vec<PathBuf>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Entries that were looked at.
    pub entries: u64,
    /// Heads that they were held against, each as often as it is kept.
    pub heads: u64,
    /// How many of these are signed.
    pub signed: u64,
    /// What is wrong with heads, as sentences.
    pub bad_heads: Vec<String>,
    /// The first fault of each lane.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether all is as it was recorded.
    pub fn is_whole(&self) -> bool {
        self.bad_heads.is_empty() && self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, heads, signed, bad_heads, faults } = self;
        for fault in faults {
            writeln!(f, "{fault}")?;
        }
        for bad in bad_heads {
            writeln!(f, "{bad}")?;
        }
        write!(f, "{entries} entries looked at, and {heads} heads, of which {signed} are signed")
    }
}

/// Looks at the configured record's audit trail.
///
/// # Errors
/// If it cannot be read. What was done to it is no error: see [`Report::is_whole`].
pub async fn run(config: &HubConfig, options: &Options) -> Result<Report, ProgramError> {
    config.check()?;
    let failed = |error: StoreError| ProgramError::failed("reading the audit trail", error);
    let key = config.audit.signing_key_file.as_deref().map(SigningKey::load).transpose()?;
    let trail = Trail::open(&config.store.url).await.map_err(failed)?;
    // Before the entries: what is recorded meanwhile is in no head that was read.
    let (key, region) = (key.map(|key| key.public()), config.region.ods.as_str().to_owned());
    let mut seen = Seen { key, region, ..Seen::default() };
    seen.kept(&trail).await.map_err(failed)?;
    let own = beside_journal(config, "heads");
    let own = own.exists().then_some(&own);
    for file in own.into_iter().chain(&options.heads) {
        seen.file(file)?;
    }
    if let Some(tip) = trail.noted() {
        seen.note(tip, "the file beside the database");
    }
    let mut shown = Shown::count("entries");
    let told = |count| shown.show(count, "entries are looked at");
    let (entries, faults) = verify(&trail, &seen.marks, told).await.map_err(failed)?;
    shown.end();
    Ok(Report { entries, faults, ..seen.report })
}

/// The heads that were read.
#[derive(Default)]
struct Seen {
    key: Option<VerifyingKey>,
    region: String,
    marks: Marks,
    report: Report,
}

impl Seen {
    /// Reads the heads that the record keeps.
    async fn kept(&mut self, trail: &Trail) -> Result<(), StoreError> {
        let (mut last, mut was_signed) = (0, false);
        loop {
            let heads = trail.heads(last, HEADS_MAX).await?;
            let Some((number, _)) = heads.last() else { return Ok(()) };
            last = *number;
            for (number, document) in &heads {
                self.head(document, &format!("head {number} of the record"), &mut was_signed);
            }
        }
    }

    /// Reads the heads that were kept beside the journal, or by a witness.
    fn file(&mut self, path: &Path) -> Result<(), ProgramError> {
        let failed = |error| ProgramError::failed(&format!("reading {}", path.display()), error);
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut was_signed = false;
        for (line, document) in BufReader::new(file).lines().enumerate() {
            let document = document.map_err(failed)?;
            let name = format!("line {} of {}", line + 1, path.display());
            self.head(&document, &name, &mut was_signed);
        }
        Ok(())
    }

    fn head(&mut self, document: &str, name: &str, was_signed: &mut bool) {
        let (head, is_signed) = match Head::read(document, self.key.as_ref()) {
            Ok(read) => read,
            Err(error) => return self.report.bad_heads.push(format!("{name} {error}")),
        };
        if head.region != self.region {
            let text = format!("{name} is of {}, whose trail this is not", head.region);
            return self.report.bad_heads.push(text);
        }
        // Who alters a head can take its signature away.
        if *was_signed && !is_signed {
            self.report.bad_heads.push(format!("{name} is not signed, but those before it are"));
        }
        *was_signed |= is_signed;
        self.report.heads += 1;
        self.report.signed += u64::from(is_signed);
        for lane in &head.lanes {
            match from_hex(&lane.hash) {
                Some(hash) => self.note(
                    Tip { lane: lane.lane, seq: lane.size, hash },
                    &format!("{name} ({})", head.time),
                ),
                None => self.report.bad_heads.push(format!("{name} has a hash that is none")),
            }
        }
    }

    fn note(&mut self, tip: Tip, witness: &str) {
        // A lane without entries says nothing.
        if tip.seq > 0 && self.marks.add(tip, witness).is_err() {
            let text = format!("{witness} and another saw different entries in lane {}", tip.lane);
            self.report.bad_heads.push(text);
        }
    }
}
