//! A search as it was asked, taken apart: whose record, what is forwarded to the regions, what the
//! gateway does itself. <https://hl7.org/fhir/R4/search.html>
//!
//! | parameter | who executes it |
//! |---|---|
//! | the patient's number | each region, as its own `patient.identifier` |
//! | `_sort`, `dedup`, `incomplete`, `_summary=count`, `_count=0` | the gateway |
//! | `_include` of the patient | the gateway, which asks for it always |
//! | `_count` | nobody yet: refused under `handling=strict`, else left out and named |
//! | `_summary`, `_elements`, other includes | nobody: refused |
//! | everything else | each region, as given |

use fhir::definitions::ResourceType;
use fhir::identifier::PatientNumber;
use fhir::outcome::{Issue, IssueCode, Severity};
use url::form_urlencoded;

use crate::error::GatewayError;
use crate::kind::{Kind, Path};

/// What happens to entries that are the same fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dedup {
    /// Nothing is looked for.
    Off,
    /// All are shown, and those that are the same are named.
    Link,
    /// The first is shown, and stands for those that are the same.
    Fold,
}

/// How entries are ordered across regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Where the date stands, the best first; none for `meta.lastUpdated`.
    pub dates: Vec<Path>,
    /// Newest first.
    pub descending: bool,
}

/// A search that can be executed across regions.
#[derive(Debug)]
pub struct Question {
    /// What is asked for.
    pub kind: &'static Kind,
    /// Whose it is.
    pub number: PatientNumber,
    /// What every region executes, as given.
    pub forwarded: Vec<(String, String)>,
    /// What is executed at all, as the caller put it; the `self` link.
    pub executed: Vec<(String, String)>,
    /// How the entries are ordered.
    pub order: Order,
    /// What happens to entries that are the same fact.
    pub dedup: Dedup,
    /// Only the total is wanted.
    pub count_only: bool,
    /// The patient is wanted beside the matches.
    pub show_patient: bool,
    /// An incomplete answer is of no use to the caller.
    pub complete_only: bool,
    /// What was left out of a lenient search.
    pub notes: Vec<Issue>,
}

/// How the caller wants a parameter handled that cannot be executed.
/// <https://hl7.org/fhir/R4/search.html#errors>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Left out and named.
    Lenient,
    /// Refused.
    Strict,
}

const COUNT: &str = "Paging across regions is not supported by this version: every match is in \
                     the one answer. Leave _count out; _count=0 gives the total alone.";
const SORT: &str = "Across regions only one date can be sorted by: _lastUpdated or a date \
                    parameter of the type, newest first with a minus sign before it.";
const SUMMARY: &str = "Across regions only _summary=count and _summary=false are supported.";
const ELEMENTS: &str = "Resources are passed on as their regions hold them, whole.";
const INCLUDE: &str = "Across regions only the patient can be included: read other references at \
                       their own at/{region}/{type}/{id}.";

impl Question {
    /// Takes a search apart; `pairs` is its query, its form, or both joined.
    pub fn parse(type_name: &str, pairs: &str, handling: Handling) -> Result<Self, GatewayError> {
        let resource_type: ResourceType =
            type_name.parse().map_err(|_| GatewayError::UnknownType)?;
        let kind = Kind::of(resource_type)
            .ok_or(GatewayError::NotAboutAPatient(resource_type.as_str()))?;
        let mut draft = Draft::new(kind, handling);
        for (name, value) in form_urlencoded::parse(pairs.as_bytes()) {
            if !name.is_empty() && !value.is_empty() {
                draft.take(name.into_owned(), value.into_owned())?;
            }
        }
        let number = draft.number.ok_or(GatewayError::NoPatient(kind.name()))?;
        Ok(Self {
            kind,
            number,
            forwarded: draft.forwarded,
            executed: draft.executed,
            order: draft.order,
            dedup: draft.dedup,
            count_only: draft.count_only,
            show_patient: draft.show_patient,
            complete_only: draft.complete_only,
            notes: draft.notes,
        })
    }

    /// The `self` link, without the parameters that some region left out.
    pub fn self_url(&self, base: &str, left_out: &[String]) -> String {
        let executed = self.executed.iter().filter(|(n, _)| !left_out.contains(n));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(executed);
        format!("{base}/{}?{}", self.kind.name(), query.finish())
    }
}

struct Draft {
    kind: &'static Kind,
    handling: Handling,
    number: Option<PatientNumber>,
    forwarded: Vec<(String, String)>,
    executed: Vec<(String, String)>,
    order: Order,
    dedup: Dedup,
    count_only: bool,
    show_patient: bool,
    complete_only: bool,
    notes: Vec<Issue>,
}

