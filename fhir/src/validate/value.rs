//! Values: is it the kind of JSON that its element asks for, and well formed?

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::facts::{Fact, Noted};
use super::locate::At;
use super::pairing::Note;
use super::survey::FoundKind;
use super::walk::{Place, Segment, Walk};
use super::{narrative, primitive};
use crate::definitions::{DataType, Element, Primitive, ResourceType, TypeSet};
use crate::outcome::IssueCode;
use crate::reference::{Reference, is_id};

/// The value of one member, or one item of its array.
pub(super) struct Value<'w, 'a> {
    pub(super) walk: &'w mut Walk<'a>,
    pub(super) element: &'static Element,
    /// The element's type, or that of what stands beside a primitive.
    pub(super) data_type: DataType,
    /// Whether this is the member beside a primitive.
    pub(super) beside: bool,
    /// Whether an array is due.
    pub(super) many: bool,
    /// The element's number within its type.
    pub(super) number: usize,
    /// Which item of the array this is.
    pub(super) index: Option<usize>,
    pub(super) at: At,
    /// What this may refer to, if it is a `Reference.reference`.
    pub(super) refers: Option<TypeSet>,
    /// Whether a rule asks for it.
    pub(super) noted: bool,
    /// Where the resource stands that this is a member of, if it is one's.
    pub(super) place: Option<Place>,
}

/// Whether a value was `null`: only the array around it can tell if that was right.
type WasNull = bool;

impl<'a> Value<'_, 'a> {
    fn wrong(&mut self, message: impl Into<String>) {
        self.walk.issue(IssueCode::Value, message);
    }

    /// Before any value that is not an array.
    fn single(&mut self) {
        if self.many {
            let message = format!("{} repeats, so it must be a JSON array.", self.element.name);
            self.walk.issue(IssueCode::Structure, message);
        }
    }

    /// A rule asks for this value.
    fn note(&mut self, value: Noted<'a>) {
        self.walk.facts.push(Fact { number: self.number, item: self.index, value });
    }

    /// A number or boolean; `fits` says whether the primitive type takes it.
    fn literal(mut self, what: &str, value: Noted<'a>, fits: impl Fn(Primitive) -> bool) {
        self.single();
        if self.noted {
            self.note(value);
        }
        match self.data_type {
            DataType::Primitive(expected) if fits(expected) => {}
            DataType::Primitive(expected) => {
                let message = primitive::expected(expected);
                self.wrong(format!("{message}; this {what} is not."));
            }
            _ => self.not_an_object(what),
        }
    }

    fn not_an_object(&mut self, what: &str) {
        let message = format!("This must be a JSON object, not a {what}.");
        self.walk.issue(IssueCode::Structure, message);
    }

    /// A string: `lent` if it lies in the text as it is, without escapes.
    fn string(mut self, text: &str, lent: Option<&'a str>) {
        self.single();
        let DataType::Primitive(expected) = self.data_type else {
            self.not_an_object("string");
            return;
        };
        if text.is_empty() {
            self.wrong("A string may not be empty.");
            return;
        }
        if lent.is_none() && text.bytes().any(|b| b < 0x20 && !b"\t\r\n".contains(&b)) {
            self.wrong("A string may not hold control characters.");
        }
        let own = || lent.map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed);
        match (primitive::fault(expected, text), self.element.value_set) {
            (Some(fault), _) => self.wrong(fault),
            (None, Some(set)) if !set.definition().has_code(text) => {
                let set = set.definition().name;
                let message = format!("This code is not of the value set {set}, as it must be.");
                self.walk.issue(IssueCode::CodeInvalid, message);
            }
            _ => {}
        }
        if self.noted {
            self.note(Noted::Text(own()));
        }
        match expected {
            Primitive::Uri | Primitive::Url | Primitive::Canonical if text.starts_with('#') => {
                let lent = lent.and_then(|lent| lent.strip_prefix('#'));
                let target = lent.map_or_else(|| Cow::Owned(text[1..].to_owned()), Cow::Borrowed);
                self.walk.refer(target, false);
            }
            Primitive::Uri | Primitive::Url | Primitive::Oid | Primitive::Uuid
                if text.starts_with("urn:") || is_restful(text) =>
            {
                self.found(lent, FoundKind::Uri);
            }
            Primitive::Xhtml => self.narrative(text, lent),
            Primitive::Id => self.walk.id(self.element.name, own),
            Primitive::String => self.reference(text, lent),
            _ => {}
        }
    }

    fn found(&mut self, lent: Option<&'a str>, kind: FoundKind) {
        let span = match lent {
            Some(lent) => Some(self.walk.span_of(lent)),
            None => self.walk.span_again(self.at, self.index),
        };
        self.walk.found(span, kind);
    }

    fn narrative(&mut self, text: &str, lent: Option<&'a str>) {
        if let Some(fault) = narrative::fault(text) {
            self.walk.issue(IssueCode::Invariant, fault);
        }
        if text.contains("urn:") || text.contains("://") {
            self.found(lent, FoundKind::Narrative);
        }
    }

    /// A `Reference.reference`, if this string is one.
    fn reference(&mut self, text: &str, lent: Option<&'a str>) {
        let Some(targets) = self.refers else {
            return;
        };
        self.found(lent, FoundKind::Reference);
        match Reference::parse(text) {
            Reference::Relative { resource_type, .. }
            | Reference::Conditional { resource_type, .. } => match resource_type.parse() {
                Ok(known) if targets.is_empty() || targets.contains(known) => {}
                Ok(known) => {
                    let allowed: Vec<_> = targets.iter().map(ResourceType::as_str).collect();
                    let allowed = allowed.join(", ");
                    self.wrong(format!("This may not refer to a {known}, only to: {allowed}."));
                }
                Err(_) => self.wrong("This refers to a resource type that R4 does not have."),
            },
            // An id alone names no type to check; published UK Core examples have such.
            Reference::Invalid if is_id(text) => {}
            Reference::Invalid => self.wrong(
                "A reference is Type/id, an absolute URL, or # and the id of a contained resource.",
            ),
            Reference::Contained(target) => {
                let lent = lent.and_then(|lent| lent.strip_prefix('#'));
                let target = lent.map_or_else(|| Cow::Owned(target.to_owned()), Cow::Borrowed);
                self.walk.refer(target, true);
            }
            Reference::Absolute(_) => {}
        }
    }

    /// Reads an array's items; gives their number and which were null.
    fn items<A: SeqAccess<'a>>(&mut self, array: &mut A) -> Result<(usize, Vec<usize>), A::Error> {
        let (mut index, mut nulls) = (0, Vec::new());
        loop {
            self.walk.path.push(Segment::Index(index));
            let item = match self.data_type {
                DataType::Resource => self.resource(array)?,
                _ => array.next_element_seed(self.item(index))?,
            };
            self.walk.path.pop();
            match item {
                None => return Ok((index, nulls)),
                Some(true) => nulls.push(index),
                Some(false) => {}
            }
            index += 1;
        }
    }

    fn item(&mut self, index: usize) -> Value<'_, 'a> {
        Value { walk: self.walk, many: false, index: Some(index), ..*self }
    }

    fn resource<A: SeqAccess<'a>>(&mut self, array: &mut A) -> Result<Option<WasNull>, A::Error> {
        let Some(raw) = array.next_element::<&'a RawValue>()? else {
            return Ok(None);
        };
        let contained = self.element.name == "contained" && self.place.is_some();
        let place = if contained { Place::Contained } else { Place::Inside };
        self.walk.inner(raw, place)?;
        Ok(Some(false))
    }
}

