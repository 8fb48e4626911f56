//! The keys of what is referred to, or of texts: entries of the directory, or what a search finds.

use super::{LAST, Predicates};
use crate::search::condition::{Keys, TokenNumbers, Under};
use crate::search::grammar::TextTest;
use crate::store::target::{TEXT, exact_key, text_key};

impl Predicates<'_> {
    /// `= (…)` or `IN (…)`.
    pub fn keys(&mut self, keys: &Keys) {
        match keys {
            Keys::Entries(entries) => self.entries(entries),
            Keys::Identified { patient, parameter, numbers, others } => {
                let one = numbers.len() == 1 && others.is_empty();
                self.query.push(if one { "= (" } else { "IN (" });
                let bound = self.view.bound.is_some();
                if bound {
                    self.query.push("SELECT r.key FROM resource r WHERE r.key IN (");
                }
                self.identified(*patient, *parameter, numbers, others);
                if bound {
                    self.query.push(") AND ");
                    self.current(&[], true);
                }
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

    /// As [`Self::keys`], but only of current resources that may be known of.
    pub(super) fn visible_keys(&mut self, keys: &Keys) {
        if self.view.bound.is_none() {
            return self.keys(keys);
        }
        self.query.push("IN (SELECT r.key FROM resource r WHERE r.key ");
        self.keys(keys);
        self.query.push(" AND ");
        self.current(&[], true);
        self.query.push(")");
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
}
