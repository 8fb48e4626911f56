//! Whose is it? Every entry of a region's answer is either a Patient who carries the number that
//! was asked for, or is about one. One entry that is neither discredits the whole answer.

use std::collections::HashMap;

use fhir::bundle::SearchMode;
use fhir::identifier::PatientNumber;
use fhir::reference::Reference;

use super::key::{Key, Reading, Subject, identifiers};
use crate::outcome::RegionStatus;
use crate::region::answer::RawEntry;

/// What is asked of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'p> {
    /// The type of the matches.
    pub resource_type: &'p str,
    /// The numbers, each of which names the patient.
    pub numbers: &'p [PatientNumber],
    /// What is read of each resource.
    pub reading: Reading<'p>,
}

/// A resource and what was read of it.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// What was read.
    pub key: Key<'a>,
    /// The resource itself.
    pub resource: &'a [u8],
}

/// A region's answer, every entry of it the asked patient's.
#[derive(Debug, Default)]
pub struct Checked<'a> {
    /// The matches, each resource once.
    pub matches: Vec<Candidate<'a>>,
    /// The Patients beside them, each once.
    pub patients: Vec<Candidate<'a>>,
    /// Matches that were sent again, on another page; the newest of each is among the matches.
    pub repeated: usize,
}

/// Checks a region's answer; `base` is the region's own, by which it may call its Patients.
pub fn check<'a>(
    entries: &'a [RawEntry],
    base: &str,
    expected: &Expected<'_>,
) -> Result<Checked<'a>, RegionStatus> {
    let mut checked = Checked::default();
    let mut matches = Once::default();
    let mut patients = Once::default();
    for entry in entries {
        let key = expected.reading.read(&entry.resource);
        let key = key.map_err(|_malformed| RegionStatus::Invalid)?;
        let candidate = Candidate { key, resource: &entry.resource };
        let is_match = candidate.key.resource_type == expected.resource_type;
        match (is_match, entry.mode) {
            (true, None | Some(SearchMode::Match)) => matches.add(&mut checked.matches, candidate),
            (_, Some(SearchMode::Match | SearchMode::Outcome)) => {
                return Err(RegionStatus::Invalid);
            }
            _ if candidate.key.resource_type == "Patient" => {
                patients.add(&mut checked.patients, candidate);
            }
            // Nothing but the patient was to be included.
            _ => return Err(RegionStatus::Invalid),
        }
    }
    checked.repeated = matches.repeated;
    belong(&checked, base, expected).then_some(checked).ok_or(RegionStatus::WrongPatient)
}

/// Keeps the newest of the resources with one id.
#[derive(Default)]
struct Once {
    places: HashMap<String, usize>,
    repeated: usize,
}

impl Once {
    fn add<'a>(&mut self, kept: &mut Vec<Candidate<'a>>, candidate: Candidate<'a>) {
        let Some(&place) = self.places.get(&*candidate.key.id) else {
            self.places.insert(candidate.key.id.to_string(), kept.len());
            kept.push(candidate);
            return;
        };
        self.repeated += 1;
        if candidate.key.last_updated > kept[place].key.last_updated {
            kept[place] = candidate;
        }
    }
}

fn belong(checked: &Checked<'_>, base: &str, expected: &Expected<'_>) -> bool {
    let carries = |candidate: &Candidate<'_>| {
        identifiers(candidate.key.identifier)
            .iter()
            .filter_map(super::key::Identifier::number)
            .any(|number| expected.numbers.contains(&number))
    };
    if !checked.patients.iter().all(carries) {
        return false;
    }
    if expected.resource_type == "Patient" {
        return checked.matches.iter().all(carries);
    }
    let ids: Vec<&str> = checked.patients.iter().map(|patient| &*patient.key.id).collect();
    let about = |subject: &Subject<'_>| names(subject, base, &ids, expected.numbers);
    checked.matches.iter().all(|candidate| candidate.key.subjects.iter().any(about))
}

