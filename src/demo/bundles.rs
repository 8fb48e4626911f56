//! Transaction Bundles from a folder (`--data`), made ready for several regions.
//!
//! Three pure steps on a Bundle's text: [`number`] gives the Patient an NHS number of the test
//! range if it has no national number, [`deal`] says which region gets the Bundle, and [`cut`]
//! divides it between two. Entries are spliced as they were written: no number's text changes, no
//! member moves. <https://hl7.org/fhir/R4/http.html#transaction>

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use fhir::identifier::{NHS_NUMBER, PatientNumber};
use serde_json::Value;
use serde_json::value::RawValue;

use super::population::numbers::nhs_number_at;

/// Why a text cannot be used as a patient's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is not a JSON object.
    NotJson,
    /// It is JSON, but not a transaction Bundle with entries.
    NotTransaction,
    /// An entry has no resource.
    NoResource,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "the file is not a JSON object",
            Self::NotTransaction => {
                "the file must hold a FHIR Bundle of type transaction that has entries"
            }
            Self::NoResource => "every entry of the Bundle must hold a resource",
        })
    }
}

impl std::error::Error for Unusable {}

/// Where the Bundle of one patient goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deal {
    /// To one region.
    Whole(usize),
    /// Cut, the earlier part to the first region and the later part to the second.
    Cut(usize, usize),
}

/// Deals patients round-robin over `regions`; every fourth is cut into two records.
pub(crate) fn deal(index: usize, regions: usize) -> Deal {
    let regions = regions.max(1);
    let first = index % regions;
    if index % 4 == 3 && regions > 1 {
        Deal::Cut(first, (first + 1) % regions)
    } else {
        Deal::Whole(first)
    }
}

/// Gives the first Patient of a Bundle the NHS number that belongs to `index`, unless it has a
/// national number already. A Bundle without a Patient (organisations, say) stays as it is.
pub(crate) fn number(text: &str, index: usize) -> Result<Cow<'_, str>, Unusable> {
    let bundle = Transaction::read(text)?;
    let Some(patient) = bundle.entries.iter().find(|entry| entry.kind == "Patient") else {
        return Ok(Cow::Borrowed(text));
    };
    let members = members(patient.resource).ok_or(Unusable::NoResource)?;
    let known = members.get("identifier").copied();
    if known.is_some_and(|identifiers| has_national_number(identifiers.get())) {
        return Ok(Cow::Borrowed(text));
    }
    let number = nhs_number_at(index);
    let identifier = format!(r#"{{"system":"{NHS_NUMBER}","value":"{}"}}"#, number.as_str());
    let (at, insertion) = match known {
        Some(identifiers) => {
            let rest = identifiers.get()[1..].trim_start();
            let comma = if rest.starts_with(']') { "" } else { "," };
            (offset(text, identifiers.get()) + 1, format!("{identifier}{comma}"))
        }
        None => (offset(text, patient.resource) + 1, format!(r#""identifier":[{identifier}],"#)),
    };
    Ok(Cow::Owned(format!("{}{insertion}{}", &text[..at], &text[at..])))
}

fn has_national_number(identifiers: &str) -> bool {
    let identifiers: Vec<Value> = serde_json::from_str(identifiers).unwrap_or_default();
    let system_of = |identifier: &Value| identifier["system"].as_str().map(str::to_owned);
    let numbered = |identifier: &&Value| identifier["value"].is_string();
    let mut systems = identifiers.iter().filter(numbered).filter_map(system_of);
    systems.any(|system| PatientNumber::is_system(&system))
}

/// One part of a Bundle that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// A transaction Bundle whose references resolve inside it as far as the original's did.
    pub(crate) bundle: String,
    /// How many entries it has.
    pub(crate) entries: usize,
}

/// Cuts a Bundle in two: the earlier half of the encounters and the later half.
///
/// A resource goes where its Encounter goes, or the Claim it is about. What belongs to the
/// patient without an encounter goes to the first part. Each part has the Patient, and everything
/// that its resources refer to; what both need is in both. Nothing is lost.
pub(crate) fn cut(text: &str) -> Result<(Part, Part), Unusable> {
    Ok(Transaction::read(text)?.cut())
}

/// Which part a resource belongs to of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    First,
    Second,
    Both,
    /// Wherever it is needed: it is not about the patient.
    Either,
}

impl Home {
    fn is_in(self, part: Self) -> bool {
        self == part || self == Self::Both
    }
}

fn homes(bundle: &Transaction<'_>, references: &[Vec<usize>]) -> Vec<Home> {
    let entries = &bundle.entries;
    let mut encounters: Vec<usize> =
        (0..entries.len()).filter(|&entry| entries[entry].kind == "Encounter").collect();
    encounters.sort_by_key(|&entry| entries[entry].value["period"]["start"].as_str());
    let earlier = encounters.len().div_ceil(2);
    let mut homes: Vec<Option<Home>> = vec![None; entries.len()];
    for (place, &encounter) in encounters.iter().enumerate() {
        homes[encounter] = Some(if place < earlier { Home::First } else { Home::Second });
    }
    // First what names its Encounter, then what names the Claim of one.
    for guide in ["Encounter", "Claim"] {
        let followed: Vec<Option<Home>> = (0..entries.len())
            .map(|entry| {
                let mut guides = references[entry].iter().filter(|&&to| entries[to].kind == guide);
                homes[entry].or_else(|| guides.find_map(|&to| homes[to]))
            })
            .collect();
        homes = followed;
    }
    let about_patient =
        |entry: usize| references[entry].iter().any(|&to| entries[to].kind == "Patient");
    let at_last = |(entry, home): (usize, Option<Home>)| match home {
        Some(home) => home,
        None if entries[entry].kind == "Patient" => Home::Both,
        None if about_patient(entry) => Home::First,
        None => Home::Either,
    };
    homes.into_iter().enumerate().map(at_last).collect()
}

