//! Conditions as SQL. Only names fixed here are written into the text: values are arguments.
//!
//! | room | what lives there |
//! |---|---|
//! | here | which table a condition asks, as a probe or for its keys |
//! | `keys` | the keys of what is referred to, or of texts |
//! | `value` | a value on an index row |
//! | `number` | a number on an index row, in every unit that may hold it |

mod keys;
mod number;
mod value;

use fhir::instant::Interval;

use super::condition::{Condition, Matching, Table, Test};
use super::grammar::Prefix;
use crate::access::View;
use crate::access::predicate::Rows;
use crate::store::index::NO_CLINICAL_MS;
use crate::store::query::Query;

/// Sorts after every text that goes on from the same beginning.
const LAST: char = '\u{10ffff}';

/// A unit that someone has used.
#[derive(Debug, Clone)]
pub struct KnownUnit {
    /// Its key.
    pub key: i64,
    /// Its system, empty if it has none.
    pub system: String,
    /// Its code, empty if it has none.
    pub code: String,
    /// The unit for people.
    pub unit: String,
}

/// Writes conditions into a query.
#[derive(Debug)]
pub struct Predicates<'a> {
    /// What is written into.
    pub query: &'a mut Query,
    /// What may be found, and what may be found by.
    pub view: &'a View,
    /// Units that someone has used.
    pub units: &'a [KnownUnit],
    /// Now, for `ap`.
    pub now: i64,
}

