//! Whose is it? Every entry of a region's answer is either a Patient who carries the number that
//! was asked for, or is about one. One entry that is neither discredits the whole answer.

use std::collections::{HashMap, HashSet};

use fhir::bundle::SearchMode;
use fhir::definitions::ResourceType;
use fhir::identifier::PatientNumber;
use fhir::reference::Reference;

use super::key::{Identifier, Key, Reading, Subject, identifiers, type_of};
use crate::outcome::RegionStatus;
use crate::region::answer::RawEntry;

/// What is asked of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'p> {
    /// What the matches are.
    pub asked: Asked<'p>,
    /// The numbers, each of which names the patient.
    pub numbers: &'p [PatientNumber],
    /// Other resources than the patient were to be included.
    pub includes: bool,
    /// What tells resources apart is read, too.
    pub told_apart: bool,
}

/// What the matches are.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'p> {
    /// Resources of one type, of which this is read.
    Type(ResourceType, Reading<'p>),
    /// Whatever is the patient's, and what that refers to.
    Everything,
}

impl Expected<'_> {
    fn read<'a>(&self, resource: &'a [u8]) -> Option<Key<'a>> {
        let resource_type = type_of(resource)?;
        let key = match self.asked {
            Asked::Type(asked, reading) if asked == resource_type => reading.read(resource),
            _ => Reading::of(resource_type, self.told_apart).read(resource),
        };
        key.ok().filter(|key| key.resource_type == resource_type.as_str())
    }

    fn is_match(&self, key: &Key<'_>) -> bool {
        match self.asked {
            Asked::Type(asked, _) => key.resource_type == asked.as_str(),
            Asked::Everything => true,
        }
    }
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
    /// What else stands beside them, each once: of nobody, or the patient's too.
    pub includes: Vec<Candidate<'a>>,
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
    let (mut matches, mut patients, mut includes) =
        (Once::default(), Once::default(), Once::default());
    for entry in entries {
        let key = expected.read(&entry.resource).ok_or(RegionStatus::Invalid)?;
        let candidate = Candidate { key, resource: &entry.resource };
        match (expected.is_match(&candidate.key), entry.mode) {
            (true, None | Some(SearchMode::Match)) => matches.add(candidate),
            (_, Some(SearchMode::Match | SearchMode::Outcome)) => {
                return Err(RegionStatus::Invalid);
            }
            _ if candidate.key.resource_type == "Patient" => patients.add(candidate),
            _ if expected.includes => includes.add(candidate),
            // Nothing but the patient was to be included.
            _ => return Err(RegionStatus::Invalid),
        }
    }
    let mut checked = Checked {
        repeated: matches.repeated,
        matches: matches.kept,
        patients: patients.kept,
        includes: includes.kept,
        ..Checked::default()
    };
    belong(&mut checked, base, expected).then_some(checked).ok_or(RegionStatus::WrongPatient)
}

/// Keeps the newest of the resources with one type and id.
#[derive(Default)]
struct Once<'a> {
    kept: Vec<Candidate<'a>>,
    places: HashMap<String, usize>,
    repeated: usize,
}

