//! The registry: pointers on SQLite.
//!
//! One connection writes, each write a transaction that is on disk before it is acknowledged; a few
//! connections read beside it. None of them is used on an async thread.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};
use service::program::ProgramError;
use thiserror::Error;

use crate::error::LocatorError;
use crate::pointer::Pointer;

/// SQLite before 3.51.3 can lose a write when a write-ahead log is reset.
const SQLITE_MIN: i32 = 3_051_003;
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001_pointer.sql")];
const READERS: usize = 4;
/// How long a write waits for another process's.
const BUSY_TIME_MAX: Duration = Duration::from_secs(5);

const MATCH: &str = "FROM pointer WHERE nhs_number = ?1 \
     AND (?2 IS NULL OR custodian = ?2) \
     AND type IN (SELECT value FROM json_each(?3)) \
     AND (?4 = '[]' OR category IN (SELECT value FROM json_each(?4)))";

/// Why the store failed.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("a stored pointer cannot be read")]
    Unreadable,
    #[error("a task of the store was stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// What a search looks for.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// The patient.
    pub(crate) nhs_number: String,
    /// The custodian, if only one is of interest.
    pub(crate) custodian: Option<String>,
    /// The types of interest, as `system|code`.
    pub(crate) kinds: Vec<String>,
    /// The categories of interest, as `system|code`; none means all.
    pub(crate) categories: Vec<String>,
}

impl Filter {
    /// All pointers of these types about a patient.
    pub(crate) fn of(nhs_number: &str, kinds: &[String]) -> Self {
        Self {
            nhs_number: nhs_number.to_owned(),
            custodian: None,
            kinds: kinds.to_vec(),
            categories: Vec::new(),
        }
    }

    fn parameters(&self) -> (&str, Option<&str>, String, String) {
        let json = |list: &[String]| {
            serde_json::to_string(list).expect("a list of strings always serialises")
        };
        let custodian = self.custodian.as_deref();
        (&self.nhs_number, custodian, json(&self.kinds), json(&self.categories))
    }
}

/// The registry of pointers.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    inner: Arc<Connections>,
}

#[derive(Debug)]
struct Connections {
    writer: Mutex<Connection>,
    readers: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Connections {
    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A write that panicked was rolled back; the connection is good.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.readers.len();
        self.readers[next].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Opens the database, creating or migrating it as needed. Its folder must exist.
    pub(crate) fn open(path: &Path) -> Result<Self, ProgramError> {
        require_sqlite(rusqlite::version_number(), rusqlite::version())?;
        require_folder(path)?;
        let failed = |error| {
            ProgramError::failed(&format!("opening the database {}", path.display()), error)
        };
        let mut writer = connect(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(failed)?;
        migrate(&mut writer, path, failed)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let readers = (0..READERS).map(|_| connect(path, flags).map(Mutex::new));
        let readers = readers.collect::<Result<_, _>>().map_err(failed)?;
        let (writer, next) = (Mutex::new(writer), AtomicUsize::new(0));
        Ok(Self { inner: Arc::new(Connections { writer, readers, next }) })
    }

    /// The pointer with this id.
    pub(crate) async fn read(&self, id: String) -> Result<Option<Pointer>, StoreError> {
        self.reading(move |connection| read(connection, &id)).await
    }

    /// The text of every match, in natural order.
    pub(crate) async fn search(&self, filter: Filter) -> Result<Vec<String>, StoreError> {
        self.reading(move |connection| {
            let sql = format!("SELECT body {MATCH} ORDER BY category, type, created_micros, id");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(filter.parameters(), |row| row.get(0))?;
            rows.collect()
        })
        .await
    }

    /// The number of matches.
    pub(crate) async fn count(&self, filter: Filter) -> Result<usize, StoreError> {
        self.reading(move |connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT count(*) {MATCH}"))?;
            statement.query_row(filter.parameters(), whole)
        })
        .await
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let sql = "SELECT count(*) FROM pointer WHERE id = ''";
        self.reading(move |connection| connection.query_row(sql, [], whole).map(drop)).await
    }

    /// The number of all pointers.
    pub(crate) async fn len(&self) -> Result<usize, StoreError> {
        self.reading(|connection| connection.query_row("SELECT count(*) FROM pointer", [], whole))
            .await
    }

    /// Does `work` as one transaction: all of it is on disk when this returns, or none of it.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Writer<'_>) -> Result<T, LocatorError> + Send + 'static,
    ) -> Result<T, LocatorError> {
        let inner = self.inner.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut connection = inner.writer();
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(StoreError::from)?;
            let writer = Writer { transaction };
            let done = work(&writer)?;
            writer.transaction.commit().map_err(StoreError::from)?;
            Ok(done)
        });
        task.await.map_err(StoreError::from)?
    }

    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        Ok(tokio::task::spawn_blocking(move || work(&inner.reader())).await??)
    }
}

/// What can be done within one write.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    transaction: Transaction<'a>,
}

