//! The embedded engine: one file in WAL mode, `synchronous=FULL`, one writer thread that commits
//! in groups, readers inline.
//!
//! A point read takes microseconds, so readers run where they are called, each on a connection of
//! its own for that moment.

#![expect(clippy::unused_async, reason = "the engines are called alike")]

mod apply;
pub(super) mod audit;
mod group;
mod history;
mod once;
mod policy;
mod rebuild;
mod registration;
mod search;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use bytes::Bytes;
use fhir::definitions::ResourceType;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params, params_from_iter};
use service::clock::Clock;
use tokio::sync::Semaphore;

use super::StoreError;
use super::generation::Knowledge;
use super::query::Query;
use super::vocabulary::Vocabulary;
use super::write::{Batch, Held, Kept, Method, Version, Written};
use crate::custody::Custodian;
use crate::registration::outbox::{Depth, Known, Outcome, Task};

/// Older versions may corrupt a WAL database with several connections.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// How the schema came to be, step by step; a step is frozen once it is merged.
pub const MIGRATIONS: [&str; 7] = [
    include_str!("../schema/sqlite/0001_record.sql"),
    include_str!("../schema/sqlite/0002_search_and_kept_answers.sql"),
    include_str!("../schema/sqlite/0003_generation_of_the_index.sql"),
    include_str!("../schema/sqlite/0004_since_when_a_registration_waits.sql"),
    include_str!("../schema/sqlite/0005_chain_of_the_audit_trail.sql"),
    include_str!("../schema/sqlite/0006_custodian.sql"),
    include_str!("../schema/sqlite/0007_who_may_see_what.sql"),
];
/// The first schema with a chained audit trail.
const CHAINED: usize = 5;
/// Page cache of the writer, in KiB; of a reader, in KiB.
const WRITER_CACHE_KIB: i64 = 32 << 10;
const READER_CACHE_KIB: i64 = 4 << 10;
/// Long reads at a time, for each core; more wait. Each has a reader's memory, and more would not be
/// done sooner; one core's worth would be held up by a few slow ones.
const LONG_READS_PER_CORE: usize = 4;
/// How long a read may take.
const READ_MS_MAX: u64 = 20_000;
/// How many of SQLite's own steps a read makes between looks at the time: some milliseconds.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;

/// An open SQLite store.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    known: Arc<Knowledge>,
    readers: Mutex<Vec<Reader>>,
    long_reads: Arc<Semaphore>,
    writer: writer::Writer,
    secret: [u8; 32],
    clock: Clock,
    /// Held as long as the store is open: a second process is refused.
    _lock: File,
}

