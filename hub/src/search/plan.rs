//! What to ask the store, as SQL.
//!
//! One condition drives: its index range is walked in the order asked for, and every other
//! condition is a probe for each row, so the cost follows the answer and not the record. The driver
//! is, in this order: known keys; a patient's tokens; a patient's compartment; a token; a
//! reference; the whole type.

use super::condition::{Condition, TokenNumbers};
use super::grammar::{DateTest, Prefix};
use super::parameters::{Order, OrderBy};
use crate::store::query::Query;

/// A search in the store's numbers.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The type's number.
    pub resource_type: i64,
    /// All must hold.
    pub conditions: &'a [Condition],
    /// In which order.
    pub order: Order,
    /// Only what comes after this: the last match of the page before.
    pub after: Option<Position>,
    /// Now, for `ap`.
    pub now: i64,
}

/// A place in the order of the matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The value ordered by.
    pub order: i64,
    /// The resource's key.
    pub key: i64,
}

/// The table whose range is walked.
enum Driver<'a> {
    PatientToken { patients: &'a [i64], parameter: i64, any: &'a [TokenNumbers] },
    Compartment { patients: &'a [i64] },
    Token { parameter: i64, any: &'a [TokenNumbers] },
    Reference { parameter: i64, targets: &'a [i64] },
    Resource,
}

impl Plan<'_> {
    /// The query for at most `limit` matches. A match found by two tokens may come twice in a row.
    pub fn page(&self, limit: usize) -> Query {
        let driver = self.driver();
        let order = self.order_column(&driver);
        let mut query = Query::default();
        query.push("SELECT r.key, ").push(order).push(", d.id, r.body");
        self.matches(&mut query, &driver);
        let (compare, direction) = if self.order.descending { ("<", "DESC") } else { (">", "ASC") };
        if let Some(after) = self.after {
            query.push(" AND (").push(order).push(", ").push(key_column(&driver)).push(") ");
            query.push(compare).push(" (").number(after.order).push(", ");
            query.number(after.key).push(")");
        }
        query.push(" ORDER BY ").push(order).push(" ").push(direction).push(", ");
        query.push(key_column(&driver)).push(" ").push(direction);
        query.push(" LIMIT ").number(i64::try_from(limit).unwrap_or(i64::MAX));
        query
    }

    /// The query for the number of matches.
    pub fn total(&self) -> Query {
        let mut query = Query::default();
        query.push("SELECT count(DISTINCT r.key)");
        self.matches(&mut query, &self.driver());
        query
    }

    fn driver(&self) -> Driver<'_> {
        let known = self.conditions.iter().any(|c| matches!(c, Condition::Keys(_)));
        if known {
            return Driver::Resource;
        }
        let patients = self.conditions.iter().find_map(|condition| match condition {
            Condition::Reference { targets, compartment: true, .. } => Some(targets.as_slice()),
            _ => None,
        });
        let token = self.conditions.iter().find_map(|condition| match condition {
            Condition::Token { parameter, any, by_patient }
                if *by_patient || patients.is_none() =>
            {
                Some((*parameter, any.as_slice()))
            }
            _ => None,
        });
        let reference = self.conditions.iter().find_map(|condition| match condition {
            Condition::Reference { parameter, targets, .. } => Some((*parameter, targets)),
            _ => None,
        });
        match (patients, token, reference) {
            (Some(patients), Some((parameter, any)), _) => {
                Driver::PatientToken { patients, parameter, any }
            }
            (Some(patients), None, _) => Driver::Compartment { patients },
            (None, Some((parameter, any)), _) => Driver::Token { parameter, any },
            (None, None, Some((parameter, targets))) => Driver::Reference { parameter, targets },
            (None, None, None) => Driver::Resource,
        }
    }

    fn order_column(&self, driver: &Driver<'_>) -> &'static str {
        match (self.order.by, driver) {
            (OrderBy::LastUpdated, _) => "r.updated",
            (OrderBy::Clinical, Driver::Reference { .. } | Driver::Resource) => "r.clinical_ms",
            (OrderBy::Clinical, _) => "x.clinical_ms",
        }
    }

    /// `FROM … WHERE …`
    fn matches(&self, query: &mut Query, driver: &Driver<'_>) {
        let table = match driver {
            Driver::PatientToken { .. } => "patient_token x JOIN resource r ON r.key = x.key",
            Driver::Compartment { .. } => "compartment x JOIN resource r ON r.key = x.key",
            Driver::Token { .. } => "token x JOIN resource r ON r.key = x.key",
            Driver::Reference { .. } => "reference x JOIN resource r ON r.key = x.key",
            Driver::Resource => "resource r",
        };
        query.push(" FROM ").push(table).push(" JOIN directory d ON d.key = r.key WHERE ");
        match driver {
            Driver::PatientToken { patients, parameter, any } => {
                query.push("x.patient ");
                one_of(query, patients);
                query.push(" AND ");
                token(query, *parameter, any);
            }
            Driver::Compartment { patients } => {
                query.push("x.patient ");
                one_of(query, patients);
                query.push(" AND x.type = ").number(self.resource_type);
            }
            Driver::Token { parameter, any } => token(query, *parameter, any),
            Driver::Reference { parameter, targets } => {
                query.push("x.param = ").number(*parameter).push(" AND x.target ");
                one_of(query, targets);
            }
            Driver::Resource => {
                query.push("r.type = ").number(self.resource_type);
            }
        }
        query.push(" AND r.method < 2");
        for condition in self.conditions {
            self.probe(query, condition, driver);
        }
    }

    /// A condition as a probe for each row of the driver.
    fn probe(&self, query: &mut Query, condition: &Condition, driver: &Driver<'_>) {
        match condition {
            Condition::Keys(keys) => {
                query.push(" AND r.key ");
                one_of(query, keys);
            }
            Condition::LastUpdated(any) => {
                query.push(" AND ");
                dates(query, any, "r.updated", "(r.updated + 1000)", self.now);
            }
            Condition::Token { parameter, any, .. } => {
                let driven = match driver {
                    Driver::PatientToken { parameter: p, any: a, .. }
                    | Driver::Token { parameter: p, any: a } => p == parameter && a == any,
                    _ => false,
                };
                if !driven {
                    query.push(" AND EXISTS (SELECT 1 FROM token x WHERE ");
                    token(query, *parameter, any);
                    query.push(" AND x.clinical_ms = r.clinical_ms AND x.key = r.key)");
                }
            }
            Condition::Date { parameter, any } => {
                query.push(" AND EXISTS (SELECT 1 FROM date t WHERE t.key = r.key AND t.param = ");
                query.number(*parameter).push(" AND ");
                dates(query, any, "t.low", "t.high", self.now);
                query.push(")");
            }
            Condition::Reference { parameter, targets, .. } => {
                let driven = matches!(driver, Driver::Reference { parameter: p, targets: t }
                    if p == parameter && *t == targets.as_slice());
                if !driven {
                    query.push(" AND EXISTS (SELECT 1 FROM reference t WHERE t.param = ");
                    query.number(*parameter).push(" AND t.target ");
                    one_of(query, targets);
                    query.push(" AND t.key = r.key)");
                }
            }
        }
    }
}

fn key_column(driver: &Driver<'_>) -> &'static str {
    if matches!(driver, Driver::Resource) { "r.key" } else { "x.key" }
}

/// `x.param = … AND (…)` for any of the tokens.
pub(super) fn token(query: &mut Query, parameter: i64, any: &[TokenNumbers]) {
    query.push("x.param = ").number(parameter);
    if let [TokenNumbers { system, code }] = any {
        if let Some(code) = code {
            query.push(" AND x.code = ").text(code);
        }
        if let Some(system) = system {
            query.push(" AND x.system = ").number(*system);
        }
        return;
    }
    let codes: Option<Vec<&str>> = any.iter().map(|token| token.code.as_deref()).collect();
    if let Some(codes) = codes {
        // Said once more, so that the index is entered by parameter and code.
        query.push(" AND x.code IN ").texts(&codes);
    }
    query.push(" AND (");
    for (place, TokenNumbers { system, code }) in any.iter().enumerate() {
        query.push(if place == 0 { "(1 = 1" } else { " OR (1 = 1" });
        if let Some(code) = code {
            query.push(" AND x.code = ").text(code);
        }
        if let Some(system) = system {
            query.push(" AND x.system = ").number(*system);
        }
        query.push(")");
    }
    query.push(")");
}

fn one_of(query: &mut Query, numbers: &[i64]) {
    match numbers {
        [one] => query.push("= ").number(*one),
        many => query.push("IN ").numbers(many),
    };
}

/// Any of the dates, on a stored interval `[low, high)`.
fn dates(query: &mut Query, any: &[DateTest], low: &str, high: &str, now: i64) {
    query.push("(");
    for (place, DateTest { prefix, interval }) in any.iter().enumerate() {
        query.push(if place == 0 { "(" } else { " OR (" });
        let (l, h) = (interval.low, interval.high);
        let mut compare = |column: &str, operator: &str, value: i64| {
            query.push(column).push(operator).number(value);
        };
        match prefix {
            Prefix::Eq => {
                compare(low, " >= ", l);
                compare(&format!(" AND {high}"), " <= ", h);
            }
            Prefix::Ne => {
                compare(low, " < ", l);
                compare(&format!(" OR {high}"), " > ", h);
            }
            Prefix::Gt => compare(high, " > ", h),
            Prefix::Lt => compare(low, " < ", l),
            // Above, or contained.
            Prefix::Ge => {
                compare(high, " > ", h);
                compare(&format!(" OR {low}"), " >= ", l);
            }
            Prefix::Le => {
                compare(low, " < ", l);
                compare(&format!(" OR {high}"), " <= ", h);
            }
            Prefix::Sa => compare(low, " >= ", h),
            Prefix::Eb => compare(high, " <= ", l),
            Prefix::Ap => {
                let slack = i64::try_from(l.abs_diff(now)).unwrap_or(i64::MAX) / 10;
                compare(low, " < ", h.saturating_add(slack));
                compare(&format!(" AND {high}"), " > ", l.saturating_sub(slack));
            }
        }
        query.push(")");
    }
    query.push(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWEST_FIRST: Order = Order { by: OrderBy::Clinical, descending: true };

    #[test]
    fn a_patients_tokens_drive_and_the_rest_probes() {
        let code = TokenNumbers { system: None, code: Some("c".into()) };
        let conditions = [
            Condition::Token { parameter: 5, any: vec![code], by_patient: true },
            Condition::Reference { parameter: 7, targets: vec![9], compartment: true },
        ];
        let plan = Plan {
            resource_type: 1,
            conditions: &conditions,
            order: NEWEST_FIRST,
            after: Some(Position { order: 3, key: 4 }),
            now: 0,
        };
        assert_eq!(
            plan.page(21).sql(),
            "SELECT r.key, x.clinical_ms, d.id, r.body FROM patient_token x \
             JOIN resource r ON r.key = x.key JOIN directory d ON d.key = r.key \
             WHERE x.patient = $1 AND x.param = $2 AND x.code = $3 AND r.method < 2 AND EXISTS (SELECT 1 FROM \
             reference t WHERE t.param = $4 AND t.target = $5 AND t.key = r.key) \
             AND (x.clinical_ms, x.key) < ($6, $7) \
             ORDER BY x.clinical_ms DESC, x.key DESC LIMIT $8"
        );
    }

    #[test]
    fn without_conditions_the_type_is_walked() {
        let plan = Plan {
            resource_type: 1,
            conditions: &[],
            order: Order { by: OrderBy::LastUpdated, descending: false },
            after: None,
            now: 0,
        };
        assert!(plan.page(1).sql().ends_with(
            "FROM resource r JOIN directory d ON d.key = r.key WHERE r.type = $1 \
             AND r.method < 2 ORDER BY r.updated ASC, r.key ASC LIMIT $2"
        ));
    }
}
