//! Compartments. <https://hl7.org/fhir/R4/compartmentdefinition.html>

use super::{ResourceType, lines};

/// The five compartments of R4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the compartment of that resource type")]
pub enum Compartment {
    Device,
    Encounter,
    Patient,
    Practitioner,
    RelatedPerson,
}

impl Compartment {
    /// All five.
    pub const ALL: [Self; 5] =
        [Self::Device, Self::Encounter, Self::Patient, Self::Practitioner, Self::RelatedPerson];

    /// The type of the resource that the compartment belongs to.
    pub const fn resource_type(self) -> ResourceType {
        match self {
            Self::Device => const { ResourceType::named("Device") },
            Self::Encounter => const { ResourceType::named("Encounter") },
            Self::Patient => ResourceType::PATIENT,
            Self::Practitioner => const { ResourceType::named("Practitioner") },
            Self::RelatedPerson => const { ResourceType::named("RelatedPerson") },
        }
    }

    /// The compartment that belongs to resources of a type.
    pub fn of(owner: ResourceType) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.resource_type() == owner)
    }
}

/// `compartments.tsv`: codes by compartment and resource type.
pub(super) struct Compartments([Vec<Vec<&'static str>>; 5]);

impl Compartments {
    pub(super) fn read(table: &'static str) -> Self {
        let mut codes: [Vec<Vec<&'static str>>; 5] = Default::default();
        for of_type in &mut codes {
            of_type.resize(ResourceType::all().len(), Vec::new());
        }
        for line in lines(table) {
            let mut columns = line.split('\t');
            let mut column = || columns.next().expect("a line has three columns");
            let (owner, member, found) = (column(), column(), column());
            let owner = owner.parse().ok().and_then(Compartment::of);
            let owner = owner.expect("the table names the five compartments");
            let member: ResourceType = member.parse().expect("the table names resource types");
            codes[owner as usize][member.index()] = found.split(' ').collect();
        }
        Self(codes)
    }

    pub(super) fn of(&self, compartment: Compartment, member: ResourceType) -> &[&'static str] {
        &self.0[compartment as usize][member.index()]
    }
}
