//! The registry: pointers on SQLite.
//!
//! One connection writes, each write a transaction that is on disk before it is acknowledged; a few
//! connections read beside it. None of them is used on an async thread.
//!
//! | file | what lives there |
//! |---|---|
//! | `connections` | the database file: opened, checked, migrated |
//! | `shape` | what pointers have in common, kept once |
//! | `write` | what can be done within one write |
//! | `bulk` | millions of pointers in one transaction |
//! | `instead` | what answers while a fault is scripted |

pub(crate) mod bulk;
mod connections;
mod instead;
mod shape;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OptionalExtension, Row};
use service::program::ProgramError;
use thiserror::Error;

use crate::error::LocatorError;
use crate::pointer::Pointer;

use connections::Connections;
use instead::Instead;
use shape::Own;
pub(crate) use write::Writer;

/// A pointer and its shape. The planner is not to start from the shape, of which there may be one.
const POINTER: &str = "SELECT id, nhs_number, created_micros, updated_micros, custodian, type, \
     category, text FROM pointer CROSS JOIN shape ON shape.key = pointer.shape";

const MATCH: &str = "FROM pointer CROSS JOIN shape ON shape.key = pointer.shape \
     WHERE nhs_number = ?1 \
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

    fn parameters(&self) -> (i64, Option<&str>, String, String) {
        let json = |list: &[String]| {
            serde_json::to_string(list).expect("a list of strings always serialises")
        };
        let custodian = self.custodian.as_deref();
        (whole_number(&self.nhs_number), custodian, json(&self.kinds), json(&self.categories))
    }
}

/// The registry of pointers.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    own: Arc<Connections>,
    instead: Mutex<Instead>,
}

impl Registry {
    /// Opens the database, creating or migrating it as needed. Its folder must exist.
    pub(crate) fn open(path: &Path) -> Result<Self, ProgramError> {
        let own = Arc::new(Connections::open(path)?);
        let inner = Inner { path: path.to_owned(), own, instead: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The pointer with this id.
    pub(crate) async fn read(&self, id: String) -> Result<Option<Pointer>, StoreError> {
        self.reading(move |connection| read(connection, &id)).await
    }

    /// The text of every match, in natural order.
    pub(crate) async fn search(&self, filter: Filter) -> Result<Vec<String>, StoreError> {
        self.reading(move |connection| {
            let sql = format!(
                "SELECT id, nhs_number, created_micros, updated_micros, text {MATCH} \
                 ORDER BY category, type, created_micros, id"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(filter.parameters(), |row| {
                Ok(Own::of(row)?.fill(row.get_ref("text")?.as_str()?))
            })?;
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
        self.len().await.map(drop)
    }

    /// The number of all pointers.
    pub(crate) async fn len(&self) -> Result<usize, StoreError> {
        self.reading(|connection| connection.query_row("SELECT pointers FROM tally", [], whole))
            .await
    }

    /// Does `work` as one transaction: all of it is on disk when this returns, or none of it.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Writer<'_>) -> Result<T, LocatorError> + Send + 'static,
    ) -> Result<T, LocatorError> {
        let connections = self.written();
        let task = tokio::task::spawn_blocking(move || {
            let mut connection = connections.writer();
            let writer = Writer::begin(&mut connection)?;
            let done = work(&writer)?;
            writer.commit()?;
            Ok(done)
        });
        task.await.map_err(StoreError::from)?
    }

    /// Remembers a client assertion by its digest until `expires_s`; false where it is known.
    pub(crate) async fn remember(
        &self,
        digest: [u8; 32],
        expires_s: i64,
        now_s: i64,
    ) -> Result<bool, StoreError> {
        let own = self.inner.own.clone();
        let task = tokio::task::spawn_blocking(move || {
            write::remember(&mut own.writer(), digest, expires_s, now_s)
        });
        Ok(task.await??)
    }

    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let source = self.source();
        Ok(tokio::task::spawn_blocking(move || work(&source.connection())).await??)
    }
}

fn read(connection: &Connection, id: &str) -> rusqlite::Result<Option<Pointer>> {
    let sql = format!("{POINTER} WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], pointer).optional()
}

fn pointer(row: &Row<'_>) -> rusqlite::Result<Pointer> {
    let own = Own::of(row)?;
    Ok(Pointer {
        body: own.fill(row.get_ref("text")?.as_str()?),
        id: own.id,
        custodian: row.get("custodian")?,
        nhs_number: own.nhs_number,
        kind: row.get("type")?,
        category: row.get("category")?,
        created_micros: own.created_micros,
        updated_micros: own.updated_micros,
    })
}

/// A count, or any whole number that is the row's only column.
fn whole(row: &Row<'_>) -> rusqlite::Result<usize> {
    row.get::<_, u32>(0).map(|number| number as usize)
}

/// A patient's number as it is stored.
fn whole_number(nhs_number: &str) -> i64 {
    nhs_number.parse().expect("an NHS number is ten digits")
}
