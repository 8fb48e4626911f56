//! A value on an index row: under which parameter it stands, and how it is compared.

use fhir::instant::Interval;

use super::{LAST, Predicates, one_of};
use crate::search::condition::{Near, System, Test, TokenNumbers, Under};
use crate::search::grammar::{DateTest, Prefix};
use crate::store::target::{PAIR, SEPARATOR, code_key};

/// Kilometres in a degree of latitude.
const KM_PER_DEGREE: f64 = 111.195;

impl Predicates<'_> {
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

    pub(super) fn under(&mut self, alias: &str, under: &Under) {
        self.query.push(alias).push(".param ");
        match under {
            Under::Parameters(parameters) => {
                one_of(self.query, parameters);
                self.view.placed(self.query, alias, parameters);
            }
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
    pub(super) fn tokens(&mut self, alias: &str, any: &[TokenNumbers]) {
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
    pub(super) fn dates(&mut self, any: &[DateTest], low: &str, high: &str) {
        self.any(any, |this, test| this.date(*test, low, high));
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
