//! Objects: which members are there, which are missing, which may not be.

mod renamed;
mod seen;

use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::renamed::Renamed;
use self::seen::Seen;
use super::facts::{Fact, Noted, Read, summary};
use super::locate::At;
use super::rules::{Members, Rules, rules};
use super::value::Value;
use super::walk::{Known, Place, Segment, Walk};
use crate::definitions::elements::beside_primitive;
use crate::definitions::{DataType, Element, Primitive, Type, TypeSet};
use crate::outcome::IssueCode;
use crate::tree::Key;

/// One object of a known type.
pub(super) struct Object<'w, 'a> {
    walk: &'w mut Walk<'a>,
    definition: &'static Type,
    rules: &'static Rules,
    /// Whether what holds the object asks for what it notes.
    handed: bool,
    /// Where the resource stands, if the object is one.
    place: Option<Place>,
    /// What a Reference may refer to.
    targets: TypeSet,
    seen: Seen,
}

impl<'w, 'a> Object<'w, 'a> {
    pub(super) fn resource(
        walk: &'w mut Walk<'a>,
        definition: &'static Type,
        place: Place,
    ) -> Self {
        Self { place: Some(place), ..Self::element(walk, definition, TypeSet::default(), false) }
    }

    pub(super) fn element(
        walk: &'w mut Walk<'a>,
        definition: &'static Type,
        targets: TypeSet,
        handed: bool,
    ) -> Self {
        let (rules, seen) = (rules(definition), Seen::default());
        Self { walk, definition, rules, handed, place: None, targets, seen }
    }

