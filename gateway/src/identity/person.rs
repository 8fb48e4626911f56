//! Whose numbers are one person's, as Patients assert it. A Patient who carries the number that was
//! asked for carries the others too; one that was replaced leads to the one in its place.
//! <https://hl7.org/fhir/R4/patient.html#links>
//!
//! **Invariants.** Numbers are compared with their systems, never as bare values. A former number
//! (`use` = `old`) leads to the Patient who once had it only if nobody has it now. Nothing leads
//! from a number to a former one: it may have been another person's.

use std::borrow::Cow;
use std::collections::BTreeSet;

use fhir::identifier::{NhsNumber, PatientNumber};
use fhir::reference::Reference;
use serde::Deserialize;

use crate::merge::key::Identifier;

/// The numbers of a Patient, and the Patients in whose favour it was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Its id, if it has one.
    pub id: String,
    /// Numbers in use.
    pub current: Vec<PatientNumber>,
    /// Numbers no longer in use.
    pub former: Vec<PatientNumber>,
    /// The ids of the Patients that replace it.
    pub replaced_by: Vec<String>,
}

#[derive(Deserialize)]
struct Patient<'a> {
    #[serde(rename = "resourceType", borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    identifier: Vec<Identifier<'a>>,
    #[serde(borrow, default)]
    link: Vec<Link<'a>>,
}

#[derive(Deserialize)]
struct Link<'a> {
    #[serde(borrow)]
    other: Other<'a>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Other<'a> {
    #[serde(borrow, default)]
    reference: Cow<'a, str>,
}

impl Numbered {
    /// Reads a Patient; nothing if it is none.
    pub fn read(resource: &[u8]) -> Option<Self> {
        let patient: Patient<'_> = serde_json::from_slice(resource).ok()?;
        if patient.resource_type != "Patient" {
            return None;
        }
        let numbers = |old| {
            let of_use = patient.identifier.iter().filter(move |i| i.is_old() == old);
            of_use.filter_map(Identifier::number).collect()
        };
        let replaced_by = patient.link.iter().filter(|link| link.kind == "replaced-by");
        Some(Self {
            current: numbers(false),
            former: numbers(true),
            replaced_by: replaced_by.filter_map(|link| patient_id(&link.other.reference)).collect(),
            id: patient.id.into_owned(),
        })
    }
}

fn patient_id(reference: &str) -> Option<String> {
    match Reference::parse(reference) {
        Reference::Relative { resource_type: "Patient", id, .. } => Some(id.to_owned()),
        _ => None,
    }
}

/// What one source's Patients say about a number.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// Numbers in use of whoever carries it now.
    pub current: BTreeSet<PatientNumber>,
    /// Numbers of Patients that were replaced by them.
    pub replaced: BTreeSet<PatientNumber>,
    /// The number is no longer in use.
    pub superseded: bool,
}

impl Linked {
    /// What these Patients say about a person of whom some numbers are known, the one that was
    /// asked for first.
    pub fn of(patients: &[Numbered], known: &[PatientNumber]) -> Self {
        let any = |numbers: &[PatientNumber]| numbers.iter().any(|n| known.contains(n));
        let places = |carries: &dyn Fn(&Numbered) -> bool| -> Vec<usize> {
            (0..patients.len()).filter(|place| carries(&patients[*place])).collect()
        };
        let mut carriers = places(&|patient| any(&patient.current));
        let mut linked = Self::default();
        if carriers.is_empty() {
            carriers = places(&|patient| any(&patient.former));
            linked.superseded = !carriers.is_empty();
        }
        let mut next = 0;
        while let Some(&place) = carriers.get(next) {
            next += 1;
            let patient = &patients[place];
            let heirs = places(&|heir| patient.replaced_by.contains(&heir.id));
            let numbers = patient.current.iter().copied();
            if heirs.is_empty() {
                linked.current.extend(numbers);
            } else {
                linked.replaced.extend(numbers);
                linked.superseded = true;
            }
            let unseen: Vec<_> = heirs.into_iter().filter(|h| !carriers.contains(h)).collect();
            carriers.extend(unseen);
        }
        linked
    }
}

/// A person, as far as their numbers are known.
#[derive(Debug, Clone)]
pub struct Person {
    asked: PatientNumber,
    current: BTreeSet<PatientNumber>,
    replaced: BTreeSet<PatientNumber>,
    superseded: bool,
}

impl Person {
    /// The person who was asked for, and nothing more.
    pub fn new(asked: PatientNumber) -> Self {
        Self { asked, current: BTreeSet::new(), replaced: BTreeSet::new(), superseded: false }
    }

    /// Adds what a source says.
    pub fn learn(&mut self, linked: Linked) {
        self.current.extend(linked.current);
        self.replaced.extend(linked.replaced);
        self.superseded |= linked.superseded;
    }

    /// The number that was asked for.
    pub fn asked(&self) -> PatientNumber {
        self.asked
    }

    /// Whether it is no longer in use.
    pub fn is_superseded(&self) -> bool {
        self.superseded
    }

    /// Whether it leads to several NHS numbers, so that none of them can be relied on.
    pub fn is_ambiguous(&self) -> bool {
        let mut numbers = self.current.clone();
        if self.superseded {
            numbers.remove(&self.asked);
        } else {
            numbers.insert(self.asked);
        }
        nhs(numbers.iter()).count() > 1
    }