impl<'a> DeserializeSeed<'a> for Value<'_, 'a> {
    type Value = WasNull;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<WasNull, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Value<'_, 'a> {
    type Value = WasNull;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<WasNull, E> {
        self.string(text, Some(text));
        Ok(false)
    }

    fn visit_str<E>(self, text: &str) -> Result<WasNull, E> {
        self.string(text, None);
        Ok(false)
    }

    fn visit_bool<E>(self, value: bool) -> Result<WasNull, E> {
        self.literal("boolean", Noted::Bool(value), |p| p == Primitive::Boolean);
        Ok(false)
    }

    fn visit_u64<E>(self, value: u64) -> Result<WasNull, E> {
        let takes = |p| primitive::takes_integer(p, i128::from(value));
        self.literal("number", Noted::Number(value as f64), takes);
        Ok(false)
    }

    fn visit_i64<E>(self, value: i64) -> Result<WasNull, E> {
        let takes = |p| primitive::takes_integer(p, i128::from(value));
        self.literal("number", Noted::Number(value as f64), takes);
        Ok(false)
    }

    fn visit_f64<E>(self, value: f64) -> Result<WasNull, E> {
        self.literal("number", Noted::Number(value), |p| p == Primitive::Decimal);
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<WasNull, E> {
        let pairs = self.beside || matches!(self.data_type, DataType::Primitive(_));
        if self.index.is_none() || !pairs {
            let message = "null is not a value: leave the element out.";
            self.walk.issue(IssueCode::Structure, message);
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut array: A) -> Result<WasNull, A::Error> {
        if !self.many {
            let message =
                format!("{} does not repeat, so it must not be a JSON array.", self.element.name);
            self.walk.issue(IssueCode::Structure, message);
            while array.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(false);
        }
        self.walk.enter()?;
        let (length, nulls) = self.items(&mut array)?;
        self.walk.leave();
        if length == 0 {
            let message = "An array may not be empty.";
            self.walk.issue(IssueCode::Structure, message);
        }
        if self.beside || matches!(self.data_type, DataType::Primitive(_)) {
            self.walk.notes.push(Note { number: self.number, beside: self.beside, length, nulls });
        }
        Ok(false)
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut object: A) -> Result<WasNull, A::Error> {
        self.single();
        match self.data_type {
            DataType::Complex(index) => {
                self.complex(index.definition(), object)?;
            }
            DataType::Primitive(expected) => {
                let message = primitive::expected(expected);
                self.wrong(format!("{message}; this object is not."));
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            }
            DataType::Resource => while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {},
        }
        Ok(false)
    }
}

/// Whether a URL is perhaps a resource's: `https://…/Type/id`.
fn is_restful(text: &str) -> bool {
    let mut parts = text.rsplit('/');
    let id = parts.next().is_some_and(is_id);
    let named = parts.next().is_some_and(|part| part.starts_with(|c: char| c.is_ascii_uppercase()));
    id && named && text.starts_with("http")
}
