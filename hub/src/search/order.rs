//! The order of the matches, as SQL and as comparison. <https://hl7.org/fhir/R4/search.html#sort>
//!
//! A resource without a value comes last, whatever the direction. Between equals the resource's key
//! decides, in the direction of the first sort key.

use std::cmp::Ordering;

use fhir::definitions::ParameterKind;

use super::predicate::one_of;
use crate::access::View;
use crate::store::index::{Index, NO_CLINICAL_MS, Under};
use crate::store::query::{Query, Value};

/// By what matches are ordered.
#[derive(Debug, Clone)]
pub struct Order {
    /// The sort keys, the first counts most.
    pub keys: Vec<SortKey>,
}

/// One sort key.
#[derive(Debug, Clone)]
pub struct SortKey {
    /// By what.
    pub by: By,
    /// Greatest first.
    pub descending: bool,
}

/// What a resource is ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The type's clinical date.
    Clinical,
    /// `_lastUpdated`
    LastUpdated,
    /// `_id`
    Id,
    /// A parameter, by its numbers.
    Parameter(ParameterKind, Vec<i64>),
}

/// A place in the order of the matches.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The values ordered by.
    pub order: Vec<Value>,
    /// The resource's key.
    pub key: i64,
}

impl Order {
    /// The order of a search that names none: what happened last comes first.
    pub fn newest_first() -> Self {
        Self { keys: vec![SortKey { by: By::Clinical, descending: true }] }
    }

    /// Whether the first key is greatest first.
    pub fn descending(&self) -> bool {
        self.keys.first().is_some_and(|key| key.descending)
    }

    /// The column that an index has in this order, if one has.
    pub fn indexed(&self) -> Option<&'static str> {
        match self.keys.as_slice() {
            [SortKey { by: By::Clinical, .. }] => Some("clinical_ms"),
            [SortKey { by: By::LastUpdated, .. }] => Some("updated"),
            _ => None,
        }
    }

    /// Whether what has no value must be looked for after all else: an index holds it first.
    pub fn has_late_leg(&self) -> bool {
        self.indexed() == Some("clinical_ms") && !self.descending()
    }

    /// Joins that give sort values, as far as a view lets them count: ` LEFT JOIN (…) s1 ON …`.
    pub fn joins(&self, query: &mut Query, view: &View) {
        for (place, SortKey { by, descending }) in self.keys.iter().enumerate() {
            let By::Parameter(ParameterKind::Token | ParameterKind::Uri, numbers) = by else {
                continue;
            };
            // A token's rows are not found by its resource: they are gathered once.
            let least = if *descending { "max" } else { "min" };
            query.push(" LEFT JOIN (SELECT t.key, ").push(least).push("(t.code) AS code FROM ");
            query.push("token t WHERE t.param ");
            one_of(query, numbers);
            view.placed(query, "t", numbers);
            query.push(&format!(" GROUP BY t.key) j{place} ON j{place}.key = r.key"));
        }
    }

    /// The sort values of `r`: `, … AS s0, … AS s1`.
    pub fn columns(&self, query: &mut Query, view: &View) {
        for (place, SortKey { by, descending }) in self.keys.iter().enumerate() {
            query.push(", ");
            let least = if *descending { "max" } else { "min" };
            match by {
                By::Clinical => {
                    query.push("nullif(r.clinical_ms, ").number(NO_CLINICAL_MS).push(")");
                }
                By::LastUpdated => {
                    query.push("r.updated");
                }
                By::Id => {
                    query.push("d.id");
                }
                By::Parameter(ParameterKind::Date, numbers) => {
                    query.push("(SELECT ").push(least).push("(t.low) FROM date t WHERE ");
                    query.push("t.key = r.key AND t.param ");
                    one_of(query, numbers);
                    view.placed(query, "t", numbers);
                    query.push(")");
                }
                By::Parameter(ParameterKind::Number | ParameterKind::Quantity, numbers) => {
                    query.push("(SELECT ").push(least).push("(t.low) FROM number t WHERE ");
                    query.push("t.key = r.key AND t.param ");
                    one_of(query, numbers);
                    view.placed(query, "t", numbers);
                    query.push(")");
                }
                By::Parameter(ParameterKind::Token | ParameterKind::Uri, _) => {
                    query.push(&format!("j{place}.code"));
                }
                By::Parameter(_, numbers) => {
                    query.push("(SELECT ").push(least).push("(e.id) FROM reference t ");
                    query.push("JOIN directory e ON e.key = t.target ");
                    query.push("WHERE t.key = r.key AND t.param ");
                    one_of(query, numbers);
                    view.placed(query, "t", numbers);
                    query.push(")");
                }
            }
            query.push(&format!(" AS s{place}"));
        }
    }

    /// ` ORDER BY …` over the columns of `m`.
    pub fn order_by(&self, query: &mut Query) {
        query.push(" ORDER BY ");
        for (place, SortKey { descending, .. }) in self.keys.iter().enumerate() {
            let direction = direction(*descending);
            query.push(&format!("(m.s{place} IS NULL), m.s{place} {direction}, "));
        }
        query.push("m.key ").push(direction(self.descending()));
    }

    /// Only what comes after a place: a condition over the columns of `m`.
    pub fn after(&self, query: &mut Query, after: &Position) {
        for (place, (key, value)) in self.keys.iter().zip(&after.order).enumerate() {
            let column = format!("m.s{place}");
            query.push("(");
            if *value != Value::Missing {
                query.push(&column).push(if key.descending { " < " } else { " > " });
                query.value(value).push(" OR ").push(&column).push(" IS NULL OR ");
            }
            query.push(&column);
            match value {
                Value::Missing => query.push(" IS NULL AND "),
                value => query.push(" = ").value(value).push(" AND "),
            };
        }
        query.push("m.key ").push(if self.descending() { "< " } else { "> " }).number(after.key);
        query.push(&")".repeat(self.keys.len()));
    }

    /// Whether a resource with these values has its place after `position`.
    pub fn is_after(&self, order: &[Value], key: i64, position: &Position) -> bool {
        for ((sort, a), b) in self.keys.iter().zip(order).zip(&position.order) {
            let ordering = compare(a, b);
            let missing = *a == Value::Missing || *b == Value::Missing;
            let ordering = if sort.descending && !missing { ordering.reverse() } else { ordering };
            if ordering.is_ne() {
                return ordering.is_gt();
            }
        }
        let ordering = key.cmp(&position.key);
        if self.descending() { ordering.is_lt() } else { ordering.is_gt() }
    }

    /// The sort values of a resource as its index has them.
    pub fn values(&self, index: &Index, id: &str, updated: i64) -> Vec<Value> {
        self.keys.iter().map(|key| key.value(index, id, updated)).collect()
    }
}

