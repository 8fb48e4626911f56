//! The numbers that stand for names in the store: resource types, search parameters, code systems.
//!
//! Types and parameters are entered when a store is opened, and parameters of the record's own when its
//! index is made anew; systems as they are met. A term's number never changes, so what one process knows
//! stays true for all.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use fhir::definitions::{Leaf, ParameterKind, ResourceType, SearchParameter, SearchParameters};

use super::generation::Generation;
use crate::custody;

/// The term number of "no system".
pub const NO_SYSTEM: i64 = 0;

/// The numbers under which a parameter's values stand in the index; 0 where it has no such values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// The values themselves.
    pub own: i64,
    /// The texts beside a token's codes: what `:text` searches.
    pub text: i64,
    /// Identifiers by their type (`:of-type`), or the identifiers that a Reference refers by
    /// (`:identifier`).
    pub identifier: i64,
}

/// All terms that this process has met, and the search parameters of one generation of the index.
#[derive(Debug)]
pub struct Vocabulary {
    base: String,
    generation: i64,
    types: Vec<i64>,
    definitions: SearchParameters,
    parameters: Vec<Vec<Numbers>>,
    systems: Arc<RwLock<HashMap<String, i64>>>,
}

impl Vocabulary {
    /// The texts that a store must have entered before [`Vocabulary::new`] is given their numbers;
    /// `added` are the parameters of the record's own.
    pub fn fixed_terms(added: &str) -> Vec<String> {
        let definitions = definitions(added);
        let mut terms = vec![custody::SYSTEM.to_owned()];
        for resource_type in ResourceType::all() {
            terms.push(resource_type.as_str().to_owned());
            for parameter in definitions.of(resource_type) {
                terms.push(term(resource_type, parameter.code));
                let aspects = [text_aspect(parameter), identifier_aspect(parameter)];
                terms.extend(
                    aspects
                        .into_iter()
                        .flatten()
                        .map(|aspect| term(resource_type, &format!("{}{aspect}", parameter.code))),
                );
            }
        }
        terms
    }

    /// A vocabulary from all terms of a store. `base` is our own FHIR base: an absolute reference
    /// below it is to this record.
    ///
    /// # Panics
    /// If a fixed term is not among them.
    pub fn new(terms: HashMap<String, i64>, base: &str, generation: &Generation) -> Self {
        let base = format!("{}/", base.trim_end_matches('/'));
        Self::of(Arc::new(RwLock::new(terms)), base, generation)
    }

    /// The vocabulary of another generation. What either learns of systems, both know.
    ///
    /// # Panics
    /// If a fixed term of that generation is not known.
    #[must_use]
    pub fn successor(&self, generation: &Generation) -> Self {
        Self::of(self.systems.clone(), self.base.clone(), generation)
    }

    fn of(
        systems: Arc<RwLock<HashMap<String, i64>>>,
        base: String,
        generation: &Generation,
    ) -> Self {
        let definitions = definitions(&generation.added);
        let known = systems.read().expect("no holder of this lock panics");
        let number = |text: &str| known[text];
        let types = ResourceType::all().map(|t| number(t.as_str())).collect();
        let numbers = |t: ResourceType, parameter: &SearchParameter| {
            let aspect = |aspect: Option<&str>| {
                aspect.map_or(0, |a| number(&term(t, &format!("{}{a}", parameter.code))))
            };
            Numbers {
                own: number(&term(t, parameter.code)),
                text: aspect(text_aspect(parameter)),
                identifier: aspect(identifier_aspect(parameter)),
            }
        };
        let parameters = ResourceType::all()
            .map(|t| definitions.of(t).iter().map(|p| numbers(t, p)).collect())
            .collect();
        drop(known);
        let generation = generation.standing.generation;
        Self { base, generation, types, definitions, parameters, systems }
    }

    /// The number of the generation of the index that these terms are for.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// All search parameters.
    pub fn all(&self) -> &SearchParameters {
        &self.definitions
    }

    /// All search parameters of a type, in order of their codes.
    pub fn definitions(&self, resource_type: ResourceType) -> &[SearchParameter] {
        self.definitions.of(resource_type)
    }

    /// The search parameter of that code.
    pub fn definition(&self, resource_type: ResourceType, code: &str) -> Option<&SearchParameter> {
        self.definitions.named(resource_type, code)
    }

    /// A vocabulary of no store, to see whether a resource can be indexed: its numbers mean nothing
    /// to anyone else.
    pub fn of_no_store(base: &str) -> Self {
        let terms = Self::fixed_terms("").into_iter().zip(1..).collect();
        Self::new(terms, base, &Generation::first())
    }

    /// A reference as it is within this record: relative, if it is below our own base.
    pub fn own<'a>(&self, reference: &'a str) -> &'a str {
        reference.strip_prefix(&self.base).unwrap_or(reference)
    }

    /// The number of a resource type.
    pub fn resource_type(&self, resource_type: ResourceType) -> i64 {
        self.types[resource_type.index()]
    }

    /// The resource type of a number.
    pub fn type_of(&self, number: i64) -> Option<ResourceType> {
        ResourceType::all().zip(&self.types).find(|(_, n)| **n == number).map(|(t, _)| t)
    }

    /// The search parameters of a type with their numbers.
    pub fn parameters(
        &self,
        resource_type: ResourceType,
    ) -> impl Iterator<Item = (&SearchParameter, &Numbers)> {
        self.definitions(resource_type).iter().zip(&self.parameters[resource_type.index()])
    }

    /// The numbers of a type's search parameter; those of its parts, if it is the union of others.
    pub fn numbers(&self, resource_type: ResourceType, code: &str) -> Vec<Numbers> {
        let parameters = self.definitions(resource_type);
        let Ok(place) = parameters.binary_search_by(|p| p.code.cmp(code)) else {
            return Vec::new();
        };
        let numbers = &self.parameters[resource_type.index()];
        match parameters[place].parts.as_slice() {
            [] => vec![numbers[place]],
            parts => parts.iter().map(|part| numbers[*part]).collect(),
        }
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

/// FHIR's search parameters, and those of a record's own.
fn definitions(added: &str) -> SearchParameters {
    SearchParameters::published().with(added)
}

fn term(resource_type: ResourceType, parameter: &str) -> String {
    format!("{resource_type}.{parameter}")
}

/// Whether a token has texts beside its codes.
fn text_aspect(parameter: &SearchParameter) -> Option<&'static str> {
    let worded = |leaf| matches!(leaf, Leaf::CodeableConcept | Leaf::Coding | Leaf::Identifier);
    (parameter.kind == ParameterKind::Token && parameter.terms.iter().any(|t| worded(t.leaf)))
        .then_some(":text")
}

fn identifier_aspect(parameter: &SearchParameter) -> Option<&'static str> {
    match parameter.kind {
        ParameterKind::Token => {
            let typed = parameter.terms.iter().any(|term| term.leaf == Leaf::Identifier);
            typed.then_some(":of-type")
        }
        ParameterKind::Reference => {
            let refers = parameter.terms.iter().any(|term| term.leaf == Leaf::Reference);
            refers.then_some(":identifier")
        }
        _ => None,
    }
}
