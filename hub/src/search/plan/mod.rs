//! What to ask the store, as SQL.
//!
//! One condition drives. If the order is one that an index has, and a patient's tokens, a patient's
//! compartment, a token or the whole type drives, that index is walked in order and every other
//! condition is a probe for each row: the cost follows the page. Else the driver gives the keys of
//! what it finds, the rest probes, and the matches are sorted before their texts are read: the cost
//! follows the matches. Only a search that nothing selects walks through all of a type.
//!
//! | room | what lives there |
//! |---|---|
//! | here | what is asked, and the walk that is sorted |
//! | `ordered` | the walk along an index that is in order |

mod ordered;

use self::ordered::Driver;
use super::condition::Matching;
use super::order::{Order, Position};
use super::predicate::{KnownUnit, Predicates, one_of, selects};
use crate::access::View;
use crate::store::Engine;
use crate::store::query::Query;

/// A search in the store's numbers.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Whose SQL it is.
    pub engine: Engine,
    /// What is searched.
    pub matching: &'a Matching,
    /// What of it may be found.
    pub view: &'a View,
    /// In which order.
    pub order: &'a Order,
    /// Units that someone has used.
    pub units: &'a [KnownUnit],
    /// Now, for `ap`.
    pub now: i64,
}

/// With more conditions than these, planning a query takes long, whatever it finds.
const CONDITIONS_SHORT_MAX: usize = 8;

