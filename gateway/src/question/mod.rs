//! A search as it was asked, taken apart: whose record, what is forwarded to the regions, what the
//! gateway does itself. <https://hl7.org/fhir/R4/search.html>
//!
//! | parameter | who executes it |
//! |---|---|
//! | the patient's number | each region, as its own `patient.identifier` |
//! | `_sort` | each region, and the gateway across them |
//! | `_count`, `_total` | the gateway, from what the regions give |
//! | `dedup`, `incomplete`, `region`, `snapshot`, `_summary=count`, `_count=0` | the gateway |
//! | `_include` of the patient | the gateway, which asks for it always |
//! | other `_include`s, `_revinclude` | each region, as given |
//! | `_elements`, `_summary` | the gateway: what is compared has to be whole |
//! | `_contained` | nobody: refused |
//! | everything else | each region, as given |

mod draft;
mod everything;

use std::borrow::Cow;

use fhir::definitions::ResourceType;
use fhir::identifier::{OdsCode, PatientNumber};
use fhir::outcome::Issue;
use fhir::subset::{self, Subset};
use url::form_urlencoded;

use crate::error::GatewayError;
use crate::kind::{Kind, Path, Pick};
use draft::{Draft, is_include};
pub use everything::Everything;

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

/// How entries are ordered across regions: as each hub orders its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The parameter: `_lastUpdated` or a date of the type.
    pub code: String,
    /// Where its dates stand; none for `meta.lastUpdated`.
    pub dates: Vec<Path>,
    /// Which of them counts.
    pub pick: Pick,
    /// Newest first.
    pub descending: bool,
}

impl Order {
    /// By that parameter; nothing if it is no date of the type.
    fn by(kind: &Kind, code: &str, descending: bool) -> Option<Self> {
        let dates = match code {
            "_lastUpdated" => Vec::new(),
            code => kind.date(code)?.to_vec(),
        };
        let pick = kind.pick(code, descending);
        Some(Self { code: code.to_owned(), dates, pick, descending })
    }

    /// As `_sort` has it.
    pub fn sort(&self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.code)
    }
}

/// What the caller wants to know of the number of matches. <https://hl7.org/fhir/R4/search.html#total>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// What is known without asking for it.
    Known,
    /// Nothing.
    None,
    /// At most so many: what two regions hold of one fact is counted twice.
    Estimate,
    /// Exactly so many, if that can be said.
    Accurate,
}

/// What the pages of an answer show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// What is there when each is asked for.
    Live,
    /// What was there at first.
    Snapshot,
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
    /// The only regions that are asked; none for all that hold something.
    pub regions: Vec<OdsCode>,
    /// How the entries are ordered.
    pub order: Order,
    /// What happens to entries that are the same fact.
    pub dedup: Dedup,
    /// Only the total is wanted.
    pub count_only: bool,
    /// Matches on a page, as the caller wants it.
    pub count: Option<u32>,
    /// Matches on a page, as it is done; without, one answer holds them all.
    pub page: Option<u32>,
    /// What is wanted of the number of matches.
    pub total: Total,
    /// The patient is wanted beside the matches.
    pub show_patient: bool,
    /// What its pages show.
    pub pages: Pages,
    /// An incomplete answer is of no use to the caller.
    pub complete_only: bool,
    /// The part of each resource that is wanted, if not all of it.
    pub subset: Option<Subset>,
    /// Everything of the patient is wanted, rather than what a search finds.
    pub everything: Option<Everything>,
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
        draft.finish()
    }

    /// Whether an organisation is one of those that are to be asked.
    pub fn asks(&self, ods: &OdsCode) -> bool {
        self.regions.is_empty() || self.regions.contains(ods)
    }

    /// The same, answered in pages of at most so many matches. A snapshot is whole before it has pages.
    #[must_use]
    pub fn in_pages_of(mut self, most: u32) -> Self {
        if self.count_only {
            return self;
        }
        let page = self.count.unwrap_or(most).min(most);
        self.page = Some(page).filter(|_| self.pages == Pages::Live);
        for (_, value) in self.executed.iter_mut().filter(|(name, _)| name == "_count") {
            *value = page.to_string();
        }
        self
    }

    /// What is executed, as a form.
    pub fn form(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.executed).finish()
    }

    /// The `self` link, without the parameters that some region left out.
    pub fn self_url(&self, base: &str, left_out: &[String]) -> String {
        let executed = self.executed.iter().filter(|(n, _)| !left_out.contains(n));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(executed);
        let path = match &self.everything {
            None => self.kind.name(),
            Some(everything) => &everything.path,
        };
        format!("{base}/{path}?{}", query.finish())
    }

    /// Whether other resources than the patient are wanted beside the matches.
    pub fn has_includes(&self) -> bool {
        self.everything.is_some() || self.forwarded.iter().any(|(name, _)| is_include(name))
    }

    /// The part of a resource that is wanted.
    pub fn part<'r>(&self, resource_type: &str, resource: &'r [u8]) -> Cow<'r, [u8]> {
        let resource_type: Option<ResourceType> = resource_type.parse().ok();
        match (&self.subset, resource_type) {
            (Some(wanted), Some(kind)) => Cow::Owned(subset::apply(resource, kind, wanted)),
            _ => Cow::Borrowed(resource),
        }
    }
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
        for unsupported in ["_contained=true", "_containedType=both"] {
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
        assert!(question.notes.is_empty());
        let expected = format!(
            "b/Observation?code=http%3A%2F%2Floinc.org%7C1-1&patient%3Aidentifier={NHS}&_sort=date\
             &_count=5"
        );
        assert_eq!(question.self_url("b", &[]), expected);
        assert!(!question.self_url("b", &["code".into()]).contains("loinc"));
        let cut = question.in_pages_of(3);
        assert_eq!(cut.page, Some(3));
        assert!(cut.self_url("b", &[]).ends_with("&_count=3"), "what is done is said");
    }

    #[test]
    fn a_page_holds_a_whole_number_of_matches() {
        let page = |count: &str| {
            let question = parse("Observation", &format!("patient.identifier=NHS{count}"));
            question.map(|question| question.in_pages_of(100).page)
        };
        assert_eq!(page("").unwrap(), Some(100));
        assert_eq!(page("&_count=7").unwrap(), Some(7));
        assert_eq!(page("&_count=99999999999999999999").unwrap(), Some(100));
        assert_eq!(page("&_count=0").unwrap(), None);
        for bad in ["&_count=-1", "&_count=ten", "&_count=1.5", "&_total=some"] {
            assert!(matches!(page(bad), Err(GatewayError::BadValue(..))), "{bad}");
        }
    }
}