impl Draft {
    fn new(kind: &'static Kind, handling: Handling) -> Self {
        let order = Order { dates: kind.clinical_dates(), descending: true };
        Self {
            kind,
            handling,
            number: None,
            forwarded: Vec::new(),
            executed: Vec::new(),
            order,
            dedup: Dedup::Link,
            count_only: false,
            show_patient: false,
            complete_only: false,
            notes: Vec::new(),
        }
    }

    fn take(&mut self, name: String, value: String) -> Result<(), GatewayError> {
        let executed = match &*name {
            "_format" | "_pretty" => false,
            _ if self.is_identity(&name) => self.identity(&name, &value)?,
            "_count" => self.count(&value)?,
            "_sort" => self.sort(&value)?,
            "_summary" => self.summary(&value)?,
            "dedup" => self.dedup(&value)?,
            "incomplete" => self.incomplete(&value)?,
            "_total" => true,
            "_elements" => return Err(GatewayError::NotSupported(name, ELEMENTS)),
            _ if is_include(&name) => self.include(&name, &value)?,
            _ if names_patient(&name) => return Err(GatewayError::LocalId(name)),
            _ => {
                self.forwarded.push((name.clone(), value.clone()));
                true
            }
        };
        if executed {
            self.executed.push((name, value));
        }
        Ok(())
    }

    fn is_identity(&self, name: &str) -> bool {
        match self.kind.patient {
            None => name == "identifier",
            Some(_) => matches!(
                name,
                "patient.identifier"
                    | "patient:Patient.identifier"
                    | "patient:identifier"
                    | "subject.identifier"
                    | "subject:Patient.identifier"
                    | "subject:identifier"
            ),
        }
    }

    fn identity(&mut self, name: &str, value: &str) -> Result<bool, GatewayError> {
        if self.number.is_some() || value.contains(',') {
            return Err(GatewayError::SeveralPatients(name.to_owned()));
        }
        let (system, number) = match value.split_once('|') {
            Some((system, number)) if !system.is_empty() => (system, number),
            _ => return Err(GatewayError::BareNumber(name.to_owned())),
        };
        let number = PatientNumber::parse(system, number)
            .map_err(|cause| GatewayError::BadNumber(name.to_owned(), cause))?;
        self.number = Some(number);
        Ok(true)
    }

    fn count(&mut self, value: &str) -> Result<bool, GatewayError> {
        if value == "0" {
            self.count_only = true;
            return Ok(true);
        }
        self.left_out("_count", COUNT)
    }

    fn sort(&mut self, value: &str) -> Result<bool, GatewayError> {
        let (descending, code) = match value.strip_prefix('-') {
            Some(code) => (true, code),
            None => (false, value),
        };
        let dates = match code {
            "_lastUpdated" => Some(Vec::new()),
            code => self.kind.date(code).map(<[Path]>::to_vec),
        };
        let Some(dates) = dates else {
            return self.left_out("_sort", SORT);
        };
        self.order = Order { dates, descending };
        Ok(true)
    }

    fn summary(&mut self, value: &str) -> Result<bool, GatewayError> {
        match value {
            "count" => self.count_only = true,
            "false" => {}
            _ => return Err(GatewayError::NotSupported("_summary".into(), SUMMARY)),
        }
        Ok(true)
    }

    fn dedup(&mut self, value: &str) -> Result<bool, GatewayError> {
        self.dedup = match value {
            "off" => Dedup::Off,
            "link" => Dedup::Link,
            "fold" => Dedup::Fold,
            _ => return Err(GatewayError::BadValue("dedup", "dedup is off, link or fold.")),
        };
        Ok(true)
    }

    fn incomplete(&mut self, value: &str) -> Result<bool, GatewayError> {
        self.complete_only = match value {
            "error" => true,
            "show" => false,
            _ => {
                let text = "incomplete is error or show.";
                return Err(GatewayError::BadValue("incomplete", text));
            }
        };
        Ok(true)
    }

    fn include(&mut self, name: &str, value: &str) -> Result<bool, GatewayError> {
        let kind = self.kind.name();
        let of_patient = ["patient", "subject"].iter().any(|parameter| {
            let plain = format!("{kind}:{parameter}");
            value == plain || value == format!("{plain}:Patient")
        });
        if name != "_include" || !of_patient || self.kind.patient.is_none() {
            return Err(GatewayError::NotSupported(name.to_owned(), INCLUDE));
        }
        self.show_patient = true;
        Ok(true)
    }

