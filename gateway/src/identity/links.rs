//! The file of linked numbers: FHIR Patients, one a line, of which only ids, identifiers and links
//! are read. It says of people what no hub of this region may know.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use fhir::identifier::PatientNumber;
use thiserror::Error;

use super::person::{Linked, Numbered, Person};

/// All linked numbers, in memory.
#[derive(Debug, Default)]
pub struct Links {
    patients: Vec<Numbered>,
    by_number: HashMap<PatientNumber, Vec<usize>>,
    by_id: HashMap<String, Vec<usize>>,
}

/// Why a file of linked numbers cannot be used. The sentence holds no number.
#[derive(Debug, Error)]
pub enum LinksError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A line is no Patient with a valid number.
    #[error(
        "line {0} is not a Patient with a valid NHS, CHI or H&C number: each line is one FHIR \
         Patient"
    )]
    Line(usize),
}

impl Links {
    /// Reads a file.
    pub fn open(file: &Path) -> Result<Self, LinksError> {
        Self::read(BufReader::new(File::open(file)?))
    }

    fn read(lines: impl BufRead) -> Result<Self, LinksError> {
        let mut links = Self::default();
        for (number, line) in lines.lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let patient = Numbered::read(line.as_bytes());
            let numbered = |p: &Numbered| !(p.current.is_empty() && p.former.is_empty());
            links.add(patient.filter(numbered).ok_or(LinksError::Line(number + 1))?);
        }
        Ok(links)
    }

    fn add(&mut self, patient: Numbered) {
        let place = self.patients.len();
        for number in patient.current.iter().chain(&patient.former) {
            self.by_number.entry(*number).or_default().push(place);
        }
        if !patient.id.is_empty() {
            self.by_id.entry(patient.id.clone()).or_default().push(place);
        }
        self.patients.push(patient);
    }

    /// A person as the file knows them.
    pub fn person(&self, asked: PatientNumber) -> Person {
        let mut places = self.by_number.get(&asked).cloned().unwrap_or_default();
        let mut next = 0;
        while let Some(&place) = places.get(next) {
            next += 1;
            for id in &self.patients[place].replaced_by {
                let heirs = self.by_id.get(id).into_iter().flatten();
                let unseen: Vec<_> = heirs.filter(|heir| !places.contains(heir)).copied().collect();
                places.extend(unseen);
            }
        }
        let patients: Vec<_> = places.iter().map(|place| self.patients[*place].clone()).collect();
        let mut person = Person::new(asked);
        person.learn(Linked::of(&patients, &[asked]));
        person
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use fhir::identifier::{CHI_NUMBER, NHS_NUMBER};

    fn line(id: &str, number: &str, heir: &str) -> String {
        format!(
            r#"{{"resourceType":"Patient","id":"{id}","identifier":[{{"system":"{NHS_NUMBER}","value":"{number}"}},{{"system":"{CHI_NUMBER}","value":"0101900041"}}],"link":[{{"type":"replaced-by","other":{{"reference":"Patient/{heir}"}}}}]}}"#
        )
    }

    #[test]
    fn a_person_is_found_by_each_number_and_through_links() {
        let text = format!(
            "{}\n\n{}\n",
            line("a", "9876543210", "b"),
            line("b", "9434765919", "none").replace("0101900041", "0101900015")
        );
        let links = Links::read(text.as_bytes()).unwrap();
        let asked = PatientNumber::parse(CHI_NUMBER, "0101900041").unwrap();
        let person = links.person(asked);
        assert_eq!((person.numbers().len(), person.is_superseded()), (4, true));
        let stranger = PatientNumber::parse(NHS_NUMBER, "4010232137").unwrap();
        assert_eq!(links.person(stranger).numbers(), [stranger]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_never_repeated() {
        let good = line("a", "9876543210", "b");
        for bad in ["{}", "oops 9434765918", r#"{"resourceType":"Patient"}"#] {
            let text = format!("{good}\n{bad}\n");
            let error = Links::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("line 2") && !error.contains("943"), "{error}");
        }
    }
}
