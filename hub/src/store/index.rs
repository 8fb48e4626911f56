//! What a resource is found by: the values of its search parameters, ready to become index rows.
//! <https://hl7.org/fhir/R4/search.html>
//!
//! A resource's values are computed from its text alone, so the rows of an old version are
//! recomputed rather than looked up when it is replaced.

use std::borrow::Cow;
use std::fmt::Write as _;

use fhir::definitions::{ParameterKind, ResourceType, SearchParameter};
use fhir::identifier::PatientNumber;
use fhir::instant::{Interval, OPEN_HIGH, OPEN_LOW};
use fhir::path::value::{PeriodValue, ReferenceValue};
use fhir::path::{Value, values_into};
use fhir::reference::Reference;
use fhir::tree::Tree;
use sha2::{Digest, Sha256};

use super::unique::{self, UniqueIdentifier};
use super::vocabulary::Vocabulary;

/// The clinical time of a resource without one: before any that has one.
pub const NO_CLINICAL_MS: i64 = -(1 << 46);
/// Longest code kept as it is in an index row; a longer one keeps its beginning and a digest.
const CODE_BYTES_MAX: usize = 190;

/// The parameters that name a type's clinical time, the first that a type has counts.
const CLINICAL: [&str; 17] = [
    "authoredon",
    "authored-on",
    "authored",
    "effective",
    "effective-time",
    "whenhandedover",
    "date",
    "recorded-date",
    "onset-date",
    "occurrence",
    "period",
    "created",
    "issued",
    "sent",
    "started",
    "recorded",
    "start-date",
];

/// The date parameter whose value orders a type's resources in time.
pub fn clinical_parameter(resource_type: ResourceType) -> Option<&'static str> {
    let is_date = |code: &&'static str| {
        resource_type.search_parameter(code).is_some_and(|p| p.kind == ParameterKind::Date)
    };
    CLINICAL.into_iter().find(is_date)
}

/// A resource by type and id, or (type `None`) anything else by its URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The type; `None` for what is not of this record.
    pub resource_type: Option<ResourceType>,
    /// The id, or the URL.
    pub id: String,
}

/// A token value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// The parameter's number.
    pub parameter: i64,
    /// The code, as [`code_key`] keeps it.
    pub code: String,
    /// The code system; empty if there is none.
    pub system: String,
    /// Whether it is also found by patient: see [`by_patient`].
    pub by_patient: bool,
}

/// Whether a token parameter has rows that begin with the patient. Identifiers find few resources
/// anyway, and metadata is not searched patient by patient.
pub fn by_patient(code: &str) -> bool {
    code != "identifier" && !code.starts_with('_')
}

/// The index values of one resource.
#[derive(Debug, Default, Clone)]
pub struct Index {
    /// The resource's place in time, milliseconds since 1970, or [`NO_CLINICAL_MS`].
    pub clinical_ms: i64,
    /// Ids of the Patients in whose compartments it is.
    pub patients: Vec<String>,
    /// Token values.
    pub tokens: Vec<Token>,
    /// Date values: the parameter's number and the interval.
    pub dates: Vec<(i64, Interval)>,
    /// Reference values: the parameter's number and the target.
    pub references: Vec<(i64, Target)>,
    /// Identifiers that no other current resource may carry.
    pub unique: Vec<UniqueIdentifier>,
}

impl Index {
    /// Reads the index values of a resource stored under `id`.
    /// `at` is when it was written (microseconds since 1970): identifiers end.
    pub fn of(
        resource_type: ResourceType,
        id: &str,
        tree: &Tree<'_>,
        terms: &Vocabulary,
        at: i64,
    ) -> Self {
        let mut index = Self { clinical_ms: NO_CLINICAL_MS, ..Self::default() };
        let clinical = clinical_parameter(resource_type);
        let mut found = Vec::new();
        let parameters = resource_type.search_parameters();
        for (parameter, number) in parameters.iter().zip(terms.parameters(resource_type)) {
            // Answered from the resource's own row.
            if matches!(parameter.code, "_id" | "_lastUpdated") {
                continue;
            }
            found.clear();
            values_into(parameter, tree, &mut found);
            for value in &found {
                index.add(parameter, *number, value, terms);
            }
            if clinical == Some(parameter.code) {
                index.clinical_ms = index.earliest_ms(*number);
            }
        }
        index.compartments(resource_type, id, terms);
        index.unique = unique::identifiers(resource_type, tree, at);
        index
    }

    fn add(
        &mut self,
        definition: &SearchParameter,
        parameter: i64,
        value: &Value<'_>,
        terms: &Vocabulary,
    ) {
        match definition.kind {
            ParameterKind::Token => self.token(definition, parameter, value),
            ParameterKind::Date => {
                self.dates.extend(interval(value).map(|interval| (parameter, interval)));
            }
            ParameterKind::Reference => {
                let target = target(value, terms);
                self.references.extend(target.map(|target| (parameter, target)));
            }
            _ => {}
        }
    }