/// The entries that `belongs` names, and everything they refer to, and so on.
fn closure(references: &[Vec<usize>], belongs: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut included = vec![false; references.len()];
    let mut waiting: Vec<usize> = (0..references.len()).filter(|&entry| belongs(entry)).collect();
    while let Some(entry) = waiting.pop() {
        if !std::mem::replace(&mut included[entry], true) {
            waiting.extend(&references[entry]);
        }
    }
    included
}

/// A transaction Bundle whose entries are borrowed from its text.
#[derive(Debug)]
struct Transaction<'a> {
    /// Text up to the first entry, and from the end of the last one.
    around: (&'a str, &'a str),
    entries: Vec<Entry<'a>>,
}

#[derive(Debug)]
struct Entry<'a> {
    /// The whole entry.
    text: &'a str,
    resource: &'a str,
    full_url: String,
    kind: String,
    /// The resource, to look things up in; never written out again.
    value: Value,
}

impl<'a> Transaction<'a> {
    fn read(text: &'a str) -> Result<Self, Unusable> {
        let bundle = members(text).ok_or(Unusable::NotJson)?;
        let is = |member: &str, expected: &str| {
            bundle.get(member).is_some_and(|raw| raw.get().trim_matches('"') == expected)
        };
        if !is("resourceType", "Bundle") || !is("type", "transaction") {
            return Err(Unusable::NotTransaction);
        }
        let list = bundle.get("entry").ok_or(Unusable::NotTransaction)?.get();
        let raw: Vec<&RawValue> =
            serde_json::from_str(list).map_err(|_| Unusable::NotTransaction)?;
        let (Some(first), Some(last)) = (raw.first(), raw.last()) else {
            return Err(Unusable::NotTransaction);
        };
        let (start, end) = (offset(text, first.get()), offset(text, last.get()) + last.get().len());
        let entries = raw.iter().map(|entry| Entry::read(entry.get()));
        Ok(Self {
            around: (&text[..start], &text[end..]),
            entries: entries.collect::<Option<_>>().ok_or(Unusable::NoResource)?,
        })
    }

    /// For each entry, the entries it refers to.
    fn references(&self) -> Vec<Vec<usize>> {
        let mut index = HashMap::new();
        for (place, entry) in self.entries.iter().enumerate() {
            if let Some(id) = entry.value["id"].as_str() {
                index.insert(format!("{}/{id}", entry.kind), place);
            }
            index.insert(entry.full_url.clone(), place);
        }
        let resolve = |entry: &Entry<'_>| {
            let mut found = Vec::new();
            collect_references(&entry.value, &mut |to| found.extend(index.get(to)));
            found.sort_unstable();
            found.dedup();
            found
        };
        self.entries.iter().map(resolve).collect()
    }

    fn cut(&self) -> (Part, Part) {
        let references = self.references();
        let homes = homes(self, &references);
        let mut in_first = closure(&references, |entry| homes[entry].is_in(Home::First));
        let in_second = closure(&references, |entry| homes[entry].is_in(Home::Second));
        for (entry, home) in homes.iter().enumerate() {
            in_first[entry] |= *home == Home::Either && !in_second[entry];
        }
        // What no record needed may itself refer to more.
        let in_first = closure(&references, |entry| in_first[entry]);
        (self.part(&in_first), self.part(&in_second))
    }

    fn part(&self, included: &[bool]) -> Part {
        let chosen = self.entries.iter().zip(included).filter(|(_, included)| **included);
        let texts: Vec<&str> = chosen.map(|(entry, _)| entry.text).collect();
        let (before, after) = self.around;
        Part { bundle: format!("{before}{}{after}", texts.join(",")), entries: texts.len() }
    }
}

impl<'a> Entry<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let entry = members(text)?;
        let resource = entry.get("resource")?.get();
        let value: Value = serde_json::from_str(resource).ok()?;
        let full_url = entry.get("fullUrl").and_then(|raw| serde_json::from_str(raw.get()).ok());
        Some(Self {
            text,
            resource,
            full_url: full_url.unwrap_or_default(),
            kind: value["resourceType"].as_str()?.to_owned(),
            value,
        })
    }
}

fn collect_references<'v>(value: &'v Value, found: &mut impl FnMut(&'v str)) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("reference").and_then(Value::as_str) {
                found(reference);
            }
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

/// The members of a JSON object, as text.
fn members(text: &str) -> Option<HashMap<String, &RawValue>> {
    serde_json::from_str(text).ok()
}

/// Where `part`, a slice of `text`, begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

#[cfg(test)]
mod tests;
