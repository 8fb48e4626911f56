//! The index made anew, piece by piece: each piece is a job of the writer, among those of all others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::{Connection, Row, params};

use super::apply::{Apply, Owner, Turn};
use super::{Sqlite, version};
use crate::store::StoreError;
use crate::store::effects::{Effects, Numbers, targets};
use crate::store::generation::{Generation, Standing};
use crate::store::stretch::{Met, STRETCH_BYTES_MAX, Stretch};
use crate::store::vocabulary::Vocabulary;

/// The tables of the index, with their keys.
const TABLES: [(&str, &str); 6] = [
    ("compartment", "patient, type, clinical_ms, key"),
    ("token", "param, code, clinical_ms, key, system"),
    ("patient_token", "patient, param, code, clinical_ms, key, system"),
    ("date", "key, param, low, high"),
    ("number", "key, param, unit, low, high"),
    ("reference", "param, target, key"),
];
/// Rows that are taken away where one resource would be put in.
const ROWS_PER_RESOURCE: usize = 16;

/// A piece of work.
pub(super) enum Piece {
    /// The index is begun anew.
    Begin(Generation),
    /// At most so many rows are taken away.
    Empty(usize),
    /// Resources are put in.
    Walk(Stretch),
}

impl Sqlite {
    pub(in crate::store) async fn begin_anew(&self, added: String) -> Result<(), StoreError> {
        let anew = self.known.generation().anew(added);
        self.writer.rebuild(Piece::Begin(anew)).await.map(drop)
    }

    pub(in crate::store) async fn empty(&self, size: usize) -> Result<Duration, StoreError> {
        self.writer.rebuild(Piece::Empty(size * ROWS_PER_RESOURCE)).await
    }

    pub(in crate::store) async fn walk(
        self: &Arc<Self>,
        size: usize,
    ) -> Result<Duration, StoreError> {
        let stretch = self
            .aside(move |this| {
                let (terms, standing) = (this.known.terms(), this.known.generation().standing);
                let (met, is_all) = this.with_reader(|c| met(c, standing, size))?;
                Ok(Stretch::of(standing, &met, is_all, &terms))
            })
            .await?;
        self.writer.rebuild(Piece::Walk(stretch)).await
    }
}

/// The next resources, and whether they are all that are left.
fn met(c: &Connection, standing: Standing, size: usize) -> Result<(Vec<Met>, bool), StoreError> {
    let sql = "SELECT r.version, r.updated, r.method, r.body, r.key, r.type, d.id \
               FROM resource r JOIN directory d ON d.key = r.key \
               WHERE r.key > ?1 AND r.key <= ?2 ORDER BY r.key";
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query([standing.cursor, standing.last])?;
    let (mut all, mut bytes) = (Vec::with_capacity(size), 0);
    while let Some(row) = rows.next()? {
        let version = version(row)?;
        let more = version.body.as_ref().map_or(0, Bytes::len);
        if all.len() == size || (bytes + more > STRETCH_BYTES_MAX && !all.is_empty()) {
            return Ok((all, false));
        }
        bytes += more;
        all.push(Met { key: row.get(4)?, resource_type: row.get(5)?, id: row.get(6)?, version });
    }
    Ok((all, true))
}

/// What the record says of its index.
pub(super) fn generation(c: &Connection) -> rusqlite::Result<Generation> {
    let sql = "SELECT generation, cursor, last, rules, added, done FROM index_state";
    c.prepare_cached(sql)?.query_row([], |row| {
        Ok(Generation {
            standing: read(row)?,
            rules: row.get(3)?,
            added: row.get(4)?,
            done: row.get(5)?,
        })
    })
}

