//! Histories on PostgreSQL: each type's newest places, merged, and their texts in one statement.

use fhir::definitions::ResourceType;
use sqlx::Row;

use super::Postgres;
use crate::store::StoreError;
use crate::store::history::{History, Of, Past, Place};
use crate::store::query::Query;

impl Postgres {
    pub(in crate::store) async fn history(
        &self,
        history: &History,
        limit: usize,
    ) -> Result<Vec<Past>, StoreError> {
        let mut query = Query::default();
        query.push("WITH place AS (");
        self.places(&mut query, history, limit);
        query.push(" ORDER BY updated DESC, key DESC LIMIT ").number(limit as i64);
        query.push(
            ") SELECT v.version, v.updated, v.method, v.body, d.id, d.key, d.type FROM place p \
             JOIN directory d ON d.key = p.key CROSS JOIN LATERAL (\
             SELECT version, updated, method, body FROM resource r \
             WHERE r.key = p.key AND r.version = p.version UNION ALL \
             SELECT version, updated, method, body FROM history h \
             WHERE h.key = p.key AND h.version = p.version\
             ) v ORDER BY p.updated DESC, p.key DESC",
        );
        let rows = super::statement(&query).fetch_all(&self.pool()).await?;
        let terms = self.known.terms();
        let past = rows.iter().map(|row| {
            let version = super::version(row);
            let resource_type = terms.type_of(row.get(6));
            let resource_type =
                resource_type.ok_or_else(|| StoreError::Failed("a row has no type".into()))?;
            let place = Place { updated: version.updated, key: row.get(5) };
            Ok(Past { place, resource_type, id: row.get(4), version })
        });
        past.collect()
    }

    pub(in crate::store) async fn count_history(
        &self,
        history: &History,
    ) -> Result<u64, StoreError> {
        let mut query = Query::default();
        query.push("SELECT count(*) FROM (");
        self.places(&mut query, history, usize::MAX);
        query.push(") AS place");
        let counted = self.numbers(&query).await?;
        Ok(counted.first().copied().unwrap_or_default().unsigned_abs())
    }

    fn places(&self, query: &mut Query, history: &History, limit: usize) {
        let types = match &history.of {
            Of::Instance(t, _) | Of::Type(t) => vec![*t],
            Of::System => ResourceType::all().collect(),
        };
        query.push("SELECT place.* FROM unnest(ARRAY[");
        for (at, t) in types.into_iter().enumerate() {
            query.push(if at == 0 { "" } else { "," }).number(self.known.terms().resource_type(t));
        }
        query.push("]) AS t (type) CROSS JOIN LATERAL (");
        history.places(query, limit, |query| match &history.of {
            Of::Instance(_, id) => {
                query.push("v.key = (SELECT key FROM directory WHERE type = t.type AND id = ");
                query.text(id).push(")");
            }
            Of::Type(_) | Of::System => {
                query.push("v.type = t.type");
            }
        });
        query.push(") AS place");
    }
}
