//! What can be done within one write.

use std::cell::Cell;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::shape::{Own, digest_of};
use super::{StoreError, read, whole, whole_number};
use crate::pointer::Pointer;

/// A write: a transaction that is undone unless it is committed.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    transaction: Transaction<'a>,
    /// How many pointers more there are than before.
    more: Cell<i64>,
}

impl<'a> Writer<'a> {
    /// Begins a write.
    pub(super) fn begin(connection: &'a mut Connection) -> Result<Self, StoreError> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = connection.transaction_with_behavior(behavior)?;
        Ok(Self { transaction, more: Cell::new(0) })
    }

    /// Ends it: what was done is on disk.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        tally(&self.transaction, self.more.get())?;
        Ok(self.transaction.commit()?)
    }

    /// The pointer with this id.
    pub(crate) fn read(&self, id: &str) -> Result<Option<Pointer>, StoreError> {
        Ok(read(&self.transaction, id)?)
    }

    /// Adds a pointer; false where its id is taken.
    pub(crate) fn insert(&self, pointer: &Pointer) -> Result<bool, StoreError> {
        let own = Own::of_pointer(pointer);
        let shape = shape_key(&self.transaction, pointer, &own.cut(&pointer.body))?;
        let added = insert(&self.transaction, &own, shape)?;
        self.more.set(self.more.get() + i64::from(added));
        Ok(added)
    }

    /// Replaces the text and category of a pointer; the rest of it never changes.
    pub(crate) fn update(&self, pointer: &Pointer) -> Result<(), StoreError> {
        let text = Own::of_pointer(pointer).cut(&pointer.body);
        let shape = shape_key(&self.transaction, pointer, &text)?;
        let sql = "UPDATE pointer SET shape = ?2, updated_micros = ?3 WHERE id = ?1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        statement.execute(params![pointer.id, shape, pointer.updated_micros])?;
        Ok(())
    }

    /// Deletes a pointer; false where there was none.
    pub(crate) fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let mut statement = self.transaction.prepare_cached("DELETE FROM pointer WHERE id = ?1")?;
        let deleted = statement.execute([id])? == 1;
        self.more.set(self.more.get() - i64::from(deleted));
        Ok(deleted)
    }

    /// How many pointers of this type there are about this patient.
    pub(crate) fn count(&self, nhs_number: &str, kind: &str) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM pointer CROSS JOIN shape ON shape.key = pointer.shape \
                   WHERE nhs_number = ?1 AND type = ?2";
        let mut statement = self.transaction.prepare_cached(sql)?;
        Ok(statement.query_row(params![whole_number(nhs_number), kind], whole)?)
    }
}

/// The key of a pointer's shape, which is added where there is none like it.
pub(super) fn shape_key(
    connection: &Connection,
    pointer: &Pointer,
    text: &str,
) -> rusqlite::Result<i64> {
    let digest = digest_of(text);
    let sql = "SELECT key FROM shape WHERE digest = ?1 AND text = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let known = statement.query_row(params![digest, text], |row| row.get(0)).optional()?;
    if let Some(key) = known {
        return Ok(key);
    }
    let sql = "INSERT INTO shape (digest, custodian, type, category, text) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut statement = connection.prepare_cached(sql)?;
    let Pointer { custodian, kind, category, .. } = pointer;
    statement.insert(params![digest, custodian, kind, category, text])
}

/// Adds a pointer's row; false where its id is taken.
pub(super) fn insert(connection: &Connection, own: &Own, shape: i64) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO pointer (id, nhs_number, shape, created_micros, updated_micros) \
               VALUES (?1, ?2, ?3, ?4, nullif(?5, ?4)) ON CONFLICT DO NOTHING";
    let mut statement = connection.prepare_cached(sql)?;
    let number = whole_number(&own.nhs_number);
    let added = statement.execute(params![
        own.id,
        number,
        shape,
        own.created_micros,
        own.updated_micros
    ])?;
    Ok(added == 1)
}

/// Counts so many pointers more.
pub(super) fn tally(connection: &Connection, more: i64) -> rusqlite::Result<()> {
    if more != 0 {
        connection.execute("UPDATE tally SET pointers = pointers + ?1", [more])?;
    }
    Ok(())
}

/// Remembers a digest until `expires_s`, and forgets those whose time is over; false where it is
/// known.
pub(super) fn remember(
    connection: &mut Connection,
    digest: [u8; 32],
    expires_s: i64,
    now_s: i64,
) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("DELETE FROM used_assertion WHERE expires_s < ?1", [now_s])?;
    let sql = "INSERT INTO used_assertion VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    let new = transaction.execute(sql, params![digest, expires_s])? == 1;
    transaction.commit()?;
    Ok(new)
}
