//! `$everything` of a patient, taken apart: what the operation is given, what the gateway does.
//! <https://hl7.org/fhir/R4/operation-patient-everything.html>

use fhir::definitions::ResourceType;
use fhir::identifier::{NHS_NUMBER, PatientNumber};
use fhir::instant::Interval;

use super::draft::Draft;
use super::{Handling, Question};
use crate::error::GatewayError;
use crate::kind::Kind;

const COUNT: &str = "Everything is in the one answer: leave _count out.";
const TYPES: &str = "_type is a list of FHIR R4 resource types.";
const SINCE: &str = "_since is an instant, such as 2020-05-17T09:00:00Z.";
const START: &str = "start is a date, such as 2020-05-17.";
const END: &str = "end is a date, such as 2020-05-17.";
const UNKNOWN: &str = "$everything takes _type, _since, start, end, _elements, _summary, dedup and \
                       incomplete.";

/// What `$everything` is asked of each region's Patient.
#[derive(Debug)]
pub struct Everything {
    /// The operation's URL below a base, as the caller put it.
    pub path: String,
    /// Its parameters, as given.
    pub parameters: Vec<(String, String)>,
}

impl Question {
    /// Takes an `$everything` apart; `number` is the NHS number in its path, if there is one.
    /// Without it the pairs name the patient, as `identifier=system|number`.
    pub fn everything(
        number: Option<&str>,
        pairs: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Self, GatewayError> {
        let kind = Kind::of(ResourceType::PATIENT).expect("a Patient leads to itself");
        let mut draft = Draft::new(kind, handling);
        let mut parameters = Vec::new();
        for (name, value) in pairs {
            check(&name, &value)?;
            match &*name {
                "_type" | "_since" | "start" | "end" => parameters.push((name, value)),
                "_count" if value != "0" => drop(draft.left_out("_count", COUNT)?),
                "_format" | "_pretty" | "_elements" | "_summary" | "_total" | "dedup"
                | "incomplete" | "_count" => draft.take(name, value)?,
                "identifier" if number.is_none() => draft.take(name, value)?,
                _ => return Err(GatewayError::NotSupported(name, UNKNOWN)),
            }
        }
        let path = match number {
            None => "Patient/$everything".to_owned(),
            Some(number) => {
                let known = PatientNumber::parse(NHS_NUMBER, number)
                    .map_err(|cause| GatewayError::BadNumber("id".to_owned(), cause))?;
                draft.take("identifier".to_owned(), format!("{NHS_NUMBER}|{}", known.value()))?;
                format!("Patient/{}/$everything", known.value())
            }
        };
        let mut question = draft.finish()?;
        question.executed.retain(|(name, _)| number.is_none() || name != "identifier");
        question.executed.extend(parameters.iter().cloned());
        question.everything = Some(Everything { path, parameters });
        Ok(question)
    }
}

fn check(name: &str, value: &str) -> Result<(), GatewayError> {
    let refused = |name, text| Err(GatewayError::BadValue(name, text));
    match name {
        "_type" if value.split(',').any(|name| name.trim().parse::<ResourceType>().is_err()) => {
            refused("_type", TYPES)
        }
        "_since" if Interval::parse(value).is_none() => refused("_since", SINCE),
        "start" if Interval::parse(value).is_none() => refused("start", START),
        "end" if Interval::parse(value).is_none() => refused("end", END),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn parse(number: Option<&str>, pairs: &[(&str, &str)]) -> Result<Question, GatewayError> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Question::everything(number, pairs.collect(), Handling::Lenient)
    }

    #[test]
    fn the_patient_is_named_in_the_path_or_by_identifier() {
        let asked = parse(Some("9434765919"), &[("_type", "Observation"), ("start", "2020")]);
        let asked = asked.unwrap();
        assert_eq!(
            asked.self_url("b", &[]),
            "b/Patient/9434765919/$everything?_type=Observation&start=2020"
        );
        let named = format!("{NHS_NUMBER}|9434765919");
        let asked = parse(None, &[("identifier", &named)]).unwrap();
        assert_eq!(asked.number.value(), "9434765919");
        assert!(asked.self_url("b", &[]).starts_with("b/Patient/$everything?identifier=https"));
    }

    #[test]
    fn what_everything_does_not_take_is_refused() {
        use GatewayError as E;
        let refused = |pairs: &[(&str, &str)]| parse(Some("9434765919"), pairs).unwrap_err();
        for pair in [("_type", "Bogus"), ("_since", "soon"), ("start", "x"), ("end", "1-1")] {
            assert!(matches!(refused(&[pair]), E::BadValue(..)), "{pair:?}");
        }
        assert!(matches!(refused(&[("code", "1")]), E::NotSupported(..)));
        assert!(matches!(refused(&[("identifier", "a|b")]), E::NotSupported(..)));
        assert!(matches!(parse(Some("9434765918"), &[]), Err(E::BadNumber(..))));
        assert!(matches!(parse(None, &[]), Err(E::NoPatient(_))));
    }
}