    /// The numbers by which records are asked for, the one that was asked for first.
    pub fn numbers(&self) -> Vec<PatientNumber> {
        let mut numbers = vec![self.asked];
        if !self.is_ambiguous() {
            let others: BTreeSet<_> = self.current.union(&self.replaced).copied().collect();
            numbers.extend(others.into_iter().filter(|number| *number != self.asked));
        }
        numbers
    }

    /// The NHS numbers among them.
    pub fn nhs_numbers(&self) -> Vec<NhsNumber> {
        nhs(self.numbers().iter()).collect()
    }
}

fn nhs<'a>(numbers: impl Iterator<Item = &'a PatientNumber>) -> impl Iterator<Item = NhsNumber> {
    numbers.filter_map(|number| match number {
        PatientNumber::Nhs(nhs) => Some(*nhs),
        PatientNumber::Chi(_) | PatientNumber::Hc(_) => None,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use fhir::identifier::{CHI_NUMBER, NHS_NUMBER};

    fn nhs(value: &str) -> PatientNumber {
        PatientNumber::parse(NHS_NUMBER, value).unwrap()
    }

    fn chi(value: &str) -> PatientNumber {
        PatientNumber::parse(CHI_NUMBER, value).unwrap()
    }

    fn patient(id: &str, current: &[PatientNumber], former: &[PatientNumber]) -> Numbered {
        let (current, former) = (current.to_vec(), former.to_vec());
        Numbered { id: id.into(), current, former, replaced_by: Vec::new() }
    }

    fn person(patients: &[Numbered], asked: PatientNumber) -> Person {
        let mut person = Person::new(asked);
        person.learn(Linked::of(patients, &[asked]));
        person
    }

    #[test]
    fn a_patients_numbers_lead_to_each_other() {
        let (a, b) = (nhs("9434765919"), chi("0101900041"));
        let patients = [patient("p", &[a, b], &[]), patient("q", &[nhs("9876543210")], &[])];
        assert_eq!(person(&patients, a).numbers(), [a, b]);
        let back = person(&patients, b);
        assert_eq!((back.numbers(), back.is_superseded()), (vec![b, a], false));
    }

    #[test]
    fn a_former_number_leads_to_the_one_in_use_and_not_back() {
        let (new, old) = (nhs("9434765919"), nhs("9876543210"));
        let patients = [patient("p", &[new], &[old])];
        let asked = person(&patients, old);
        assert_eq!((asked.numbers(), asked.is_superseded()), (vec![old, new], true));
        assert_eq!(person(&patients, new).numbers(), [new]);
    }

    #[test]
    fn a_number_that_somebody_has_now_is_not_who_had_it_once() {
        let (own, other) = (nhs("9434765919"), nhs("9876543210"));
        let patients = [patient("p", &[own], &[]), patient("q", &[other], &[own])];
        let asked = person(&patients, own);
        assert_eq!((asked.numbers(), asked.is_superseded()), (vec![own], false));
    }

    #[test]
    fn a_patient_who_was_replaced_leads_to_the_one_in_its_place() {
        let (old, new) = (nhs("9876543210"), nhs("9434765919"));
        let mut replaced = patient("p", &[old], &[]);
        replaced.replaced_by = vec!["q".into()];
        let mut heir = patient("q", &[new], &[]);
        heir.replaced_by = vec!["p".into()];
        let circle = [replaced.clone(), heir];
        assert_eq!(person(&circle, old).numbers().len(), 2);
        let asked = person(&[replaced, patient("q", &[new], &[])], old);
        assert_eq!((asked.numbers(), asked.is_superseded()), (vec![old, new], true));
        assert!(!asked.is_ambiguous());
    }

    #[test]
    fn several_nhs_numbers_are_none() {
        let (a, b, c) = (nhs("9434765919"), nhs("9876543210"), chi("0101900041"));
        for asked in [a, c] {
            let asked = person(&[patient("p", &[a, b, c], &[])], asked);
            assert!(asked.is_ambiguous());
            assert_eq!(asked.numbers(), [asked.asked()]);
        }
    }

    #[test]
    fn a_patient_is_read_by_its_numbers_and_links() {
        let text = format!(
            r#"{{"resourceType":"Patient","id":"p","identifier":[
            {{"use":"old","system":"{NHS_NUMBER}","value":"9876543210"}},
            {{"system":"urn:oid:2.16.840.1.113883.2.1.3.2.4.16.53","value":"0101900041"}},
            {{"system":"{NHS_NUMBER}","value":"9434765918"}}],"link":[
            {{"type":"replaced-by","other":{{"reference":"Patient/q"}}}},
            {{"type":"seealso","other":{{"reference":"Patient/r"}}}}]}}"#
        );
        let read = Numbered::read(text.as_bytes()).unwrap();
        let mut expected = patient("p", &[chi("0101900041")], &[nhs("9876543210")]);
        expected.replaced_by = vec!["q".into()];
        assert_eq!(read, expected);
        assert!(Numbered::read(br#"{"resourceType":"Group"}"#).is_none());
    }
}
