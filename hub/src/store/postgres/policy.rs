//! Who may see a resource, written with it; and compiled once of what was written before anyone asked.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool};

use super::apply::Failure;
use super::directory::Directory;
use super::version;
use crate::store::StoreError;
use crate::store::effects::{Numbers, index_of};
use crate::store::index::Index;
use crate::store::policy::{PolicyRows, RuleRow, VERSION, patients};
use crate::store::vocabulary::Vocabulary;

/// Resources that are compiled together.
const STRETCH: i64 = 500;

pub(super) async fn store(
    connection: &mut PgConnection,
    key: i64,
    version: i64,
    rows: &PolicyRows,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    if rows.forgets {
        for sql in [
            "DELETE FROM concern WHERE key = $1 AND past = 0",
            "DELETE FROM consent_rule WHERE consent = $1",
        ] {
            sqlx::query(sql).bind(key).execute(&mut *connection).await?;
        }
    }
    if rows.classes != 0 {
        let sql = "INSERT INTO restriction (key, version, classes) VALUES ($1, $2, $3) \
                   ON CONFLICT DO NOTHING";
        let statement = sqlx::query(sql).bind(key).bind(version).bind(rows.classes);
        statement.execute(&mut *connection).await?;
    }
    if !rows.concerns.is_empty() {
        let patients: Vec<i64> = rows.concerns.iter().map(|concern| concern.patient).collect();
        let past: Vec<i64> = rows.concerns.iter().map(|concern| i64::from(concern.past)).collect();
        let sql = "INSERT INTO concern (key, patient, past) \
                   SELECT $1, c.* FROM unnest($2::bigint[], $3::bigint[]) AS c \
                   ON CONFLICT DO NOTHING";
        let statement = sqlx::query(sql).bind(key).bind(patients).bind(past);
        statement.execute(&mut *connection).await?;
    }
    for row in &rows.rules {
        rule(connection, key, row).await?;
    }
    Ok(())
}

async fn rule(
    connection: &mut PgConnection,
    consent: i64,
    row: &RuleRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO consent_rule (lane, patient, made, consent, place, part, last, permits, \
         actor, purposes, low, high, type, classes, data_low, data_high) VALUES ($1, $2, $3, $4, \
         $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(row.lane)
    .bind(row.patient)
    .bind(row.made)
    .bind(consent)
    .bind(row.place)
    .bind(row.part)
    .bind(row.last)
    .bind(i64::from(row.permits))
    .bind(row.actor.clone())
    .bind(row.purposes)
    .bind(row.period.0)
    .bind(row.period.1)
    .bind(row.resource_type)
    .bind(row.classes)
    .bind(row.data_ms.0)
    .bind(row.data_ms.1)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes the rows of everything that is in the record, unless they were made in this way. `lock` lets
/// one process do so at a time.
pub(super) async fn compile(
    pool: &PgPool,
    terms: &Vocabulary,
    lock: i64,
) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    let sql = "SELECT pg_advisory_xact_lock($1)";
    sqlx::query(sql).bind(lock).execute(&mut *transaction).await?;
    let sql = "SELECT value FROM setting WHERE name = 'policy'";
    let made: Option<Vec<u8>> = sqlx::query_scalar(sql).fetch_optional(&mut *transaction).await?;
    if made.as_deref() == Some(VERSION.as_bytes()) {
        return Ok(());
    }
    let sql = "SET LOCAL statement_timeout = 0; DELETE FROM restriction; DELETE FROM concern; \
               DELETE FROM consent_rule";
    sqlx::raw_sql(sql).execute(&mut *transaction).await?;
    let (mut after, mut directory) = (0, Directory::default());
    loop {
        let stretch = stretch(&mut transaction, terms, &mut directory, after).await;
        match stretch.map_err(refused)? {
            Some(last) => after = last,
            None => break,
        }
    }
    let sql = "INSERT INTO setting (name, value) VALUES ('policy', $1) \
               ON CONFLICT (name) DO UPDATE SET value = $1";
    sqlx::query(sql).bind(VERSION.as_bytes()).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

fn refused(failure: Failure) -> StoreError {
    match failure {
        Failure::Collision(_) => StoreError::Overloaded,
        Failure::Store(error) => error,
    }
}

/// The versions of the next resources, as they were written; gives the last one's key.
async fn stretch(
    connection: &mut PgConnection,
    terms: &Vocabulary,
    directory: &mut Directory,
    after: i64,
) -> Result<Option<i64>, Failure> {
    let rows = sqlx::query(
        "SELECT v.version, v.updated, v.method, v.body, v.key, d.type, d.id FROM (\
         SELECT key, version, updated, method, body FROM resource UNION ALL \
         SELECT key, version, updated, method, body FROM history\
         ) v JOIN directory d ON d.key = v.key WHERE v.key > $1 AND v.key <= (\
         SELECT max(key) FROM (SELECT key FROM resource WHERE key > $1 ORDER BY key LIMIT $2) n\
         ) ORDER BY v.key, v.version",
    )
    .bind(after)
    .bind(STRETCH)
    .fetch_all(&mut *connection)
    .await?;
    let last = rows.last().map(|row| row.get(4));
    let (none, mut before): (_, Option<(i64, Index)>) = (HashMap::new(), None);
    for row in rows {
        let (version, key, id): (_, i64, String) = (version(&row), row.get(4), row.get(6));
        let Some(resource_type) = terms.type_of(row.get(5)) else { continue };
        let index = index_of(Some(&version), resource_type, &id, terms);
        let old = before.take().filter(|(of, _)| *of == key).map(|(_, old)| old);
        let about: BTreeSet<_> = old.iter().chain(&index).flat_map(patients).collect();
        directory.enter(connection, terms, about).await?;
        let numbers = Numbers { terms, new_systems: &none, keys: directory.keys() };
        let changed = PolicyRows::between(old.as_ref(), index.as_ref(), &numbers);
        store(connection, key, version.version, &changed).await?;
        before = index.map(|index| (key, index));
    }
    Ok(last)
}
