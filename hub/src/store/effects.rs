//! What a decided write changes in the index: rows to add and rows to take away. Pure.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use fhir::definitions::ResourceType;
use fhir::identifier::NHS_NUMBER;
use fhir::tree::Tree;

use super::index::{Index, Under};
use super::policy::PolicyRows;
use super::target::Target;
use super::unique::UniqueIdentifier;
use super::vocabulary::{NO_SYSTEM, Vocabulary};
use super::write::{Held, Version, Write};

/// One index row of a resource; its key and type are the resource's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the columns of the table of that name")]
pub enum Row {
    Compartment { patient: i64, clinical_ms: i64 },
    Token { parameter: i64, code: String, clinical_ms: i64, system: i64 },
    PatientToken { patient: i64, parameter: i64, code: String, clinical_ms: i64, system: i64 },
    Date { parameter: i64, low: i64, high: i64 },
    Number { parameter: i64, unit: i64, low: Real, high: Real },
    Reference { parameter: i64, target: i64 },
}

/// A finite number, in order.
#[derive(Debug, Clone, Copy)]
pub struct Real(pub f64);

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Real {}

/// Numbers for the names and targets of an index.
#[derive(Debug)]
pub struct Numbers<'a> {
    /// The store's terms.
    pub terms: &'a Vocabulary,
    /// Systems entered in this transaction and not yet known to all.
    pub new_systems: &'a HashMap<String, i64>,
    /// Directory keys of everything the index refers to.
    pub keys: &'a HashMap<Target, i64>,
}

impl Numbers<'_> {
    fn system(&self, system: &str) -> i64 {
        let known = || self.terms.system(system).unwrap_or(NO_SYSTEM);
        self.new_systems.get(system).copied().unwrap_or_else(known)
    }

    /// The key of a Patient.
    pub(super) fn patient(&self, id: &str) -> Option<i64> {
        self.keys.get(&Target::resource(ResourceType::PATIENT, id)).copied()
    }

    /// A parameter's number; a pair's is its key with the sign turned, so that they never meet.
    fn parameter(&self, under: &Under) -> Option<i64> {
        match under {
            Under::Parameter(number) => Some(*number),
            Under::Pair(target) => self.keys.get(target).map(|key| -key),
        }
    }
}

/// What a write changes beside the version itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Index rows to add.
    pub rows_new: Vec<Row>,
    /// Index rows to take away.
    pub rows_gone: Vec<Row>,
    /// Unique identifiers to claim.
    pub unique_new: Vec<UniqueIdentifier>,
    /// Unique identifiers to give up.
    pub unique_gone: Vec<UniqueIdentifier>,
    /// Who may see it from now on.
    pub policy: PolicyRows,
}

impl Effects {
    /// Compares what a resource was found by with what it will be found by.
    pub fn between(old: Option<&Index>, new: Option<&Index>, numbers: &Numbers<'_>) -> Self {
        let rows = |index: Option<&Index>| index.map(|i| rows(i, numbers)).unwrap_or_default();
        let unique = |index: Option<&Index>| index.map(|i| i.unique.clone()).unwrap_or_default();
        let (rows_new, rows_gone) = difference(rows(old), rows(new));
        let (unique_new, unique_gone) = difference(unique(old), unique(new));
        let policy = PolicyRows::between(old, new, numbers);
        Self { rows_new, rows_gone, unique_new, unique_gone, policy }
    }

    /// The same for a resource that is in no index yet: it claims and gives up, and no more.
    #[must_use]
    pub fn outside_the_index(self) -> Self {
        Self { rows_new: Vec::new(), rows_gone: Vec::new(), ..self }
    }

    /// Numbers under which the locator should now know the resource.
    pub fn registered(&self) -> impl Iterator<Item = &str> {
        nhs_numbers(&self.unique_new)
    }

    /// Numbers under which the locator should no longer know it.
    pub fn withdrawn(&self) -> impl Iterator<Item = &str> {
        nhs_numbers(&self.unique_gone)
    }
}

fn nhs_numbers(identifiers: &[UniqueIdentifier]) -> impl Iterator<Item = &str> {
    identifiers.iter().filter(|i| i.system == NHS_NUMBER).map(|i| i.value.as_str())
}

