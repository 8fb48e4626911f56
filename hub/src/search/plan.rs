//! What to ask the store, as SQL.
//!
//! One condition drives. If the order is one that an index has, and a patient's tokens, a patient's
//! compartment, a token or the whole type drives, that index is walked in order and every other
//! condition is a probe for each row: the cost follows the page. Else the driver gives the keys of
//! what it finds, the rest probes, and the matches are sorted before their texts are read: the cost
//! follows the matches. Only a search that nothing selects walks through all of a type.

use super::condition::{Condition, Keys, Matching, Test, TokenNumbers, Under};
use super::order::{Order, Position};
use super::predicate::{KnownUnit, Predicates, one_of, selects};
use crate::store::Engine;
use crate::store::index::NO_CLINICAL_MS;
use crate::store::query::{Query, Value};

/// A search in the store's numbers.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Whose SQL it is.
    pub engine: Engine,
    /// What is searched.
    pub matching: &'a Matching,
    /// In which order.
    pub order: &'a Order,
    /// Units that someone has used.
    pub units: &'a [KnownUnit],
    /// Now, for `ap`.
    pub now: i64,
}

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

/// The table whose range is walked in order.
enum Driver<'a> {
    PatientToken { patients: &'a Keys, under: &'a Under, any: &'a [TokenNumbers] },
    Compartment { patients: &'a Keys },
    Token { under: &'a Under, any: &'a [TokenNumbers] },
    Resource,
}

/// One stretch of an ordered walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leg {
    /// Everything.
    Whole,
    /// What has a value.
    Early,
    /// What has none.
    Late,
}

