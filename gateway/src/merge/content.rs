//! Whether two resources say the same: equal content, apart from what each server sets for itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use fhir::reference::Reference;
use serde_json::value::RawValue;

use super::key::Identifier;
use super::names::worldwide;

/// A resource's content in a form that two servers' copies of one fact share: members in order of
/// their names; without `id`, `meta` and `text`; without the ids of local references; identifiers
/// in any order, those that are unique in the world in any case. Numbers keep their text: 1.0 and
/// 1.00 are different measurements.
pub fn canonical(resource: &[u8]) -> Option<Vec<u8>> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(resource).ok()?;
    let mut out = Vec::with_capacity(resource.len());
    for (name, value) in members {
        if !is_servers_own(&name) {
            fhir::json::push_string(&mut out, &name);
            out.extend(written(&name, value)?);
        }
    }
    Some(out)
}

/// One value in that form.
pub fn canonical_value(value: &RawValue) -> Option<String> {
    let mut out = Vec::with_capacity(value.get().len());
    write(&mut out, "", value)?;
    String::from_utf8(out).ok()
}

/// The members in which two resources differ, in order of their names; those that each server sets
/// for itself do not count.
pub fn differences(left: &[u8], right: &[u8]) -> Vec<String> {
    let members = |resource| -> BTreeMap<Cow<'_, str>, &RawValue> {
        serde_json::from_slice(resource).unwrap_or_default()
    };
    let (left, right) = (members(left), members(right));
    let names: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let differs = |name: &&&Cow<'_, str>| {
        let said = |members: &BTreeMap<Cow<'_, str>, &RawValue>| {
            members.get(**name).map(|value| written(name, value))
        };
        !is_servers_own(name) && said(&left) != said(&right)
    };
    names.iter().filter(differs).map(ToString::to_string).collect()
}

fn written(name: &str, value: &RawValue) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.get().len());
    if name == "identifier" {
        write_any_order(&mut out, value)?;
    } else {
        write(&mut out, name, value)?;
    }
    Some(out)
}

fn is_servers_own(name: &str) -> bool {
    matches!(name, "id" | "meta" | "text")
}

fn write_any_order(out: &mut Vec<u8>, value: &RawValue) -> Option<()> {
    if !value.get().starts_with('[') {
        return write(out, "identifier", value);
    }
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    let mut written = Vec::with_capacity(items.len());
    for item in items {
        let mut one = Vec::new();
        write(&mut one, "", item)?;
        let identifier: Option<Identifier<'_>> = serde_json::from_str(item.get()).ok();
        if identifier.is_some_and(|identifier| worldwide(&identifier).is_some()) {
            one.make_ascii_lowercase();
        }
        written.push(one);
    }
    written.sort();
    out.push(b'[');
    out.extend(written.into_iter().flatten());
    out.push(b']');
    Some(())
}

fn write(out: &mut Vec<u8>, name: &str, value: &RawValue) -> Option<()> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'{' => {
            let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).ok()?;
            out.push(b'{');
            for (name, value) in members {
                fhir::json::push_string(out, &name);
                write(out, &name, value)?;
            }
            out.push(b'}');
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            out.push(b'[');
            for item in items {
                write(out, name, item)?;
                out.push(b',');
            }
            out.push(b']');
        }
        b'"' => {
            let string: String = serde_json::from_str(text).ok()?;
            let local = match Reference::parse(&string) {
                Reference::Relative { resource_type, .. } if name == "reference" => {
                    Some(resource_type)
                }
                _ => None,
            };
            fhir::json::push_string(out, local.unwrap_or(&string));
        }
        _ => out.extend_from_slice(text.as_bytes()),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: &str, right: &str) -> bool {
        let (left, right) = (canonical(left.as_bytes()), canonical(right.as_bytes()));
        left.is_some() && left == right
    }

    #[test]
    fn what_a_server_sets_for_itself_does_not_count() {
        assert!(same(
            r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"1"},
                "subject":{"reference":"Patient/1"},"identifier":[{"value":"a"},{"value":"b"}],"status":"final"}"#,
            r#"{"status":"final","resourceType":"Observation","identifier":[{"value":"b"},{"value":"a"}],
                "subject":{"reference":"Patient/x"},"text":{"status":"generated"},"id":"2"}"#,
        ));
    }

    #[test]
    fn everything_else_counts() {
        let base = r#"{"code":{"text":"a"},"valueQuantity":{"value":1.0}}"#;
        for other in [
            r#"{"code":{"text":"a"},"valueQuantity":{"value":1.00}}"#,
            r#"{"code":{"text":"b"},"valueQuantity":{"value":1.0}}"#,
            r#"{"code":{"text":"a"}}"#,
            r#"{"code":{"text":"a"},"valueQuantity":{"value":1.0},"status":"entered-in-error"}"#,
        ] {
            assert!(!same(base, other), "{other}");
        }
        assert!(!same(
            r#"{"subject":{"reference":"Patient/1"}}"#,
            r#"{"subject":{"reference":"Group/1"}}"#
        ));
    }
}