    pub(super) fn read<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_map(self)
    }

    /// Reads all members, then says which are missing and which rules are broken. Gives the elements that are
    /// there, as bits by their slots.
    pub(super) fn members<A: MapAccess<'a>>(mut self, mut object: A) -> Result<u64, A::Error> {
        self.walk.enter()?;
        let (notes, facts) = (self.walk.notes.len(), self.walk.facts.len());
        while let Some(key) = object.next_key_seed(Key)? {
            self.seen.count += 1;
            if key == "resourceType" && self.place.is_some() {
                self.resource_type(&mut object)?;
                continue;
            }
            let (name, beside) = match key.strip_prefix('_') {
                Some(name) => (name, true),
                None => (&*key, false),
            };
            let Some((index, element)) = self.definition.element(name) else {
                self.unknown(&key);
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            self.count(index, element, beside);
            self.walk.path.push(Segment::Element(element.element));
            match &key {
                std::borrow::Cow::Borrowed(key) => {
                    let at = At::NameEnd(self.walk.offset(key) + key.len());
                    self.member(index, element, beside, at, &mut object)?;
                }
                std::borrow::Cow::Owned(_) => {
                    self.member_with_escaped_name(index, element, beside, &mut object)?;
                }
            }
            self.walk.path.pop();
        }
        self.missing();
        self.walk.pair(notes, self.definition);
        self.judge(facts);
        self.walk.leave();
        Ok(self.seen.slots)
    }

    /// Judges what was noted since `start`, then hands it on or forgets it.
    fn judge(&mut self, start: usize) {
        if self.rules.is_empty() && !self.handed {
            return;
        }
        let mut facts = std::mem::take(&mut self.walk.facts);
        let (definition, slots) = (self.definition, self.seen.slots);
        if self.seen.count > 0 {
            let read = Read { definition, slots, facts: &facts[start..] };
            for broken in self.rules.broken(&read) {
                self.walk.broken(broken);
            }
        }
        let value =
            if self.handed { summary(definition, slots, &mut facts[start..]) } else { None };
        if value.is_some() || !self.handed {
            facts.truncate(start);
        }
        facts.extend(value.map(|value| Fact { number: 0, item: None, value }));
        self.walk.facts = facts;
    }

    /// The members whose values are noted.
    fn noted(&self) -> &'static Members {
        if self.handed { &self.rules.handed } else { &self.rules.noted }
    }

    fn resource_type<A: MapAccess<'a>>(&mut self, object: &mut A) -> Result<(), A::Error> {
        if self.seen.resource_type {
            let message = "resourceType is given more than once.";
            self.walk.issue(IssueCode::Structure, message);
        }
        self.seen.resource_type = true;
        object.next_value::<IgnoredAny>().map(|_| ())
    }

    /// Notes a member as seen, and says so if it may not be there again.
    fn count(&mut self, index: usize, element: &'static Element, beside: bool) {
        let seen = &mut self.seen;
        let known = Seen::has(&seen.members, index) || Seen::has(&seen.beside, index);
        let words = if beside { &mut seen.beside } else { &mut seen.members };
        let again = Seen::again(words, index);
        let slot = 1 << element.slot;
        let other_form = !known && seen.slots & slot != 0;
        seen.slots |= slot;
        if again {
            let message = format!("{} is given more than once.", element.name);
            self.walk.issue_at(element.element, IssueCode::Structure, message);
        }
        if other_form {
            let message = format!("Only one form of {}[x] may be given.", element.element);
            self.walk.issue_at(element.element, IssueCode::Structure, message);
        }
    }

    fn member<A: MapAccess<'a>>(
        &mut self,
        index: usize,
        element: &'static Element,
        beside: bool,
        at: At,
        object: &mut A,
    ) -> Result<(), A::Error> {
        let primitive =
            matches!(element.data_type, DataType::Primitive(p) if p != Primitive::Xhtml);
        if beside && !primitive {
            let message =
                "Only a primitive element may have a member that begins with an underscore.";
            self.walk.issue(IssueCode::Structure, message);
            return object.next_value::<IgnoredAny>().map(|_| ());
        }
        if matches!(element.data_type, DataType::Resource) && !element.many {
            let raw: &'a RawValue = object.next_value()?;
            return self.inside(index, raw);
        }
        let value = self.value(index, element, beside, at);
        object.next_value_seed(value).map(|_| ())
    }

    /// A resource that is the value of a member.
    fn inside<E: Error>(&mut self, index: usize, raw: &'a RawValue) -> Result<(), E> {
        let Known { resource_type, version } = self.walk.inner(raw, Place::Inside)?;
        if let Some(resource_type) = resource_type.filter(|_| self.noted().has(index)) {
            let value = Noted::Resource { resource_type, version };
            self.walk.facts.push(Fact { number: index, item: None, value });
        }
        Ok(())
    }

    /// A name with escapes does not tell where its value is, so the value is cut out first.
    #[cold]
    fn member_with_escaped_name<A: MapAccess<'a>>(
        &mut self,
        index: usize,
        element: &'static Element,
        beside: bool,
        object: &mut A,
    ) -> Result<(), A::Error> {
        let raw: &'a RawValue = object.next_value()?;
        let at = At::Value(self.walk.offset(raw.get()));
        let mut parser = serde_json::Deserializer::from_str(raw.get());
        let one = Renamed { object: self, index, element, beside, at };
        let read = one.read(&mut parser, raw);
        read.map_err(|error| {
            let malformed = self.walk.stop(raw.get(), &error);
            self.walk.stop_with(malformed)
        })
    }

    fn value(
        &mut self,
        index: usize,
        element: &'static Element,
        beside: bool,
        at: At,
    ) -> Value<'_, 'a> {
        let data_type = if beside { beside_primitive() } else { element.data_type };
        let refers = self.definition.is_reference && element.name == "reference";
        Value {
            element,
            data_type,
            beside,
            many: element.many,
            number: index,
            index: None,
            at,
            refers: refers.then_some(self.targets),
            noted: !beside && self.noted().has(index),
            place: self.place,
            walk: self.walk,
        }
    }

    #[cold]
    fn unknown(&mut self, key: &str) {
        let name = self.definition.name;
        let message =
            if key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                format!("{name} has no element {key}.")
            } else {
                format!("{name} has no element of a name given here.")
            };
        self.walk.issue(IssueCode::Structure, message);
    }

    fn missing(&mut self) {
        if self.seen.count == 0 {
            let message = "An object may not be empty.";
            self.walk.issue(IssueCode::Structure, message);
        }
        let missing = self.definition.required & !self.seen.slots;
        if missing != 0 {
            for (slot, name) in self.definition.slots.iter().enumerate() {
                if missing & (1 << slot) != 0 {
                    let message = format!("{name} is required.");
                    self.walk.issue_at(name, IssueCode::Required, message);
                }
            }
        }
        if self.place == Some(Place::Contained) {
            self.contained();
        }
    }

    /// <https://hl7.org/fhir/R4/references.html#contained>
    fn contained(&mut self) {
        let has = |name| {
            let found = self.definition.element(name);
            found.is_some_and(|(index, _)| Seen::has(&self.seen.members, index))
        };
        let (id, contained) = (has("id"), has("contained"));
        if !id {
            let message = "A contained resource needs an id, to be referred to by.";
            self.walk.issue_at("id", IssueCode::Required, message);
        }
        if contained {
            let message = "A contained resource may not contain others.";
            self.walk.issue_at("contained", IssueCode::Invariant, message);
        }
    }
}

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, object: A) -> Result<(), A::Error> {
        self.members(object).map(|_| ())
    }
}