impl Plan<'_> {
    /// The query for at most `limit` matches: key, type, id, mark, text, sort values. A match found
    /// by two tokens may come twice in a row.
    pub fn page(&self, scope: Scope<'_>, after: Option<&Position>, limit: usize) -> Query {
        let mut query = Query::default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
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

    fn patients(&self) -> Option<&Keys> {
        self.matching.conditions.iter().find_map(|condition| match condition {
            Condition::Value(_, Test::Reference { targets, compartment: true }) => Some(targets),
            Condition::Compartment(patients) => Some(patients),
            _ => None,
        })
    }

    /// The index that has the matches in order, if it is also the one that finds them.
    fn ordered_driver(&self, scope: Scope<'_>) -> Option<Driver<'_>> {
        if matches!(scope, Scope::Keys(_) | Scope::Changed(_)) {
            return None;
        }
        let conditions = &self.matching.conditions;
        let [_] = self.matching.types.as_slice() else { return None };
        let patients = self.patients();
        let token = conditions.iter().find_map(|condition| match condition {
            Condition::Value(under @ Under::Parameters(_), Test::Token { any, by_patient })
                if *by_patient || patients.is_none() =>
            {
                Some((under, any.as_slice()))
            }
            _ => None,
        });
        match (patients, token) {
            (Some(patients), Some((under, any))) => {
                Some(Driver::PatientToken { patients, under, any })
            }
            (Some(patients), None) => Some(Driver::Compartment { patients }),
            (None, Some((under, any))) => Some(Driver::Token { under, any }),
            (None, None) if conditions.iter().any(selects) => None,
            (None, None) => Some(Driver::Resource),
        }
    }

    fn ordered(
        &self,
        query: &mut Query,
        driver: &Driver<'_>,
        column: &str,
        scope: Scope<'_>,
        after: Option<&Position>,
        limit: i64,
    ) {
        let missing = after.is_some_and(|after| after.order == [Value::Missing]);
        if !self.order.has_late_leg() {
            self.leg(query, driver, column, Leg::Whole, scope, after);
            query.push(" LIMIT ").number(limit);
            return;
        }
        if missing {
            self.leg(query, driver, column, Leg::Late, scope, after);
            query.push(" LIMIT ").number(limit);
            return;
        }
        query.push("SELECT * FROM (SELECT * FROM (");
        self.leg(query, driver, column, Leg::Early, scope, after);
        query.push(" LIMIT ").number(limit).push(") early UNION ALL SELECT * FROM (");
        self.leg(query, driver, column, Leg::Late, scope, None);
        query.push(" LIMIT ").number(limit).push(") late) legs ORDER BY (s0 IS NULL), s0, key");
        query.push(" LIMIT ").number(limit);
    }

    fn leg(
        &self,
        query: &mut Query,
        driver: &Driver<'_>,
        column: &str,
        leg: Leg,
        scope: Scope<'_>,
        after: Option<&Position>,
    ) {
        let of_index = column == "clinical_ms" && !matches!(driver, Driver::Resource);
        let column = format!("{}.{column}", if of_index { "x" } else { "r" });
        let key = if matches!(driver, Driver::Resource) { "r.key" } else { "x.key" };
        query.push("SELECT r.key AS key, r.type AS type, d.id AS id, ").push(self.mark());
        query.push(", r.body AS body, nullif(").push(&column).push(", ").number(NO_CLINICAL_MS);
        query.push(") AS s0");
        self.driven(query, driver);
        self.scope(query, scope);
        if leg != Leg::Whole {
            let compare = if leg == Leg::Early { " > " } else { " = " };
            query.push(" AND ").push(&column).push(compare).number(NO_CLINICAL_MS);
        }
        let descending = self.order.descending();
        if let Some(after) = after {
            let value = match after.order.first() {
                Some(Value::Number(number)) => *number,
                _ => NO_CLINICAL_MS,
            };
            query.push(" AND (").push(&column).push(", ").push(key);
            query.push(if descending { ") < (" } else { ") > (" }).number(value).push(", ");
            query.number(after.key).push(")");
        }
        let direction = if descending { " DESC" } else { " ASC" };
        query.push(" ORDER BY ").push(&column).push(direction).push(", ").push(key).push(direction);
    }

    /// ` FROM … WHERE …` with a driver whose index is walked.
    fn driven(&self, query: &mut Query, driver: &Driver<'_>) {
        let table = match driver {
            Driver::PatientToken { .. } => "patient_token x JOIN resource r ON r.key = x.key",
            Driver::Compartment { .. } => "compartment x JOIN resource r ON r.key = x.key",
            Driver::Token { .. } => "token x JOIN resource r ON r.key = x.key",
            Driver::Resource => "resource r",
        };
        query.push(" FROM ").push(table).push(" JOIN directory d ON d.key = r.key WHERE ");
        let mut predicates = self.predicates(query);
        let driven = match driver {
            Driver::PatientToken { patients, under, any } => {
                predicates.query.push("x.patient ");
                predicates.keys(patients);
                predicates.query.push(" AND ");
                predicates.value("x", under, &token(any));
                Some((*under, *any))
            }
            Driver::Compartment { patients } => {
                predicates.query.push("x.patient ");
                predicates.keys(patients);
                predicates.query.push(" AND x.type ");
                one_of(predicates.query, &self.matching.types);
                None
            }
            Driver::Token { under, any } => {
                predicates.value("x", under, &token(any));
                Some((*under, *any))
            }
            Driver::Resource => None,
        };
        if !matches!(driver, Driver::Resource) {
            predicates.query.push(" AND ");
        }
        // What another index walks is of the type already.
        let types: &[i64] =
            if matches!(driver, Driver::Resource) { &self.matching.types } else { &[] };
        predicates.current(types, false);
        for condition in &self.matching.conditions {
            let is_driver = match condition {
                Condition::Value(under, Test::Token { any, .. }) => {
                    driven.is_some_and(|(u, a)| u == under && a == any.as_slice())
                }
                Condition::Compartment(own) => match driver {
                    Driver::PatientToken { patients, .. } | Driver::Compartment { patients } => {
                        std::ptr::eq(own, *patients)
                    }
                    Driver::Token { .. } | Driver::Resource => false,
                },
                _ => false,
            };
            if !is_driver {
                predicates.probe(condition);
            }
        }
    }

    /// Sorted first, then read: texts are no part of what is sorted.
    fn sorted(&self, query: &mut Query, scope: Scope<'_>, after: Option<&Position>, limit: i64) {
        query.push("SELECT m.key, m.type, m.id, ").push(self.mark()).push(", b.body");
        for place in 0..self.order.keys.len() {
            query.push(&format!(", m.s{place}"));
        }
        query.push(" FROM (SELECT * FROM (SELECT r.key AS key, r.type AS type, d.id AS id");
        self.order.columns(query);
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
        self.order.joins(query);
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
        Predicates { query, units: self.units, now: self.now }
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

fn token(any: &[TokenNumbers]) -> Test {
    Test::Token { any: any.to_vec(), by_patient: false }
}
