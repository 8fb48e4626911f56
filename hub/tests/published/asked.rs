//! From a value that a resource has to the questions that find it.

use fhir::definitions::{ParameterKind, SearchParameter};
use fhir::path::value::{IdentifierValue, PeriodValue, QuantityValue, ReferenceValue};
use fhir::path::{Value, composites, values};
use fhir::tree::Tree;

/// Letters of a text that are asked for.
const LETTERS: usize = 60;

/// A question about one value: a modifier with its colon or nothing, and what is asked of the value,
/// each a parameter of its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    pub modifier: &'static str,
    pub values: Vec<String>,
}

/// The questions about a parameter that each find a resource.
pub(super) fn questions(parameter: &SearchParameter, resource: &Tree<'_>) -> Vec<Question> {
    let mut questions = Vec::new();
    if parameter.kind == ParameterKind::Composite {
        for element in composites(parameter, resource) {
            questions.extend(pair(&element));
        }
    } else {
        for value in values(parameter, resource) {
            questions.extend(of(&value));
        }
    }
    let mut fresh = Vec::new();
    for question in questions {
        if !fresh.contains(&question) {
            fresh.push(question);
        }
    }
    fresh
}

/// A question of this kind that finds nothing.
pub(super) fn vain(parameter: &SearchParameter) -> String {
    let of_kind = |kind| match kind {
        ParameterKind::Date => "1001-01-01",
        ParameterKind::Number | ParameterKind::Quantity => "-987654.321",
        ParameterKind::Special => "-89|-179|1|m",
        _ => "urn:no:such",
    };
    match parameter.components.as_slice() {
        [] => of_kind(parameter.kind).to_owned(),
        all => all.iter().map(|c| of_kind(c.kind)).collect::<Vec<_>>().join("$"),
    }
}

/// `first$second`
fn pair(element: &[Vec<Value<'_>>]) -> Option<Question> {
    let [first, second] = element else { return None };
    let plain = |found: &[Value<'_>]| {
        let mut questions =
            found.iter().flat_map(of).filter(|question| question.modifier.is_empty());
        questions.next().map(|question| question.values[0].clone())
    };
    Some(asked("", format!("{}${}", plain(first)?, plain(second)?)))
}

fn asked(modifier: &'static str, value: String) -> Question {
    Question { modifier, values: vec![value] }
}

fn of(value: &Value<'_>) -> Vec<Question> {
    match value {
        Value::Coding { system, code, display } => coding(*system, *code, *display),
        Value::Code { system, code } => coding(*system, Some(code), None),
        Value::Identifier(identifier) => vec![asked("", identified(identifier))],
        Value::TypedIdentifier { system, code, value } => {
            let parts = [system.unwrap_or_default(), code, value].map(escaped);
            vec![asked(":of-type", parts.join("|"))]
        }
        Value::ContactPoint { value, .. } => vec![asked("", escaped(value))],
        Value::Reference(reference) => references(reference),
        // What is contained is no resource of its own.
        Value::Canonical(url) if url.starts_with('#') => Vec::new(),
        Value::Canonical(url) | Value::Uri(url) => vec![asked("", escaped(url))],
        Value::Date(date) | Value::Instant(date) => vec![asked("", (*date).to_owned())],
        Value::Period(period) => vec![within(period)],
        Value::Timing { events, bounds } => {
            let mut questions: Vec<_> = bounds.iter().map(within).collect();
            questions.extend(events.first().map(|event| asked("", format!("ge{event}"))));
            questions
        }
        Value::Quantity(quantity) => vec![asked("", amount(quantity))],
        Value::Range { low, high } => {
            let low = low.as_ref().map(|low| format!("ge{}", amount(low)));
            let high = high.as_ref().map(|high| format!("le{}", amount(high)));
            let values = low.into_iter().chain(high).collect();
            vec![Question { modifier: "", values }]
        }
        Value::Number(number) => vec![asked("", (*number).to_owned())],
        Value::Text(text) => texts(text),
        Value::Position { latitude, longitude } => {
            vec![asked("", format!("{latitude}|{longitude}|10|m"))]
        }
    }
}

fn coding(system: Option<&str>, code: Option<&str>, display: Option<&str>) -> Vec<Question> {
    let mut questions = Vec::new();
    let code = code.map(escaped);
    questions.extend(code.iter().map(|code| asked("", code.clone())));
    if let Some(system) = system {
        let code = code.unwrap_or_default();
        questions.push(asked("", format!("{}|{code}", escaped(system))));
    }
    questions.extend(display.map(|display| asked(":text", beginning(display))));
    questions
}

fn identified(identifier: &IdentifierValue<'_>) -> String {
    let value = escaped(identifier.value.unwrap_or_default());
    identifier.system.map_or_else(|| value.clone(), |system| format!("{}|{value}", escaped(system)))
}

fn references(reference: &ReferenceValue<'_>) -> Vec<Question> {
    let mut questions = Vec::new();
    // What is contained is no resource of its own.
    let own = reference.reference.as_deref().filter(|text| !text.starts_with('#'));
    questions.extend(own.map(|text| asked("", escaped(text))));
    let by = reference.identifier.as_ref();
    questions.extend(by.map(|identifier| asked(":identifier", identified(identifier))));
    questions
}

/// Neither end is outside what is asked.
fn within(period: &PeriodValue<'_>) -> Question {
    let start = period.start.map(|start| format!("ge{start}"));
    let end = period.end.map(|end| format!("le{end}"));
    Question { modifier: "", values: start.into_iter().chain(end).collect() }
}

fn amount(quantity: &QuantityValue<'_>) -> String {
    let prefix = match quantity.comparator {
        Some("<" | "<=") => "le",
        Some(">" | ">=") => "ge",
        _ => "",
    };
    let number = format!("{prefix}{}", quantity.value);
    match (quantity.system, quantity.code, quantity.unit) {
        (Some(system), Some(code), _) => format!("{number}|{}|{}", escaped(system), escaped(code)),
        (_, Some(name), _) | (_, None, Some(name)) => format!("{number}||{}", escaped(name)),
        _ => number,
    }
}

fn texts(text: &str) -> Vec<Question> {
    let mut questions = vec![asked("", beginning(text))];
    if text.chars().count() <= LETTERS {
        questions.push(asked(":exact", escaped(text)));
    }
    questions
}

fn beginning(text: &str) -> String {
    escaped(&text.chars().take(LETTERS).collect::<String>())
}

/// <https://hl7.org/fhir/R4/search.html#escaping>
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | '|' | '$' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
