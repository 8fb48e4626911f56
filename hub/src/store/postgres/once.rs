//! Answers that are kept: see [`Once`](crate::store::write::Once).

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPool};

use super::apply::Failure;
use crate::store::StoreError;
use crate::store::write::{Batch, KEPT_MICROS, Kept, Written};

/// Takes the batch's key, before anything else is looked at: a key that is taken has its answer.
/// Waits for whoever is about to take it.
pub(super) async fn claim(
    connection: &mut PgConnection,
    batch: &Batch,
    now: i64,
) -> Result<(), Failure> {
    let Some(once) = &batch.once else { return Ok(()) };
    // What another process is sweeping is left to it.
    sqlx::query(
        "DELETE FROM kept_answer WHERE (organisation, key) IN (SELECT organisation, key \
         FROM kept_answer WHERE recorded < $1 FOR UPDATE SKIP LOCKED)",
    )
    .bind(now - KEPT_MICROS)
    .execute(&mut *connection)
    .await?;
    let claimed = sqlx::query(
        "INSERT INTO kept_answer (organisation, key, digest, answer, recorded) \
         VALUES ($1, $2, $3, '', $4) ON CONFLICT (organisation, key) DO NOTHING",
    )
    .bind(&batch.audit.asker.organisation)
    .bind(&once.key)
    .bind(&once.digest)
    .bind(now)
    .execute(connection)
    .await?;
    match claimed.rows_affected() {
        0 => Err(StoreError::Moved.into()),
        _ => Ok(()),
    }
}

/// Keeps the answer under the key that was taken.
pub(super) async fn keep(
    connection: &mut PgConnection,
    batch: &Batch,
    written: &[Written],
) -> Result<(), Failure> {
    let Some(once) = &batch.once else { return Ok(()) };
    sqlx::query("UPDATE kept_answer SET answer = $3 WHERE organisation = $1 AND key = $2")
        .bind(&batch.audit.asker.organisation)
        .bind(&once.key)
        .bind((once.answer)(written))
        .execute(connection)
        .await?;
    Ok(())
}

/// The answer under a key, unless it is too old.
pub(super) async fn kept(
    pool: &PgPool,
    organisation: &str,
    key: &str,
    now: i64,
) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query(
        "SELECT digest, answer FROM kept_answer \
         WHERE organisation = $1 AND key = $2 AND recorded >= $3",
    )
    .bind(organisation)
    .bind(key)
    .bind(now - KEPT_MICROS)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Kept { digest: row.get(0), answer: row.get(1) }))
}
