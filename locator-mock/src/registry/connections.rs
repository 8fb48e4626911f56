//! The database file: opened, checked, brought to this version's schema.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fhir::instant::Interval;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use service::program::ProgramError;

use super::shape::Own;
use super::{whole, write};
use crate::pointer::{Node, Pointer};

/// SQLite before 3.51.3 can lose a write when a write-ahead log is reset.
const SQLITE_MIN: i32 = 3_051_003;
const MIGRATIONS: [(&str, Step); 2] = [
    (include_str!("../../migrations/0001_pointer.sql"), |_| Ok(())),
    (include_str!("../../migrations/0002_shape.sql"), find_shapes),
];
const READERS: usize = 4;
/// How long a write waits for another process's.
const BUSY_TIME_MAX: Duration = Duration::from_secs(5);

/// What a migration does after its SQL.
type Step = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Connections to one database.
#[derive(Debug)]
pub(super) struct Connections {
    writer: Mutex<Connection>,
    /// None where the writer is the only connection there can be.
    readers: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Connections {
    /// Opens a database file, which is created or migrated as needed.
    pub(super) fn open(path: &Path) -> Result<Self, ProgramError> {
        let writer = writer(path, false)?;
        let readers = (0..READERS).map(|_| reader(path).map(Mutex::new));
        let readers = readers.collect::<Result<_, _>>().map_err(|e| opening(path, &e))?;
        Ok(Self { writer: Mutex::new(writer), readers, next: AtomicUsize::new(0) })
    }

    /// An empty database that ends with its connection.
    pub(super) fn scratch() -> rusqlite::Result<Self> {
        // An empty name is a file that SQLite makes and deletes by itself.
        let mut writer = Connection::open("")?;
        migrate(&mut writer)?;
        let (writer, readers) = (Mutex::new(writer), Vec::new());
        Ok(Self { writer, readers, next: AtomicUsize::new(0) })
    }

    /// The one connection that writes.
    pub(super) fn writer(&self) -> MutexGuard<'_, Connection> {
        // A write that panicked was rolled back; the connection is good.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of those that read.
    pub(super) fn reader(&self) -> MutexGuard<'_, Connection> {
        if self.readers.is_empty() {
            return self.writer();
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.readers.len();
        self.readers[next].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a database file to read from it only.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    Ok(connection)
}

/// Opens a database file to write to it, and brings its schema to this version. With `alone`, no
/// other process may have it open meanwhile.
pub(super) fn writer(path: &Path, alone: bool) -> Result<Connection, ProgramError> {
    require_sqlite(rusqlite::version_number(), rusqlite::version())?;
    require_folder(path)?;
    let mut connection = durable(path, alone).map_err(|error| opening(path, &error))?;
    if migrate(&mut connection).map_err(|error| opening(path, &error))? {
        return Ok(connection);
    }
    Err(ProgramError::Failed(format!(
        "the database {} is not the locator's, or was written by a newer version of it",
        path.display()
    )))
}

fn durable(path: &Path, alone: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    if alone {
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn opening(path: &Path, error: &rusqlite::Error) -> ProgramError {
    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) {
        return ProgramError::Failed(format!(
            "the database {} is in use by another process: stop it first",
            path.display()
        ));
    }
    ProgramError::failed(&format!("opening the database {}", path.display()), error)
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

/// Brings the schema to this version, in one transaction; false where the database is not one that
/// this version knows.
fn migrate(connection: &mut Connection) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |sql: &str| transaction.query_row(sql, [], whole);
    let version = number("PRAGMA user_version")?;
    let foreign = version == 0 && number("SELECT count(*) FROM sqlite_schema")? > 0;
    if foreign || version > MIGRATIONS.len() {
        return Ok(false);
    }
    for (done, (sql, step)) in MIGRATIONS.iter().enumerate().skip(version) {
        transaction.execute_batch(sql)?;
        step(&transaction)?;
        transaction.pragma_update(None, "user_version", done as u32 + 1)?;
    }
    transaction.commit()?;
    Ok(true)
}

/// Gives every pointer that was stored whole its shape.
fn find_shapes(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let sql = "SELECT id, custodian, nhs_number, type, category, created_micros, body \
               FROM whole_pointer ORDER BY rowid";
    let mut statement = transaction.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut moved = 0;
    while let Some(row) = rows.next()? {
        let body: String = row.get(6)?;
        let created_micros = row.get(5)?;
        let pointer = Pointer {
            id: row.get(0)?,
            custodian: row.get(1)?,
            nhs_number: row.get(2)?,
            kind: row.get(3)?,
            category: row.get(4)?,
            created_micros,
            updated_micros: last_updated_micros(&body).unwrap_or(created_micros),
            body,
        };
        let own = Own::of_pointer(&pointer);
        let shape = write::shape_key(transaction, &pointer, &own.cut(&pointer.body))?;
        moved += i64::from(write::insert(transaction, &own, shape)?);
    }
    write::tally(transaction, moved)?;
    drop(rows);
    drop(statement);
    transaction.execute_batch("DROP TABLE whole_pointer")
}

fn last_updated_micros(body: &str) -> Option<i64> {
    let root = Node::parse(body.as_bytes()).ok()?;
    Interval::parse(root.text_at("meta.lastUpdated")?).map(|instant| instant.low)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::registry::read;

    #[test]
    fn an_old_sqlite_is_refused_and_the_bundled_one_is_not() {
        assert!(require_sqlite(3_051_002, "3.51.2").is_err());
        assert!(require_sqlite(rusqlite::version_number(), rusqlite::version()).is_ok());
    }

    #[test]
    fn a_missing_folder_is_named_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let error = Connections::open(&folder.path().join("absent/l.db")).unwrap_err().to_string();
        assert!(error.contains("absent of store.url does not exist"), "{error}");
    }

    #[test]
    fn a_database_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let error = Connections::open(&path).unwrap_err().to_string();
        assert!(error.contains("is not the locator's"), "{error}");
    }

    #[test]
    fn the_writer_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let connections = Connections::open(&folder.path().join("l.db")).unwrap();
        let writer = connections.writer();
        let pragma = |name: &str| {
            let sql = format!("PRAGMA {name}");
            writer.query_row(&sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
        };
        assert_eq!(pragma("journal_mode"), rusqlite::types::Value::Text("wal".into()));
        assert_eq!(pragma("synchronous"), rusqlite::types::Value::Integer(2));
    }

    #[test]
    fn a_database_of_the_first_version_keeps_every_pointer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0].0).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let body = |id: &str| {
            format!(
                "{{\"id\":\"{id}\",\"number\":\"0123456789\",\
                 \"meta\":{{\"lastUpdated\":\"2026-11-23T09:30:00.123Z\"}}}}"
            )
        };
        for id in ["QWO-1", "QWO-2"] {
            let sql = "INSERT INTO pointer VALUES (?1, 'QWO', '0123456789', 't', 'c', 5, ?2)";
            old.execute(sql, [id, &body(id)]).unwrap();
        }
        drop(old);
        let connections = Connections::open(&path).unwrap();
        let reader = connections.reader();
        for id in ["QWO-1", "QWO-2"] {
            let pointer = read(&reader, id).unwrap().unwrap();
            assert_eq!((pointer.body, pointer.created_micros), (body(id), 5));
            assert_eq!((&*pointer.nhs_number, &*pointer.kind), ("0123456789", "t"));
        }
        let number = |sql: &str| reader.query_row(sql, [], whole).unwrap();
        assert_eq!(number("SELECT count(*) FROM shape"), 1);
        assert_eq!(number("SELECT pointers FROM tally"), 2);
    }
}
