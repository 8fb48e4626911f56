//! The outbox of registrations. See [`crate::registration::outbox`].

use fhir::identifier::NHS_NUMBER;
use rusqlite::{Connection, OptionalExtension, params};

use crate::registration::outbox::{Depth, Known, KnownRow, Outcome, Settled, State, Task};
use crate::store::StoreError;
use crate::store::effects::Effects;

/// Notes, in the write's own transaction, what the locator should now know.
pub(super) fn note(
    connection: &Connection,
    holder: i64,
    effects: &Effects,
    now: i64,
) -> Result<(), StoreError> {
    for number in effects.withdrawn() {
        want_none(connection, number, holder, now)?;
    }
    for number in effects.registered() {
        want(connection, number, holder, now)?;
    }
    Ok(())
}

fn want(connection: &Connection, number: &str, holder: i64, now: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO registration \
               (number, holder, wanted, generation, state, attempts, due, since) \
               VALUES (?1, ?2, 1, 1, 0, 0, 0, ?3) ON CONFLICT (number) DO UPDATE SET \
               holder = ?2, wanted = 1, generation = generation + 1, state = 0, \
               due = CASE WHEN state = 0 THEN due ELSE 0 END, \
               since = CASE WHEN state = 0 THEN since ELSE ?3 END";
    connection.prepare_cached(sql)?.execute(params![number, holder, now])?;
    Ok(())
}

fn want_none(
    connection: &Connection,
    number: &str,
    holder: i64,
    now: i64,
) -> Result<(), StoreError> {
    let sql = "UPDATE registration SET wanted = 0, generation = generation + 1, state = 0, \
               due = CASE WHEN state = 0 THEN due ELSE 0 END, \
               since = CASE WHEN state = 0 THEN since ELSE ?3 END \
               WHERE number = ?1 AND holder = ?2";
    connection.prepare_cached(sql)?.execute(params![number, holder, now])?;
    Ok(())
}

/// Makes the wish for a number what the record says.
fn align(connection: &Connection, patient: i64, number: &str, now: i64) -> Result<(), StoreError> {
    let sql = "SELECT key FROM unique_identifier WHERE type = ?1 AND system = ?2 AND value = ?3";
    let mut select = connection.prepare_cached(sql)?;
    let carrier = select.query_row(params![patient, NHS_NUMBER, number], |row| row.get(0));
    let carrier: Option<i64> = carrier.optional()?;
    let sql = "SELECT holder, wanted = 1 FROM registration WHERE number = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let row = select.query_row([number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match (carrier, row) {
        (Some(carrier), Some((holder, true))) if holder == carrier => Ok(()),
        (Some(carrier), _) => want(connection, number, carrier, now),
        (None, Some((holder, true))) => want_none(connection, number, holder, now),
        (None, _) => Ok(()),
    }
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
               LIMIT ?1) RETURNING number, wanted, generation, attempts - 1, pointer, holder";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let tasks = statement.query_map(params![limit, now, until], |row| {
        Ok(Task {
            number: row.get(0)?,
            holder: row.get(5)?,
            wanted: row.get::<_, i64>(1)? == 1,
            generation: row.get(2)?,
            attempts: row.get(3)?,
            pointer: row.get(4)?,
        })
    })?;
    Ok(tasks.collect::<Result<_, _>>()?)
}

/// Writes down what became of tasks.
pub(super) fn settle(
    connection: &Connection,
    patient: i64,
    outcomes: &[Outcome],
    now: i64,
) -> Result<(), StoreError> {
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
            Settled::Again => {
                let sql = "UPDATE registration SET state = 0, due = 0, since = ?3, \
                           attempts = max(attempts, 1) \
                           WHERE number = ?1 AND generation = ?2 AND state <> 0";
                connection.prepare_cached(sql)?.execute(params![number, generation, now])?;
            }
            Settled::Aligned => align(connection, patient, number, now)?,
        }
    }
    Ok(())
}

/// How many are to do, and how many are parked.
pub(super) fn depth(connection: &Connection) -> rusqlite::Result<Depth> {
    let sql = "SELECT count(*) FILTER (WHERE state = 0), min(since) FILTER (WHERE state = 0), \
               count(*) FILTER (WHERE state = 2) FROM registration WHERE state <> 1";
    connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(Depth { waiting: row.get(0)?, oldest: row.get(1)?, parked: row.get(2)? })
    })
}

/// The next numbers that are carried or known, in order.
pub(super) fn known(
    connection: &Connection,
    patient: i64,
    after: &str,
    limit: i64,
) -> rusqlite::Result<Vec<Known>> {
    let sql = "WITH page AS (SELECT number FROM ( \
               SELECT * FROM (SELECT number FROM registration WHERE number > ?3 \
               ORDER BY number LIMIT ?4) UNION SELECT * FROM (SELECT value FROM unique_identifier \
               WHERE type = ?1 AND system = ?2 AND value > ?3 ORDER BY value LIMIT ?4)) \
               ORDER BY number LIMIT ?4) \
               SELECT p.number, u.key, r.holder, r.wanted, r.generation, r.state, r.pointer, \
               r.problem FROM page p LEFT JOIN registration r ON r.number = p.number \
               LEFT JOIN unique_identifier u \
               ON u.type = ?1 AND u.system = ?2 AND u.value = p.number ORDER BY p.number";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params![patient, NHS_NUMBER, after, limit], |row| {
        let holder: Option<i64> = row.get(2)?;
        let known = |holder| {
            Ok::<_, rusqlite::Error>(KnownRow {
                holder,
                wanted: row.get::<_, i64>(3)? == 1,
                generation: row.get(4)?,
                state: State::from_number(row.get(5)?),
                pointer: row.get(6)?,
                problem: row.get(7)?,
            })
        };
        let (number, carrier) = (row.get(0)?, row.get(1)?);
        Ok(Known { number, carrier, row: holder.map(known).transpose()? })
    })?;
    rows.collect()
}

/// Numbers that the locator holds a pointer for, from one on.
pub(super) fn sample(
    connection: &Connection,
    from: &str,
    limit: i64,
) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT number FROM registration WHERE number >= ?1 AND state = 1 AND wanted = 1 \
               AND pointer IS NOT NULL ORDER BY number LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    select.query_map(params![from, limit], |row| row.get(0))?.collect()
}

/// What is kept under a name.
pub(super) fn setting(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT value FROM setting WHERE name = ?1";
    connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()
}

/// Keeps something under a name.
pub(super) fn keep(connection: &Connection, name: &str, value: &[u8]) -> Result<(), StoreError> {
    let sql = "INSERT INTO setting (name, value) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET value = ?2";
    connection.prepare_cached(sql)?.execute(params![name, value])?;
    Ok(())
}

/// Whether anything is due: asked before the writer is bothered.
pub(super) fn any_due(connection: &Connection, now: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM registration WHERE state = 0 AND due <= ?1)";
    connection.prepare_cached(sql)?.query_row([now], |row| row.get(0))
}
