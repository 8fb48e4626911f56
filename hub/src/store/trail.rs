//! The audit trail as it is stored, read without opening the record: nothing is migrated, locked or
//! written, so it may be read while a hub serves it.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use sqlx::postgres::PgPool;

use crate::audit::chain::Tip;
use crate::audit::head::Head;

use super::{StoreError, postgres, sqlite, sqlite_path};

/// An entry as it is found, which may not be as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in its lane.
    pub seq: i64,
    /// When it was recorded, in microseconds since 1970.
    pub recorded: i64,
    /// The entry, as JSON.
    pub entry: String,
    /// The hash that binds it to those before.
    pub hash: Vec<u8>,
}

/// A head as it was kept: its number, and the signed document.
pub type KeptHead = (i64, String);

/// An entry of the trail that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its lane.
    pub lane: i64,
    /// Its place there.
    pub seq: i64,
    /// When it was recorded, in microseconds since 1970.
    pub recorded: i64,
    /// The entry, as JSON.
    pub entry: String,
    /// The ids of the patients it is about, with spaces between them.
    pub patients: String,
}

/// What the next entries of a lane are found by.
#[derive(Debug, Clone)]
pub struct Subjects {
    /// The lane.
    pub lane: i64,
    /// Up to which place its entries were looked at.
    pub to: i64,
    /// Each entry.
    pub entries: Vec<Subject>,
}

/// What an entry is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// When it was recorded, in microseconds since 1970.
    pub recorded: i64,
    /// Its place in its lane.
    pub seq: i64,
    /// The ids of the patients it is about, with spaces between them.
    pub patients: String,
    /// `Patient/` and an id, `agent/` and an ODS code: each once.
    pub about: Vec<String>,
}

/// A head of another region's trail.
#[derive(Debug, Clone)]
pub struct Witnessed {
    /// The region's ODS code.
    pub region: String,
    /// When it was made, in microseconds since 1970.
    pub recorded: i64,
    /// The document.
    pub document: String,
}

impl Witnessed {
    /// Whether it goes with what was kept: the last one up to its own time, and the first one after. What
    /// is there already need not be kept again.
    pub(super) fn fits(
        &self,
        before: Option<(i64, String)>,
        after: Option<String>,
    ) -> Result<Fit, StoreError> {
        let Self { recorded, document, .. } = self;
        if let Some((at, before)) = &before {
            if before == document {
                return Ok(Fit::Known);
            }
            if at == recorded || !Head::may_follow(before, document) {
                return Err(StoreError::Moved);
            }
        }
        match after {
            Some(after) if !Head::may_follow(document, &after) => Err(StoreError::Moved),
            _ => Ok(Fit::New),
        }
    }
}

/// Whether a head is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    New,
    Known,
}

/// Lines of a journal's closed file, on their way into the trail.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The file's name.
    pub file: String,
    /// Up to which byte its lines were moved before.
    pub from: i64,
    /// Up to which byte they are with these.
    pub to: i64,
    /// When each was recorded, and the line.
    pub entries: Vec<(i64, String)>,
}

/// A trail to be read.
#[derive(Debug)]
pub enum Trail {
    /// In an SQLite file.
    Sqlite(Mutex<Connection>, Option<Tip>),
    /// On a PostgreSQL server.
    Postgres(PgPool),
}

macro_rules! on {
    ($trail:expr, $function:ident($($argument:expr),*)) => {
        match $trail {
            Trail::Sqlite(connection, _) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(sqlite::audit::$function(&connection $(, $argument)*)?)
            }
            Trail::Postgres(pool) => Ok(postgres::audit::$function(pool $(, $argument)*).await?),
        }
    };
}

impl Trail {
    /// Opens the trail of the record at `sqlite://PATH` or `postgres://…`.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        match sqlite_path(url) {
            Some(path) => {
                // Noted before: entries are only added meanwhile.
                let noted = sqlite::audit::noted(&path);
                Ok(Self::Sqlite(Mutex::new(sqlite::audit::open(&path)?), noted))
            }
            None => Ok(Self::Postgres(postgres::audit::open(url).await?)),
        }
    }

    /// Where the trail ended, as the file beside an SQLite database says.
    pub fn noted(&self) -> Option<Tip> {
        match self {
            Self::Sqlite(_, noted) => *noted,
            Self::Postgres(_) => None,
        }
    }

    /// The lanes that have entries, in order.
    pub async fn lanes(&self) -> Result<Vec<i64>, StoreError> {
        on!(self, lanes())
    }

    /// At most `limit` entries of a lane after a place, in order.
    pub async fn after(
        &self,
        lane: i64,
        place: i64,
        limit: i64,
    ) -> Result<Vec<Stored>, StoreError> {
        on!(self, after(lane, place, limit))
    }

    /// At most `limit` heads after a number, in order.
    pub async fn heads(&self, number: i64, limit: i64) -> Result<Vec<KeptHead>, StoreError> {
        on!(self, heads(number, limit))
    }
}
