//! FHIRPath Patch. <https://hl7.org/fhir/R4/fhirpatch.html>
//!
//! | room | what it knows |
//! |---|---|
//! | `parameters` | the operations in a Parameters resource |
//! | `expression`, `parse` | the part of FHIRPath that is read here |
//! | `place`, `evaluate` | the elements that a path finds, and where they are |
//! | `value` | which JSON a given value becomes in an element |
//! | `edit` | a member and the `_` member beside it, changed together |

mod edit;
mod evaluate;
mod expression;
mod parameters;
mod parse;
mod place;
mod value;

use super::draft::Draft;
use super::{PatchError, PatchErrorKind};
use crate::definitions::elements::beside_primitive;
use crate::definitions::{DataType, Element, ResourceType, Type};
use evaluate::Evaluation;
use expression::{Head, Path, Step};
pub(super) use parameters::read;
use parameters::{Action, Operation};
use place::{Kind, Place, Segment, Spot};
use value::Given;

/// Applies one operation.
pub(super) fn apply<'a>(
    draft: &mut Draft<'a>,
    resource_type: ResourceType,
    operation: Operation<'a>,
) -> Result<(), PatchError> {
    let path = parse::parse(&operation.path)?;
    match operation.action {
        Action::Delete => {
            let Some(found) = at_most_one(find(draft, resource_type, &path)?)? else {
                return Ok(());
            };
            draft.removed = true;
            edit::delete(draft, &found.spot()?)
        }
        Action::Replace(given) => {
            let found = one(find(draft, resource_type, &path)?)?;
            let spot = found.spot()?;
            let (element, item) = value::fit(spot.definition, spot.element.element, given)?;
            edit::replace(draft, &spot, element, item)
        }
        Action::Add { name, value } => {
            let mut found = one(find(draft, resource_type, &path)?)?;
            let definition = match found.kind {
                Kind::Object(definition) => definition,
                Kind::Primitive(_) => {
                    edit::make_beside(draft, &found.spot()?)?;
                    place::go_beside(&mut found.segments);
                    let DataType::Complex(index) = beside_primitive() else {
                        return Err(PatchError::not_found("A primitive element has no such part."));
                    };
                    index.definition()
                }
            };
            let (element, item) = value::fit(definition, &name, value)?;
            edit::add(draft, &found.segments, definition, element, item)
        }
        Action::Insert { index, value } => {
            let list = list(draft, resource_type, path)?;
            let (_, item) = fit_item(&list, value)?;
            edit::insert(draft, &list, index, item)
        }
        Action::Move { source, destination } => {
            let list = list(draft, resource_type, path)?;
            edit::shift(draft, &list, source, destination)
        }
    }
}

fn fit_item<'a>(
    list: &Spot,
    given: Given<'a>,
) -> Result<(&'static Element, value::Item<'a>), PatchError> {
    value::fit(list.definition, list.element.name, given)
}

/// Everything that a path finds, in order.
fn find(
    draft: &mut Draft<'_>,
    resource_type: ResourceType,
    path: &Path<'_>,
) -> Result<Vec<Found>, PatchError> {
    if let (Head::This, Some(Step::OfType(name))) = (&path.head, path.steps.first())
        && *name != resource_type.as_str()
        && !matches!(*name, "Resource" | "DomainResource")
    {
        let sentence = format!("The path begins with another type than {resource_type}.");
        return Err(PatchError::malformed(sentence));
    }
    let root = Place::root(&draft.tree, resource_type);
    let mut evaluation = Evaluation::new(&root, &mut draft.budget);
    let places = evaluation.places(path)?;
    Ok(places.into_iter().map(Found::from).collect())
}

/// A place, let go of the tree so that the tree can be changed.
struct Found {
    kind: Kind,
    at: Option<(&'static Type, &'static Element)>,
    segments: Vec<Segment>,
}

impl From<Place<'_>> for Found {
    fn from(place: Place<'_>) -> Self {
        Self { kind: place.kind, at: place.at, segments: place.segments }
    }
}

impl Found {
    fn spot(&self) -> Result<Spot, PatchError> {
        let spot = self.at.map(|(definition, element)| {
            let mut holder = self.segments.clone();
            let mut index = None;
            if let Some(Segment::Index(found)) = holder.last() {
                index = Some(*found);
                holder.pop();
            }
            holder.pop();
            Spot { holder, definition, element, index }
        });
        spot.ok_or_else(|| {
            let sentence =
                "The resource as a whole is replaced or deleted by its own interactions.";
            PatchError::malformed(sentence)
        })
    }
}

fn at_most_one(mut found: Vec<Found>) -> Result<Option<Found>, PatchError> {
    if found.len() > 1 {
        let sentence = format!(
            "The path finds {} elements where one is to be changed; say which by an index or where(…).",
            found.len()
        );
        return Err(PatchError::new(PatchErrorKind::Ambiguous, sentence));
    }
    Ok(found.pop())
}

fn one(found: Vec<Found>) -> Result<Found, PatchError> {
    let sentence = "The path finds no element of the resource.";
    at_most_one(found)?.ok_or_else(|| PatchError::not_found(sentence))
}

/// The list that a path names: it ends in an element that repeats, of one element that is there.
fn list(
    draft: &mut Draft<'_>,
    resource_type: ResourceType,
    mut path: Path<'_>,
) -> Result<Spot, PatchError> {
    let Some(Step::Member(name)) = path.steps.pop() else {
        let sentence = "The path of a list must end in the name of an element that repeats.";
        return Err(PatchError::malformed(sentence));
    };
    let found = one(find(draft, resource_type, &path)?)?;
    let Kind::Object(definition) = found.kind else {
        let sentence =
            "The path of a list must end in an element of an object, not of a primitive.";
        return Err(PatchError::new(PatchErrorKind::NotSupported, sentence));
    };
    let Some((_, element)) = definition.element(name) else {
        return Err(place::unknown(definition.name, name));
    };
    if !element.many {
        let sentence = format!("{}.{} does not repeat.", definition.name, element.element);
        return Err(PatchError::malformed(sentence));
    }
    Ok(Spot { holder: found.segments, definition, element, index: None })
}
