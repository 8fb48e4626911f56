//! A JSON tree that keeps what a map would lose: the order of members, and members given twice.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::place::Place;

/// One JSON value. Two trees are equal when every member has the same value in the same place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads JSON text. Nesting beyond 128 levels is an error like any other.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The member of this name; of several, the last.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                let member = members.iter().rev().find(|(key, _)| key == name);
                member.map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The node at a path such as `category[0].coding[0].code`.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, step| {
            let (name, index) = step.split_once('[').unwrap_or((step, ""));
            let child = node.get(name)?;
            match index.strip_suffix(']') {
                None => Some(child),
                Some(index) => child.items().get(index.parse::<usize>().ok()?),
            }
        })
    }

    /// The string at a path.
    pub(crate) fn text_at(&self, path: &str) -> Option<&str> {
        match self.at(path)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of the array at a path; none where there is no array.
    pub(crate) fn items_at(&self, path: &str) -> &[Self] {
        self.at(path).map_or(&[], Self::items)
    }

    fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// Whether this says nothing: null, or an empty string, array or object.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::Array(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
            Self::Bool(_) | Self::Number(_) => false,
        }
    }

    /// Whether any string in this tree contains `word`, whatever its case.
    pub(crate) fn mentions(&self, word: &str) -> bool {
        match self {
            Self::Text(text) => text.to_ascii_lowercase().contains(word),
            Self::Array(items) => items.iter().any(|item| item.mentions(word)),
            Self::Object(members) => members.iter().any(|(_, value)| value.mentions(word)),
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
        }
    }

    /// Paths of members given more than once in one object, whatever their case.
    pub(crate) fn duplicates(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_duplicates(&Place::Start("root"), &mut paths);
        paths
    }

    fn collect_duplicates(&self, place: &Place<'_>, paths: &mut Vec<String>) {
        match self {
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.collect_duplicates(&Place::Item(place, index), paths);
                }
            }
            Self::Object(members) => {
                let mut seen = std::collections::HashSet::with_capacity(members.len());
                for (name, value) in members {
                    let place = Place::Member(place, name);
                    if seen.insert(name.to_lowercase()) {
                        value.collect_duplicates(&place, paths);
                    } else {
                        let path = place.to_string();
                        if !paths.contains(&path) {
                            paths.push(path);
                        }
                    }
                }
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn members_given_twice_are_found_whatever_their_case() {
        let text = br#"{"a":1,"A":2,"b":[{"url":"x","url":"y"}],"c":{"d":1}}"#;
        let node = Node::parse(text).unwrap();
        assert_eq!(node.duplicates(), ["root.A", "root.b[0].url"]);
    }

    #[test]
    fn a_path_leads_to_its_node() {
        let node = Node::parse(br#"{"a":[{"b":"c"}],"d":{"e":"f"}}"#).unwrap();
        assert_eq!(node.text_at("a[0].b"), Some("c"));
        assert_eq!(node.text_at("d.e"), Some("f"));
        assert_eq!(node.text_at("a[1].b"), None);
        assert_eq!(node.text_at("a.b"), None);
    }

    #[test]
    fn a_depth_bomb_is_an_error() {
        assert!(Node::parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
