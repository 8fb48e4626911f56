//! Who may see a resource, written with it; and compiled once of what was written before anyone asked.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::apply::{Apply, Turn};
use crate::store::StoreError;
use crate::store::effects::{Numbers, index_of};
use crate::store::generation::Standing;
use crate::store::policy::{Concern, PolicyRows, RuleRow, VERSION, patients};
use crate::store::vocabulary::Vocabulary;

pub(super) fn store(
    connection: &Connection,
    key: i64,
    version: i64,
    rows: &PolicyRows,
) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    if rows.forgets {
        let sql = "DELETE FROM concern WHERE key = ?1 AND past = 0";
        connection.prepare_cached(sql)?.execute([key])?;
        let sql = "DELETE FROM consent_rule WHERE consent = ?1";
        connection.prepare_cached(sql)?.execute([key])?;
    }
    if rows.classes != 0 {
        let sql = "INSERT OR IGNORE INTO restriction (key, version, classes) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![key, version, rows.classes])?;
    }
    for Concern { patient, past } in &rows.concerns {
        let sql = "INSERT OR IGNORE INTO concern (key, patient, past) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![key, patient, past])?;
    }
    for row in &rows.rules {
        rule(connection, key, row)?;
    }
    Ok(())
}

fn rule(connection: &Connection, consent: i64, row: &RuleRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO consent_rule (lane, patient, made, consent, place, part, last, permits, \
               actor, purposes, low, high, type, classes, data_low, data_high) VALUES (?1, ?2, ?3, \
               ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    connection.prepare_cached(sql)?.execute(params![
        row.lane,
        row.patient,
        row.made,
        consent,
        row.place,
        row.part,
        row.last,
        row.permits,
        row.actor,
        row.purposes,
        row.period.0,
        row.period.1,
        row.resource_type,
        row.classes,
        row.data_ms.0,
        row.data_ms.1,
    ])?;
    Ok(())
}

/// Makes the rows of everything that is in the record, unless they were made in this way.
pub(super) fn compile(connection: &Connection, terms: &Vocabulary) -> Result<(), StoreError> {
    let sql = "SELECT value FROM setting WHERE name = 'policy'";
    let made: Option<Vec<u8>> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    if made.as_deref() == Some(VERSION.as_bytes()) {
        return Ok(());
    }
    connection.execute_batch(
        "BEGIN IMMEDIATE; DELETE FROM restriction; DELETE FROM concern; DELETE FROM consent_rule",
    )?;
    let compiled = compile_all(connection, terms).and_then(|()| {
        let sql = "INSERT OR REPLACE INTO setting (name, value) VALUES ('policy', ?1)";
        connection.execute(sql, [VERSION.as_bytes()])?;
        Ok(connection.execute_batch("COMMIT")?)
    });
    compiled.inspect_err(|_| {
        // SQLite may have done so by itself: then there is nothing left to do.
        let _ = connection.execute_batch("ROLLBACK");
    })
}

/// Version by version, as they were written.
fn compile_all(connection: &Connection, terms: &Vocabulary) -> Result<(), StoreError> {
    let mut select = connection.prepare(
        "SELECT v.version, v.updated, v.method, v.body, v.key, d.type, d.id FROM (\
         SELECT key, version, updated, method, body FROM resource UNION ALL \
         SELECT key, version, updated, method, body FROM history\
         ) v JOIN directory d ON d.key = v.key ORDER BY v.key, v.version",
    )?;
    let none = HashMap::new();
    let standing = Standing { generation: 0, cursor: 0, last: 0 };
    let mut apply = Apply::new(connection, terms, &none, Turn { now: 0, stamp: 0, standing });
    let (mut before, mut of) = (None, 0);
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let version = super::version(row)?;
        let (key, number, id): (i64, i64, String) = (row.get(4)?, row.get(5)?, row.get(6)?);
        let Some(resource_type) = terms.type_of(number) else { continue };
        let index = index_of(Some(&version), resource_type, &id, terms);
        let old = before.take().filter(|_| of == key);
        apply.enter_all(old.iter().chain(&index).flat_map(patients))?;
        let numbers = Numbers { terms, new_systems: &none, keys: apply.keys() };
        let changed = PolicyRows::between(old.as_ref(), index.as_ref(), &numbers);
        store(connection, key, version.version, &changed)?;
        (before, of) = (index, key);
    }
    Ok(())
}