impl SortKey {
    fn value(&self, index: &Index, id: &str, updated: i64) -> Value {
        match &self.by {
            By::Clinical if index.clinical_ms == NO_CLINICAL_MS => Value::Missing,
            By::Clinical => Value::Number(index.clinical_ms),
            By::LastUpdated => Value::Number(updated),
            By::Id => Value::Text(id.to_owned()),
            By::Parameter(kind, numbers) => {
                let own =
                    |under: &Under| matches!(under, Under::Parameter(n) if numbers.contains(n));
                let found: Vec<Value> = match kind {
                    ParameterKind::Date => {
                        let own = index.dates.iter().filter(|(under, _)| own(under));
                        own.map(|(_, interval)| Value::Number(interval.low)).collect()
                    }
                    ParameterKind::Number | ParameterKind::Quantity => {
                        let own = index.numbers.iter().filter(|number| own(&number.under));
                        own.map(|number| Value::Real(number.low)).collect()
                    }
                    ParameterKind::Token | ParameterKind::Uri => {
                        let own = index.tokens.iter().filter(|token| own(&token.under));
                        own.map(|token| Value::Text(token.code.clone())).collect()
                    }
                    _ => {
                        let own = index.references.iter().filter(|(under, _)| own(under));
                        own.map(|(_, target)| Value::Text(target.id.clone())).collect()
                    }
                };
                let found = found.into_iter();
                let least =
                    if self.descending { found.max_by(compare) } else { found.min_by(compare) };
                least.unwrap_or(Value::Missing)
            }
        }
    }
}

fn direction(descending: bool) -> &'static str {
    if descending { "DESC" } else { "ASC" }
}

/// Values of one kind in their order, missing ones last.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Missing, Value::Missing) => Ordering::Equal,
        (Value::Missing, _) => Ordering::Greater,
        (_, Value::Missing) => Ordering::Less,
        (a, b) => real(a).total_cmp(&real(b)),
    }
}

fn real(value: &Value) -> f64 {
    match value {
        Value::Real(real) => *real,
        Value::Number(number) => *number as f64,
        Value::Missing | Value::Text(_) => f64::NAN,
    }
}