impl Sqlite {
    /// Opens `path`, creating the file in an existing folder, and migrates it.
    pub fn open(path: &Path, base: &str, clock: Clock) -> Result<Self, StoreError> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            return Err(StoreError::Unavailable("SQLite 3.51.3 or later is needed".into()));
        }
        let lock = lock(path)?;
        let connection = connect(path, OpenFlags::default())?;
        let known = Arc::new(migrate(&connection, path, base)?);
        set_cache(&connection, WRITER_CACHE_KIB)?;
        // The lock says that nobody is sending any more: what was leased, waiting or parked is due.
        connection
            .execute("UPDATE registration SET due = 0, state = 0 WHERE state IN (0, 2)", [])?;
        let note = audit::Note::open(&connection, path)?;
        let secret =
            connection.query_row("SELECT value FROM setting WHERE name = 'secret'", [], |row| {
                row.get(0)
            })?;
        let writer = writer::Writer::start(connection, note, known.clone(), clock.clone())?;
        let readers = Mutex::new(Vec::new());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let long_reads = Arc::new(Semaphore::new(cores * LONG_READS_PER_CORE));
        let path = path.to_owned();
        Ok(Self { path, known, readers, long_reads, writer, secret, clock, _lock: lock })
    }

    pub(super) fn known(&self) -> &Knowledge {
        &self.known
    }

    pub(super) async fn write(&self, batch: Batch) -> Result<Vec<Written>, StoreError> {
        self.writer.write(batch).await
    }

    pub(super) fn is_writable(&self) -> bool {
        !self.writer.has_stopped()
    }

    pub(super) async fn close(&self) {
        self.writer.close().await;
    }

    pub(super) fn secret(&self) -> [u8; 32] {
        self.secret
    }

    pub(super) async fn read(
        &self,
        t: ResourceType,
        id: &str,
    ) -> Result<Option<Version>, StoreError> {
        let sql = "SELECT r.version, r.updated, r.method, r.body FROM directory d \
                   JOIN resource r ON r.key = d.key WHERE d.type = ?1 AND d.id = ?2";
        let of_type = self.known.terms().resource_type(t);
        self.with_reader(|c| {
            Ok(c.prepare_cached(sql)?.query_row(params![of_type, id], version).optional()?)
        })
    }

    pub(super) async fn held(&self, t: ResourceType, id: &str) -> Result<Option<Held>, StoreError> {
        let sql = "SELECT r.version, r.updated, r.method, r.body, r.custodian FROM directory d \
                   JOIN resource r ON r.key = d.key WHERE d.type = ?1 AND d.id = ?2";
        let of_type = self.known.terms().resource_type(t);
        self.with_reader(|c| {
            Ok(c.prepare_cached(sql)?.query_row(params![of_type, id], held).optional()?)
        })
    }

    pub(super) async fn vread(
        &self,
        t: ResourceType,
        id: &str,
        number: i64,
    ) -> Result<Option<Version>, StoreError> {
        let sql = "SELECT v.version, v.updated, v.method, v.body FROM directory d JOIN (\
                   SELECT key, version, updated, method, body FROM resource UNION ALL \
                   SELECT key, version, updated, method, body FROM history\
                   ) v ON v.key = d.key WHERE d.type = ?1 AND d.id = ?2 AND v.version = ?3";
        let of_type = self.known.terms().resource_type(t);
        self.with_reader(|c| {
            Ok(c.prepare_cached(sql)?
                .query_row(params![of_type, id, number], version)
                .optional()?)
        })
    }

    pub(super) async fn kept(
        &self,
        organisation: &str,
        key: &str,
    ) -> Result<Option<Kept>, StoreError> {
        let now = self.clock.now_micros();
        self.with_reader(|c| Ok(once::kept(c, organisation, key, now)?))
    }

    pub(super) async fn due_registrations(
        &self,
        limit: usize,
        until: i64,
    ) -> Result<Vec<Task>, StoreError> {
        let now = self.clock.now_micros();
        if !self.with_reader(|c| Ok(registration::any_due(c, now)?))? {
            return Ok(Vec::new());
        }
        self.writer.due_registrations(limit, until).await
    }

    pub(super) async fn settle_registrations(
        &self,
        outcomes: Vec<Outcome>,
    ) -> Result<(), StoreError> {
        self.writer.settle_registrations(outcomes).await
    }

    pub(super) async fn registration_depth(&self) -> Result<Depth, StoreError> {
        self.with_reader(|c| Ok(registration::depth(c)?))
    }

    pub(super) async fn known_registrations(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Known>, StoreError> {
        let patient = self.known.terms().resource_type(ResourceType::PATIENT);
        self.with_reader(|c| Ok(registration::known(c, patient, after, limit)?))
    }

    pub(super) async fn sample_registrations(
        &self,
        from: &str,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        self.with_reader(|c| Ok(registration::sample(c, from, limit)?))
    }

    pub(super) async fn kept_setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with_reader(|c| Ok(registration::setting(c, name)?))
    }

    pub(super) async fn keep_setting(
        &self,
        name: &'static str,
        value: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.writer.keep(name, value).await
    }

    /// Lends a reader's connection, for no longer than [`READ_MS_MAX`].
    fn with_reader<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lent = self.readers.lock().expect("no holder of this lock panics").pop();
        let reader = match lent {
            Some(reader) => reader,
            None => Reader::open(&self.path)?,
        };
        reader.ends_ms.store(now_ms() + READ_MS_MAX, Ordering::Relaxed);
        let result = read(&reader.connection);
        self.readers.lock().expect("no holder of this lock panics").push(reader);
        result
    }
}

/// A connection for reading that gives up in time.
#[derive(Debug)]
struct Reader {
    connection: Connection,
    /// When what it runs now must end, in milliseconds of [`now_ms`].
    ends_ms: Arc<AtomicU64>,
}

impl Reader {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = connect(path, flags)?;
        set_cache(&connection, READER_CACHE_KIB)?;
        let ends_ms = Arc::new(AtomicU64::new(u64::MAX));
        let ends = ends_ms.clone();
        let overdue = move || now_ms() > ends.load(Ordering::Relaxed);
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(overdue))?;
        Ok(Self { connection, ends_ms })
    }
}

