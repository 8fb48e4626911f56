//! The resource types of R4. <https://hl7.org/fhir/R4/resourcelist.html>

use std::fmt;
use std::str::FromStr;

const TABLE: &str = include_str!("resource-types.tsv");
const COUNT: usize = count(TABLE);
const NAMES: [&str; COUNT] = names(TABLE);
const WORDS: usize = COUNT.div_ceil(64);

/// One of the 146 resource types of R4; ordered by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(u16);

impl ResourceType {
    /// AuditEvent
    pub const AUDIT_EVENT: Self = Self::named("AuditEvent");
    /// `Binary`
    pub const BINARY: Self = Self::named("Binary");
    /// `Encounter`
    pub const ENCOUNTER: Self = Self::named("Encounter");
    /// `Bundle`
    pub const BUNDLE: Self = Self::named("Bundle");
    /// `Observation`
    pub const OBSERVATION: Self = Self::named("Observation");
    /// `Parameters`
    pub const PARAMETERS: Self = Self::named("Parameters");
    /// `Patient`
    pub const PATIENT: Self = Self::named("Patient");
    /// `Provenance`
    pub const PROVENANCE: Self = Self::named("Provenance");
    /// Task
    pub const TASK: Self = Self::named("Task");

    /// The type of that name, for constants: a name that R4 does not have stops the build.
    pub const fn named(name: &str) -> Self {
        let mut index = 0;
        while index < COUNT {
            if same(NAMES[index].as_bytes(), name.as_bytes()) {
                return Self(index as u16);
            }
            index += 1;
        }
        panic!("not a resource type of FHIR R4")
    }

    /// All types, in order of their names.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..COUNT).map(|index| Self(index as u16))
    }

    /// The type's name.
    pub const fn as_str(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    /// The type's place among all of them: dense from 0, stable for one version of the tables only.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl FromStr for ResourceType {
    type Err = UnknownResourceType;

    /// Knows concrete types only: `DomainResource` is refused like any unknown name.
    fn from_str(name: &str) -> Result<Self, UnknownResourceType> {
        let index = NAMES.binary_search(&name);
        index.map(|i| Self(i as u16)).map_err(|_| UnknownResourceType)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is not a concrete resource type of R4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownResourceType;

impl fmt::Display for UnknownResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FHIR R4 has no resource type of that name")
    }
}

impl std::error::Error for UnknownResourceType {}

/// A set of resource types; small enough to copy.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TypeSet([u64; WORDS]);

impl TypeSet {
    /// The types of a comma-separated list; names that are no types are passed over.
    pub(super) fn listed(names: &str) -> Self {
        if names.is_empty() {
            return Self::default();
        }
        names.split(',').filter_map(|t| t.parse().ok()).collect()
    }

    /// Adds a type.
    pub fn insert(&mut self, resource_type: ResourceType) {
        let index = resource_type.index();
        self.0[index / 64] |= 1 << (index % 64);
    }

    /// Whether a type is in the set.
    pub fn contains(&self, resource_type: ResourceType) -> bool {
        let index = resource_type.index();
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    /// Whether no type is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// The types of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = ResourceType> {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let mut rest = *bits;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(ResourceType((word * 64) as u16 + bit as u16))
            })
        })
    }
}

impl FromIterator<ResourceType> for TypeSet {
    fn from_iter<I: IntoIterator<Item = ResourceType>>(types: I) -> Self {
        let mut set = Self::default();
        types.into_iter().for_each(|t| set.insert(t));
        set
    }
}

impl fmt::Debug for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Splits the table at compile time: a type is a constant, and costs no lookup.
const fn names(table: &'static str) -> [&'static str; COUNT] {
    let mut names = [""; COUNT];
    let bytes = table.as_bytes();
    let (mut start, mut at, mut index) = (0, 0, 0);
    while at < bytes.len() {
        if bytes[at] == b'\n' {
            let (_, rest) = table.split_at(start);
            let (name, _) = rest.split_at(at - start);
            names[index] = name;
            index += 1;
            start = at + 1;
        }
        at += 1;
    }
    names
}

const fn count(table: &str) -> usize {
    let (mut lines, mut at) = (0, 0);
    while at < table.len() {
        if table.as_bytes()[at] == b'\n' {
            lines += 1;
        }
        at += 1;
    }
    lines
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}
