//! Where things are in the text: a resource's type before it is read, a string after it was.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::walk::Walk;
use crate::tree::Key;

/// A place from which a member's value can be found again.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// The quote that ends the member's name.
    NameEnd(usize),
    /// The value's first byte.
    Value(usize),
}

impl<'a> Walk<'a> {
    /// The content of a string that the parser could lend us: it lies in the text as it is.
    pub(super) fn span_of(&self, lent: &'a str) -> (usize, usize) {
        let start = self.offset(lent);
        (start, start + lent.len())
    }

    /// The content of a string with escapes, which the parser had to copy: found by reading its value again.
    #[cold]
    pub(super) fn span_again(&self, at: At, index: Option<usize>) -> Option<(usize, usize)> {
        let rest = match at {
            At::Value(start) => self.text.get(start..)?,
            At::NameEnd(end) => {
                let rest = self.text.get(end..)?.strip_prefix('"')?;
                rest.trim_ascii_start().strip_prefix(':')?
            }
        };
        let mut parser = serde_json::Deserializer::from_str(rest);
        let string: &str = match index {
            None => <&RawValue>::deserialize(&mut parser).ok()?.get(),
            Some(index) => {
                let items = <Vec<&RawValue>>::deserialize(&mut parser).ok()?;
                items.get(index)?.get()
            }
        };
        let start = self.offset(string);
        Some((start + 1, start + string.len() - 1))
    }
}

/// The `resourceType` of an object, wherever it stands in it; nothing if it has none that is a string.
///
/// Costs next to nothing where it comes first, as it nearly always does; else the object is skimmed.
pub(super) fn resource_type(text: &str) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    if let Some(first) = first_member(text) {
        return Ok(Some(Cow::Borrowed(first)));
    }
    if !text.trim_ascii_start().starts_with('{') {
        return Ok(None);
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Skim)
}

fn first_member(text: &str) -> Option<&str> {
    let rest = text.trim_ascii_start().strip_prefix('{')?;
    let rest = rest.trim_ascii_start().strip_prefix("\"resourceType\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(':')?;
    let rest = rest.trim_ascii_start().strip_prefix('"')?;
    let end = rest.bytes().position(|b| !b.is_ascii_alphanumeric())?;
    rest[end..].starts_with('"').then_some(&rest[..end])
}

/// Reads an object for its `resourceType` alone.
struct Skim;

impl<'a> Visitor<'a> for Skim {
    type Value = Option<Cow<'a, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = object.next_key_seed(Key)? {
            if key == "resourceType" && found.is_none() {
                let value: &RawValue = object.next_value()?;
                found = serde_json::from_str(value.get()).ok().map(Cow::Owned);
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