/// Index values of a stored version; `None` if it has no content.
pub fn index_of(
    version: Option<&Version>,
    resource_type: ResourceType,
    id: &str,
    terms: &Vocabulary,
) -> Option<Index> {
    let body = version?.body.as_ref()?;
    let tree = Tree::parse(body).expect("what is stored was read before it was stored");
    Some(Index::of(resource_type, id, &tree, terms, version?.updated))
}

/// Index values of what a write stores. They were made for the custodian that was expected; for another
/// they are made anew.
pub fn index_to_be<'a>(
    write: &'a Write,
    stored: &Held,
    terms: &Vocabulary,
) -> Option<Cow<'a, Index>> {
    let content = write.action.content()?;
    if content.custodian == stored.custodian {
        return Some(Cow::Borrowed(&content.index));
    }
    index_of(Some(&stored.version), write.resource_type, &write.id, terms).map(Cow::Owned)
}

/// Everything an index refers to.
pub fn targets(index: &Index) -> impl Iterator<Item = Target> {
    let patients = index.patients.iter().map(|id| Target::resource(ResourceType::PATIENT, id));
    let pair = |under: &Under| match under {
        Under::Pair(target) => Some(target.clone()),
        Under::Parameter(_) => None,
    };
    patients
        .chain(index.references.iter().map(|(_, target)| target.clone()))
        .chain(index.references.iter().filter_map(move |(under, _)| pair(under)))
        .chain(index.tokens.iter().filter_map(move |token| pair(&token.under)))
        .chain(index.dates.iter().filter_map(move |(under, _)| pair(under)))
        .chain(index.numbers.iter().filter_map(move |number| pair(&number.under)))
        .chain(index.numbers.iter().filter_map(|number| number.unit.clone()))
        .chain(index.policy.targets())
}

fn rows(index: &Index, numbers: &Numbers<'_>) -> Vec<Row> {
    let clinical_ms = index.clinical_ms;
    let patients: Vec<i64> = index.patients.iter().filter_map(|id| numbers.patient(id)).collect();
    let mut rows: Vec<Row> =
        patients.iter().map(|&patient| Row::Compartment { patient, clinical_ms }).collect();
    for token in &index.tokens {
        let Some(parameter) = numbers.parameter(&token.under) else { continue };
        let system = numbers.system(&token.system);
        for &patient in patients.iter().filter(|_| token.by_patient) {
            let code = token.code.clone();
            rows.push(Row::PatientToken { patient, parameter, code, clinical_ms, system });
        }
        rows.push(Row::Token { parameter, code: token.code.clone(), clinical_ms, system });
    }
    rows.extend(index.dates.iter().filter_map(|(under, interval)| {
        let parameter = numbers.parameter(under)?;
        Some(Row::Date { parameter, low: interval.low, high: interval.high })
    }));
    rows.extend(index.numbers.iter().filter_map(|number| {
        let parameter = numbers.parameter(&number.under)?;
        let unit = number.unit.as_ref().map_or(Some(0), |u| numbers.keys.get(u).copied())?;
        Some(Row::Number { parameter, unit, low: Real(number.low), high: Real(number.high) })
    }));
    rows.extend(index.references.iter().filter_map(|(under, target)| {
        let parameter = numbers.parameter(under)?;
        Some(Row::Reference { parameter, target: *numbers.keys.get(target)? })
    }));
    rows
}

/// What is only in `new`, and what is only in `old`.
fn difference<T: Ord + Clone>(mut old: Vec<T>, mut new: Vec<T>) -> (Vec<T>, Vec<T>) {
    for side in [&mut old, &mut new] {
        side.sort_unstable();
        side.dedup();
    }
    let gone = old.iter().filter(|item| new.binary_search(item).is_err()).cloned().collect();
    new.retain(|item| old.binary_search(item).is_err());
    (new, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_came_and_what_went() {
        assert_eq!(difference(vec![3, 1, 1], vec![2, 3]), (vec![2], vec![1]));
        assert_eq!(difference(vec![], vec![2, 2]), (vec![2], vec![]));
    }
}
