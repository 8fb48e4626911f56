//! Edits of a pointer's text: members are replaced or added, every other byte that matters stays.

use std::fmt;

use fhir::json::{minify, push_string};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The pointer `received` with what the server sets: its id, its date and when it last changed.
pub(super) fn stamp(received: &str, id: &str, date: &str, last_updated: &str) -> String {
    let meta = member(received, "meta").unwrap_or_else(|| "{}".to_owned());
    let meta = splice(&meta, &[("lastUpdated", quoted(last_updated))]);
    splice(received, &[("id", quoted(id)), ("meta", meta), ("date", quoted(date))])
}

/// `object` with these members (name, JSON text) in place of its own of the same names.
fn splice(object: &str, set: &[(&str, String)]) -> String {
    let members = members(object);
    let mut out = Vec::with_capacity(object.len() + 256);
    let mut push = |name: &str, value: &str| {
        out.push(if out.is_empty() { b'{' } else { b',' });
        push_string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(&minify(value.as_bytes()));
    };
    for (name, value) in &members {
        let new = set.iter().find(|(set, _)| set == name);
        push(name, new.map_or(value.get(), |(_, value)| value));
    }
    for (name, value) in set {
        if !members.iter().any(|(member, _)| member == name) {
            push(name, value);
        }
    }
    out.push(b'}');
    String::from_utf8(out).expect("names and values were UTF-8 and were copied whole")
}

/// The JSON text of one member.
fn member(object: &str, name: &str) -> Option<String> {
    let members = members(object);
    let member = members.iter().find(|(member, _)| member == name);
    member.map(|(_, value)| value.get().to_owned())
}

fn members(object: &str) -> Vec<(String, &RawValue)> {
    let Members(members) = serde_json::from_str(object)
        .expect("only text that was checked to be an object comes here");
    members
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serialises")
}

/// An object's members in the order they were received, their values as text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_sets_replaces_or_follows_what_was_received() {
        let received = r#"{ "id": "old", "z" : [1.00, "a  b"], "meta": {"source":"s"} }"#;
        let expected =
            r#"{"id":"A-1","z":[1.00,"a  b"],"meta":{"source":"s","lastUpdated":"u"},"date":"d"}"#;
        assert_eq!(stamp(received, "A-1", "d", "u"), expected);
    }
}
