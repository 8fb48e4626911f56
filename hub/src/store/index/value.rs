//! What becomes of a value of each data type. <https://hl7.org/fhir/R4/search.html#table>

use fhir::identifier::PatientNumber;
use fhir::instant::{Interval, OPEN_HIGH, OPEN_LOW};
use fhir::number::Decimal;
use fhir::path::Value;
use fhir::path::value::{IdentifierValue, PeriodValue, QuantityValue};

use super::{Number, Under};
use crate::store::target::{Target, code_key};

/// System and code of what is searched as a token; nothing if it has neither. A coding may have a
/// system alone: `system|` finds it.
pub(super) fn coded<'v>(value: &'v Value<'_>) -> Option<(&'v str, &'v str)> {
    let (system, code) = match value {
        Value::Coding { system, code, .. } => {
            (system.unwrap_or_default(), code.unwrap_or_default())
        }
        Value::Code { system, code } => (system.unwrap_or(""), *code),
        Value::Identifier(identifier) => identified(identifier),
        Value::ContactPoint { value, .. } => ("", *value),
        Value::Uri(uri) => ("", *uri),
        _ => return None,
    };
    (!code.is_empty() || !system.is_empty()).then_some((system, code))
}

pub(super) fn identified<'v>(identifier: &IdentifierValue<'v>) -> (&'v str, &'v str) {
    let system = PatientNumber::canonical_system(identifier.system.unwrap_or(""));
    (system, identifier.value.unwrap_or(""))
}

/// An identifier by its type, as it stands in an index row and in the search for it.
pub fn typed_key(code: &str, value: &str) -> String {
    code_key(&format!("{code}|{value}")).into_owned()
}

/// A stored number is what it says, however precisely; a range is all that it spans.
pub(super) fn number(under: &Under, value: &Value<'_>) -> Option<Number> {
    let of = |unit, low, high| Some(Number { under: under.clone(), unit, low, high });
    let read = |text: &str| Decimal::parse(text).map(|decimal| decimal.value);
    let unit = |q: &QuantityValue<'_>| Target::unit(q.system, q.code, q.unit);
    match value {
        Value::Number(text) => read(text).and_then(|n| of(None, n, n)),
        Value::Quantity(quantity) => {
            let n = read(quantity.value)?;
            let (low, high) = match quantity.comparator {
                Some("<" | "<=") => (f64::MIN, n),
                Some(">" | ">=") => (n, f64::MAX),
                _ => (n, n),
            };
            of(unit(quantity), low, high)
        }
        Value::Range { low, high } => {
            let end = |q: &Option<QuantityValue<'_>>, open| match q {
                Some(quantity) => read(quantity.value),
                None => Some(open),
            };
            let some = low.as_ref().or(high.as_ref())?;
            of(unit(some), end(low, f64::MIN)?, end(high, f64::MAX)?)
        }
        Value::Position { latitude, longitude } => of(None, read(latitude)?, read(longitude)?),
        _ => None,
    }
}

/// The interval that a date value covers; an open end has no limit.
pub(super) fn interval(value: &Value<'_>) -> Option<Interval> {
    match value {
        Value::Date(text) | Value::Instant(text) => Interval::parse(text),
        Value::Period(period) => period_interval(period),
        Value::Timing { events, bounds } => {
            let events = events.iter().filter_map(|event| Interval::parse(event));
            let bounds = bounds.as_ref().and_then(period_interval);
            events
                .chain(bounds)
                .reduce(|a, b| Interval { low: a.low.min(b.low), high: a.high.max(b.high) })
        }
        _ => None,
    }
}

fn period_interval(period: &PeriodValue<'_>) -> Option<Interval> {
    let start = period.start.map(Interval::parse);
    let end = period.end.map(Interval::parse);
    match (start, end) {
        (None, None) | (Some(None), _) | (_, Some(None)) => None,
        (start, end) => Some(Interval {
            low: start.flatten().map_or(OPEN_LOW, |i| i.low),
            high: end.flatten().map_or(OPEN_HIGH, |i| i.high),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_period_has_no_limit_and_a_broken_one_no_interval() {
        let open = PeriodValue { start: Some("2020"), end: None };
        assert_eq!(period_interval(&open).map(|i| i.high), Some(OPEN_HIGH));
        assert_eq!(period_interval(&PeriodValue { start: Some("x"), end: None }), None);
    }
}
