//! A view as SQL. Each condition stands beside a row of the record, and asks tables of its own:
//!
//! | table | what it holds |
//! |---|---|
//! | `restriction` | the classes of labels of each version that has any |
//! | `concern` | Patients whom a resource is about beside those in `reference`, and was about before |
//! | `consent_rule` | what patients' Consents say: see [`super::consent`] |
//!
//! Where nothing is in a table, nothing but that is found out, once a query: a record without labels and
//! rules is searched as if there were no policy. The same snapshot is asked for rules and for resources.

use super::label::PLACE;
use super::{Bound, View};
use crate::search::predicate::one_of;
use crate::store::index::NO_CLINICAL_MS;
use crate::store::query::Query;

/// Which versions the rows of an alias are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Current ones, of `resource`.
    Current,
    /// Any, with `key`, `type` and `version`.
    Past,
}

impl View {
    /// ` AND …`: the caller may know of the version in this row.
    pub fn visible(&self, query: &mut Query, row: &str, rows: Rows) {
        let Some(bound) = &self.bound else { return };
        bound.labels(query, row, rows);
        bound.consents(query, row, rows);
    }

    /// ` AND …`: a row of an index table may be used; not if it is of a parameter that tells the place
    /// of a patient who must not be found.
    pub fn placed(&self, query: &mut Query, row: &str, parameters: &[i64]) {
        let Some(bound) = &self.bound else { return };
        if parameters.iter().any(|number| bound.placing.contains(number)) {
            query.push(" AND (NOT EXISTS (SELECT 1 FROM restriction) OR NOT ");
            unfindable(query, &format!("{row}.key"));
            query.push(")");
        }
    }

    /// As [`Self::placed`], for rows of every parameter.
    pub fn placed_by_any(&self, query: &mut Query, row: &str) {
        let Some(bound) = &self.bound else { return };
        query.push(" AND (NOT EXISTS (SELECT 1 FROM restriction) OR ").push(row);
        query.push(".param NOT IN ").numbers(&bound.placing).push(" OR NOT ");
        unfindable(query, &format!("{row}.key"));
        query.push(")");
    }

    /// Which of these keys are of resources about patients who must not be found, or of the patients;
    /// all, while the index is made anew and cannot tell.
    pub fn unfindable(keys: &[i64]) -> Query {
        let mut query = Query::default();
        query.push("SELECT k.key FROM directory k WHERE k.key ");
        one_of(&mut query, keys);
        query.push(" AND EXISTS (SELECT 1 FROM restriction) AND (");
        query.push("EXISTS (SELECT 1 FROM index_state i WHERE i.cursor < i.last) OR ");
        unfindable(&mut query, "k.key");
        query.push(")");
        query
    }

    /// A row, if there is a rule that may bind the caller.
    pub fn rules(&self) -> Option<Query> {
        let bound = self.bound.as_ref()?;
        let mut query = Query::default();
        query.push("SELECT x.place FROM consent_rule x WHERE x.lane ");
        one_of(&mut query, bound.lanes);
        query.push(" LIMIT 1");
        Some(query)
    }
}

/// `EXISTS (…)`: the resource is, or refers to, a Patient whose place is withheld now.
fn unfindable(query: &mut Query, key: &str) {
    query.push("EXISTS (SELECT 1 FROM (SELECT ").push(key).push(" AS key UNION ALL ");
    query.push("SELECT q.target FROM reference q WHERE q.key = ").push(key).push(" UNION ALL ");
    query.push("SELECT c.patient FROM concern c WHERE c.key = ").push(key).push(") p ");
    query.push("CROSS JOIN restriction s CROSS JOIN resource o WHERE s.key = p.key ");
    query.push("AND o.key = s.key AND o.version = s.version AND (s.classes & ").number(PLACE);
    query.push(") <> 0)");
}

impl Bound {
    fn labels(&self, query: &mut Query, row: &str, rows: Rows) {
        query.push(" AND (NOT EXISTS (SELECT 1 FROM restriction) OR NOT EXISTS (");
        query.push("SELECT 1 FROM restriction l WHERE l.key = ").push(row).push(".key AND ");
        versions(query, "l", row, rows);
        query.push(" AND (l.classes & ").number(self.withheld).push(") <> 0))");
    }

