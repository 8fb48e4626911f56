//! What a resource is found by: the values of its search parameters, ready to become index rows.
//! <https://hl7.org/fhir/R4/search.html>
//!
//! A resource's values are computed from its text alone, so the rows of an old version are
//! recomputed rather than looked up when it is replaced. A parameter that is the union of others has
//! no values of its own.

use fhir::definitions::{ParameterKind, ResourceType, SearchParameter};
use fhir::identifier::PatientNumber;
use fhir::instant::{Interval, OPEN_HIGH, OPEN_LOW};
use fhir::number::Decimal;
use fhir::path::value::{IdentifierValue, PeriodValue, QuantityValue, ReferenceValue};
use fhir::path::{Value, composites, values_into};
use fhir::tree::Tree;

use super::target::{Target, code_key};
use super::unique::{self, UniqueIdentifier};
use super::vocabulary::{Numbers, Vocabulary};

/// The clinical time of a resource without one: before any that has one.
pub const NO_CLINICAL_MS: i64 = -(1 << 46);

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

/// Whether a parameter has values in the index: not those answered from the resource's own row, not
/// unions of others, not composites of more than two.
pub fn is_indexed(parameter: &SearchParameter) -> bool {
    !matches!(parameter.code, "_id" | "_lastUpdated")
        && parameter.parts.is_empty()
        && parameter.components.len() <= 2
}

/// Whether a parameter has rows that begin with the patient: tokens do. Identifiers and URIs find few
/// resources anyway, and metadata is not searched patient by patient.
pub fn by_patient(parameter: &SearchParameter) -> bool {
    parameter.kind == ParameterKind::Token
        && parameter.code != "identifier"
        && !parameter.code.starts_with('_')
}

/// Under what a value stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Under {
    /// A parameter's number.
    Parameter(i64),
    /// A composite with the value of its first component.
    Pair(Target),
}

/// A token value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// What it is a value of.
    pub under: Under,
    /// The code, as [`code_key`] keeps it.
    pub code: String,
    /// The code system; empty if there is none.
    pub system: String,
    /// Whether it is also found by patient: see [`by_patient`].
    pub by_patient: bool,
}

/// A number, a quantity, a range; a position's latitude and longitude.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// What it is a value of.
    pub under: Under,
    /// Its unit.
    pub unit: Option<Target>,
    /// The lower end.
    pub low: f64,
    /// The upper end, inclusive.
    pub high: f64,
}

/// The index values of one resource.
#[derive(Debug, Default, Clone)]
pub struct Index {
    /// The generation of the record's index that the values are for.
    pub generation: i64,
    /// The resource's place in time, milliseconds since 1970, or [`NO_CLINICAL_MS`].
    pub clinical_ms: i64,
    /// Ids of the Patients in whose compartments it is.
    pub patients: Vec<String>,
    /// Token and uri values.
    pub tokens: Vec<Token>,
    /// Date values.
    pub dates: Vec<(Under, Interval)>,
    /// Number and quantity values.
    pub numbers: Vec<Number>,
    /// Reference values, and string values as references to their texts.
    pub references: Vec<(Under, Target)>,
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
        let generation = terms.generation();
        let mut index = Self { generation, clinical_ms: NO_CLINICAL_MS, ..Self::default() };
        let clinical = clinical_parameter(resource_type);
        let mut found = Vec::new();
        for (parameter, numbers) in terms.parameters(resource_type) {
            if !is_indexed(parameter) {
                continue;
            }
            if parameter.kind == ParameterKind::Composite {
                index.composite(parameter, numbers.own, tree, terms);
                continue;
            }
            found.clear();
            values_into(parameter, tree, &mut found);
            let own = Values { numbers: *numbers, by_patient: by_patient(parameter), terms };
            for value in &found {
                index.add(&own, parameter.kind, &Under::Parameter(numbers.own), value);
            }
            if clinical == Some(parameter.code) {
                index.clinical_ms = index.earliest_ms(numbers.own);
            }
        }
        index.compartments(resource_type, id, terms);
        index.unique = unique::identifiers(resource_type, tree, at);
        index
    }

    /// The values of the second component, under each code of the first.
    fn composite(
        &mut self,
        parameter: &SearchParameter,
        number: i64,
        tree: &Tree<'_>,
        terms: &Vocabulary,
    ) {
        let values = Values { numbers: Numbers::default(), by_patient: false, terms };
        for element in composites(parameter, tree) {
            let [first, second] = element.as_slice() else { continue };
            for (system, code) in first.iter().filter_map(coded) {
                let under = Under::Pair(Target::pair(number, code, system));
                for value in second {
                    self.add(&values, parameter.components[1].kind, &under, value);
                }
            }
        }
    }

    fn add(&mut self, own: &Values<'_>, kind: ParameterKind, under: &Under, value: &Value<'_>) {
        match kind {
            ParameterKind::Token | ParameterKind::Uri => self.token(own, under, value),
            ParameterKind::Date => {
                let interval = interval(value);
                self.dates.extend(interval.map(|interval| (under.clone(), interval)));
            }
            ParameterKind::Reference => self.reference(own, under, value),
            ParameterKind::String => {
                if let Value::Text(text) = value {
                    self.references.push((under.clone(), Target::text(text)));
                }
            }
            ParameterKind::Number | ParameterKind::Quantity | ParameterKind::Special => {
                self.numbers.extend(number(under, value));
            }
            ParameterKind::Composite => {}
        }
    }

    fn token(&mut self, own: &Values<'_>, under: &Under, value: &Value<'_>) {
        if let Some((system, code)) = coded(value) {
            self.tokens.push(Token {
                under: under.clone(),
                code: code_key(code).into_owned(),
                system: code_key(system).into_owned(),
                by_patient: own.by_patient,
            });
        }
        let Numbers { text, identifier, .. } = own.numbers;
        match value {
            Value::Coding { display: Some(display), .. } if text != 0 => {
                self.references.push((Under::Parameter(text), Target::text(display)));
            }
            Value::TypedIdentifier { system, code, value } if identifier != 0 => {
                self.tokens.push(Token {
                    under: Under::Parameter(identifier),
                    code: typed_key(code, value),
                    system: code_key(system.unwrap_or("")).into_owned(),
                    by_patient: false,
                });
            }
            _ => {}
        }
    }

    fn reference(&mut self, own: &Values<'_>, under: &Under, value: &Value<'_>) {
        match value {
            Value::Reference(ReferenceValue { reference, identifier, .. }) => {
                let target = reference.as_deref().and_then(|r| Target::parse(own.terms.own(r)));
                self.references.extend(target.map(|target| (under.clone(), target)));
                let identifier = identifier.as_ref().filter(|_| own.numbers.identifier != 0);
                self.tokens.extend(identifier.map(|identifier| {
                    let (system, code) = identified(identifier);
                    Token {
                        under: Under::Parameter(own.numbers.identifier),
                        code: code_key(code).into_owned(),
                        system: code_key(system).into_owned(),
                        by_patient: false,
                    }
                }));
            }
            Value::Canonical(url) => {
                // Found with its version and without.
                self.references.push((under.clone(), Target::external(url)));
                if let Some((unversioned, _)) = url.split_once('|') {
                    self.references.push((under.clone(), Target::external(unversioned)));
                }
            }
            _ => {}
        }
    }

    fn earliest_ms(&self, parameter: i64) -> i64 {
        let own = |under: &Under| *under == Under::Parameter(parameter);
        let lows = self.dates.iter().filter(|(under, _)| own(under)).map(|(_, i)| i.low);
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
            let numbers = terms.numbers(resource_type, code);
            let own = |under: &Under| numbers.iter().any(|n| *under == Under::Parameter(n.own));
            let references = self.references.iter().filter(|(under, _)| own(under));
            let patients = references
                .filter(|(_, target)| target.resource_type() == Some(ResourceType::PATIENT))
                .map(|(_, target)| target.id.clone());
            self.patients.extend(patients);
        }
        self.patients.sort_unstable();
        self.patients.dedup();
    }
}

