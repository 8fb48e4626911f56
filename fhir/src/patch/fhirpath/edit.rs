//! A member and the `_` member beside it, changed together, so that each item stays beside its own.
//! <https://hl7.org/fhir/R4/json.html#primitive>

use std::borrow::Cow;

use super::super::PatchError;
use super::super::draft::Draft;
use super::place::{Segment, Spot};
use super::value::{Item, joined, occupied};
use crate::definitions::{Element, Type};
use crate::tree::Tree;

type Members<'a> = Vec<(Cow<'a, str>, Tree<'a>)>;

/// Deletes an element that is there.
pub(super) fn delete(draft: &mut Draft<'_>, spot: &Spot) -> Result<(), PatchError> {
    let mut member = Member::take(draft, &spot.holder, spot.element)?;
    match spot.index {
        Some(index) if index < member.items.len() => drop(member.items.remove(index)),
        _ => member.items.clear(),
    }
    member.put(draft, &spot.holder, spot.element)
}

/// Replaces an element that is there; another form of a choice renames its member.
pub(super) fn replace<'a>(
    draft: &mut Draft<'a>,
    spot: &Spot,
    element: &'static Element,
    item: Item<'a>,
) -> Result<(), PatchError> {
    let mut member = Member::take(draft, &spot.holder, spot.element)?;
    match spot.index.and_then(|index| member.items.get_mut(index)) {
        Some(place) => *place = item,
        None => member.items = vec![item],
    }
    member.put(draft, &spot.holder, element)
}

/// Adds an element to an object: to the end of its list, or where nothing is yet.
pub(super) fn add<'a>(
    draft: &mut Draft<'a>,
    holder: &[Segment],
    definition: &'static Type,
    element: &'static Element,
    item: Item<'a>,
) -> Result<(), PatchError> {
    if !element.many {
        for form in definition.elements.iter().filter(|form| form.slot == element.slot) {
            if Member::is_there(draft, holder, form)? {
                return Err(occupied(definition, element));
            }
        }
    }
    let mut member = Member::take(draft, holder, element)?;
    member.items.push(item);
    member.put(draft, holder, element)
}

/// Inserts an item into a list that may not be there yet.
pub(super) fn insert<'a>(
    draft: &mut Draft<'a>,
    list: &Spot,
    index: usize,
    item: Item<'a>,
) -> Result<(), PatchError> {
    let mut member = Member::take(draft, &list.holder, list.element)?;
    member.holds(index, member.items.len() + 1)?;
    member.items.insert(index, item);
    member.put(draft, &list.holder, list.element)
}

/// Moves an item within its list.
pub(super) fn shift(
    draft: &mut Draft<'_>,
    list: &Spot,
    source: usize,
    destination: usize,
) -> Result<(), PatchError> {
    let mut member = Member::take(draft, &list.holder, list.element)?;
    member.holds(source, member.items.len())?;
    member.holds(destination, member.items.len())?;
    let item = member.items.remove(source);
    member.items.insert(destination, item);
    member.put(draft, &list.holder, list.element)
}

/// Makes room for the id and extensions of a primitive.
pub(super) fn make_beside(draft: &mut Draft<'_>, spot: &Spot) -> Result<(), PatchError> {
    let mut member = Member::take(draft, &spot.holder, spot.element)?;
    if let Some(item) = member.items.get_mut(spot.index.unwrap_or(0))
        && item.beside == Tree::Null
    {
        item.beside = Tree::Object(Vec::new());
    }
    member.put(draft, &spot.holder, spot.element)
}

/// An element taken out of its object.
struct Member<'a> {
    /// Where it stood among the members.
    place: usize,
    items: Vec<Item<'a>>,
}

impl<'a> Member<'a> {
    fn take(
        draft: &mut Draft<'a>,
        holder: &[Segment],
        element: &Element,
    ) -> Result<Self, PatchError> {
        let members = members(draft, holder)?;
        let place = members.iter().position(|(key, _)| is_key(key, element));
        let mut member = Self { place: place.unwrap_or(members.len()), items: Vec::new() };
        let (mut values, mut besides) = (Vec::new(), Vec::new());
        members.retain_mut(|(key, value)| {
            if !is_key(key, element) {
                return true;
            }
            let list = if key.starts_with('_') { &mut besides } else { &mut values };
            *list = match std::mem::replace(value, Tree::Null) {
                Tree::Array(items) => items,
                one => vec![one],
            };
            false
        });
        let length = values.len().max(besides.len());
        draft.budget.spend(1 + length / 4)?;
        let pad = |list: Vec<Tree<'a>>| {
            list.into_iter().chain(std::iter::repeat_with(|| Tree::Null)).take(length)
        };
        let pairs = pad(values).zip(pad(besides));
        member.items = pairs.map(|(value, beside)| Item { value, beside }).collect();
        Ok(member)
    }

    fn put(
        self,
        draft: &mut Draft<'a>,
        holder: &[Segment],
        element: &'static Element,
    ) -> Result<(), PatchError> {
        let (value, beside) = joined(element, self.items);
        let members = members(draft, holder)?;
        if beside != Tree::Null {
            members.insert(self.place, (format!("_{}", element.name).into(), beside));
        }
        if value != Tree::Null {
            members.insert(self.place, (element.name.into(), value));
        }
        Ok(())
    }

    fn is_there(
        draft: &mut Draft<'_>,
        holder: &[Segment],
        element: &Element,
    ) -> Result<bool, PatchError> {
        Ok(members(draft, holder)?.iter().any(|(key, _)| is_key(key, element)))
    }

    fn holds(&self, index: usize, length: usize) -> Result<(), PatchError> {
        if index < length {
            return Ok(());
        }
        let length = self.items.len();
        let sentence = format!("The list has {length} items, so that the index lies beyond it.");
        Err(PatchError::not_found(sentence))
    }
}

/// Whether a member is the element, or is beside it.
fn is_key(key: &str, element: &Element) -> bool {
    key.strip_prefix('_').unwrap_or(key) == element.name
}

/// The members of the object that a way leads to.
fn members<'d, 'a>(
    draft: &'d mut Draft<'a>,
    holder: &[Segment],
) -> Result<&'d mut Members<'a>, PatchError> {
    let gone = || PatchError::not_found("The path finds no object of the resource.");
    let mut node = &mut draft.tree;
    for segment in holder {
        node = match (segment, node) {
            (Segment::Member(name), Tree::Object(members)) => {
                draft.budget.pass(members.len())?;
                let found = members.iter_mut().find(|(key, _)| key == name);
                found.map(|(_, value)| value).ok_or_else(gone)?
            }
            (Segment::Beside(name), Tree::Object(members)) => {
                draft.budget.pass(members.len())?;
                let found = members.iter_mut().find(|(key, _)| key.strip_prefix('_') == Some(name));
                found.map(|(_, value)| value).ok_or_else(gone)?
            }
            (Segment::Index(index), Tree::Array(items)) => {
                items.get_mut(*index).ok_or_else(gone)?
            }
            _ => return Err(gone()),
        };
    }
    match node {
        Tree::Object(members) => {
            draft.budget.pass(members.len())?;
            Ok(members)
        }
        _ => Err(gone()),
    }
}
