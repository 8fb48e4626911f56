//! An element of a resource, and where it is.

use super::super::PatchError;
use super::super::draft::Budget;
use crate::definitions::elements::beside_primitive;
use crate::definitions::{DataType, Element, Primitive, ResourceType, Type};
use crate::tree::Tree;

/// What an element is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Object(&'static Type),
    Primitive(Primitive),
}

/// One step down the JSON tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Segment {
    Member(&'static str),
    /// The member of that name after a `_`.
    Beside(&'static str),
    Index(usize),
}

/// An element that is there.
#[derive(Debug, Clone)]
pub(super) struct Place<'t> {
    pub(super) value: Option<&'t Tree<'t>>,
    /// The id and extensions of a primitive.
    pub(super) beside: Option<&'t Tree<'t>>,
    pub(super) kind: Kind,
    /// The type that it is an element of, and which; nothing for the resource itself.
    pub(super) at: Option<(&'static Type, &'static Element)>,
    pub(super) segments: Vec<Segment>,
}

/// The member of an object that an element is, or is an item of.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) holder: Vec<Segment>,
    pub(super) definition: &'static Type,
    pub(super) element: &'static Element,
    pub(super) index: Option<usize>,
}

/// Turns the way to a primitive into the way to what is beside it.
pub(super) fn go_beside(segments: &mut [Segment]) {
    for segment in segments.iter_mut().rev() {
        if let Segment::Member(name) = segment {
            *segment = Segment::Beside(name);
            return;
        }
    }
}

/// A name that a type does not have.
#[cold]
pub(super) fn unknown(type_name: &str, name: &str) -> PatchError {
    let shown = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let name = if shown { name } else { "of the name given" };
    PatchError::malformed(format!("{type_name} has no element {name}."))
}

impl<'t> Place<'t> {
    pub(super) fn root(tree: &'t Tree<'t>, resource_type: ResourceType) -> Self {
        Self {
            value: Some(tree),
            beside: None,
            kind: Kind::Object(resource_type.definition()),
            at: None,
            segments: Vec::new(),
        }
    }

    /// Whether it is of a type of that name.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match self.kind {
            Kind::Primitive(primitive) => primitive.as_str() == name,
            Kind::Object(definition) if definition.name == name => true,
            Kind::Object(definition) => {
                let is_resource = definition.name.parse::<ResourceType>().is_ok();
                is_resource && matches!(name, "Resource" | "DomainResource")
            }
        }
    }

    /// Whether what it is was not known before it was found, so that it need not have what a path asks it for.
    fn is_open(&self) -> bool {
        self.at.is_some_and(|(_, element)| {
            matches!(element.data_type, DataType::Resource) || element.name != element.element
        })
    }

    /// Adds its elements of a name to `found`: one form of a choice, each item of a list.
    pub(super) fn children(
        &self,
        name: &str,
        budget: &mut Budget,
        found: &mut Vec<Self>,
    ) -> Result<(), PatchError> {
        let mut segments = self.segments.clone();
        let (definition, object) = match (self.kind, beside_primitive()) {
            (Kind::Object(definition), _) => (definition, self.value),
            (Kind::Primitive(_), DataType::Complex(index)) => {
                go_beside(&mut segments);
                (index.definition(), self.beside)
            }
            (Kind::Primitive(_), _) => return Ok(()),
        };
        let elements = definition.elements.iter();
        let mut elements = elements.filter(|e| e.element == name || e.name == name).peekable();
        if elements.peek().is_none() && !self.is_open() {
            return Err(unknown(definition.name, name));
        }
        let Some(Tree::Object(members)) = object else {
            return Ok(());
        };
        for element in elements {
            budget.pass(members.len())?;
            let value = members.iter().find(|(key, _)| key == element.name);
            let beside = members
                .iter()
                .find(|(key, _)| key.strip_prefix('_').is_some_and(|key| key == element.name));
            let is_primitive = matches!(element.data_type, DataType::Primitive(_));
            let beside = beside.filter(|_| is_primitive).map(|(_, value)| value);
            let value = value.map(|(_, value)| value);
            segments.push(Segment::Member(element.name));
            let at = (definition, element);
            items(at, &segments, value, beside, budget, found)?;
            segments.pop();
        }
        Ok(())
    }
}

/// Adds each item of a list, or what is no list, to `found`.
fn items<'t>(
    at: (&'static Type, &'static Element),
    segments: &[Segment],
    value: Option<&'t Tree<'t>>,
    beside: Option<&'t Tree<'t>>,
    budget: &mut Budget,
    found: &mut Vec<Place<'t>>,
) -> Result<(), PatchError> {
    let mut one = |value: Option<&'t Tree<'t>>, beside: Option<&'t Tree<'t>>, index| {
        budget.spend(1)?;
        let there = |tree: &&Tree<'_>| **tree != Tree::Null;
        let (value, beside) = (value.filter(there), beside.filter(there));
        let kind = match at.1.data_type {
            DataType::Primitive(primitive) => Some(Kind::Primitive(primitive)),
            DataType::Complex(index) => Some(Kind::Object(index.definition())),
            DataType::Resource => value.and_then(resource_kind),
        };
        if let Some(kind) = kind
            && (value.is_some() || beside.is_some())
        {
            let mut segments = segments.to_vec();
            segments.extend(index);
            found.push(Place { value, beside, kind, at: Some(at), segments });
        }
        Ok(())
    };
    let list = |tree: Option<&'t Tree<'t>>| match tree {
        Some(Tree::Array(items)) => Some(items.as_slice()),
        _ => None,
    };
    let (values, besides) = (list(value), list(beside));
    if values.is_none() && besides.is_none() {
        return one(value, beside, None);
    }
    let (values, besides) = (values.unwrap_or_default(), besides.unwrap_or_default());
    for index in 0..values.len().max(besides.len()) {
        one(values.get(index), besides.get(index), Some(Segment::Index(index)))?;
    }
    Ok(())
}

fn resource_kind(resource: &Tree<'_>) -> Option<Kind> {
    let resource_type: ResourceType = resource.text("resourceType")?.parse().ok()?;
    Some(Kind::Object(resource_type.definition()))
}
