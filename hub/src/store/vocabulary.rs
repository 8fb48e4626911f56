//! The numbers that stand for names in the store: resource types, search parameters, code systems.
//!
//! Types and parameters are entered once when a store is opened; systems as they are met. A term's
//! number never changes, so what one process knows stays true for all.

use std::collections::HashMap;
use std::sync::RwLock;

use fhir::definitions::ResourceType;

/// The term number of "no system".
pub const NO_SYSTEM: i64 = 0;

/// All terms that this process has met.
#[derive(Debug)]
pub struct Vocabulary {
    base: String,
    types: Vec<i64>,
    parameters: Vec<Vec<i64>>,
    systems: RwLock<HashMap<String, i64>>,
}

impl Vocabulary {
    /// The texts that a store must have entered before [`Vocabulary::new`] is given their numbers.
    pub fn fixed_terms() -> Vec<String> {
        let mut terms = Vec::new();
        for resource_type in ResourceType::all() {
            terms.push(resource_type.as_str().to_owned());
            terms.extend(
                resource_type.search_parameters().iter().map(|p| term(resource_type, p.code)),
            );
        }
        terms
    }

    /// A vocabulary from all terms of a store. `base` is our own FHIR base: an absolute reference
    /// below it is to this record.
    ///
    /// # Panics
    /// If a fixed term is not among them.
    pub fn new(terms: HashMap<String, i64>, base: &str) -> Self {
        let number = |text: &str| terms[text];
        let types = ResourceType::all().map(|t| number(t.as_str())).collect();
        let parameters = ResourceType::all()
            .map(|t| t.search_parameters().iter().map(|p| number(&term(t, p.code))).collect())
            .collect();
        let base = format!("{}/", base.trim_end_matches('/'));
        Self { base, types, parameters, systems: RwLock::new(terms) }
    }

    /// A reference as it is within this record: relative, if it is below our own base.
    pub fn own<'a>(&self, reference: &'a str) -> &'a str {
        reference.strip_prefix(&self.base).unwrap_or(reference)
    }

    /// The number of a resource type.
    pub fn resource_type(&self, resource_type: ResourceType) -> i64 {
        self.types[resource_type.index()]
    }

    /// The numbers of a type's search parameters, in the order of
    /// [`ResourceType::search_parameters`].
    pub fn parameters(&self, resource_type: ResourceType) -> &[i64] {
        &self.parameters[resource_type.index()]
    }

    /// The number of a type's search parameter.
    pub fn parameter(&self, resource_type: ResourceType, code: &str) -> Option<i64> {
        let parameters = resource_type.search_parameters();
        let place = parameters.binary_search_by(|p| p.code.cmp(code)).ok()?;
        Some(self.parameters(resource_type)[place])
    }

    /// The number of a code system, if it was met.
    pub fn system(&self, system: &str) -> Option<i64> {
        if system.is_empty() {
            return Some(NO_SYSTEM);
        }
        self.systems.read().expect("no holder of this lock panics").get(system).copied()
    }

    /// Those of `systems` that have no number yet, each once.
    pub fn unknown<'a>(&self, systems: impl Iterator<Item = &'a str>) -> Vec<String> {
        let known = self.systems.read().expect("no holder of this lock panics");
        let mut unknown: Vec<String> =
            systems.filter(|s| !s.is_empty() && !known.contains_key(*s)).map(Into::into).collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// Learns terms that are committed.
    pub fn learn(&self, terms: Vec<(String, i64)>) {
        self.systems.write().expect("no holder of this lock panics").extend(terms);
    }
}

fn term(resource_type: ResourceType, parameter: &str) -> String {
    format!("{resource_type}.{parameter}")
}
