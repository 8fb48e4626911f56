//! Conditions as SQL. Only names fixed here are written into the text: values are arguments.

use fhir::instant::Interval;
use fhir::ucum::Unit;

use super::condition::{Condition, Keys, Matching, Near, System, Table, Test, TokenNumbers, Under};
use super::grammar::{DateTest, NumberTest, Prefix, TextTest, UnitTest};
use crate::store::index::NO_CLINICAL_MS;
use crate::store::query::Query;
use crate::store::target::{PAIR, SEPARATOR, TEXT, code_key, exact_key, text_key};

/// The system of UCUM units.
const UCUM: &str = "http://unitsofmeasure.org";
/// Sorts after every text that goes on from the same beginning.
const LAST: char = '\u{10ffff}';
/// Kilometres in a degree of latitude.
const KM_PER_DEGREE: f64 = 111.195;

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
                self.keys_of(source);
                self.query.push(") AND d.type > 0");
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
                self.keys(lists);
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
    }

    /// `= (…)` or `IN (…)`.
    pub fn keys(&mut self, keys: &Keys) {
        match keys {
            Keys::Entries(entries) => self.entries(entries),
            Keys::Identified { patient, parameter, numbers, others } => {
                let one = numbers.len() == 1 && others.is_empty();
                self.query.push(if one { "= (" } else { "IN (" });
                self.identified(*patient, *parameter, numbers, others);
                self.query.push(")");
            }
            Keys::Texts(any) => {
                self.query.push("IN (SELECT d.key FROM directory d WHERE d.type = ");
                self.query.number(TEXT).push(" AND ");
                self.any(any, Self::text);
                self.query.push(")");
            }
            Keys::Matching(any) => {
                self.query.push("IN (");
                for (place, matching) in any.iter().enumerate() {
                    self.query.push(if place == 0 { "" } else { " UNION " });
                    self.matching(matching);
                }
                self.query.push(if any.is_empty() { "SELECT 0)" } else { ")" });
            }
        }
    }

    fn entries(&mut self, entries: &[(i64, String)]) {
        if let [(space, id)] = entries {
            self.query.push("= (SELECT d.key FROM directory d WHERE d.type = ").number(*space);
            self.query.push(" AND d.id = ").text(id).push(")");
            return;
        }
        self.query
            .push("IN (SELECT d.key FROM directory d WHERE (d.type, d.id) IN (VALUES (-99, '')");
        for (space, id) in entries {
            self.query.push(",(").number(*space).push(",").text(id).push(")");
        }
        self.query.push("))");
    }

    /// A national number is carried by the one Patient whose it is now: not by those for whom it is
    /// old, has ended, or who were replaced.
    fn identified(
        &mut self,
        patient: i64,
        parameter: i64,
        numbers: &[(String, String)],
        others: &[TokenNumbers],
    ) {
        self.query.push("SELECT u.key FROM unique_identifier u WHERE u.type = ").number(patient);
        if let [(system, value)] = numbers {
            self.query.push(" AND u.system = ").text(system).push(" AND u.value = ").text(value);
        } else {
            self.query.push(" AND (u.system, u.value) IN (VALUES ('', '')");
            for (system, value) in numbers {
                self.query.push(",(").text(system).push(",").text(value).push(")");
            }
            self.query.push(")");
        }
        if !others.is_empty() {
            self.query.push(" UNION SELECT t.key FROM token t WHERE ");
            self.under("t", &Under::Parameters(vec![parameter]));
            self.tokens("t", others);
        }
    }

    fn text(&mut self, test: &TextTest) {
        match test {
            TextTest::Starts(text) => {
                let low = text_key(text);
                self.query.push("d.id >= ").text(&low).push(" AND d.id < ");
                self.query.text(&format!("{low}{LAST}"));
            }
            TextTest::Exact(text) => {
                self.query.push("d.id = ").text(&exact_key(text));
            }
            TextTest::Contains(text) => {
                let mut pattern = String::from("%");
                for c in text_key(text).chars() {
                    if matches!(c, '%' | '_' | '\\') {
                        pattern.push('\\');
                    }
                    pattern.push(c);
                }
                pattern.push('%');
                self.query.push("d.id LIKE ").text(&pattern).push(" ESCAPE '\\'");
            }
        }
    }

    /// A value on an index row: `t.param … AND …`.
    pub fn value(&mut self, alias: &str, under: &Under, test: &Test) {
        self.under(alias, under);
        match test {
            Test::Token { any, .. } => self.tokens(alias, any),
            Test::Below(any) => {
                self.query.push(" AND ");
                self.any(any, |this, uri| {
                    let low = format!("{}/", uri.trim_end_matches('/'));
                    let code = format!("{alias}.code ");
                    this.query.push("(").push(&code).push("= ").text(&code_key(uri)).push(" OR ");
                    this.query.push(&code).push(">= ").text(&low).push(" AND ").push(&code);
                    this.query.push("< ").text(&format!("{low}{LAST}")).push(")");
                });
            }
            Test::Date(any) => {
                self.query.push(" AND ");
                self.dates(any, &format!("{alias}.low"), &format!("{alias}.high"));
            }
            Test::Number(any) => self.numbers(alias, any),
            Test::Near(any) => self.near(alias, any),
            Test::Reference { targets, .. } => {
                self.query.push(" AND ").push(alias).push(".target ");
                self.keys(targets);
            }
        }
    }

    fn under(&mut self, alias: &str, under: &Under) {
        self.query.push(alias).push(".param ");
        match under {
            Under::Parameters(parameters) => one_of(self.query, parameters),
            Under::Pairs { parameters, code, system } => {
                self.query.push("IN (SELECT -p.key FROM directory p WHERE p.type = ");
                self.query.number(PAIR).push(" AND ");
                self.any(parameters, |this, parameter| {
                    let low = format!("{parameter}{SEPARATOR}{}{SEPARATOR}", code_key(code));
                    if let Some(system) = system {
                        this.query.push("p.id = ").text(&format!("{low}{}", code_key(system)));
                    } else {
                        this.query.push("p.id >= ").text(&low).push(" AND p.id < ");
                        this.query.text(&format!("{low}{LAST}"));
                    }
                });
                self.query.push(")");
            }
        }
    }

    /// ` AND …` for any of the tokens.
    fn tokens(&mut self, alias: &str, any: &[TokenNumbers]) {
        let codes = any.iter().map(|token| token.code.as_deref()).collect::<Option<Vec<_>>>();
        if let Some(codes) = codes.filter(|codes| codes.len() > 1) {
            // Said once more, so that the index is entered by parameter and code.
            self.query.push(" AND ").push(alias).push(".code IN ").texts(&codes);
        }
        self.query.push(" AND ");
        self.any(any, |this, token| this.token(alias, token));
    }

    fn token(&mut self, alias: &str, TokenNumbers { system, code }: &TokenNumbers) {
        if let Some(code) = code {
            self.query.push(alias).push(".code = ").text(code);
        }
        if *system == System::Any {
            self.query.push(if code.is_none() { "1 = 1" } else { "" });
            return;
        }
        self.query.push(if code.is_some() { " AND " } else { "" }).push(alias).push(".system = ");
        match system {
            System::Any => {}
            System::Known(number) => {
                self.query.number(*number);
            }
            System::Named(system) => {
                self.query.push("(SELECT m.id FROM term m WHERE m.text = ").text(system).push(")");
            }
        }
    }

    /// ` AND …` for any of the numbers, in every unit in which someone has stored such.
    fn numbers(&mut self, alias: &str, any: &[(NumberTest, UnitTest)]) {
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

    /// Flat within the circle, which is exact enough for the distances that people travel to care.
    fn near(&mut self, alias: &str, any: &[Near]) {
        self.query.push(" AND ");
        self.any(any, |this, near| {
            let Near { latitude, longitude, within_km } = *near;
            let degrees = within_km / KM_PER_DEGREE;
            let shrink = latitude.to_radians().cos().abs().max(0.01);
            let (north, east) = (format!("({alias}.low - "), format!("({alias}.high - "));
            this.query.push(alias).push(".low >= ").real(latitude - degrees).push(" AND ");
            this.query.push(alias).push(".low <= ").real(latitude + degrees).push(" AND ");
            this.query.push(&north).real(latitude).push(") * ").push(&north).real(latitude);
            this.query.push(") + ").push(&east).real(longitude).push(") * ").push(&east);
            this.query.real(longitude).push(") * ").real(shrink * shrink).push(" <= ");
            this.query.real(degrees * degrees);
        });
    }

    /// Any of the dates, on a stored interval `[low, high)`.
    fn dates(&mut self, any: &[DateTest], low: &str, high: &str) {
        self.any(any, |this, test| this.date(*test, low, high));
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

    fn date(&mut self, DateTest { prefix, interval }: DateTest, low: &str, high: &str) {
        let Interval { low: l, high: h } = interval;
        let now = self.now;
        let mut compare = |column: &str, operator: &str, value: i64| {
            self.query.push(column).push(operator).number(value);
        };
        match prefix {
            Prefix::Eq => {
                compare(low, " >= ", l);
                compare(&format!(" AND {low}"), " < ", h);
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
