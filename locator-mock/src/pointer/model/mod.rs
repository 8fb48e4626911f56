//! The model: which members a pointer may have, how often, and what they look like; the tables are in
//! `tables`.
//!
//! The NRL checks this before any other rule and reports every fault by path. Nothing is let in
//! that the tables below do not name; nothing may be empty.

mod tables;

use super::pattern::Pattern;
use super::place::Place;
use super::tree::Node;
use crate::error::Fault;

pub(super) use tables::DOCUMENT_REFERENCE;

/// One member of an object.
#[derive(Debug)]
pub(super) struct Element {
    name: &'static str,
    kind: Kind,
    times: Times,
}

/// What a member holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text(Pattern),
    OneOf(&'static [&'static str]),
    Flag,
    Integer,
    Object(&'static [Element]),
}

/// How often a member stands there.
#[derive(Debug, Clone, Copy)]
enum Times {
    Optional,
    Once,
    Array { required: bool, max: usize },
}

pub(super) const fn optional(name: &'static str, kind: Kind) -> Element {
    Element { name, kind, times: Times::Optional }
}

pub(super) const fn once(name: &'static str, kind: Kind) -> Element {
    Element { name, kind, times: Times::Once }
}

const fn any(name: &'static str, kind: Kind) -> Element {
    Element { name, kind, times: Times::Array { required: false, max: usize::MAX } }
}

pub(super) const fn some(name: &'static str, kind: Kind, max: usize) -> Element {
    Element { name, kind, times: Times::Array { required: true, max } }
}

/// Every object may carry extensions.
static EXTENSIONS: Element = any("extension", Kind::Object(&tables::EXTENSION));

/// Checks `node`, found at `path`, against the model of an object; returns every fault.
pub(super) fn check(path: &str, node: &Node, model: &'static [Element]) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_object(&Place::Start(path), node, model, &mut faults);
    faults
}

fn check_object(
    place: &Place<'_>,
    node: &Node,
    model: &'static [Element],
    faults: &mut Vec<Fault>,
) {
    let Node::Object(members) = node else {
        faults.push(Fault::new(place.to_string(), "Input should be an object"));
        return;
    };
    let empty = empty_members(members);
    if !empty.is_empty() {
        let list = empty.join(", ");
        let message = format!("Value error, The following fields are empty: {list}");
        faults.push(Fault::new(place.to_string(), message));
        return;
    }
    for element in model {
        let place = Place::Member(place, element.name);
        check_element(&place, node.get(element.name), element, faults);
    }
    let known = |name: &str| model.iter().any(|element| element.name == name);
    if !known("extension") {
        let place = Place::Member(place, "extension");
        check_element(&place, node.get("extension"), &EXTENSIONS, faults);
    }
    for (name, _) in members {
        if !known(name) && name != "extension" {
            let place = Place::Member(place, name);
            faults.push(Fault::new(place.to_string(), "Extra inputs are not permitted"));
        }
    }
}

/// Names of members that say nothing, and of items that say nothing.
fn empty_members(members: &[(String, Node)]) -> Vec<String> {
    let mut empty = Vec::new();
    for (name, value) in members {
        if value.is_empty() {
            empty.push(name.clone());
        } else if let Node::Array(items) = value {
            let items = items.iter().enumerate().filter(|(_, item)| item.is_empty());
            empty.extend(items.map(|(index, _)| format!("{name}[{index}]")));
        }
    }
    empty
}

fn check_element(
    place: &Place<'_>,
    value: Option<&Node>,
    element: &Element,
    faults: &mut Vec<Fault>,
) {
    match (value, element.times) {
        (None, Times::Optional | Times::Array { required: false, .. }) => {}
        (None, Times::Once | Times::Array { required: true, .. }) => {
            faults.push(Fault::new(place.to_string(), "Field required"));
        }
        (Some(value), Times::Optional | Times::Once) => {
            check_value(place, value, element.kind, faults);
        }
        (Some(Node::Array(items)), Times::Array { max, .. }) => {
            if items.len() > max {
                let (plural, given) = (if max == 1 { "" } else { "s" }, items.len());
                let message = format!(
                    "List should have at most {max} item{plural} after validation, not {given}"
                );
                faults.push(Fault::new(place.to_string(), message));
                return;
            }
            for (index, item) in items.iter().enumerate() {
                check_value(&Place::Item(place, index), item, element.kind, faults);
            }
        }
        (Some(_), Times::Array { .. }) => {
            faults.push(Fault::new(place.to_string(), "Input should be a valid array"));
        }
    }
}

fn check_value(place: &Place<'_>, value: &Node, kind: Kind, faults: &mut Vec<Fault>) {
    let message = match (kind, value) {
        (Kind::Object(model), _) => return check_object(place, value, model, faults),
        (Kind::Text(pattern), Node::Text(text)) if pattern.matches(text) => return,
        (Kind::Text(pattern), Node::Text(_)) => {
            format!("String should match pattern '{}'", pattern.as_str())
        }
        (Kind::Text(_), _) => "Input should be a valid string".to_owned(),
        (Kind::OneOf(words), Node::Text(text)) if words.contains(&text.as_str()) => return,
        (Kind::OneOf(words), _) => format!("Input should be {}", either(words)),
        (Kind::Flag, Node::Bool(_)) => return,
        (Kind::Flag, _) => "Input should be a valid boolean".to_owned(),
        (Kind::Integer, Node::Number(number)) if number.fract() == 0.0 => return,
        (Kind::Integer, _) => "Input should be a valid integer".to_owned(),
    };
    faults.push(Fault::new(place.to_string(), message));
}

/// `'a'`, `'a' or 'b'`, `'a', 'b' or 'c'`
fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
