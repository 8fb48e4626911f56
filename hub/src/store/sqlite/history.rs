//! Histories on SQLite: each type's newest places, merged, then their texts; all of one snapshot.

use fhir::definitions::ResourceType;
use rusqlite::{Connection, params, params_from_iter};

use super::Sqlite;
use crate::store::StoreError;
use crate::store::history::{History, Of, Past, Place};
use crate::store::query::Query;

impl Sqlite {
    pub(in crate::store) async fn history(
        &self,
        history: &History,
        limit: usize,
    ) -> Result<Vec<Past>, StoreError> {
        self.with_reader(|c| {
            // A version that is replaced meanwhile must not be missed between two statements.
            let snapshot = c.unchecked_transaction()?;
            let mut places = Vec::new();
            for t in of_types(&history.of) {
                let query = self.places(history, t, limit);
                let mut statement = snapshot.prepare_cached(query.sql())?;
                let rows = statement.query_map(params_from_iter(query.arguments()), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, t))
                })?;
                for row in rows {
                    places.push(row?);
                }
            }
            places.sort_unstable_by_key(|(updated, key, ..)| std::cmp::Reverse((*updated, *key)));
            places.truncate(limit);
            places.into_iter().map(|place| past(&snapshot, place)).collect()
        })
    }

    pub(in crate::store) async fn count_history(
        &self,
        history: &History,
    ) -> Result<u64, StoreError> {
        self.with_reader(|c| {
            let mut total = 0;
            for t in of_types(&history.of) {
                let mut query = Query::default();
                query.push("SELECT count(*) FROM (");
                self.append(&mut query, history, t, usize::MAX);
                query.push(") AS v");
                total += super::keys(c, &query)?.first().copied().unwrap_or_default();
            }
            Ok(total.unsigned_abs())
        })
    }

    fn places(&self, history: &History, t: ResourceType, limit: usize) -> Query {
        let mut query = Query::default();
        self.append(&mut query, history, t, limit);
        query
    }

    fn append(&self, query: &mut Query, history: &History, t: ResourceType, limit: usize) {
        let number = self.known.terms().resource_type(t);
        history.places(query, limit, |query| match &history.of {
            Of::Instance(_, id) => {
                query.push("v.key = (SELECT key FROM directory WHERE type = ").number(number);
                query.push(" AND id = ").text(id).push(")");
            }
            Of::Type(_) | Of::System => {
                query.push("v.type = ").number(number);
            }
        });
    }
}

fn of_types(of: &Of) -> Vec<ResourceType> {
    match of {
        Of::Instance(t, _) | Of::Type(t) => vec![*t],
        Of::System => ResourceType::all().collect(),
    }
}

fn past(
    connection: &Connection,
    (updated, key, number, resource_type): (i64, i64, i64, ResourceType),
) -> Result<Past, StoreError> {
    let sql = "SELECT v.version, v.updated, v.method, v.body, d.id FROM (\
               SELECT key, version, updated, method, body FROM resource UNION ALL \
               SELECT key, version, updated, method, body FROM history\
               ) v JOIN directory d ON d.key = v.key WHERE v.key = ?1 AND v.version = ?2";
    Ok(connection.prepare_cached(sql)?.query_row(params![key, number], |row| {
        let version = super::version(row)?;
        Ok(Past { place: Place { updated, key }, resource_type, id: row.get(4)?, version })
    })?)
}
