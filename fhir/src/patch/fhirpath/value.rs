//! Which JSON a given value becomes in an element.

use super::super::{PatchError, PatchErrorKind};
use super::parameters::Part;
use super::place::unknown;
use crate::definitions::{DataType, Element, Primitive, Type};
use crate::tree::Tree;

/// What the part `value` of an operation gives.
#[derive(Debug)]
pub(super) enum Given<'a> {
    /// `value[x]`; `form` is what stands for the `[x]`.
    Value { form: String, item: Item<'a> },
    /// The elements of an object, one by one.
    Parts(Vec<Part<'a>>),
    /// A whole resource.
    Resource(Tree<'a>),
}

/// An element's value and what is beside it; either may be null.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) value: Tree<'a>,
    pub(super) beside: Tree<'a>,
}

impl Default for Item<'_> {
    fn default() -> Self {
        Self { value: Tree::Null, beside: Tree::Null }
    }
}

impl<'a> From<Tree<'a>> for Item<'a> {
    fn from(value: Tree<'a>) -> Self {
        Self { value, beside: Tree::Null }
    }
}

/// The element of a type that a value is for, and the value as it stands there.
///
/// `name` is the element's or the member's: `value` and `valueQuantity` both name a choice.
pub(super) fn fit<'a>(
    definition: &'static Type,
    name: &str,
    given: Given<'a>,
) -> Result<(&'static Element, Item<'a>), PatchError> {
    let element = match (definition.element(name), &given) {
        (Some((_, element)), _) => element,
        (None, Given::Value { form, .. }) => {
            let chosen = definition.element(&format!("{name}{form}"));
            let chosen = chosen.map(|(_, element)| element).filter(|e| e.element == name);
            chosen.ok_or_else(|| {
                if definition.slots.contains(&name) {
                    wrong(definition, name)
                } else {
                    unknown(definition.name, name)
                }
            })?
        }
        (None, _) if definition.slots.contains(&name) => {
            let sentence = format!("Say which form of {name}[x] the parts are, by its full name.");
            return Err(PatchError::malformed(sentence));
        }
        (None, _) => return Err(unknown(definition.name, name)),
    };
    let item = build(definition, element, given)?;
    Ok((element, item))
}

fn build<'a>(
    definition: &'static Type,
    element: &'static Element,
    given: Given<'a>,
) -> Result<Item<'a>, PatchError> {
    match (element.data_type, given) {
        (DataType::Primitive(primitive), Given::Value { item, .. })
            if is_of(primitive, &item.value)
                && matches!(item.beside, Tree::Null | Tree::Object(_))
                && (item.value != Tree::Null || item.beside != Tree::Null) =>
        {
            Ok(item)
        }
        (DataType::Complex(index), Given::Value { form, item })
            if is_form(index.definition().name, &form)
                && matches!(item.value, Tree::Object(_))
                && item.beside == Tree::Null =>
        {
            Ok(item)
        }
        (DataType::Complex(index), Given::Parts(parts)) if !parts.is_empty() => {
            object(index.definition(), parts).map(Item::from)
        }
        (DataType::Resource, Given::Resource(resource @ Tree::Object(_))) => Ok(resource.into()),
        _ => Err(wrong(definition, element.element)),
    }
}

fn wrong(definition: &Type, name: &str) -> PatchError {
    let sentence = format!("The value is not of a type that {}.{name} may have.", definition.name);
    PatchError::malformed(sentence)
}

/// Whether JSON of that kind can be a primitive; its format is judged with the whole resource.
fn is_of(primitive: Primitive, value: &Tree<'_>) -> bool {
    match value {
        Tree::Null => true,
        Tree::Bool(_) => primitive == Primitive::Boolean,
        Tree::Number(_) => is_number(primitive),
        Tree::String(_) => primitive != Primitive::Boolean && !is_number(primitive),
        Tree::Array(_) | Tree::Object(_) => false,
    }
}

fn is_number(primitive: Primitive) -> bool {
    matches!(
        primitive,
        Primitive::Decimal | Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt
    )
}

/// Whether `value[x]` of a form can be a type; the specialisations of Quantity are one in JSON.
fn is_form(type_name: &str, form: &str) -> bool {
    let quantity = |name| matches!(name, "Quantity" | "Age" | "Count" | "Distance" | "Duration");
    type_name == form || (quantity(type_name) && quantity(form))
}

/// An object from its elements.
fn object<'a>(definition: &'static Type, parts: Vec<Part<'a>>) -> Result<Tree<'a>, PatchError> {
    let mut elements: Vec<(&'static Element, Vec<Item<'a>>)> = Vec::new();
    for Part { name, given } in parts {
        let given = given.ok_or_else(|| PatchError::malformed("A part has no value."))?;
        let (element, item) = fit(definition, &name, given)?;
        let known = elements.iter_mut().find(|(known, _)| known.slot == element.slot);
        match known {
            None => elements.push((element, vec![item])),
            Some((known, items)) if element.many && known.name == element.name => items.push(item),
            Some(_) => return Err(occupied(definition, element)),
        }
    }
    let mut members = Vec::with_capacity(elements.len());
    for (element, items) in elements {
        let (value, beside) = joined(element, items);
        if value != Tree::Null {
            members.push((element.name.into(), value));
        }
        if beside != Tree::Null {
            members.push((format!("_{}", element.name).into(), beside));
        }
    }
    Ok(Tree::Object(members))
}

/// An element that may be there once, and is there.
pub(super) fn occupied(definition: &Type, element: &Element) -> PatchError {
    let sentence =
        format!("{}.{} is there already, and may be once.", definition.name, element.element);
    PatchError::new(PatchErrorKind::Occupied, sentence)
}

/// A member and the one beside it; null where there is none.
pub(super) fn joined<'a>(element: &Element, items: Vec<Item<'a>>) -> (Tree<'a>, Tree<'a>) {
    if !element.many {
        let item = items.into_iter().next().unwrap_or_default();
        return (item.value, item.beside);
    }
    let list = |list: Vec<Tree<'a>>| {
        if list.iter().all(|item| *item == Tree::Null) { Tree::Null } else { Tree::Array(list) }
    };
    let (values, besides) = items.into_iter().map(|item| (item.value, item.beside)).unzip();
    (list(values), list(besides))
}
