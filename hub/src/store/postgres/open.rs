//! Opening: the schema brought up to date.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPool};

use super::{enter_terms, policy, rebuild};
use crate::store::StoreError;
use crate::store::generation::Knowledge;
use crate::store::vocabulary::Vocabulary;

/// How the schema came to be, step by step; a step is frozen once it is merged.
const MIGRATIONS: [&str; 7] = [
    include_str!("../schema/postgres/0001_record.sql"),
    include_str!("../schema/postgres/0002_search_and_kept_answers.sql"),
    include_str!("../schema/postgres/0003_generation_of_the_index.sql"),
    include_str!("../schema/postgres/0004_since_when_a_registration_waits.sql"),
    include_str!("../schema/postgres/0005_chain_of_the_audit_trail.sql"),
    include_str!("../schema/postgres/0006_custodian.sql"),
    include_str!("../schema/postgres/0007_who_may_see_what.sql"),
];
/// One process migrates at a time ("hub" in ASCII).
const MIGRATION_LOCK: i64 = 0x0068_7562;

/// Warns of a server that acknowledges what it has not flushed.
pub(super) async fn durable(pool: &PgPool) -> Result<(), StoreError> {
    for setting in ["fsync", "full_page_writes"] {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(pool).await?;
        if value != "on" {
            tracing::warn!(setting, "PostgreSQL may lose acknowledged writes in a power cut");
        }
    }
    Ok(())
}

/// Brings an empty or older database to the latest of [`MIGRATIONS`] and reads its terms. An index by
/// other rules is begun anew.
pub(super) async fn migrate(pool: &PgPool, base: &str) -> Result<Knowledge, StoreError> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await?;
    let empty: bool = sqlx::query_scalar("SELECT to_regclass('setting') IS NULL")
        .fetch_one(&mut *transaction)
        .await?;
    let done = if empty { 0 } else { migrated(&mut transaction).await? };
    for step in &MIGRATIONS[done..] {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    if empty {
        let secret: [u8; 32] = {
            let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
            std::array::from_fn(|i| if i < 16 { a.as_bytes()[i] } else { b.as_bytes()[i - 16] })
        };
        sqlx::query("INSERT INTO setting (name, value) VALUES ('secret', $1)")
            .bind(secret.to_vec())
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(
        "INSERT INTO setting (name, value) VALUES ('schema', $1) \
         ON CONFLICT (name) DO UPDATE SET value = $1",
    )
    .bind(MIGRATIONS.len().to_string().into_bytes())
    .execute(&mut *transaction)
    .await?;
    forget_other_servers(&mut transaction).await?;
    let found = rebuild::generation(&mut transaction).await?;
    let is_empty = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM resource)")
        .fetch_one(&mut *transaction)
        .await?;
    let generation = found.clone().opened(is_empty)?;
    if generation != found {
        // Writes of other hubs that are under way are by the rules before.
        let sql = "LOCK TABLE index_state IN EXCLUSIVE MODE";
        sqlx::raw_sql(sql).execute(&mut *transaction).await?;
        rebuild::set(&mut transaction, &generation).await?;
    }
    transaction.commit().await?;
    enter_terms(pool, &Vocabulary::fixed_terms(&generation.added)).await?;
    let rows = sqlx::query("SELECT text, id FROM term").fetch_all(pool).await?;
    let terms: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    // What was parked is tried again: whoever started us may have mended it.
    sqlx::query("UPDATE registration SET state = 0, due = 0 WHERE state = 2").execute(pool).await?;
    let terms = Vocabulary::new(terms, base, &generation);
    Box::pin(policy::compile(pool, &terms, MIGRATION_LOCK)).await?;
    Ok(Knowledge::new(terms, generation))
}

/// A restored dump carries stamps of the server it came from, whose transactions may be ahead of ours.
async fn forget_other_servers(connection: &mut PgConnection) -> Result<(), StoreError> {
    let sql = "UPDATE resource SET stamp = '0' WHERE stamp > pg_current_xact_id()";
    let ahead = sqlx::query(sql).execute(&mut *connection).await?.rows_affected();
    if ahead > 0 {
        let sql = "UPDATE history SET stamp = '0' WHERE stamp > pg_current_xact_id()";
        sqlx::query(sql).execute(connection).await?;
    }
    Ok(())
}

/// How many of [`MIGRATIONS`] a database has.
async fn migrated(connection: &mut PgConnection) -> Result<usize, StoreError> {
    let schema: Vec<u8> = sqlx::query_scalar("SELECT value FROM setting WHERE name = 'schema'")
        .fetch_one(connection)
        .await?;
    let done = std::str::from_utf8(&schema).ok().and_then(|text| text.parse().ok());
    done.filter(|done| *done <= MIGRATIONS.len()).ok_or_else(|| {
        let text = "the database has a schema that this program does not know";
        StoreError::Unavailable(text.into())
    })
}
