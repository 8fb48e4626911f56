//! FHIR R4 4.0.1 as tables, read once: what may stand where, what can be searched, and whose compartment it is in.
//!
//! | room | what lives there |
//! |---|---|
//! | [`resource_type`] | [`ResourceType`]: the 146 names, as a number |
//! | [`elements`] | [`Type`] and [`Element`]: every JSON member of every type |
//! | [`value_sets`] | [`ValueSet`]: the codes that required bindings allow |
//! | [`search`] | [`SearchParameter`]: where in the JSON its values are; [`SearchParameters`]: all |
//! | [`compile`] | expressions -> what [`search`] reads |
//! | [`compartments`] | [`Compartment`]: which parameters lead into it |
//! | [`hierarchy`] | which codes of HL7's own code systems are below which |
//!
//! The tables beside this file are written by `cargo run -p fhir --example derive -- FOLDER`
//! from HL7's own definitions; nothing here is written by hand.

pub mod compartments;
pub mod compile;
pub mod elements;
pub mod hierarchy;
pub mod resource_type;
pub mod search;
pub mod value_sets;

use std::sync::LazyLock;

pub use compartments::Compartment;
pub use elements::{DataType, Element, Primitive, Type};
pub use resource_type::{ResourceType, TypeSet, UnknownResourceType};
pub use search::{Component, Leaf, ParameterKind, SearchParameter, SearchParameters, Step, Term};
pub use value_sets::ValueSet;

/// Everything the tables say.
struct Definitions {
    elements: elements::Elements,
    value_sets: value_sets::ValueSets,
    parameters: search::SearchParameters,
    compartments: compartments::Compartments,
    hierarchies: hierarchy::Hierarchies,
}

/// The tables that say what a resource is found by: `search-parameters.tsv` and `compartments.tsv`.
pub const SEARCH_TABLES: [&str; 2] =
    [include_str!("search-parameters.tsv"), include_str!("compartments.tsv")];

static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| {
    let value_sets = value_sets::ValueSets::read(include_str!("value-sets.tsv"));
    Definitions {
        elements: elements::Elements::read(include_str!("elements.tsv"), &value_sets),
        value_sets,
        parameters: search::SearchParameters::read(SEARCH_TABLES[0]),
        compartments: compartments::Compartments::read(SEARCH_TABLES[1]),
        hierarchies: hierarchy::Hierarchies::read(include_str!("code-hierarchies.tsv")),
    }
});

/// Reads the tables now rather than at first use, so that no request waits for it.
pub fn load() {
    LazyLock::force(&DEFINITIONS);
}

impl ResourceType {
    /// The members a resource of this type may have.
    pub fn definition(self) -> &'static Type {
        DEFINITIONS.elements.resource(self)
    }

    /// All search parameters of the type, the common ones included, in order of their codes.
    pub fn search_parameters(self) -> &'static [SearchParameter] {
        DEFINITIONS.parameters.of(self)
    }

    /// The search parameter of that code.
    pub fn search_parameter(self, code: &str) -> Option<&'static SearchParameter> {
        DEFINITIONS.parameters.named(self, code)
    }

    /// The search parameters that put a resource of this type into a compartment; none if it is never in one.
    ///
    /// A Patient is also in its own compartment, though no parameter says so.
    pub fn compartment(self, compartment: Compartment) -> &'static [&'static str] {
        DEFINITIONS.compartments.of(compartment, self)
    }

    /// [`ResourceType::compartment`] of the Patient.
    pub fn patient_compartment(self) -> &'static [&'static str] {
        self.compartment(Compartment::Patient)
    }
}

/// The lines of a table that are not comments.
pub(crate) fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#'))
}

#[cfg(test)]
mod tests;