/// Whether a reference names one of the Patients, or, having no literal part, one of the numbers.
fn names(subject: &Subject<'_>, base: &str, ids: &[&str], numbers: &[PatientNumber]) -> bool {
    let Some(reference) = subject.reference.as_deref() else {
        let number = subject.identifier.as_ref().and_then(super::key::Identifier::number);
        return number.is_some_and(|number| numbers.contains(&number));
    };
    let own = reference.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    match Reference::parse(own.unwrap_or(reference)) {
        Reference::Relative { resource_type, id, .. } => {
            resource_type == "Patient" && ids.contains(&id)
        }
        _ => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use bytes::Bytes;
    use fhir::identifier::NHS_NUMBER;

    const BASE: &str = "http://hub/FHIR/R4";

    fn entry(mode: &str, resource: &str) -> RawEntry {
        RawEntry {
            mode: serde_json::from_str(&format!("\"{mode}\"")).ok(),
            resource: Bytes::copy_from_slice(resource.as_bytes()),
        }
    }

    fn patient(id: &str, number: &str) -> RawEntry {
        let identifier = format!(r#"[{{"system":"{NHS_NUMBER}","value":"{number}"}}]"#);
        let text = format!(r#"{{"resourceType":"Patient","id":"{id}","identifier":{identifier}}}"#);
        entry("include", &text)
    }

    fn observation(id: &str, subject: &str) -> RawEntry {
        let text = format!(r#"{{"resourceType":"Observation","id":"{id}","subject":{subject}}}"#);
        entry("match", &text)
    }

    fn end(entries: &[RawEntry]) -> Result<(usize, usize), RegionStatus> {
        let kind = Kind::of("Observation".parse().unwrap()).unwrap();
        let number = PatientNumber::parse(NHS_NUMBER, "9434765919").unwrap();
        let expected = Expected {
            resource_type: "Observation",
            numbers: &[number],
            reading: Reading { subjects: &kind.subjects, dates: &[] },
        };
        check(entries, BASE, &expected).map(|checked| (checked.matches.len(), checked.repeated))
    }

    #[test]
    fn an_entry_about_the_patient_is_kept() {
        let number =
            format!(r#"{{"identifier":{{"system":"{NHS_NUMBER}","value":"9434765919"}}}}"#);
        let entries = [
            patient("p", "9434765919"),
            observation("a", r#"{"reference":"Patient/p"}"#),
            observation("b", r#"{"reference":"http://hub/FHIR/R4/Patient/p/_history/2"}"#),
            observation("c", &number),
            observation("a", r#"{"reference":"Patient/p"}"#),
            patient("p", "9434765919"),
        ];
        assert_eq!(end(&entries), Ok((3, 1)));
    }

    #[test]
    fn one_foreign_entry_discredits_the_answer() {
        let own = patient("p", "9434765919");
        let foreign = [
            observation("a", r#"{"reference":"Patient/q"}"#),
            observation("a", r#"{"reference":"Group/p"}"#),
            observation("a", r#"{"reference":"http://elsewhere/Patient/p"}"#),
            observation("a", r#"{"display":"someone"}"#),
            patient("q", "9876543210"),
        ];
        for entry in foreign {
            assert_eq!(end(&[own.clone(), entry]), Err(RegionStatus::WrongPatient));
        }
        let unverified = [observation("a", r#"{"reference":"Patient/p"}"#)];
        assert_eq!(end(&unverified), Err(RegionStatus::WrongPatient));
    }

    #[test]
    fn what_was_not_asked_for_is_invalid() {
        let practitioner = r#"{"resourceType":"Practitioner","id":"a"}"#;
        for mode in ["match", "include"] {
            assert_eq!(end(&[entry(mode, practitioner)]), Err(RegionStatus::Invalid));
        }
        assert_eq!(
            end(&[entry("match", r#"{"resourceType":"Observation"}"#)]),
            Err(RegionStatus::Invalid)
        );
    }
}
