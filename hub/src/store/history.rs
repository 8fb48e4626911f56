//! Histories: which versions of which resources, newest first. Pure, the same for both engines.
//!
//! A type's versions lie in three ordered ranges: what is current, what is deleted, what was
//! replaced. A page takes the newest of each range and merges them, so it costs what it shows and
//! not what the record holds; the whole record is all types merged, which needs no index of its own.
//! `updated` rises from version to version of a resource, so that (updated, key) names one version.

use fhir::definitions::ResourceType;
use fhir::instant::Interval;
use serde::{Deserialize, Serialize};

use super::query::Query;
use super::write::Version;
use crate::access::View;
use crate::access::predicate::Rows;

/// A question about the past.
#[derive(Debug, Clone)]
pub struct History {
    /// Of what.
    pub of: Of,
    /// Only versions not older than this, in microseconds.
    pub since: Option<i64>,
    /// Only versions that were current at some moment of this interval.
    pub at: Option<Interval>,
    /// Only what comes after this: the last version of the page before.
    pub after: Option<Place>,
    /// Only what this shows.
    pub view: View,
}

/// Whose history it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// One resource.
    Instance(ResourceType, String),
    /// All resources of a type.
    Type(ResourceType),
    /// The whole record.
    System,
}

/// A place in the order of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When the version was written.
    pub updated: i64,
    /// Its resource's key.
    pub key: i64,
}

/// A version found, and of what.
#[derive(Debug, Clone)]
pub struct Past {
    /// Where in the order it is.
    pub place: Place,
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: String,
    /// The version.
    pub version: Version,
}

/// The three ranges: a table, and which of its rows.
const RANGES: [(&str, &str); 3] =
    [("resource", " AND v.method < 2"), ("resource", " AND v.method = 2"), ("history", "")];

impl History {
    /// Appends the newest `limit` places (updated, key, version) of each range; `of` appends the
    /// condition that says whose.
    pub(super) fn places(&self, query: &mut Query, limit: usize, of: impl Fn(&mut Query)) {
        let end = self.at.map_or(i64::MAX, |at| at.high);
        let before = self.after.unwrap_or(Place { updated: end, key: i64::MIN });
        for (number, (table, rows)) in RANGES.into_iter().enumerate() {
            query.push(if number == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
            query.push("SELECT v.updated, v.key, v.version FROM ").push(table).push(" v WHERE ");
            of(query);
            query.push(rows).push(" AND (v.updated, v.key) < (").number(before.updated);
            query.push(", ").number(before.key).push(")");
            if let Some(since) = self.since {
                query.push(" AND v.updated >= ").number(since);
            }
            if let Some(at) = self.at.filter(|_| table == "history") {
                still_current(query, at.low);
            }
            self.view.visible(query, "v", Rows::Past);
            // Versions of one resource are found in the order of their numbers.
            query.push(if matches!(self.of, Of::Instance(..)) {
                " ORDER BY v.version DESC LIMIT "
            } else {
                " ORDER BY v.updated DESC, v.key DESC LIMIT "
            });
            query.number(i64::try_from(limit).unwrap_or(i64::MAX)).push(") AS range_");
            query.push(["current", "deleted", "replaced"][number]);
        }
    }
}

/// A replaced version counts if what replaced it came after `low`.
fn still_current(query: &mut Query, low: i64) {
    query.push(" AND (v.updated >= ").number(low);
    for (table, and) in [("history", " OR NOT EXISTS"), ("resource", " AND NOT EXISTS")] {
        query.push(and).push(" (SELECT 1 FROM ").push(table).push(" n WHERE n.key = v.key AND ");
        query.push("n.version = v.version + 1 AND n.updated <= ").number(low).push(")");
    }
    query.push(")");
}
