//! How each data type is read. <https://hl7.org/fhir/R4/datatypes.html>

use std::borrow::Cow;

use super::value::{IdentifierValue, PeriodValue, QuantityValue, ReferenceValue, Value};
use crate::definitions::{Leaf, Term};
use crate::tree::Tree;

/// The parts of a HumanName and of an Address that are searched.
const NAME_PARTS: [&str; 5] = ["family", "given", "prefix", "suffix", "text"];
const ADDRESS_PARTS: [&str; 7] =
    ["line", "city", "district", "state", "postalCode", "country", "text"];

/// Adds what `node` holds to `found`; nothing if it does not hold what the term says.
pub(super) fn read<'t>(term: &Term, node: &'t Tree<'t>, found: &mut Vec<Value<'t>>) {
    match term.leaf {
        Leaf::CodeableConcept => concept(node, found),
        Leaf::Identifier => identifier(node, found),
        Leaf::HumanName => parts(node, &NAME_PARTS, found),
        Leaf::Address => parts(node, &ADDRESS_PARTS, found),
        Leaf::Truth | Leaf::Context => {}
        _ => found.extend(single(term, node)),
    }
}

/// Those data types that hold one value.
fn single<'t>(term: &Term, node: &'t Tree<'t>) -> Option<Value<'t>> {
    Some(match term.leaf {
        Leaf::Coding => coding(node)?,
        Leaf::Code => Value::Code { system: term.system, code: token(node)? },
        Leaf::ContactPoint => Value::ContactPoint {
            system: node.text("system"),
            usage: node.text("use"),
            value: node.text("value")?,
        },
        Leaf::Reference => Value::Reference(reference(node)?),
        Leaf::Resource => Value::Reference(inner(node)?),
        Leaf::Canonical => Value::Canonical(node.as_str()?),
        Leaf::Date => Value::Date(node.as_str()?),
        Leaf::Instant => Value::Instant(node.as_str()?),
        Leaf::Period => Value::Period(period(node)?),
        Leaf::Timing => timing(node)?,
        Leaf::Quantity => Value::Quantity(quantity(node)?),
        Leaf::Money => Value::Quantity(money(node)?),
        Leaf::Range => range(node)?,
        Leaf::Number => Value::Number(number(node)?),
        Leaf::Text => Value::Text(node.as_str()?),
        Leaf::Uri => Value::Uri(node.as_str()?),
        Leaf::Position => Value::Position {
            latitude: number(node.get("latitude")?)?,
            longitude: number(node.get("longitude")?)?,
        },
        Leaf::CodeableConcept
        | Leaf::Identifier
        | Leaf::HumanName
        | Leaf::Address
        | Leaf::Truth
        | Leaf::Context => return None,
    })
}

fn coding<'t>(node: &'t Tree<'t>) -> Option<Value<'t>> {
    let (system, code) = (node.text("system"), node.text("code"));
    let display = node.text("display");
    let empty = system.is_none() && code.is_none() && display.is_none();
    (!empty).then_some(Value::Coding { system, code, display })
}

fn concept<'t>(node: &'t Tree<'t>, found: &mut Vec<Value<'t>>) {
    let codings = node.get("coding").map_or(&[][..], Tree::items);
    found.extend(codings.iter().filter_map(coding));
    found.extend(node.text("text").map(display_only));
}

fn display_only(text: &str) -> Value<'_> {
    Value::Coding { system: None, code: None, display: Some(text) }
}

fn identifier<'t>(node: &'t Tree<'t>, found: &mut Vec<Value<'t>>) {
    found.extend(identifier_value(node).map(Value::Identifier));
    let Some(kind) = node.get("type") else {
        return;
    };
    found.extend(kind.text("text").map(display_only));
    let Some(value) = node.text("value") else {
        return;
    };
    for coding in kind.get("coding").map_or(&[][..], Tree::items) {
        if let Some(code) = coding.text("code") {
            let system = coding.text("system");
            found.push(Value::TypedIdentifier { system, code, value });
        }
    }
}

fn identifier_value<'t>(node: &'t Tree<'t>) -> Option<IdentifierValue<'t>> {
    let (system, value) = (node.text("system"), node.text("value"));
    (system.is_some() || value.is_some()).then_some(IdentifierValue { system, value })
}

fn parts<'t>(node: &'t Tree<'t>, names: &[&str], found: &mut Vec<Value<'t>>) {
    for part in names.iter().filter_map(|name| node.get(name)) {
        let texts = part.items().iter().filter_map(Tree::as_str);
        found.extend(texts.map(Value::Text));
    }
}

fn token<'t>(node: &'t Tree<'t>) -> Option<&'t str> {
    match node {
        Tree::String(text) => Some(text),
        Tree::Bool(true) => Some("true"),
        Tree::Bool(false) => Some("false"),
        _ => None,
    }
}

fn reference<'t>(node: &'t Tree<'t>) -> Option<ReferenceValue<'t>> {
    let reference = node.text("reference");
    let identifier = node.get("identifier").and_then(identifier_value);
    let anything = reference.is_some() || identifier.is_some();
    anything.then_some(ReferenceValue {
        reference: reference.map(Cow::Borrowed),
        type_name: node.text("type"),
        identifier,
    })
}

/// A resource inside this one, as a reference to it.
fn inner<'t>(node: &'t Tree<'t>) -> Option<ReferenceValue<'t>> {
    let (type_name, id) = (node.text("resourceType")?, node.text("id")?);
    Some(ReferenceValue {
        reference: Some(Cow::Owned(format!("{type_name}/{id}"))),
        type_name: Some(type_name),
        identifier: None,
    })
}

fn period<'t>(node: &'t Tree<'t>) -> Option<PeriodValue<'t>> {
    let (start, end) = (node.text("start"), node.text("end"));
    (start.is_some() || end.is_some()).then_some(PeriodValue { start, end })
}

fn timing<'t>(node: &'t Tree<'t>) -> Option<Value<'t>> {
    let events = node.get("event").map_or(&[][..], Tree::items);
    let events: Vec<_> = events.iter().filter_map(Tree::as_str).collect();
    let bounds = node.get("repeat").and_then(|r| r.get("boundsPeriod"));
    let bounds = bounds.and_then(period);
    (!events.is_empty() || bounds.is_some()).then_some(Value::Timing { events, bounds })
}

fn number<'t>(node: &'t Tree<'t>) -> Option<&'t str> {
    match node {
        Tree::Number(text) => Some(text),
        _ => None,
    }
}

fn quantity<'t>(node: &'t Tree<'t>) -> Option<QuantityValue<'t>> {
    Some(QuantityValue {
        value: number(node.get("value")?)?,
        comparator: node.text("comparator"),
        unit: node.text("unit"),
        system: node.text("system"),
        code: node.text("code"),
    })
}

fn money<'t>(node: &'t Tree<'t>) -> Option<QuantityValue<'t>> {
    Some(QuantityValue {
        value: number(node.get("value")?)?,
        comparator: None,
        unit: None,
        system: Some("urn:iso:std:iso:4217"),
        code: node.text("currency"),
    })
}

fn range<'t>(node: &'t Tree<'t>) -> Option<Value<'t>> {
    let limit = |name| node.get(name).and_then(quantity);
    let (low, high) = (limit("low"), limit("high"));
    (low.is_some() || high.is_some()).then_some(Value::Range { low, high })
}
