//! The SearchParameters of a record: those that it can be searched by, and why not by the others.
//! <https://hl7.org/fhir/R4/searchparameter.html>

use std::collections::BTreeMap;

use fhir::definitions::compile::{Compiler, Published};
use fhir::definitions::{ParameterKind, ResourceType, SearchParameters};
use serde::{Deserialize, Serialize};

/// Parameters of a record's own, counted once for each type.
const ADDED_MAX: usize = 256;
/// Longest code and expression, in bytes.
const CODE_BYTES_MAX: usize = 64;
const EXPRESSION_BYTES_MAX: usize = 2 << 10;

/// What becomes of a record's SearchParameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    /// Those that are searched by.
    pub taken: Vec<Taken>,
    /// Those that are not.
    pub refused: Vec<Refused>,
    /// Lines of `search-parameters.tsv`, by type and code.
    #[serde(skip)]
    lines: BTreeMap<(ResourceType, String), String>,
}

/// A parameter that is searched by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// `SearchParameter/id`
    pub resource: String,
    /// What is searched by it: `Patient?eye-colour`.
    pub search: String,
}

/// A parameter that is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// `SearchParameter/id`
    pub resource: String,
    /// What would be searched by it, as far as it says.
    pub search: String,
    /// Why not: a sentence.
    pub why: String,
}

/// What of a SearchParameter counts.
#[derive(Debug, Deserialize)]
struct Definition {
    status: String,
    code: String,
    #[serde(rename = "type")]
    kind: String,
    base: Vec<String>,
    #[serde(default)]
    target: Vec<String>,
    #[serde(default)]
    expression: String,
}

/// Takes up SearchParameters, each an id and a text. One that is retired is passed over in silence.
pub fn take_up<'r>(resources: impl Iterator<Item = (&'r str, &'r [u8])>) -> TakenUp {
    let mut all = TakenUp::default();
    for (id, text) in resources {
        let resource = format!("SearchParameter/{id}");
        let definition: Definition = match serde_json::from_slice(text) {
            Ok(definition) => definition,
            Err(_) => {
                all.refuse(&resource, String::new(), "a member has a form that is not read".into());
                continue;
            }
        };
        if definition.status == "retired" {
            continue;
        }
        for base in &definition.base {
            let search = format!("{base}?{}", definition.code);
            match all.line(&definition, base) {
                Ok((of_type, line)) => {
                    all.lines.insert((of_type, definition.code.clone()), line);
                    all.taken.push(Taken { resource: resource.clone(), search });
                }
                Err(why) => all.refuse(&resource, search, why),
            }
        }
    }
    all
}