/// Where the index is.
pub(super) fn standing(c: &Connection) -> rusqlite::Result<Standing> {
    c.prepare_cached("SELECT generation, cursor, last FROM index_state")?.query_row([], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Standing> {
    Ok(Standing { generation: row.get(0)?, cursor: row.get(1)?, last: row.get(2)? })
}

/// Writes down what the index is from now on.
pub(super) fn set(c: &Connection, generation: &Generation) -> rusqlite::Result<()> {
    let Generation { standing, rules, added, done } = generation;
    let sql = "UPDATE index_state SET generation = ?1, cursor = ?2, last = ?3, rules = ?4, \
               added = ?5, done = ?6";
    let Standing { generation, cursor, last } = standing;
    c.prepare_cached(sql)?.execute(params![generation, cursor, last, rules, added, done])?;
    Ok(())
}

/// Enters the terms that a generation needs.
pub(super) fn enter_terms(c: &Connection, added: &str) -> rusqlite::Result<()> {
    let mut insert = c.prepare_cached("INSERT OR IGNORE INTO term (text) VALUES (?1)")?;
    for term in Vocabulary::fixed_terms(added) {
        insert.execute([term])?;
    }
    Ok(())
}

/// The numbers of the terms that a generation needs.
pub(super) fn find_terms(c: &Connection, added: &str) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut select = c.prepare_cached("SELECT id FROM term WHERE text = ?1")?;
    let mut terms = Vec::new();
    for term in Vocabulary::fixed_terms(added) {
        let id = select.query_row([&term], |row| row.get(0))?;
        terms.push((term, id));
    }
    Ok(terms)
}

/// Does a piece of work within the writer's transaction; gives how long the others waited for it.
pub(super) fn piece(
    c: &Connection,
    terms: &Vocabulary,
    new_systems: &HashMap<String, i64>,
    piece: &Piece,
) -> Result<Duration, StoreError> {
    let begun = Instant::now();
    match piece {
        Piece::Begin(anew) => {
            if standing(c)?.generation + 1 != anew.standing.generation {
                return Err(StoreError::Moved);
            }
            enter_terms(c, &anew.added)?;
            set(c, anew)?;
        }
        Piece::Empty(rows) => empty(c, *rows)?,
        Piece::Walk(stretch) => walk(c, terms, new_systems, stretch)?,
    }
    Ok(begun.elapsed())
}

/// Takes rows of the generation before away; when there are none left, the walk begins.
fn empty(c: &Connection, rows: usize) -> Result<(), StoreError> {
    if standing(c)?.is_emptied() {
        return Ok(());
    }
    let mut left = rows;
    for (table, key) in TABLES {
        let sql =
            format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} LIMIT ?1)");
        left -= c.prepare_cached(&sql)?.execute([left as i64])?;
        if left == 0 {
            return Ok(());
        }
    }
    let sql = "UPDATE index_state SET cursor = 0, done = 0, \
               last = (SELECT coalesce(max(key), 0) FROM directory)";
    c.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn walk(
    c: &Connection,
    terms: &Vocabulary,
    new_systems: &HashMap<String, i64>,
    stretch: &Stretch,
) -> Result<(), StoreError> {
    let standing = standing(c)?;
    if !stretch.continues(standing) {
        return Err(StoreError::Moved);
    }
    let sql = "SELECT key, version FROM resource WHERE key > ?1 AND key <= ?2 ORDER BY key";
    let mut statement = c.prepare_cached(sql)?;
    let current = statement
        .query_map([stretch.from, stretch.to], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let (to, count) = stretch.reach(&current);
    let turn = Turn { now: 0, stamp: 0, standing };
    let mut apply = Apply::new(c, terms, new_systems, turn);
    for (walked, index) in stretch.indexed().take_while(|(walked, _)| walked.key <= to) {
        apply.enter_all(targets(index))?;
        let effects = {
            let numbers = Numbers { terms, new_systems, keys: apply.keys() };
            Effects::between(None, Some(index), &numbers)
        };
        let (key, clinical_ms) = (walked.key, index.clinical_ms);
        let owner = Owner { key, resource_type: walked.resource_type, clinical_ms };
        apply.rows(owner, &effects)?;
        let sql = "SELECT 1 FROM resource WHERE key = ?1 AND clinical_ms <> ?2";
        let differs = c.prepare_cached(sql)?.exists(params![key, clinical_ms])?;
        if differs {
            let sql = "UPDATE resource SET clinical_ms = ?2 WHERE key = ?1";
            c.prepare_cached(sql)?.execute(params![key, clinical_ms])?;
        }
    }
    let sql = "UPDATE index_state SET cursor = ?1, done = done + ?2";
    c.prepare_cached(sql)?.execute(params![to, count as i64])?;
    Ok(())
}