/// Milliseconds since some moment before the first call.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Takes the store's lock, and refuses an empty start where a record was.
fn lock(path: &Path) -> Result<File, StoreError> {
    if path.is_dir() {
        return Err(StoreError::Unavailable(format!("{} is a folder", path.display())));
    }
    if !path.exists() && beside(path, "-head").exists() {
        return Err(emptied(path));
    }
    let file = File::create(beside(path, "-lock")).map_err(|error| {
        StoreError::Unavailable(format!("{} cannot be written: {error}", path.display()))
    })?;
    file.try_lock().map_err(|_| {
        StoreError::Unavailable(format!("{} is in use by another process", path.display()))
    })?;
    Ok(file)
}

/// Why an empty record is not begun where there was one.
fn emptied(path: &Path) -> StoreError {
    StoreError::Unavailable(format!(
        "{} is missing or empty but held a record before: restore it from a backup, or remove {} to \
         start an empty record",
        path.display(),
        beside(path, "-head").display()
    ))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.pragma_update(None, "busy_timeout", 10_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Else a statement is compiled again for every value bound to a LIMIT or an equality.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Sets the page cache. SQLite counts it in pages, of the size that the file is known to have when it is
/// asked: so the file is looked at first.
fn set_cache(connection: &Connection, kib: i64) -> Result<(), StoreError> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection.pragma_update(None, "cache_size", -kib)?)
}

/// Brings an empty or older database to the latest of [`MIGRATIONS`] and reads its terms. An index by
/// other rules is begun anew.
fn migrate(connection: &Connection, path: &Path, base: &str) -> Result<Knowledge, StoreError> {
    connection.pragma_update(None, "page_size", 8_192)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // FULL: a commit is on the disk before it is acknowledged.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found == 0 && beside(path, "-head").exists() {
        return Err(emptied(path));
    }
    let done = usize::try_from(found).ok().filter(|done| *done <= MIGRATIONS.len());
    let done = done.ok_or_else(|| {
        let known = MIGRATIONS.len();
        let text = format!("the database has schema {found}; this program knows {known}");
        StoreError::Unavailable(text)
    })?;
    for step in &MIGRATIONS[done..] {
        connection.execute_batch(step)?;
    }
    if done < CHAINED {
        audit::chain_earlier(connection)?;
    }
    connection.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    if done == 0 {
        let sql = "INSERT INTO setting (name, value) VALUES ('secret', randomblob(32))";
        connection.execute(sql, [])?;
    }
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM resource)";
    let is_empty = connection.query_row(sql, [], |row| row.get(0))?;
    let generation = rebuild::generation(connection)?.opened(is_empty)?;
    rebuild::set(connection, &generation)?;
    rebuild::enter_terms(connection, &generation.added)?;
    connection.execute_batch("COMMIT")?;
    let mut select = connection.prepare("SELECT text, id FROM term")?;
    let terms = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let terms = terms.collect::<Result<HashMap<_, _>, _>>()?;
    let terms = Vocabulary::new(terms, base, &generation);
    policy::compile(connection, &terms)?;
    Ok(Knowledge::new(terms, generation))
}

/// The first column of what a query finds.
fn keys(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(query.sql())?;
    let rows = statement.query_map(params_from_iter(query.arguments()), |row| row.get(0))?;
    rows.collect()
}

/// Reads version, updated, method, body.
fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        version: row.get(0)?,
        updated: row.get(1)?,
        method: Method::from_number(row.get(2)?),
        body: row.get_ref(3)?.as_blob_or_null()?.map(Bytes::copy_from_slice),
    })
}

/// Reads version, updated, method, body, custodian.
fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    let custodian = Custodian::stored(row.get_ref(4)?.as_str()?);
    Ok(Held { version: version(row)?, custodian })
}

fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
            OperationInterrupted, ReadOnly, SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::Full,
            Some(OperationInterrupted) => Self::TooSlow,
            // Another program holds the file for now; it will let go.
            Some(DatabaseBusy | DatabaseLocked) => Self::Overloaded,
            Some(CannotOpen | ReadOnly | SystemIoFailure | DatabaseCorrupt | NotADatabase) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}