impl Predicates<'_> {
    /// ` AND …` on the resource row `r`, for each row that another index gives.
    pub fn probe(&mut self, condition: &Condition) {
        self.query.push(" AND ");
        self.holds(condition);
    }

    /// A condition on the resource row `r`.
    fn holds(&mut self, condition: &Condition) {
        match condition {
            Condition::Value(under, test) => {
                // A token's row is found by its clinical time and key, which are the resource's own.
                let own = match test.table() {
                    Table::Token => " AND t.clinical_ms = r.clinical_ms AND t.key = r.key",
                    _ => " AND t.key = r.key",
                };
                self.query
                    .push("EXISTS (SELECT 1 FROM ")
                    .push(name(test.table()))
                    .push(" t WHERE ");
                self.value("t", under, test);
                self.query.push(own).push(")");
            }
            Condition::LastUpdated(any) => self.dates(any, "r.updated", "(r.updated + 1000)"),
            Condition::Within(Interval { low, high }) => {
                self.query.push("(r.clinical_ms = ").number(NO_CLINICAL_MS);
                self.query.push(" OR r.clinical_ms >= ").number(low.div_euclid(1_000));
                self.query.push(" AND r.clinical_ms < ").number(high.div_euclid(1_000)).push(")");
            }
            Condition::Not(inner) => {
                self.query.push("NOT ");
                self.holds(inner);
            }
            Condition::Any(any) => self.any(any, Self::holds),
            Condition::Present(under, table) if *table != Table::Token => {
                self.query.push("EXISTS (SELECT 1 FROM ").push(name(*table)).push(" t WHERE ");
                self.under("t", under);
                self.query.push(" AND t.key = r.key)");
            }
            _ => {
                self.query.push("r.key IN (");
                self.keys_of(condition);
                self.query.push(")");
            }
        }
    }

    /// `SELECT …`: the keys of all resources that meet a condition.
    pub fn keys_of(&mut self, condition: &Condition) {
        match condition {
            Condition::Ids { types, ids } => {
                self.query.push("SELECT d.key FROM directory d WHERE d.type ");
                one_of(self.query, types);
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                self.query.push(" AND d.id IN ").texts(&ids);
            }
            Condition::Value(under, test) => {
                self.query.push("SELECT t.key FROM ").push(name(test.table())).push(" t WHERE ");
                self.value("t", under, test);
            }
            Condition::Referred { parameters, sources } => {
                self.query.push("SELECT t.target FROM reference t WHERE t.param ");
                one_of(self.query, parameters);
                self.view.placed(self.query, "t", parameters);
                self.query.push(" AND t.key IN (");
                self.matching(sources);
                self.query.push(")");
            }
            Condition::Compartment(patients) => {
                self.query.push("SELECT t.key FROM compartment t WHERE t.patient ");
                self.keys(patients);
            }
            Condition::ReferredFrom { source, except } => {
                self.query.push("SELECT t.target FROM reference t ");
                self.query.push("JOIN directory d ON d.key = t.target WHERE t.key IN (");
                self.visible_keys_of(source);
                self.query.push(") AND d.type > 0");
                self.view.placed_by_any(self.query, "t");
                if let Some(except) = except {
                    self.query.push(" AND d.type <> ").number(*except);
                }
            }
            Condition::Any(any) if selects(condition) => {
                for (place, condition) in any.iter().enumerate() {
                    self.query.push(if place == 0 { "" } else { " UNION " });
                    self.keys_of(condition);
                }
            }
            Condition::Listed { parameter, lists } => {
                self.query.push("SELECT t.target FROM reference t WHERE t.param = ");
                self.query.number(*parameter).push(" AND t.key ");
                self.visible_keys(lists);
            }
            Condition::Present(under, table) => {
                self.query.push("SELECT t.key FROM ").push(name(*table)).push(" t WHERE ");
                self.under("t", under);
            }
            Condition::LastUpdated(_)
            | Condition::Within(_)
            | Condition::Not(_)
            | Condition::Any(_) => {
                self.query.push("SELECT r.key FROM resource r WHERE ");
                self.holds(condition);
            }
        }
    }

    /// `SELECT …`: the keys of current resources that meet all conditions.
    fn matching(&mut self, matching: &Matching) {
        self.query.push("SELECT r.key FROM resource r WHERE ");
        let first = matching.conditions.iter().position(selects);
        if let Some(first) = first {
            self.query.push("r.key IN (");
            self.keys_of(&matching.conditions[first]);
            self.query.push(") AND ");
        }
        self.current(&matching.types, first.is_some());
        let rest = matching.conditions.iter().enumerate().filter(|(at, _)| Some(*at) != first);
        for (_, condition) in rest {
            self.probe(condition);
        }
    }

    /// `r` is current, and of one of these types; none: of any. If it is found otherwise, the type has a
    /// sign: then its own index is no way to get there.
    pub fn current(&mut self, types: &[i64], found: bool) {
        if !types.is_empty() {
            self.query.push(if found { "+r.type " } else { "r.type " });
            one_of(self.query, types);
            self.query.push(" AND ");
        }
        self.query.push("r.method < 2");
        self.view.visible(self.query, "r", Rows::Current);
    }

    /// The keys of what meets a condition, of current resources that may be known of.
    fn visible_keys_of(&mut self, condition: &Condition) {
        if self.view.bound.is_none() {
            return self.keys_of(condition);
        }
        self.query.push("SELECT r.key FROM resource r WHERE r.key IN (");
        self.keys_of(condition);
        self.query.push(") AND ");
        self.current(&[], true);
    }

    /// `(… OR …)`. Nothing else is written into it, so that each alternative finds its index.
    fn any<T>(&mut self, any: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.query.push(if any.is_empty() { "(1 = 0" } else { "(" });
        for (place, one) in any.iter().enumerate() {
            self.query.push(if place == 0 { "" } else { " OR " });
            write(self, one);
        }
        self.query.push(")");
    }
}

/// Whether a condition finds its resources by itself, without walking through all of a type.
pub fn selects(condition: &Condition) -> bool {
    match condition {
        Condition::Ids { .. }
        | Condition::Referred { .. }
        | Condition::Compartment(_)
        | Condition::ReferredFrom { .. }
        | Condition::Listed { .. } => true,
        Condition::Value(_, test) => match test {
            Test::Date(any) => any.iter().all(|test| test.prefix == Prefix::Eq),
            _ => true,
        },
        Condition::Any(any) => !any.is_empty() && any.iter().all(selects),
        Condition::LastUpdated(_)
        | Condition::Within(_)
        | Condition::Present(..)
        | Condition::Not(_) => false,
    }
}

fn name(table: Table) -> &'static str {
    match table {
        Table::Token => "token",
        Table::Date => "date",
        Table::Number => "number",
        Table::Reference => "reference",
    }
}

/// `= …` or `IN (…)`; nothing is in an empty list.
pub fn one_of(query: &mut Query, numbers: &[i64]) {
    match numbers {
        [one] => query.push("= ").number(*one),
        [] => query.push("IN (SELECT 0 WHERE 1 = 0)"),
        many => query.push("IN ").numbers(many),
    };
}
