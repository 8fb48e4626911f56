//! A number on an index row, in every unit that may hold it.

use fhir::ucum::Unit;

use super::{KnownUnit, Predicates, one_of};
use crate::search::grammar::{NumberTest, Prefix, UnitTest};
use crate::store::query::Query;

/// The system of UCUM units.
const UCUM: &str = "http://unitsofmeasure.org";

impl Predicates<'_> {
    /// ` AND …` for any of the numbers, in every unit in which someone has stored such.
    pub(super) fn numbers(&mut self, alias: &str, any: &[(NumberTest, UnitTest)]) {
        let units = self.units;
        let tests: Vec<_> =
            any.iter().flat_map(|(test, unit)| in_units(test, unit, units)).collect();
        self.query.push(" AND ");
        self.any(&tests, |this, (units, test)| {
            this.query.push(alias).push(".unit ");
            one_of(this.query, units);
            this.query.push(" AND ");
            compare(this.query, alias, test);
        });
    }
}

/// The units in which a test may find something, with the test as it is in them.
fn in_units(
    test: &NumberTest,
    unit: &UnitTest,
    known: &[KnownUnit],
) -> Vec<(Vec<i64>, NumberTest)> {
    let all = |matches: &dyn Fn(&KnownUnit) -> bool| -> Vec<i64> {
        known.iter().filter(|unit| matches(unit)).map(|unit| unit.key).collect()
    };
    match unit {
        UnitTest::Without => vec![(vec![0], test.clone())],
        UnitTest::Any => {
            let mut units = all(&|_| true);
            units.push(0);
            vec![(units, test.clone())]
        }
        UnitTest::Named(name) => {
            let units = all(&|unit| unit.code == *name || unit.unit == *name);
            vec![(units, test.clone())]
        }
        UnitTest::Coded { system, code } => {
            let same = |unit: &KnownUnit| unit.system == *system && unit.code == *code;
            let mut found = vec![(all(&same), test.clone())];
            let Some(asked) = Unit::parse(code).filter(|_| system == UCUM) else { return found };
            for other in known.iter().filter(|unit| unit.system == UCUM && !same(unit)) {
                let converted = Unit::parse(&other.code)
                    .filter(|unit| unit.dimension() == asked.dimension())
                    .and_then(|unit| test.converted(&asked, &unit));
                found.extend(converted.map(|test| (vec![other.key], test)));
            }
            found
        }
    }
}

/// A number on a stored `[low, high]`: a point for most, a range for some.
fn compare(query: &mut Query, alias: &str, NumberTest { prefix, decimal, .. }: &NumberTest) {
    let (low, high) = (format!("{alias}.low"), format!("{alias}.high"));
    let (value, around) = (decimal.value, decimal.around());
    match prefix {
        Prefix::Eq => {
            query.push(&low).push(" >= ").real(decimal.low).push(" AND ").push(&high).push(" < ");
            query.real(decimal.high)
        }
        Prefix::Ne => {
            query.push("(").push(&low).push(" < ").real(decimal.low).push(" OR ").push(&high);
            query.push(" >= ").real(decimal.high).push(")")
        }
        Prefix::Gt => query.push(&high).push(" > ").real(value),
        Prefix::Lt => query.push(&low).push(" < ").real(value),
        Prefix::Ge => query.push(&high).push(" >= ").real(value),
        Prefix::Le => query.push(&low).push(" <= ").real(value),
        Prefix::Sa => query.push(&low).push(" > ").real(value),
        Prefix::Eb => query.push(&high).push(" < ").real(value),
        Prefix::Ap => {
            query.push(&low).push(" <= ").real(around.1).push(" AND ").push(&high).push(" >= ");
            query.real(around.0)
        }
    };
}
