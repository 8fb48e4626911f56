//! A JSON tree that borrows from its text: read for search values, edited by a patch, written back.
//!
//! Numbers are kept as text and members in their order, so that what is not edited comes back as it was. Only
//! white space and the spelling of escapes within strings may differ.
//!
//! | room | what it does |
//! |---|---|
//! | `read` | walks JSON text and lends its pieces |

mod read;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use crate::json::push_string;
pub(crate) use read::{Fault, Reader};

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
    /// Reads JSON text. Nesting is bounded at 128.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        let read = || {
            let mut reader = Reader::new(text)?;
            let tree = reader.tree()?;
            reader.end()?;
            Ok(tree)
        };
        read().map_err(|fault: Fault| fault.explain(text))
    }

    /// Appends the tree as JSON text without white space.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::String(text) => push_string(out, text),
            Self::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    push_string(out, name);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The member of that name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter().find(|(key, _)| key.as_ref() == name);
        found.map(|(_, value)| value)
    }

    /// As [`Tree::get`], to be edited.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter_mut().find(|(key, _)| key.as_ref() == name);
        found.map(|(_, value)| value)
    }

    /// Gives an object's member a value: in its place if it is there, at the end if it is not.
    ///
    /// Nothing happens to what is not an object.
    pub fn set(&mut self, name: Cow<'a, str>, value: Self) {
        let Self::Object(members) = self else {
            return;
        };
        match members.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => members.push((name, value)),
        }
    }

    /// Takes the member of that name out of an object.
    pub fn remove(&mut self, name: &str) -> Option<Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let place = members.iter().position(|(key, _)| key.as_ref() == name)?;
        Some(members.remove(place).1)
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
        let text = br#"{"a" : 1.00, "b":8.4e1,"c":123456789012345678901234567890.10,"d":-0, "e":[1,2.50,[1E5]],"\u0066":0.10}"#;
        let tree = Tree::parse(text).unwrap();
        let number = |name| match tree.get(name) {
            Some(Tree::Number(text)) => text.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(number("a"), "1.00");
        assert_eq!(number("b"), "8.4e1");
        assert_eq!(number("c"), "123456789012345678901234567890.10");
        assert_eq!(number("d"), "-0");
        assert_eq!(number("f"), "0.10");
        let number = |text: &'static str| Tree::Number(text.into());
        let items = [number("1"), number("2.50"), Tree::Array(vec![number("1E5")])];
        assert_eq!(tree.get("e").map(Tree::items), Some(&items[..]));
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let text = r#"{"b":[1.00,-0,2e+7,[],{}],"a":{"x":"é\"\\\n","x":null},"t":true,"f":false}"#;
        let mut out = Vec::new();
        Tree::parse(text.as_bytes()).unwrap().write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn members_are_set_in_their_place_and_taken_out() {
        let mut tree = Tree::parse(br#"{"a":1,"b":{"c":2}}"#).unwrap();
        tree.set("a".into(), Tree::Bool(true));
        tree.get_mut("b").unwrap().set("d".into(), Tree::Null);
        assert_eq!(tree.get_mut("b").unwrap().remove("c"), Some(Tree::Number("2".into())));
        assert_eq!(tree.remove("z"), None);
        let mut out = Vec::new();
        tree.write(&mut out);
        assert_eq!(out, br#"{"a":true,"b":{"d":null}}"#);
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_goes_wrong() {
        for (text, place) in [
            ("", (1, 1)),
            ("{\n\"a\":01}", (2, 6)),
            ("[1,]", (1, 4)),
            ("[1.]", (1, 4)),
            ("[1e]", (1, 4)),
            ("[-]", (1, 3)),
            ("[+1]", (1, 2)),
            ("{\"a\" 1}", (1, 6)),
            ("{a:1}", (1, 2)),
            ("{\"a\":1,}", (1, 8)),
            ("[\"a\nb\"]", (1, 4)),
            ("[\"a", (1, 4)),
            ("[\"a\\\"]", (1, 7)),
            ("[\"\\x\"]", (1, 2)),
            ("[\"\\ud800\"]", (1, 2)),
            ("[nul]", (1, 2)),
            ("[1 2]", (1, 4)),
            ("1 2", (1, 3)),
        ] {
            let error = Tree::parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.line(), error.column()), place, "{text} {error}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
        }
        assert!(Tree::parse(b"[\"\xff\"]").is_err());
    }

    proptest::proptest! {
        #[test]
        fn the_same_texts_are_read_as_by_serde_json(text in "[\\[\\]{}:,\" 0-3.eE+\\-tfna\\\\]{0,12}|\\[[0-9.eE+-]{1,6}\\]") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let large = theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
            let ours = Tree::parse(text.as_bytes());
            proptest::prop_assert_eq!(ours.is_ok(), theirs.is_ok() || large, "{}", text);
        }
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
