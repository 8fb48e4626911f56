//! A generated query: SQL text and its arguments, the same for both engines but for how they call an
//! argument.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::write::Version;

/// From so many arguments on, a query takes long to be planned, whatever it finds.
const ARGUMENTS_SHORT_MAX: usize = 500;

/// The lanes of the audit trail, whose index is asked for each and for nothing between.
pub(super) const LANES: &str = "WITH RECURSIVE known (lane) AS (SELECT min(lane) FROM audit UNION ALL \
                                SELECT (SELECT min(lane) FROM audit WHERE lane > known.lane) \
                                FROM known WHERE known.lane IS NOT NULL) \
                                SELECT lane FROM known WHERE lane IS NOT NULL";

/// An argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// A number.
    Number(i64),
    /// A number that is no whole one.
    Real(f64),
    /// A text.
    Text(String),
}

/// SQL and its arguments. Only this type carries generated SQL, and only names fixed in this crate
/// are ever put into its text: values are arguments.
#[derive(Debug, Clone, Default)]
pub struct Query {
    sql: String,
    arguments: Vec<Argument>,
    long: bool,
}

impl Query {
    /// The text, with `?1`, `?2`, … for its arguments. SQLite takes `$1` for a name, and compares each
    /// name with all before it.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The text for PostgreSQL, with `$1`, `$2`, … for its arguments.
    pub fn postgres_sql(&self) -> String {
        self.sql.replace('?', "$")
    }

    /// The arguments, in order.
    pub fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    /// Whether it may take so long that it must not run on a thread that others wait for.
    pub fn is_long(&self) -> bool {
        self.long || self.arguments.len() > ARGUMENTS_SHORT_MAX
    }

    /// Notes that it may take long.
    pub fn mark_long(&mut self) {
        self.long = true;
    }

    /// Appends SQL.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends the placeholder of a number.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.argument(Argument::Number(number))
    }

    /// Appends the placeholder of a number that is no whole one.
    pub fn real(&mut self, number: f64) -> &mut Self {
        self.argument(Argument::Real(number))
    }

    /// Appends the placeholder of a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.argument(Argument::Text(text.to_owned()))
    }

    /// Appends a list of placeholders in parentheses.
    pub fn numbers(&mut self, numbers: &[i64]) -> &mut Self {
        self.push("(");
        for (place, number) in numbers.iter().enumerate() {
            self.push(if place == 0 { "" } else { "," }).number(*number);
        }
        self.push(")")
    }

    /// Appends a list of placeholders of texts in parentheses.
    pub fn texts(&mut self, texts: &[&str]) -> &mut Self {
        self.push("(");
        for (place, text) in texts.iter().enumerate() {
            self.push(if place == 0 { "" } else { "," }).text(text);
        }
        self.push(")")
    }

    /// Appends the placeholder of a sort value.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Missing => self.push("NULL"),
            Value::Number(number) => self.number(*number),
            Value::Real(real) => self.real(*real),
            Value::Text(text) => self.text(text),
        }
    }

    fn argument(&mut self, argument: Argument) -> &mut Self {
        self.arguments.push(argument);
        let placeholder = format!("?{}", self.arguments.len());
        self.push(&placeholder)
    }
}

/// A resource found by a search.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its key.
    pub key: i64,
    /// The number of its type.
    pub resource_type: i64,
    /// Its id.
    pub id: String,
    /// Its text.
    pub body: Bytes,
    /// The values by which the search is ordered.
    pub order: Vec<Value>,
}

/// A value by which a search is ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// None: it comes last.
    Missing,
    /// A number.
    Number(i64),
    /// A number that is no whole one.
    Real(f64),
    /// A text.
    Text(String),
}

/// A query about some keys.
pub type ByKeys = Box<dyn Fn(&[i64]) -> Query + Send + Sync>;

/// The queries of one page of a walk, asked of one state of the record.
pub struct Step {
    /// What has changed since the page before and matches.
    pub changed: Query,
    /// Of those keys: the versions that were current when the walk began and until they changed.
    pub before: ByKeys,
    /// The page.
    pub page: Query,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("page", &self.page).finish_non_exhaustive()
    }
}

/// What a [`Step`] found.
#[derive(Debug)]
pub struct Stepped {
    /// The state that was asked: see [`super::Store::page`].
    pub mark: String,
    /// What has changed since the page before and matches.
    pub changed: Vec<Found>,
    /// Keys with the versions that were current before.
    pub before: Vec<(i64, Version)>,
    /// The page.
    pub page: Vec<Found>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_up_with_their_arguments() {
        let mut query = Query::default();
        query.push("a = ").text("x").push(" AND b IN ").numbers(&[1, 2]);
        assert_eq!(query.sql(), "a = ?1 AND b IN (?2,?3)");
        assert_eq!(query.postgres_sql(), "a = $1 AND b IN ($2,$3)");
        assert_eq!(query.arguments().len(), 3);
    }

    #[test]
    fn a_page_links_numbers_come_back_bit_for_bit() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        let reals = (0..10_000).map(|_| {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            f64::from_bits(bits)
        });
        for real in [0.1 + 0.2, 5.0, 1e2, f64::MIN_POSITIVE].into_iter().chain(reals) {
            if real.is_finite() {
                let text = serde_json::to_string(&Value::Real(real)).expect("a finite number");
                let back: Value = serde_json::from_str(&text).expect("what was written");
                assert_eq!(back, Value::Real(real), "{text}");
            }
        }
    }
}