    /// A parameter that nobody executes: refused if the caller is strict, else named.
    fn left_out(&mut self, name: &str, why: &'static str) -> Result<bool, GatewayError> {
        if self.handling == Handling::Strict {
            return Err(GatewayError::NotSupported(name.to_owned(), why));
        }
        let text = format!("{name} was left out. {why}");
        let issue = Issue::new(Severity::Information, IssueCode::NotSupported, text);
        self.notes.push(issue.at(name));
        Ok(false)
    }
}

fn is_include(name: &str) -> bool {
    let base = name.split(':').next().unwrap_or_default();
    matches!(base, "_include" | "_revinclude" | "_contained")
}

/// Whether a parameter names the patient other than by number.
fn names_patient(name: &str) -> bool {
    let base = name.split([':', '.']).next().unwrap_or_default();
    matches!(base, "patient" | "subject")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const NHS: &str = "https%3A%2F%2Ffhir.nhs.uk%2FId%2Fnhs-number%7C9434765919";

    fn parse(kind: &str, pairs: &str) -> Result<Question, GatewayError> {
        Question::parse(kind, &pairs.replace("NHS", NHS), Handling::Lenient)
    }

    #[test]
    fn a_patient_is_named_by_number_in_every_known_spelling() {
        for (kind, pairs) in [
            ("Observation", "patient.identifier=NHS"),
            ("Observation", "patient:identifier=NHS"),
            ("Observation", "subject:Patient.identifier=NHS&code=1"),
            ("AllergyIntolerance", "patient%3Aidentifier=NHS"),
            ("Patient", "identifier=NHS"),
        ] {
            assert_eq!(parse(kind, pairs).unwrap().number.value(), "9434765919");
        }
    }

    #[test]
    fn other_questions_are_refused() {
        use GatewayError as E;
        let refused = |kind: &str, pairs: &str| parse(kind, pairs).unwrap_err();
        assert!(matches!(refused("Bogus", ""), E::UnknownType));
        assert!(matches!(refused("Practitioner", "name=a"), E::NotAboutAPatient(_)));
        assert!(matches!(refused("Observation", "code=1"), E::NoPatient(_)));
        assert!(matches!(refused("Observation", "patient=Patient/1"), E::LocalId(_)));
        for several in
            ["patient.identifier=NHS&subject.identifier=NHS", "patient.identifier=NHS,NHS"]
        {
            assert!(matches!(refused("Observation", several), E::SeveralPatients(_)));
        }
        for bare in ["9434765919", "%7C9434765919"] {
            let pairs = format!("patient.identifier={bare}");
            assert!(matches!(refused("Observation", &pairs), E::BareNumber(_)));
        }
        for unsupported in ["_summary=text", "_elements=id", "_include=*", "_revinclude=a:b"] {
            let pairs = format!("patient.identifier=NHS&{unsupported}");
            assert!(matches!(refused("Observation", &pairs), E::NotSupported(..)));
        }
        let unsorted = format!("patient.identifier={NHS}&_sort=code");
        let strict = Question::parse("Observation", &unsorted, Handling::Strict);
        assert!(matches!(strict, Err(E::NotSupported(..))));
    }

    #[test]
    fn a_wrong_number_is_never_repeated() {
        let error =
            parse("Observation", "patient.identifier=https://fhir.nhs.uk/Id/nhs-number|9434765918");
        let refusal = service::refusal::Refusal::from(error.unwrap_err());
        let text = String::from_utf8(refusal.outcome.to_json()).unwrap();
        assert!(text.contains("patient.identifier") && !text.contains("943"), "{text}");
    }

    #[test]
    fn the_rest_is_forwarded_and_self_says_what_is_executed() {
        let question = parse(
            "Observation",
            "code=http://loinc.org|1-1&patient:identifier=NHS&_sort=date&_count=5&_format=json",
        );
        let question = question.unwrap();
        assert_eq!(question.forwarded, [("code".into(), "http://loinc.org|1-1".into())]);
        assert!(!question.order.descending);
        assert_eq!(question.notes.len(), 1);
        let expected = format!(
            "b/Observation?code=http%3A%2F%2Floinc.org%7C1-1&patient%3Aidentifier={NHS}&_sort=date"
        );
        assert_eq!(question.self_url("b", &[]), expected);
        assert!(!question.self_url("b", &["code".into()]).contains("loinc"));
    }
}
