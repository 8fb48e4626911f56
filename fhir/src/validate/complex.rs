//! Values that are objects: what their holder asks of what they noted.

use serde::de::MapAccess;

use super::facts::{Noted, Read};
use super::object::Object;
use super::value::Value;
use super::walk::Place;
use crate::definitions::{Type, ValueSet};
use crate::outcome::IssueCode;

impl<'a> Value<'_, 'a> {
    /// Reads an object of a known type.
    pub(super) fn complex<A: MapAccess<'a>>(
        &mut self,
        definition: &'static Type,
        object: A,
    ) -> Result<(), A::Error> {
        let start = self.walk.facts.len();
        let bound = self.element.value_set.filter(|_| !self.beside);
        let handed = self.noted || bound.is_some();
        let object =
            Object::element(self.walk, definition, self.element.targets, handed).members(object)?;
        if let Some(set) = bound {
            self.concept(set.definition(), start);
        }
        if self.noted {
            for fact in &mut self.walk.facts[start..] {
                (fact.number, fact.item) = (self.number, self.index);
            }
        } else {
            self.walk.facts.truncate(start);
        }
        if self.place == Some(Place::Contained) && self.element.name == "meta" {
            self.contained_meta(&Read { definition, slots: object, facts: &[] });
        }
        Ok(())
    }

    /// A CodeableConcept of a required binding: the codings noted since `start` are its own.
    fn concept(&mut self, set: &ValueSet, start: usize) {
        let facts = &self.walk.facts[start..];
        let of_set = facts.iter().any(|fact| match &fact.value {
            Noted::Coding { system: Some(system), code: Some(code) } => set.has(system, code),
            _ => false,
        });
        if !of_set {
            let name = set.name;
            let message = format!("A coding of the value set {name} is required here.");
            self.walk.issue(IssueCode::CodeInvalid, message);
        }
    }

    /// What a contained resource's `meta` may not say.
    fn contained_meta(&mut self, meta: &Read<'_, '_>) {
        for (element, key) in
            [("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5")]
        {
            if meta.has(element) {
                let message = format!("A contained resource has no {element} of its own. ({key})");
                self.walk.issue_at(element, IssueCode::Invariant, message);
            }
        }
    }
}