    fn token(&mut self, definition: &SearchParameter, parameter: i64, value: &Value<'_>) {
        let (system, code) = match value {
            Value::Coding { system, code, .. } => {
                (system.unwrap_or_default(), code.unwrap_or_default())
            }
            Value::Code { system, code } => (system.unwrap_or(""), *code),
            Value::Identifier(identifier) => {
                let system = identifier.system.unwrap_or("");
                (PatientNumber::canonical_system(system), identifier.value.unwrap_or(""))
            }
            Value::ContactPoint { value, .. } => ("", *value),
            _ => return,
        };
        // A coding may have a system alone: `system|` finds it.
        if !code.is_empty() || !system.is_empty() {
            self.tokens.push(Token {
                parameter,
                code: code_key(code).into_owned(),
                system: code_key(system).into_owned(),
                by_patient: by_patient(definition.code),
            });
        }
    }

    fn earliest_ms(&self, parameter: i64) -> i64 {
        let lows = self.dates.iter().filter(|(p, _)| *p == parameter).map(|(_, i)| i.low);
        lows.filter(|low| *low != OPEN_LOW)
            .min()
            .map_or(NO_CLINICAL_MS, |low| low.div_euclid(1_000))
    }

    /// <https://hl7.org/fhir/R4/compartmentdefinition-patient.html>
    fn compartments(&mut self, resource_type: ResourceType, id: &str, terms: &Vocabulary) {
        if resource_type == ResourceType::PATIENT {
            self.patients.push(id.to_owned());
        }
        for code in resource_type.patient_compartment() {
            let number = terms.parameter(resource_type, code);
            let references = self.references.iter().filter(|(p, _)| Some(*p) == number);
            let patients = references
                .filter(|(_, target)| target.resource_type == Some(ResourceType::PATIENT))
                .map(|(_, target)| target.id.clone());
            self.patients.extend(patients);
        }
        self.patients.sort_unstable();
        self.patients.dedup();
    }
}

/// A code as it stands in an index row and in the search for it.
pub fn code_key(code: &str) -> Cow<'_, str> {
    if code.len() <= CODE_BYTES_MAX {
        return Cow::Borrowed(code);
    }
    let mut end = CODE_BYTES_MAX - 65;
    while !code.is_char_boundary(end) {
        end -= 1;
    }
    let mut key = format!("{}#", &code[..end]);
    for byte in Sha256::digest(code) {
        // Writing into a String cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    Cow::Owned(key)
}

/// The interval that a date value covers; an open end has no limit.
fn interval(value: &Value<'_>) -> Option<Interval> {
    match value {
        Value::Date(text) | Value::Instant(text) => Interval::parse(text),
        Value::Period(period) => period_interval(period),
        Value::Timing { events, bounds } => {
            let events = events.iter().filter_map(|event| Interval::parse(event));
            let bounds = bounds.as_ref().and_then(period_interval);
            events
                .chain(bounds)
                .reduce(|a, b| Interval { low: a.low.min(b.low), high: a.high.max(b.high) })
        }
        _ => None,
    }
}

fn period_interval(period: &PeriodValue<'_>) -> Option<Interval> {
    let start = period.start.map(Interval::parse);
    let end = period.end.map(Interval::parse);
    match (start, end) {
        (None, None) | (Some(None), _) | (_, Some(None)) => None,
        (start, end) => Some(Interval {
            low: start.flatten().map_or(OPEN_LOW, |i| i.low),
            high: end.flatten().map_or(OPEN_HIGH, |i| i.high),
        }),
    }
}

/// What a reference value points at. Contained resources are no targets.
fn target(value: &Value<'_>, terms: &Vocabulary) -> Option<Target> {
    match value {
        Value::Reference(ReferenceValue { reference: Some(reference), .. }) => {
            Target::parse(terms.own(reference))
        }
        Value::Canonical(url) => Some(Target::external(url)),
        _ => None,
    }
}

impl Target {
    /// The target of a literal reference; `None` for contained ones and what is no reference.
    pub fn parse(reference: &str) -> Option<Self> {
        match Reference::parse(reference) {
            Reference::Relative { resource_type, id, .. } => {
                Some(Self { resource_type: Some(resource_type.parse().ok()?), id: id.to_owned() })
            }
            Reference::Absolute(url) => Some(Self::external(url)),
            _ => None,
        }
    }

    /// Something that is not of this record.
    pub fn external(url: &str) -> Self {
        Self { resource_type: None, id: code_key(url).into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_code_keeps_its_beginning_and_a_digest() {
        let long = "é".repeat(300);
        let key = code_key(&long);
        assert!(key.len() <= CODE_BYTES_MAX && key.starts_with('é'));
        assert_ne!(key, code_key(&"é".repeat(301)));
        assert_eq!(code_key("short"), "short");
    }

    #[test]
    fn an_open_period_has_no_limit_and_a_broken_one_no_interval() {
        let open = PeriodValue { start: Some("2020"), end: None };
        assert_eq!(period_interval(&open).map(|i| i.high), Some(OPEN_HIGH));
        assert_eq!(period_interval(&PeriodValue { start: Some("x"), end: None }), None);
    }

    #[test]
    fn clinical_types_have_a_clinical_time() {
        for (name, code) in [
            ("Observation", "date"),
            ("MedicationRequest", "authoredon"),
            ("MedicationStatement", "effective"),
            ("Condition", "recorded-date"),
            ("Immunization", "date"),
            ("AllergyIntolerance", "date"),
        ] {
            let resource_type = name.parse::<ResourceType>().expect("an R4 type");
            assert_eq!(clinical_parameter(resource_type), Some(code), "{name}");
        }
    }
}
