//! Is this text a well-formed R4 resource? One streaming pass over the JSON, by the element tables.
//!
//! | room | what it knows |
//! |---|---|
//! | `object` | which members an object may have, must have, and may have once |
//! | `value` | whether a value is of the kind that its element asks for |
//! | `complex` | values that are objects, and the codes of a CodeableConcept |
//! | `primitive` | the formats of the primitive types |
//! | `narrative` | which XHTML a Narrative may hold |
//! | `pairing` | arrays of primitives beside arrays of their extensions |
//! | `container` | contained resources, and references to them |
//! | `rules` | the invariants, and which of R4's are checked |
//! | `facts` | the values that rules ask for, until they have been judged |
//! | `locate` | where in the text a string or a resource's type is |
//! | `survey` | what came of it: [`Survey`], or [`Malformed`] |
//!
//! Checked: names, cardinality, JSON kinds, formats, types of relative references, duplicate members, nulls, empty
//! values, nesting, required bindings whose codes R4 lists, contained resources, narratives, and the invariants
//! that [`rules`] names. Not checked: other bindings, profiles, and whether what is referred to elsewhere exists.

mod complex;
mod container;
mod facts;
mod locate;
mod narrative;
mod object;
mod pairing;
mod primitive;
mod rules;
mod survey;
mod value;
mod walk;

pub use survey::{Found, FoundKind, Malformed, Survey, ValidationIssue};

/// JSON may be nested this deep.
pub const DEPTH_MAX: usize = 64;
/// Issues are listed up to this number; the rest are counted.
pub const ISSUES_MAX: usize = 50;

/// Reads a resource's JSON text and says everything that is wrong with it.
///
/// `Err` means that nothing can be said: the text is not one JSON object, or is nested too deep.
pub fn validate(text: &[u8]) -> Result<Survey<'_>, Malformed> {
    let text = std::str::from_utf8(text).map_err(|e| Malformed::not_utf8(text, &e))?;
    let mut walk = walk::Walk::new(text);
    let known = walk.resource(text, walk::Place::Top)?;
    Ok(walk.finish(known.resource_type))
}

#[cfg(test)]
mod tests;