    fn consents(&self, query: &mut Query, row: &str, rows: Rows) {
        query.push(" AND (NOT EXISTS (SELECT 1 FROM consent_rule g WHERE g.lane ");
        one_of(query, self.lanes);
        // While the index is made anew, it cannot be told whom a resource is about.
        query.push(") OR EXISTS (SELECT 1 FROM index_state i WHERE i.cursor >= i.last) AND ");
        query.push("NOT EXISTS (SELECT 1 FROM (SELECT ").push(row).push(".key AS patient ");
        query.push("UNION ALL SELECT q.target FROM reference q WHERE q.key = ").push(row);
        query.push(".key UNION ALL SELECT c.patient FROM concern c WHERE c.key = ").push(row);
        query.push(".key");
        if rows == Rows::Current {
            query.push(" AND (c.past = 0 OR ").push(row).push(".method = 2)");
        }
        query.push(") p CROSS JOIN consent_rule x WHERE x.lane ");
        one_of(query, self.lanes);
        query.push(" AND x.patient = p.patient AND x.permits = 0");
        self.meets(query, "x", row, rows);
        clinical(query, "x", row, rows, true);
        self.decides(query);
        self.unless_permitted(query, row, rows);
        query.push("))");
    }

    /// The newest Consent in force decides.
    fn decides(&self, query: &mut Query) {
        query.push(" AND NOT EXISTS (SELECT 1 FROM consent_rule n WHERE n.lane = x.lane AND ");
        query.push("n.patient = x.patient AND (n.made > x.made OR n.made = x.made AND ");
        query.push("n.consent > x.consent) AND n.place = 0 AND n.low <= ").number(self.now);
        query.push(" AND n.high > ").number(self.now).push(")");
    }

    /// An exception within.
    fn unless_permitted(&self, query: &mut Query, row: &str, rows: Rows) {
        query.push(" AND NOT EXISTS (SELECT 1 FROM consent_rule y WHERE y.lane = x.lane AND ");
        query.push("y.patient = x.patient AND y.made = x.made AND y.consent = x.consent AND ");
        query.push("y.place > x.place AND y.place <= x.last AND y.permits = 1");
        self.meets(query, "y", row, rows);
        clinical(query, "y", row, rows, false);
        query.push(")");
    }

    /// ` AND …`: caller and resource meet the conditions of a rule.
    fn meets(&self, query: &mut Query, rule: &str, row: &str, rows: Rows) {
        query.push(" AND (").push(rule).push(".purposes & ").number(self.purpose);
        query.push(") <> 0 AND (").push(rule).push(".actor = '' OR ").push(rule).push(".actor = ");
        query.text(&self.organisation).push(") AND ").push(rule).push(".low <= ");
        query.number(self.now).push(" AND ").push(rule).push(".high > ").number(self.now);
        query.push(" AND (").push(rule).push(".type = 0 OR ").push(rule).push(".type = ");
        query.push(row).push(".type) AND (").push(rule).push(".classes = 0 OR EXISTS (");
        query.push("SELECT 1 FROM restriction m WHERE m.key = ").push(row).push(".key AND ");
        versions(query, "m", row, rows);
        query.push(" AND (m.classes & ").push(rule).push(".classes) <> 0))");
    }
}

/// ` AND …`: the resource's clinical time lies in a rule's. Of one without, it cannot be told.
fn clinical(query: &mut Query, rule: &str, row: &str, rows: Rows, untold: bool) {
    match (rows, untold) {
        (Rows::Past, true) => {}
        (Rows::Past, false) => {
            query.push(" AND ").push(rule).push(".data_low = ").number(i64::MIN);
            query.push(" AND ").push(rule).push(".data_high = ").number(i64::MAX);
        }
        (Rows::Current, untold) => {
            query.push(" AND (");
            if untold {
                query.push(row).push(".clinical_ms = ").number(NO_CLINICAL_MS).push(" OR ");
            }
            query.push(row).push(".clinical_ms >= ").push(rule).push(".data_low AND ");
            query.push(row).push(".clinical_ms < ").push(rule).push(".data_high)");
        }
    }
}

/// The labels that count for a row: the version's own and, of an old one, the current one's too.
fn versions(query: &mut Query, label: &str, row: &str, rows: Rows) {
    query.push("(").push(label).push(".version = ").push(row).push(".version");
    if rows == Rows::Past {
        query.push(" OR ").push(label).push(".version = (SELECT o.version FROM resource o WHERE ");
        query.push("o.key = ").push(row).push(".key)");
    }
    query.push(")");
}