/// Which of the matches are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// All.
    All,
    /// Those that are as they were in a state of the record: see [`crate::store::Store::page`].
    Unchanged(&'a str),
    /// Those that have changed since a state of the record.
    Changed(&'a str),
    /// Those of these keys.
    Keys(&'a [i64]),
}

impl Plan<'_> {
    /// The query for at most `limit` matches: key, type, id, mark, text, sort values. A match found
    /// by two tokens may come twice in a row.
    pub fn page(&self, scope: Scope<'_>, after: Option<&Position>, limit: usize) -> Query {
        let mut query = Query::default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        if self.matching.conditions.len() > CONDITIONS_SHORT_MAX {
            query.mark_long();
        }
        let driver = self.ordered_driver(scope);
        match (driver, self.order.indexed()) {
            (Some(driver), Some(column)) => {
                if matches!(driver, Driver::Resource) && !self.matching.conditions.is_empty() {
                    query.mark_long();
                }
                self.ordered(&mut query, &driver, column, scope, after, limit);
            }
            _ => {
                query.mark_long();
                self.sorted(&mut query, scope, after, limit);
            }
        }
        query
    }

    /// The query for the number of matches.
    pub fn total(&self) -> Query {
        let mut query = Query::default();
        query.mark_long();
        query.push("SELECT count(*)");
        self.from(&mut query, Scope::All);
        query
    }

    /// The query for the keys of the matches, least first.
    pub fn keys(&self, limit: usize) -> Query {
        let mut query = Query::default();
        query.push("SELECT r.key");
        self.from(&mut query, Scope::All);
        query.push(" ORDER BY r.key LIMIT ").number(i64::try_from(limit).unwrap_or(i64::MAX));
        query
    }

    /// What drives the first page, in words.
    pub fn driver(&self) -> &'static str {
        let driver = self.ordered_driver(Scope::All).filter(|_| self.order.indexed().is_some());
        match driver {
            Some(Driver::PatientToken { .. }) => "patient_token, walked in order",
            Some(Driver::Compartment { .. }) => "compartment, walked in order",
            Some(Driver::Token { .. }) => "token, walked in order",
            Some(Driver::Resource) => "resource, walked in order",
            None if self.matching.conditions.iter().any(selects) => {
                "the first condition that selects, its matches sorted"
            }
            None => "all of the type, sorted",
        }
    }

    /// Sorted first, then read: texts are no part of what is sorted.
    fn sorted(&self, query: &mut Query, scope: Scope<'_>, after: Option<&Position>, limit: i64) {
        query.push("SELECT m.key, m.type, m.id, ").push(self.mark()).push(", b.body");
        for place in 0..self.order.keys.len() {
            query.push(&format!(", m.s{place}"));
        }
        query.push(" FROM (SELECT * FROM (SELECT r.key AS key, r.type AS type, d.id AS id");
        self.order.columns(query, self.view);
        self.from(query, scope);
        query.push(") m");
        if let Some(after) = after {
            query.push(" WHERE ");
            self.order.after(query, after);
        }
        self.order.order_by(query);
        query.push(" LIMIT ").number(limit).push(") m JOIN resource b ON b.key = m.key");
        self.order.order_by(query);
    }

    /// ` FROM … WHERE …`, each match once.
    fn from(&self, query: &mut Query, scope: Scope<'_>) {
        query.push(" FROM resource r JOIN directory d ON d.key = r.key");
        self.order.joins(query, self.view);
        query.push(" WHERE ");
        let first = self.matching.conditions.iter().position(selects);
        let mut predicates = self.predicates(query);
        // A scope of its own finds few by itself.
        let scoped = matches!(scope, Scope::Keys(_) | Scope::Changed(_));
        let first = first.filter(|_| !scoped);
        if let Some(first) = first {
            predicates.query.push("r.key IN (");
            predicates.keys_of(&self.matching.conditions[first]);
            predicates.query.push(") AND ");
        }
        predicates.current(&self.matching.types, scoped || first.is_some());
        for (place, condition) in self.matching.conditions.iter().enumerate() {
            if Some(place) != first {
                predicates.probe(condition);
            }
        }
        self.scope(query, scope);
    }

    fn predicates<'q>(&'q self, query: &'q mut Query) -> Predicates<'q> {
        Predicates { query, view: self.view, units: self.units, now: self.now }
    }

    fn scope(&self, query: &mut Query, scope: Scope<'_>) {
        match (scope, self.engine) {
            (Scope::All, _) => {}
            (Scope::Keys(keys), _) => {
                query.push(" AND r.key ");
                one_of(query, keys);
            }
            (Scope::Unchanged(mark), Engine::Sqlite) => {
                query.push(" AND r.stamp <= ").number(mark.parse().unwrap_or_default());
            }
            (Scope::Changed(mark), Engine::Sqlite) => {
                query.push(" AND r.key IN (SELECT c.key FROM resource c WHERE c.stamp > ");
                query.number(mark.parse().unwrap_or_default()).push(")");
            }
            (Scope::Unchanged(mark), Engine::Postgres) => {
                query.push(" AND pg_visible_in_snapshot(r.stamp, ").text(mark);
                query.push("::pg_snapshot)");
            }
            (Scope::Changed(mark), Engine::Postgres) => {
                query.push(" AND r.key IN (SELECT c.key FROM resource c WHERE c.stamp >= ");
                query.push("pg_snapshot_xmin(").text(mark).push("::pg_snapshot) AND NOT ");
                query.push("pg_visible_in_snapshot(c.stamp, ").text(mark).push("::pg_snapshot))");
            }
        }
    }

    /// The state of the record that is asked.
    fn mark(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "CAST((SELECT max(stamp) FROM resource) AS TEXT) AS mark",
            Engine::Postgres => "CAST(pg_current_snapshot() AS TEXT) AS mark",
        }
    }

    /// Of these keys, all of which have changed since `last`: the versions that were current at
    /// `start` and still at `last`.
    pub fn before(engine: Engine, keys: &[i64], start: &str, last: &str) -> Query {
        let mut query = Query::default();
        query.push("SELECT h.version, h.updated, h.method, h.body, h.key FROM history h ");
        query.push("WHERE h.method < 2 AND h.key ");
        one_of(&mut query, keys);
        let next = "coalesce((SELECT n.stamp FROM history n WHERE n.key = h.key \
                    AND n.version = h.version + 1), \
                    (SELECT r.stamp FROM resource r WHERE r.key = h.key))";
        match engine {
            Engine::Sqlite => {
                query.push(" AND h.stamp <= ").number(start.parse().unwrap_or_default());
                query.push(" AND ").push(next).push(" > ");
                query.number(last.parse().unwrap_or_default());
            }
            Engine::Postgres => {
                query.push(" AND pg_visible_in_snapshot(h.stamp, ").text(start);
                query.push("::pg_snapshot) AND NOT pg_visible_in_snapshot(").push(next).push(", ");
                query.text(last).push("::pg_snapshot)");
            }
        }
        query
    }
}
