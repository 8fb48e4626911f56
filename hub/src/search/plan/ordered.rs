//! The walk along an index that has the matches in order: the cost follows the page.

use super::{Plan, Scope};
use crate::search::condition::{Condition, Keys, Test, TokenNumbers, Under};
use crate::search::order::Position;
use crate::search::predicate::{one_of, selects};
use crate::store::index::NO_CLINICAL_MS;
use crate::store::query::{Query, Value};

/// The table whose range is walked in order.
pub(super) enum Driver<'a> {
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
    fn patients(&self) -> Option<&Keys> {
        self.matching.conditions.iter().find_map(|condition| match condition {
            Condition::Value(_, Test::Reference { targets, compartment: true }) => Some(targets),
            Condition::Compartment(patients) => Some(patients),
            _ => None,
        })
    }

    /// The index that has the matches in order, if it is also the one that finds them.
    pub(super) fn ordered_driver(&self, scope: Scope<'_>) -> Option<Driver<'_>> {
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

    pub(super) fn ordered(
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
}

fn token(any: &[TokenNumbers]) -> Test {
    Test::Token { any: any.to_vec(), by_patient: false }
}
