//! What a search finds: one type for each way a value can be compared.

use std::borrow::Cow;

use crate::definitions::ResourceType;
use crate::reference::Reference;

/// One value, as its data type's search needs it. <https://hl7.org/fhir/R4/search.html#table>
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'t> {
    /// One coding of a Coding or CodeableConcept. A CodeableConcept's `text` is one with a display alone.
    Coding {
        /// The code system.
        system: Option<&'t str>,
        /// The code.
        code: Option<&'t str>,
        /// Its display: what `:text` searches.
        display: Option<&'t str>,
    },
    /// A code, id, boolean, string or uri searched as a token.
    Code {
        /// The system that the element's binding implies.
        system: Option<&'static str>,
        /// The code.
        code: &'t str,
    },
    /// An Identifier.
    Identifier(IdentifierValue<'t>),
    /// An Identifier's value by one coding of its type: what `:of-type` searches.
    TypedIdentifier {
        /// The system of the type's coding.
        system: Option<&'t str>,
        /// The code of the type's coding.
        code: &'t str,
        /// The identifier's value.
        value: &'t str,
    },
    /// A ContactPoint.
    ContactPoint {
        /// `phone`, `email`, …
        system: Option<&'t str>,
        /// `home`, `work`, …
        usage: Option<&'t str>,
        /// The number or address.
        value: &'t str,
    },
    /// A Reference, or the id of a resource that is inside this one.
    Reference(ReferenceValue<'t>),
    /// A canonical URL, perhaps with `|version`.
    Canonical(&'t str),
    /// A date or dateTime of any precision.
    Date(&'t str),
    /// An instant.
    Instant(&'t str),
    /// A Period.
    Period(PeriodValue<'t>),
    /// A Timing: only its outer limits are searched.
    Timing {
        /// `event`
        events: Vec<&'t str>,
        /// `repeat.boundsPeriod`
        bounds: Option<PeriodValue<'t>>,
    },
    /// A Quantity or one of its kinds. Money is one in `urn:iso:std:iso:4217`.
    Quantity(QuantityValue<'t>),
    /// A Range.
    Range {
        /// Its lower limit.
        low: Option<QuantityValue<'t>>,
        /// Its upper limit.
        high: Option<QuantityValue<'t>>,
    },
    /// A number's text.
    Number(&'t str),
    /// A string, or one part of a HumanName or Address.
    Text(&'t str),
    /// A uri and its kin.
    Uri(&'t str),
    /// A `Location.position`.
    Position {
        /// Degrees north.
        latitude: &'t str,
        /// Degrees east.
        longitude: &'t str,
    },
}

/// An identifier's system and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentifierValue<'t> {
    /// Its name space.
    pub system: Option<&'t str>,
    /// The value in it.
    pub value: Option<&'t str>,
}

/// Both ends of a Period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodValue<'t> {
    /// The start, inclusive.
    pub start: Option<&'t str>,
    /// The end, inclusive to its precision.
    pub end: Option<&'t str>,
}

/// A quantity as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantityValue<'t> {
    /// The number's text.
    pub value: &'t str,
    /// `<`, `<=`, `>=` or `>`: the value is only a limit.
    pub comparator: Option<&'t str>,
    /// The unit for people.
    pub unit: Option<&'t str>,
    /// The system of the coded unit.
    pub system: Option<&'t str>,
    /// The coded unit.
    pub code: Option<&'t str>,
}

/// What a Reference says of its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceValue<'t> {
    /// The literal reference.
    pub reference: Option<Cow<'t, str>>,
    /// The `type` it names.
    pub type_name: Option<&'t str>,
    /// The identifier it refers by.
    pub identifier: Option<IdentifierValue<'t>>,
}

/// The type that a literal reference is to: by its own text, or by the last parts of its URL.
pub fn type_of(reference: &str) -> Option<ResourceType> {
    let name = match Reference::parse(reference) {
        Reference::Relative { resource_type, .. }
        | Reference::Conditional { resource_type, .. } => resource_type,
        Reference::Absolute(url) => {
            let url = url.split("/_history/").next().unwrap_or(url);
            url.rsplit('/').nth(1)?
        }
        Reference::Contained(_) | Reference::Invalid => return None,
    };
    name.parse().ok()
}