impl<'a> Once<'a> {
    fn add(&mut self, candidate: Candidate<'a>) {
        let name = format!("{}/{}", candidate.key.resource_type, candidate.key.id);
        let Some(&place) = self.places.get(&name) else {
            self.places.insert(name, self.kept.len());
            self.kept.push(candidate);
            return;
        };
        self.repeated += 1;
        let version = |candidate: &Candidate<'a>| (candidate.key.updated(), candidate.resource);
        if version(&candidate) > version(&self.kept[place]) {
            self.kept[place] = candidate;
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
    let is_patient = |candidate: &&Candidate<'_>| candidate.key.resource_type == "Patient";
    let people = || checked.patients.iter().chain(checked.matches.iter().filter(is_patient));
    let carries: Vec<_> = people().map(|p| Carries::of(p, expected.numbers)).collect();
    if carries.contains(&Carries::Never) {
        return false;
    }
    let now = carries.contains(&Carries::Now);
    let is_asked = |how: Carries| !now || how == Carries::Now;
    let ids = |asked: bool| -> HashSet<String> {
        let fitting = people().zip(&carries).filter(|(_, how)| is_asked(**how) == asked);
        fitting.map(|(patient, _)| patient.key.id.to_string()).collect()
    };
    let whose = Whose { base, numbers: expected.numbers, asked: ids(true), others: ids(false) };
    checked.formerly = !now && !carries.is_empty();
    checked.patients.retain(|patient| whose.asked.contains(&*patient.key.id));
    let mut right = true;
    let everything = matches!(expected.asked, Asked::Everything);
    for candidate in std::mem::take(&mut checked.matches) {
        match whose.of(&candidate) {
            Of::Asked => checked.matches.push(candidate),
            Of::Other => checked.anothers += 1,
            Of::Nobody if everything => checked.includes.push(candidate),
            Of::Nobody | Of::Stranger => right = false,
        }
    }
    checked.includes.retain(|candidate| match whose.of(candidate) {
        Of::Asked | Of::Nobody => true,
        Of::Other => false,
        Of::Stranger => {
            right = false;
            false
        }
    });
    right
}

/// Whose a resource is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The asked patient's.
    Asked,
    /// Of somebody who once had the number.
    Other,
    /// Of a patient who never had it.
    Stranger,
    /// Of no patient.
    Nobody,
}

/// The Patients of a region's answer: who is asked for, and who only once had the number.
struct Whose<'p> {
    base: &'p str,
    numbers: &'p [PatientNumber],
    asked: HashSet<String>,
    others: HashSet<String>,
}

impl Whose<'_> {
    fn of(&self, candidate: &Candidate<'_>) -> Of {
        let key = &candidate.key;
        if key.resource_type == "Patient" {
            return self.named(&key.id);
        }
        let named = || key.subjects.iter().map(|subject| self.of_subject(subject));
        // A resource that names several is whoever's comes first here.
        [Of::Asked, Of::Other, Of::Stranger]
            .into_iter()
            .find(|of| named().any(|named| named == *of))
            .unwrap_or(Of::Nobody)
    }

    fn named(&self, id: &str) -> Of {
        if self.asked.contains(id) {
            Of::Asked
        } else if self.others.contains(id) {
            Of::Other
        } else {
            Of::Stranger
        }
    }

    /// Whom a reference names, or, having no literal part, whose number it carries.
    fn of_subject(&self, subject: &Subject<'_>) -> Of {
        let Some(reference) = subject.reference.as_deref() else {
            let number = subject.identifier.as_ref().and_then(Identifier::number);
            return match number {
                Some(number) if self.numbers.contains(&number) => Of::Asked,
                Some(_) => Of::Stranger,
                None => Of::Nobody,
            };
        };
        let own = reference.strip_prefix(self.base).and_then(|rest| rest.strip_prefix('/'));
        match Reference::parse(own.unwrap_or(reference)) {
            Reference::Relative { resource_type: "Patient", id, .. } => self.named(id),
            Reference::Absolute(url) if url.contains("/Patient/") => Of::Stranger,
            _ => Of::Nobody,
        }
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

    fn expected(numbers: &[PatientNumber]) -> Expected<'_> {
        let kind = Kind::of("Observation".parse().unwrap()).unwrap();
        let reading =
            Reading { subjects: &kind.subjects, dates: &[], pick: Pick::First, members: &[] };
        let asked = Asked::Type(kind.resource_type, reading);
        Expected { asked, numbers, includes: false, told_apart: false }
    }

    fn end(entries: &[RawEntry]) -> Result<(usize, usize), RegionStatus> {
        let number = PatientNumber::parse(NHS_NUMBER, "9434765919").unwrap();
        let expected = expected(std::slice::from_ref(&number));
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
        let number = PatientNumber::parse(NHS_NUMBER, "9434765919").unwrap();
        let expected = expected(std::slice::from_ref(&number));
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
