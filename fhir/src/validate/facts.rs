//! Values that a rule needs once the object that holds them has been read.
//!
//! An object notes the elements that its own rules ask for; some types (a Coding, a Quantity) note theirs only if
//! what holds them asks. When an object ends, what it noted is judged, and then forgotten or handed to its holder.

use std::borrow::Cow;

use crate::definitions::{ResourceType, Type};

/// One noted value.
#[derive(Debug)]
pub(super) struct Fact<'a> {
    /// The number of the element that holds it, within the type of the object that is being read.
    pub(super) number: usize,
    /// Which item of that element's array it is in.
    pub(super) item: Option<usize>,
    pub(super) value: Noted<'a>,
}

/// What was noted.
#[derive(Debug)]
pub(super) enum Noted<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Bool(bool),
    Coding { system: Option<Cow<'a, str>>, code: Option<Cow<'a, str>> },
    Quantity { value: f64, unit: Option<Cow<'a, str>> },
    Resource { resource_type: ResourceType, version: Option<Cow<'a, str>> },
    Entry(Box<Entry<'a>>),
}

/// A Bundle's entry.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) search: bool,
    pub(super) request: bool,
    pub(super) response: bool,
    pub(super) full_url: Option<Cow<'a, str>>,
    pub(super) resource: Option<(ResourceType, Option<Cow<'a, str>>)>,
}

/// An object that has been read: which elements it has, and what was noted of them.
pub(super) struct Read<'r, 'a> {
    pub(super) definition: &'static Type,
    /// A bit for each element that is there, by its slot.
    pub(super) slots: u64,
    pub(super) facts: &'r [Fact<'a>],
}

impl<'r, 'a> Read<'r, 'a> {
    /// Whether an element is there, even without a value.
    pub(super) fn has(&self, element: &str) -> bool {
        let slot = self.definition.slots.iter().position(|slot| *slot == element);
        slot.is_some_and(|slot| self.slots & (1 << slot) != 0)
    }

    /// What was noted of a JSON member, and in which of its items.
    pub(super) fn noted(
        &self,
        member: &str,
    ) -> impl Iterator<Item = (Option<usize>, &'r Noted<'a>)> + use<'r, 'a> {
        let number = self.definition.element(member).map(|(number, _)| number);
        let facts = self.facts.iter().filter(move |fact| Some(fact.number) == number);
        facts.map(|fact| (fact.item, &fact.value))
    }

    pub(super) fn text(&self, member: &str) -> Option<&'r str> {
        self.texts(member).next()
    }

    pub(super) fn texts(&self, member: &str) -> impl Iterator<Item = &'r str> + use<'r, 'a> {
        self.noted(member).filter_map(|(_, noted)| match noted {
            Noted::Text(text) => Some(&**text),
            _ => None,
        })
    }

    pub(super) fn number(&self, member: &str) -> Option<f64> {
        self.noted(member).find_map(|(_, noted)| match noted {
            Noted::Number(number) => Some(*number),
            _ => None,
        })
    }

    /// Whether a CodeableConcept has one of these codes of that system.
    pub(super) fn coded(&self, member: &str, system: &str, codes: &[&str]) -> bool {
        self.noted(member).any(|(_, noted)| match noted {
            Noted::Coding { system: Some(of), code: Some(code) } => {
                of == system && codes.contains(&&**code)
            }
            _ => false,
        })
    }

    /// The system and code of each whole coding of a member, and the item it is in.
    pub(super) fn codings(
        &self,
        member: &str,
    ) -> impl Iterator<Item = (Option<usize>, (&'r str, &'r str))> + use<'r, 'a> {
        self.noted(member).filter_map(|(item, noted)| match noted {
            Noted::Coding { system: Some(system), code: Some(code) } => {
                Some((item, (&**system, &**code)))
            }
            _ => None,
        })
    }
}

/// What an object that was read hands to its holder, if that is one value rather than all that was noted.
pub(super) fn summary<'a>(
    definition: &'static Type,
    slots: u64,
    facts: &mut [Fact<'a>],
) -> Option<Noted<'a>> {
    let read = Read { definition, slots, facts: &[] };
    let mut text = |member: &str| {
        let (number, _) = definition.element(member)?;
        let fact = facts.iter_mut().find(|fact| fact.number == number)?;
        match &mut fact.value {
            Noted::Text(text) => Some(std::mem::take(text)),
            _ => None,
        }
    };
    match definition.name {
        "Coding" => Some(Noted::Coding { system: text("system"), code: text("code") }),
        "Quantity" => {
            let unit = text("code").or_else(|| text("unit"));
            let value = Read { facts, ..read }.number("value")?;
            Some(Noted::Quantity { value, unit })
        }
        "Bundle.entry" => {
            let full_url = text("fullUrl");
            let resource = facts.iter_mut().find_map(|fact| match &mut fact.value {
                Noted::Resource { resource_type, version } => {
                    Some((*resource_type, version.take()))
                }
                _ => None,
            });
            let (search, request, response) =
                (read.has("search"), read.has("request"), read.has("response"));
            Some(Noted::Entry(Box::new(Entry { search, request, response, full_url, resource })))
        }
        _ => None,
    }
}
