//! The audit trail, in one lane: there is one writer.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::audit::chain::{Link, Tip};
use crate::store::StoreError;

/// The one lane.
const LANE: i64 = 1;

/// Adds an entry, in the transaction of what it tells of.
pub(super) fn append(
    connection: &Connection,
    recorded: i64,
    entry: String,
) -> Result<(), StoreError> {
    let Link { tip, recorded, entry } = tip(connection)?.link(recorded, entry);
    let sql = "INSERT INTO audit (lane, seq, recorded, entry, hash) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![tip.lane, tip.seq, recorded, entry, tip.hash];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Where the lane ends.
pub(super) fn tip(connection: &Connection) -> rusqlite::Result<Tip> {
    let sql = "SELECT lane, seq, hash FROM audit WHERE lane = ?1 ORDER BY seq DESC LIMIT 1";
    let last = connection.prepare_cached(sql)?.query_row([LANE], read_tip).optional()?;
    Ok(last.unwrap_or(Tip::start(LANE)))
}

fn read_tip(row: &Row<'_>) -> rusqlite::Result<Tip> {
    Ok(Tip { lane: row.get(0)?, seq: row.get(1)?, hash: row.get(2)? })
}

/// Makes what was recorded before there was a chain its beginning.
pub(super) fn chain_earlier(connection: &Connection) -> Result<(), StoreError> {
    let mut select =
        connection.prepare("SELECT recorded, entry FROM audit_unchained ORDER BY seq")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        append(connection, row.get(0)?, row.get(1)?)?;
    }
    drop(rows);
    drop(select);
    Ok(connection.execute_batch("DROP TABLE audit_unchained")?)
}
