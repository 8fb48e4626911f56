//! Millions of pointers in one transaction: all of them are in the registry at its end, or none.
//!
//! An empty registry is filled without its indexes, which are built at the end from sorted rows;
//! one that is not keeps them, and pointers it has already are passed over.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};

use super::connections::writer;
use super::shape::{Own, digest_of};
use super::{StoreError, whole, write};
use crate::pointer::Pointer;
use service::program::ProgramError;

/// Shapes whose key is remembered; where every pointer has its own, remembering is of no use.
const SHAPES_MAX: usize = 10_000;
/// Page cache while loading, in KiB; SQLite takes a negative number to mean that.
const CACHE_KIB: i64 = -(128 << 10);

const DROP_INDEXES: &str = "DROP INDEX pointer_by_id; DROP INDEX pointer_by_patient; \
                            DROP INDEX pointer_by_shape;";
const INDEX_SHAPES: &str = "CREATE INDEX pointer_by_shape ON pointer (shape);";
const INDEX_PATIENTS: &str = "CREATE INDEX pointer_by_patient ON pointer (nhs_number);";
const INDEX_IDS: &str = "CREATE UNIQUE INDEX pointer_by_id ON pointer (id);";
/// Of pointers with one id the first stays.
const DELETE_REPEATED: &str =
    "DELETE FROM pointer WHERE key NOT IN (SELECT min(key) FROM pointer GROUP BY id)";
const DELETE_UNUSED_SHAPES: &str =
    "DELETE FROM shape WHERE NOT EXISTS (SELECT 1 FROM pointer WHERE pointer.shape = shape.key)";

/// A database file that nobody else has open.
#[derive(Debug)]
pub(crate) struct Alone(Connection);

impl Alone {
    /// Opens it, creating or migrating it as needed.
    pub(crate) fn open(path: &Path) -> Result<Self, ProgramError> {
        Ok(Self(writer(path, true)?))
    }

    /// Begins a load.
    pub(crate) fn load(&mut self) -> Result<Bulk<'_>, StoreError> {
        self.0.pragma_update(None, "cache_size", CACHE_KIB)?;
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let empty = transaction.query_row("SELECT pointers FROM tally", [], whole)? == 0;
        if empty {
            transaction.execute_batch(DROP_INDEXES)?;
        }
        Ok(Bulk { transaction, empty, keys: HashMap::new(), added: 0, known: 0 })
    }

    /// Moves what was loaded from the log into the database file.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        Ok(self.0.query_row(sql, [], |_| Ok(()))?)
    }
}

/// A load: a transaction that is undone unless it is finished.
#[derive(Debug)]
pub(crate) struct Bulk<'a> {
    transaction: Transaction<'a>,
    /// Whether the registry was empty, and so has no indexes now.
    empty: bool,
    /// Keys of shapes by their digest.
    keys: HashMap<i64, (String, i64)>,
    added: u64,
    known: u64,
}

impl Bulk<'_> {
    /// Adds a pointer, unless its id is there already.
    pub(crate) fn add(&mut self, pointer: &Pointer) -> Result<(), StoreError> {
        let own = Own::of_pointer(pointer);
        let shape = self.shape_key(pointer, own.cut(&pointer.body))?;
        let added = write::insert(&self.transaction, &own, shape)?;
        *(if added { &mut self.added } else { &mut self.known }) += 1;
        Ok(())
    }

    fn shape_key(&mut self, pointer: &Pointer, text: String) -> Result<i64, StoreError> {
        let digest = digest_of(&text);
        if let Some((known, key)) = self.keys.get(&digest)
            && *known == text
        {
            return Ok(*key);
        }
        let key = write::shape_key(&self.transaction, pointer, &text)?;
        if self.keys.len() < SHAPES_MAX {
            self.keys.insert(digest, (text, key));
        }
        Ok(key)
    }

    /// Ends the load: how many pointers were added, and how many were there already.
    pub(crate) fn finish(mut self) -> Result<(u64, u64), StoreError> {
        if self.empty {
            self.index()?;
        }
        if self.known > 0 {
            self.transaction.execute(DELETE_UNUSED_SHAPES, params![])?;
        }
        write::tally(&self.transaction, self.added as i64)?;
        self.transaction.commit()?;
        Ok((self.added, self.known))
    }

    fn index(&mut self) -> Result<(), StoreError> {
        self.transaction.execute_batch(INDEX_SHAPES)?;
        if let Err(error) = self.transaction.execute_batch(INDEX_IDS) {
            if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
                return Err(error.into());
            }
            let repeated = self.transaction.execute(DELETE_REPEATED, params![])? as u64;
            self.added -= repeated;
            self.known += repeated;
            self.transaction.execute_batch(INDEX_IDS)?;
        }
        Ok(self.transaction.execute_batch(INDEX_PATIENTS)?)
    }
}
