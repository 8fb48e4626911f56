//! A JSON tree that borrows from its text; read for search values, never written back.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value. Numbers keep the digits they were written with.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number's text: `1.00` stays `1.00`.
    Number(Cow<'a, str>),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Tree<'a>>),
    /// An object's members in their order.
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// Reads JSON text. Nesting is bounded by the parser at 128.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_slice(text);
        let value = Value { text, key_end: None };
        let tree = value.deserialize(&mut parser)?;
        parser.end()?;
        Ok(tree)
    }

    /// The member of that name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter().find(|(key, _)| key.as_ref() == name);
        found.map(|(_, value)| value)
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the string member of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The items of an array; a value that is none counts as one item, and `null` as no item.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            Self::Null => &[],
            one => std::slice::from_ref(one),
        }
    }
}

/// Reads one value. `key_end` is where the member's name ended, so that a number's text can be found again.
#[derive(Clone, Copy)]
struct Value<'a> {
    text: &'a [u8],
    key_end: Option<usize>,
}

impl<'a> Value<'a> {
    /// The number as it was written, or as it was read if its place is not known.
    fn number(self, read: impl fmt::Display) -> Tree<'a> {
        let written = self.key_end.and_then(|end| self.number_after(end));
        let text = written.map_or_else(|| Cow::Owned(read.to_string()), Cow::Borrowed);
        Tree::Number(text)
    }

    fn number_after(self, key_end: usize) -> Option<&'a str> {
        let rest = self.text.get(key_end..)?.strip_prefix(b"\"")?;
        let rest = rest.trim_ascii_start().strip_prefix(b":")?;
        let rest = rest.trim_ascii_start();
        let digit = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
        let end = rest.iter().position(|b| !digit(b)).unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end]).ok()
    }

    /// Where a key that lies in the text ends.
    fn end_of(self, key: &'a str) -> usize {
        key.as_ptr().addr() - self.text.as_ptr().addr() + key.len()
    }
}

impl<'a> DeserializeSeed<'a> for Value<'a> {
    type Value = Tree<'a>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Tree<'a>, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Value<'a> {
    type Value = Tree<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree<'a>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'a>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree<'a>, E> {
        Ok(self.number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree<'a>, E> {
        Ok(self.number(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree<'a>, E> {
        Ok(self.number(value))
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<Tree<'a>, E> {
        Ok(Tree::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree<'a>, E> {
        Ok(Tree::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<Tree<'a>, A::Error> {
        let mut items = Vec::new();
        let item = Self { key_end: None, ..self };
        while let Some(item) = array.next_element_seed(item)? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<Tree<'a>, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some(key) = object.next_key_seed(Key)? {
            let key_end = match &key {
                Cow::Borrowed(key) => Some(self.end_of(key)),
                Cow::Owned(_) => None,
            };
            let value = object.next_value_seed(Self { key_end, ..self })?;
            members.push((key, value));
        }
        Ok(Tree::Object(members))
    }
}

/// A member's name: borrowed unless it is escaped.
pub(crate) struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let text = br#"{"a" : 1.00, "b":8.4e1,"c":123456789012345678901234567890.10,"d":-0, "e":[1,2.50]}"#;
        let tree = Tree::parse(text).unwrap();
        let number = |name| match tree.get(name) {
            Some(Tree::Number(text)) => text.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(number("a"), "1.00");
        assert_eq!(number("b"), "8.4e1");
        assert_eq!(number("c"), "123456789012345678901234567890.10");
        assert_eq!(number("d"), "-0");
        let Some([first, _]) = tree.get("e").map(Tree::items) else { panic!("two items") };
        assert_eq!(*first, Tree::Number("1".into()));
    }

    #[test]
    fn escapes_are_undone_and_plain_strings_borrowed() {
        let tree = Tree::parse(br#"{"a\u0062":"x\ny","c":"z","d":[],"e":null}"#).unwrap();
        assert_eq!(tree.text("ab"), Some("x\ny"));
        assert!(matches!(tree.get("c"), Some(Tree::String(Cow::Borrowed("z")))));
        assert_eq!(tree.get("e").map(Tree::items), Some(&[][..]));
        assert!(tree.get("nothing").is_none());
        assert!(Tree::parse(b"{}x").is_err());
        assert!(Tree::parse("[".repeat(1_000_000).as_bytes()).is_err());
    }
}