impl TakenUp {
    /// What is added to FHIR's own parameters.
    pub fn table(&self) -> String {
        self.lines.values().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// Says in the log what became of each.
    pub(super) fn log(&self) {
        for Taken { resource, search } in &self.taken {
            tracing::info!(resource, search, "a search parameter is taken up");
        }
        for Refused { resource, search, why } in &self.refused {
            tracing::warn!(resource, search, why, "a search parameter is not taken up");
        }
    }

    fn refuse(&mut self, resource: &str, search: String, why: String) {
        self.refused.push(Refused { resource: resource.to_owned(), search, why });
    }

    /// The line of the table for one type, or why there is none.
    fn line(&self, definition: &Definition, base: &str) -> Result<(ResourceType, String), String> {
        let Definition { status, code, expression, .. } = definition;
        if status != "active" {
            return Err(format!("its status is {status}: only active ones are taken up"));
        }
        let kind = kind(&definition.kind)?;
        let of_type: ResourceType = base.parse().map_err(|_| {
            format!("{base} is no type that resources are of: name the types themselves")
        })?;
        checked(code, expression)?;
        if SearchParameters::published().named(of_type, code).is_some() {
            return Err(format!("FHIR has a parameter {code} of {base} already"));
        }
        if self.lines.contains_key(&(of_type, code.clone())) {
            return Err(format!("another SearchParameter of the record is {code} of {base}"));
        }
        if self.lines.len() >= ADDED_MAX {
            return Err(format!("a record may have {ADDED_MAX} parameters of its own"));
        }
        let compiler = Compiler { schema: &Published };
        let terms = compiler.expression(expression, base, kind)?.column();
        let targets = targets(kind, &definition.target)?;
        let line = format!("{base}\t{code}\t{}\t{targets}\t{terms}", kind.as_str());
        let is_read = SearchParameters::published().with(&line).named(of_type, code).is_some();
        if !is_read {
            let why = "its expression leads to too much, or this process has taken up too many \
                       others since it was started";
            return Err(why.to_owned());
        }
        Ok((of_type, line))
    }
}

fn kind(name: &str) -> Result<ParameterKind, String> {
    match ParameterKind::named(name) {
        Some(ParameterKind::Composite | ParameterKind::Special) | None => {
            Err(format!("parameters of the type {name} cannot be added"))
        }
        Some(kind) => Ok(kind),
    }
}

/// A code must be one that a query can name.
fn checked(code: &str, expression: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if code.is_empty()
        || code.len() > CODE_BYTES_MAX
        || code.starts_with('_')
        || !code.chars().all(plain)
    {
        return Err(
            "its code must be letters, digits and hyphens, and begin with no underscore".into()
        );
    }
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("its expression has more than {EXPRESSION_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// What a reference may be to; to anything, if that is not said.
fn targets(kind: ParameterKind, named: &[String]) -> Result<String, String> {
    if kind != ParameterKind::Reference {
        return Ok(String::new());
    }
    if named.is_empty() || named.iter().any(|target| target == "Resource") {
        return Ok("*".to_owned());
    }
    match named.iter().find(|target| target.parse::<ResourceType>().is_err()) {
        Some(target) => Err(format!("its target {target} is no resource type")),
        None => Ok(named.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_up(definitions: &[&str]) -> TakenUp {
        let text = |more: &&str| format!(r#"{{"resourceType":"SearchParameter",{more}}}"#);
        let texts: Vec<String> = definitions.iter().map(text).collect();
        take_up(texts.iter().map(|text| ("s", text.as_bytes())))
    }

    fn defined(code: &str, kind: &str, base: &str, expression: &str) -> String {
        format!(
            r#""status":"active","code":"{code}","type":"{kind}","base":["{base}"],"expression":"{expression}""#
        )
    }

    #[test]
    fn an_active_parameter_becomes_a_line_and_a_retired_one_nothing() {
        let active = defined("note", "string", "Observation", "Observation.note.text");
        let retired = active.replace("active", "retired");
        let all = taken_up(&[&retired, &active]);
        assert_eq!(all.table(), "Observation\tnote\tstring\t\tnote.text:markdown\n");
        assert_eq!(all.taken[0].search, "Observation?note");
        assert!(all.refused.is_empty(), "{all:?}");
    }

    #[test]
    fn what_cannot_be_taken_up_says_why() {
        let note = |code: &str| defined(code, "string", "Observation", "Observation.note.text");
        for (definition, why) in [
            (note("a").replace("active", "draft"), "draft"),
            (note("code"), "FHIR has"),
            (note("_tag"), "underscore"),
            (note("a.b"), "letters"),
            (note(""), "letters"),
            (note("a").replace("Observation\"]", "DomainResource\"]"), "name the types"),
            (note("a").replace("string", "composite"), "composite"),
            (note("a").replace("string", "nonsense"), "nonsense"),
            (note("a").replace("string", "date"), "no meaning for markdown"),
            (note("a").replace("note.text", "nonsense"), "not an element"),
            (note("a").replace("note.text", &"note.".repeat(500)), "bytes"),
            (note("a").replace("[\"Observation\"]", "3"), "form"),
            (
                defined("a", "reference", "Observation", "Observation.subject")
                    + r#","target":["Nonsense"]"#,
                "Nonsense",
            ),
        ] {
            let all = taken_up(&[&definition]);
            assert!(all.taken.is_empty(), "{definition}");
            assert!(all.refused[0].why.contains(why), "{why}: {}", all.refused[0].why);
        }
        let twice = taken_up(&[&note("a"), &note("a")]);
        assert!(twice.taken.len() == 1 && twice.refused[0].why.contains("another"), "{twice:?}");
    }

    #[test]
    fn a_record_has_no_more_than_so_many() {
        let all: Vec<String> = (0..=ADDED_MAX)
            .map(|n| defined(&format!("n{n}"), "string", "Observation", "Observation.note.text"))
            .collect();
        let all = taken_up(&all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((all.taken.len(), all.refused.len()), (ADDED_MAX, 1));
    }
}
