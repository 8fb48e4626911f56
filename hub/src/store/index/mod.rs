//! What a resource is found by: the values of its search parameters, ready to become index rows.
//! <https://hl7.org/fhir/R4/search.html>
//!
//! A resource's values are computed from its text alone, so the rows of an old version are
//! recomputed rather than looked up when it is replaced. A parameter that is the union of others has
//! no values of its own.
//!
//! | room | what lives there |
//! |---|---|
//! | here | the values of a resource, parameter by parameter |
//! | `value` | what becomes of a value of each data type |

mod value;

use fhir::clinical::clinical_parameter;
use fhir::definitions::{ParameterKind, ResourceType, SearchParameter};
use fhir::instant::{Interval, OPEN_LOW};
use fhir::path::value::ReferenceValue;
use fhir::path::{Value, composites, values_into};
use fhir::tree::Tree;

pub use self::value::typed_key;
use self::value::{coded, identified, interval, number};
use super::target::{Target, code_key};
use super::unique::{self, UniqueIdentifier};
use super::vocabulary::{Numbers, Vocabulary};
use crate::access::policy::Policy;

/// The clinical time of a resource without one: before any that has one.
pub const NO_CLINICAL_MS: i64 = -(1 << 46);

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
    /// Who may see the resource, as far as it says so itself.
    pub policy: Policy,
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
        index.policy = Policy::of(resource_type, tree, &index, terms, at);
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
                // Found with its version and without; one without a host is a resource of ours.
                let unversioned = url.split_once('|').map(|(unversioned, _)| unversioned);
                for url in [*url].into_iter().chain(unversioned) {
                    let target = Target::parse(own.terms.own(url));
                    let target = target.unwrap_or_else(|| Target::external(url));
                    self.references.push((under.clone(), target));
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

#[cfg(test)]
mod tests {
    use super::*;

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
