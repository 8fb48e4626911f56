//! The outbox of registrations. See [`crate::registration::outbox`].

use rusqlite::{Connection, params};

use crate::registration::outbox::{Outcome, Settled, Task};
use crate::store::StoreError;
use crate::store::effects::Effects;

/// Notes, in the write's own transaction, what the locator should now know.
pub(super) fn note(
    connection: &Connection,
    holder: i64,
    effects: &Effects,
) -> Result<(), StoreError> {
    for number in effects.withdrawn() {
        let sql = "UPDATE registration SET wanted = 0, generation = generation + 1, state = 0, \
                   due = CASE WHEN state = 0 THEN due ELSE 0 END WHERE number = ?1 AND holder = ?2";
        connection.prepare_cached(sql)?.execute(params![number, holder])?;
    }
    for number in effects.registered() {
        let sql = "INSERT INTO registration \
                   (number, holder, wanted, generation, state, attempts, due) \
                   VALUES (?1, ?2, 1, 1, 0, 0, 0) ON CONFLICT (number) DO UPDATE SET \
                   holder = ?2, wanted = 1, generation = generation + 1, state = 0, \
                   due = CASE WHEN state = 0 THEN due ELSE 0 END";
        connection.prepare_cached(sql)?.execute(params![number, holder])?;
    }
    Ok(())
}

/// Takes what is due and marks it as tried, so that a crash from here on is remembered.
pub(super) fn due(
    connection: &Connection,
    limit: usize,
    now: i64,
    until: i64,
) -> Result<Vec<Task>, StoreError> {
    let sql = "UPDATE registration SET attempts = attempts + 1, due = ?3 WHERE number IN \
               (SELECT number FROM registration WHERE state = 0 AND due <= ?2 ORDER BY due \
               LIMIT ?1) RETURNING number, wanted, generation, attempts - 1, pointer";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let tasks = statement.query_map(params![limit, now, until], |row| {
        Ok(Task {
            number: row.get(0)?,
            wanted: row.get::<_, i64>(1)? == 1,
            generation: row.get(2)?,
            attempts: row.get(3)?,
            pointer: row.get(4)?,
        })
    })?;
    Ok(tasks.collect::<Result<_, _>>()?)
}

/// Writes down what became of tasks.
pub(super) fn settle(connection: &Connection, outcomes: &[Outcome]) -> Result<(), StoreError> {
    for Outcome { number, generation, result } in outcomes {
        match result {
            Settled::Registered { pointer } => {
                // The pointer is known even if the wish has changed since; then that is due now.
                let sql = "UPDATE registration SET pointer = ?3, problem = NULL, \
                           state = CASE WHEN generation = ?2 THEN 1 ELSE state END, \
                           due = CASE WHEN generation = ?2 THEN due ELSE 0 END \
                           WHERE number = ?1";
                connection.prepare_cached(sql)?.execute(params![number, generation, pointer])?;
            }
            Settled::Withdrawn => {
                // The row stays, so that generations never begin again.
                let sql = "UPDATE registration SET pointer = NULL, problem = NULL, \
                           state = CASE WHEN generation = ?2 THEN 1 ELSE state END, \
                           due = CASE WHEN generation = ?2 THEN due ELSE 0 END \
                           WHERE number = ?1";
                connection.prepare_cached(sql)?.execute(params![number, generation])?;
            }
            Settled::Retry { due, problem } => {
                let sql = "UPDATE registration SET due = ?3, problem = ?4 \
                           WHERE number = ?1 AND generation = ?2";
                let values = params![number, generation, due, problem];
                connection.prepare_cached(sql)?.execute(values)?;
            }
            Settled::Parked { problem } => {
                let sql = "UPDATE registration SET state = 2, problem = ?3 \
                           WHERE number = ?1 AND generation = ?2";
                let values = params![number, generation, problem];
                connection.prepare_cached(sql)?.execute(values)?;
            }
        }
    }
    Ok(())
}

/// How many are to do, and how many are parked.
pub(super) fn depth(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let sql = "SELECT (SELECT count(*) FROM registration WHERE state = 0), \
               (SELECT count(*) FROM registration WHERE state = 2)";
    connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Whether anything is due: asked before the writer is bothered.
pub(super) fn any_due(connection: &Connection, now: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM registration WHERE state = 0 AND due <= ?1)";
    connection.prepare_cached(sql)?.query_row([now], |row| row.get(0))
}