impl Writer<'_> {
    /// The pointer with this id.
    pub(crate) fn read(&self, id: &str) -> Result<Option<Pointer>, StoreError> {
        Ok(read(&self.transaction, id)?)
    }

    /// Adds a pointer; false where its id is taken.
    pub(crate) fn insert(&self, pointer: &Pointer) -> Result<bool, StoreError> {
        let sql = "INSERT INTO pointer (id, custodian, nhs_number, type, category, \
                   created_micros, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let added = statement.execute(params![
            pointer.id,
            pointer.custodian,
            pointer.nhs_number,
            pointer.kind,
            pointer.category,
            pointer.created_micros,
            pointer.body,
        ])?;
        Ok(added == 1)
    }

    /// Replaces the text and category of a pointer; the rest of it never changes.
    pub(crate) fn update(&self, pointer: &Pointer) -> Result<(), StoreError> {
        let sql = "UPDATE pointer SET category = ?2, body = ?3 WHERE id = ?1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        statement.execute(params![pointer.id, pointer.category, pointer.body])?;
        Ok(())
    }

    /// Deletes a pointer; false where there was none.
    pub(crate) fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let mut statement = self.transaction.prepare_cached("DELETE FROM pointer WHERE id = ?1")?;
        Ok(statement.execute([id])? == 1)
    }

    /// How many pointers of this type there are about this patient.
    pub(crate) fn count(&self, nhs_number: &str, kind: &str) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM pointer WHERE nhs_number = ?1 AND type = ?2";
        let mut statement = self.transaction.prepare_cached(sql)?;
        Ok(statement.query_row([nhs_number, kind], whole)?)
    }
}

fn read(connection: &Connection, id: &str) -> rusqlite::Result<Option<Pointer>> {
    let sql = "SELECT id, custodian, nhs_number, type, category, created_micros, body \
               FROM pointer WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([id], pointer).optional()
}

/// A count, or any whole number that is the row's only column.
fn whole(row: &Row<'_>) -> rusqlite::Result<usize> {
    row.get::<_, u32>(0).map(|number| number as usize)
}

fn pointer(row: &Row<'_>) -> rusqlite::Result<Pointer> {
    Ok(Pointer {
        id: row.get(0)?,
        custodian: row.get(1)?,
        nhs_number: row.get(2)?,
        kind: row.get(3)?,
        category: row.get(4)?,
        created_micros: row.get(5)?,
        body: row.get(6)?,
    })
}

fn require_sqlite(number: i32, name: &str) -> Result<(), ProgramError> {
    if number >= SQLITE_MIN {
        return Ok(());
    }
    Err(ProgramError::Failed(format!(
        "SQLite {name} can lose writes: build with SQLite 3.51.3 or newer"
    )))
}

fn require_folder(path: &Path) -> Result<(), ProgramError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if folder.is_dir() {
        return Ok(());
    }
    Err(ProgramError::Failed(format!(
        "the folder {} of store.url does not exist: create it, or name another",
        folder.display()
    )))
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    if !connection.is_readonly(rusqlite::MAIN_DB)? {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
    }
    Ok(connection)
}

/// Brings the schema to this version, in one transaction.
fn migrate(
    connection: &mut Connection,
    path: &Path,
    failed: impl Fn(rusqlite::Error) -> ProgramError,
) -> Result<(), ProgramError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
    let number = |sql: &str| transaction.query_row(sql, [], whole);
    let version = number("PRAGMA user_version").map_err(&failed)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(&failed)?;
    let foreign = version == 0 && tables > 0;
    if foreign || version > MIGRATIONS.len() {
        return Err(ProgramError::Failed(format!(
            "the database {} is not the locator's, or was written by a newer version of it",
            path.display()
        )));
    }
    for (done, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        transaction.execute_batch(sql).map_err(&failed)?;
        transaction.pragma_update(None, "user_version", done as u32 + 1).map_err(&failed)?;
    }
    transaction.commit().map_err(&failed)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_old_sqlite_is_refused_and_the_bundled_one_is_not() {
        assert!(require_sqlite(3_051_002, "3.51.2").is_err());
        assert!(require_sqlite(rusqlite::version_number(), rusqlite::version()).is_ok());
    }

    #[test]
    fn a_missing_folder_is_named_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let error = Registry::open(&folder.path().join("absent/l.db")).unwrap_err().to_string();
        assert!(error.contains("absent of store.url does not exist"), "{error}");
    }

    #[test]
    fn a_database_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let error = Registry::open(&path).unwrap_err().to_string();
        assert!(error.contains("is not the locator's"), "{error}");
    }

    #[test]
    fn the_writer_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&folder.path().join("l.db")).unwrap();
        let writer = registry.inner.writer();
        let pragma = |name: &str| {
            let sql = format!("PRAGMA {name}");
            writer.query_row(&sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
        };
        assert_eq!(pragma("journal_mode"), rusqlite::types::Value::Text("wal".into()));
        assert_eq!(pragma("synchronous"), rusqlite::types::Value::Integer(2));
    }
}