/// What all values of one parameter have in common.
struct Values<'a> {
    numbers: Numbers,
    by_patient: bool,
    terms: &'a Vocabulary,
}

/// System and code of what is searched as a token; nothing if it has neither. A coding may have a
/// system alone: `system|` finds it.
fn coded<'v>(value: &'v Value<'_>) -> Option<(&'v str, &'v str)> {
    let (system, code) = match value {
        Value::Coding { system, code, .. } => {
            (system.unwrap_or_default(), code.unwrap_or_default())
        }
        Value::Code { system, code } => (system.unwrap_or(""), *code),
        Value::Identifier(identifier) => identified(identifier),
        Value::ContactPoint { value, .. } => ("", *value),
        Value::Uri(uri) => ("", *uri),
        _ => return None,
    };
    (!code.is_empty() || !system.is_empty()).then_some((system, code))
}

fn identified<'v>(identifier: &IdentifierValue<'v>) -> (&'v str, &'v str) {
    let system = PatientNumber::canonical_system(identifier.system.unwrap_or(""));
    (system, identifier.value.unwrap_or(""))
}

/// An identifier by its type, as it stands in an index row and in the search for it.
pub fn typed_key(code: &str, value: &str) -> String {
    code_key(&format!("{code}|{value}")).into_owned()
}

/// A stored number is what it says, however precisely; a range is all that it spans.
fn number(under: &Under, value: &Value<'_>) -> Option<Number> {
    let of = |unit, low, high| Some(Number { under: under.clone(), unit, low, high });
    let read = |text: &str| Decimal::parse(text).map(|decimal| decimal.value);
    let unit = |q: &QuantityValue<'_>| Target::unit(q.system, q.code, q.unit);
    match value {
        Value::Number(text) => read(text).and_then(|n| of(None, n, n)),
        Value::Quantity(quantity) => {
            let n = read(quantity.value)?;
            let (low, high) = match quantity.comparator {
                Some("<" | "<=") => (f64::MIN, n),
                Some(">" | ">=") => (n, f64::MAX),
                _ => (n, n),
            };
            of(unit(quantity), low, high)
        }
        Value::Range { low, high } => {
            let end = |q: &Option<QuantityValue<'_>>, open| match q {
                Some(quantity) => read(quantity.value),
                None => Some(open),
            };
            let some = low.as_ref().or(high.as_ref())?;
            of(unit(some), end(low, f64::MIN)?, end(high, f64::MAX)?)
        }
        Value::Position { latitude, longitude } => of(None, read(latitude)?, read(longitude)?),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_union_of_others_has_no_values_of_its_own() {
        let observation = "Observation".parse::<ResourceType>().expect("an R4 type");
        let parts = |code: &str| -> Vec<&str> {
            let parameters = observation.search_parameters();
            let whole = observation.search_parameter(code).expect("a parameter");
            whole.parts.iter().map(|part| parameters[*part].code).collect()
        };
        assert_eq!(parts("combo-code"), ["code", "component-code"]);
        assert_eq!(
            parts("combo-code-value-quantity"),
            ["code-value-quantity", "component-code-value-quantity"]
        );
        assert!(parts("code").is_empty() && parts("subject").is_empty());
    }
}
