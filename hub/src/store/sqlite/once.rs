//! Answers that are kept: see [`Once`](crate::store::write::Once).

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::StoreError;
use crate::store::write::{Batch, KEPT_MICROS, Kept, Written};

/// Takes the batch's key, before anything else is looked at: a key that is taken has its answer.
pub(super) fn claim(connection: &Connection, batch: &Batch, now: i64) -> Result<(), StoreError> {
    let Some(once) = &batch.once else { return Ok(()) };
    let sql = "DELETE FROM kept_answer WHERE recorded < ?1";
    connection.prepare_cached(sql)?.execute([now - KEPT_MICROS])?;
    let sql = "INSERT INTO kept_answer (organisation, key, digest, answer, recorded) \
               VALUES (?1, ?2, ?3, x'', ?4) ON CONFLICT (organisation, key) DO NOTHING";
    let values = params![batch.audit.asker.organisation, once.key, once.digest, now];
    match connection.prepare_cached(sql)?.execute(values)? {
        0 => Err(StoreError::Moved),
        _ => Ok(()),
    }
}

/// Keeps the answer under the key that was taken.
pub(super) fn keep(
    connection: &Connection,
    batch: &Batch,
    written: &[Written],
) -> Result<(), StoreError> {
    let Some(once) = &batch.once else { return Ok(()) };
    let sql = "UPDATE kept_answer SET answer = ?3 WHERE organisation = ?1 AND key = ?2";
    let values = params![batch.audit.asker.organisation, once.key, (once.answer)(written)];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// The answer under a key, unless it is too old.
pub(super) fn kept(
    connection: &Connection,
    organisation: &str,
    key: &str,
    now: i64,
) -> rusqlite::Result<Option<Kept>> {
    let sql = "SELECT digest, answer FROM kept_answer \
               WHERE organisation = ?1 AND key = ?2 AND recorded >= ?3";
    let values = params![organisation, key, now - KEPT_MICROS];
    connection
        .prepare_cached(sql)?
        .query_row(values, |row| Ok(Kept { digest: row.get(0)?, answer: row.get(1)? }))
        .optional()
}
