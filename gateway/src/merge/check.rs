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
    /// Its Patients carry the number as a former one.
    pub formerly: bool,
    /// Matches of somebody who once had the number that another Patient has now: left out.
    pub anothers: usize,
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
    belong(&mut checked, base, expected).then_some(checked).ok_or(RegionStatus::WrongPatient)
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

/// How a Patient carries one of the numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Carries {
    Never,
    Formerly,
    Now,
}

impl Carries {
    fn of(candidate: &Candidate<'_>, numbers: &[PatientNumber]) -> Self {
        let carried = identifiers(candidate.key.identifier).into_iter();
        let asked = carried.filter(|i| i.number().is_some_and(|n| numbers.contains(&n)));
        let how = asked.map(|i| if i.is_old() { Self::Formerly } else { Self::Now });
        how.max().unwrap_or(Self::Never)
    }
}

/// Whether everything belongs to those who carry the number. What belongs to somebody who only once
/// had it is left out if another Patient has it now.
fn belong(checked: &mut Checked<'_>, base: &str, expected: &Expected<'_>) -> bool {
    let of_patients = expected.resource_type == "Patient";
    let people = checked.patients.iter().chain(checked.matches.iter().filter(|_| of_patients));
    let carries: Vec<_> = people.map(|patient| Carries::of(patient, expected.numbers)).collect();
    if carries.contains(&Carries::Never) {
        return false;
    }
    let now = carries.contains(&Carries::Now);
    checked.formerly = !now && !carries.is_empty();
    let is_asked =
        |patient: &Candidate<'_>| !now || Carries::of(patient, expected.numbers) == Carries::Now;
    if of_patients {
        let before = checked.matches.len();
        checked.matches.retain(is_asked);
        checked.anothers = before - checked.matches.len();
        return true;
    }
    let (asked, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut checked.patients).into_iter().partition(is_asked);
    checked.patients = asked;
    let ids = |patients: &[Candidate<'_>]| -> Vec<String> {
        patients.iter().map(|patient| patient.key.id.to_string()).collect()
    };
    let (asked, others) = (ids(&checked.patients), ids(&others));
    let about = |candidate: &Candidate<'_>, ids: &[String]| {
        candidate.key.subjects.iter().any(|subject| names(subject, base, ids, expected.numbers))
    };
    let before = checked.matches.len();
    checked.matches.retain(|m| about(m, &asked) || !about(m, &others));
    checked.anothers = before - checked.matches.len();
    checked.matches.iter().all(|candidate| about(candidate, &asked))
}

/// Whether a reference names one of the Patients, or, having no literal part, one of the numbers.
fn names(subject: &Subject<'_>, base: &str, ids: &[String], numbers: &[PatientNumber]) -> bool {
    let Some(reference) = subject.reference.as_deref() else {
        let number = subject.identifier.as_ref().and_then(super::key::Identifier::number);
        return number.is_some_and(|number| numbers.contains(&number));
    };
    let own = reference.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    match Reference::parse(own.unwrap_or(reference)) {
        Reference::Relative { resource_type, id, .. } => {
            resource_type == "Patient" && ids.iter().any(|known| known == id)
        }
        _ => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::kind::{Kind, Pick};
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
            reading: Reading { subjects: &kind.subjects, dates: &[], pick: Pick::First },
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
    fn who_once_had_the_number_is_somebody_else_if_another_has_it_now() {
        let once = |number| {
            let old = patient("q", number);
            let text = String::from_utf8(old.resource.to_vec()).unwrap();
            entry("include", &text.replace("[{", "[{\"use\":\"old\","))
        };
        let own = [patient("p", "9434765919"), observation("a", r#"{"reference":"Patient/p"}"#)];
        let theirs = [once("9434765919"), observation("b", r#"{"reference":"Patient/q"}"#)];
        assert_eq!(end(&[own.clone(), theirs.clone()].concat()), Ok((1, 0)));
        assert_eq!(end(&theirs), Ok((1, 0)));
        let kind = Kind::of("Observation".parse().unwrap()).unwrap();
        let number = PatientNumber::parse(NHS_NUMBER, "9434765919").unwrap();
        let reading = Reading { subjects: &kind.subjects, dates: &[], pick: Pick::First };
        let expected = Expected { resource_type: "Observation", numbers: &[number], reading };
        let both = [own, theirs.clone()].concat();
        let both = check(&both, BASE, &expected).unwrap();
        assert_eq!((both.anothers, both.patients.len(), both.formerly), (1, 1, false));
        assert!(check(&theirs, BASE, &expected).unwrap().formerly);
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
