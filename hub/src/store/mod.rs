//! The store: every version of every resource, and what they are found by, on one of two engines.
//!
//! | room | what lives there |
//! |---|---|
//! | [`mod@write`] | what a write is and what it decides; pure |
//! | [`draft`] | a resource's text with the gap for its version; pure |
//! | [`index`], [`unique`], [`target`] | what a resource is found by; pure |
//! | [`effects`] | what a write changes in the index; pure |
//! | [`vocabulary`] | numbers for names |
//! | [`history`] | which versions, newest first |
//! | [`query`] | SQL text and its arguments, engine-neutral |
//! | [`sqlite`], [`postgres`] | the two engines, step for step alike |
//!
//! **Invariants.** A write is one transaction: version, current row, index rows, unique
//! identifiers, registrations, kept answer, audit entry. Versions of a resource are 1, 2, 3, … without gaps.
//! An acknowledged write has been flushed to disk.

pub mod draft;
pub mod effects;
pub mod history;
pub mod index;
pub mod postgres;
pub mod query;
pub mod sqlite;
pub mod target;
pub mod unique;
pub mod vocabulary;
pub mod write;

use std::path::PathBuf;
use std::sync::Arc;

use fhir::definitions::ResourceType;
use service::clock::Clock;
use thiserror::Error;

use crate::registration::outbox::{Outcome, Task};
use history::{History, Past};
use query::{Found, Query, Step, Stepped};
use vocabulary::Vocabulary;
use write::{Batch, Conflict, Kept, Version, Written};

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The state of the record forbids the write; nothing was stored.
    #[error("entry {entry} conflicts with the record")]
    Conflict {
        /// Which write of the batch.
        entry: usize,
        /// Why.
        conflict: Conflict,
    },
    /// What a write rested on has changed since it was prepared; nothing was stored.
    #[error("what the write rests on has changed")]
    Moved,
    /// The query took longer than a query may.
    #[error("the query took too long")]
    TooSlow,
    /// More writes wait than may.
    #[error("the write queue is full")]
    Overloaded,
    /// The disk is full; nothing was stored.
    #[error("the store has no space left")]
    Full,
    /// The database cannot be reached, or has stopped for safety; nothing is known to be stored.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Anything else: a defect.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Why a record of the first schema is not served: its index lacks what searches now rely on, and an
/// answer that leaves something out must not look whole.
const INDEX_TOO_OLD: &str = "the record was written by an earlier version, whose search index is \
                             smaller: searching it would leave resources out. Keep that version for \
                             it, and load its resources into an empty record for this one";

/// Whose SQL a query is in, where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// One of the two engines.
#[derive(Debug, Clone)]
pub enum Store {
    /// One file, one writer, group commit.
    Sqlite(Arc<sqlite::Sqlite>),
    /// A server shared by any number of hub processes.
    Postgres(Arc<postgres::Postgres>),
}

macro_rules! on {
    ($store:expr, $engine:ident => $body:expr) => {
        match $store {
            Store::Sqlite($engine) => $body,
            Store::Postgres($engine) => $body,
        }
    };
}

/// The file of a `sqlite://` URL.
pub fn sqlite_path(url: &str) -> Option<PathBuf> {
    url.strip_prefix("sqlite://").map(PathBuf::from)
}

impl Store {
    /// Opens the store at `sqlite://PATH` or `postgres://…`, creating or migrating its tables.
    /// `base` is our own FHIR base.
    pub async fn open(url: &str, base: &str, clock: Clock) -> Result<Self, StoreError> {
        if let Some(path) = sqlite_path(url) {
            return Ok(Self::Sqlite(Arc::new(sqlite::Sqlite::open(&path, base, clock)?)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(Arc::new(postgres::Postgres::open(url, base, clock).await?)));
        }
        Err(StoreError::Unavailable("store.url must begin with sqlite:// or postgres://".into()))
    }

    /// The store's terms.
    pub fn terms(&self) -> &Vocabulary {
        on!(self, engine => engine.terms())
    }

    /// The current version of a resource; a deletion is a version too.
    pub async fn read(&self, t: ResourceType, id: &str) -> Result<Option<Version>, StoreError> {
        on!(self, engine => engine.read(t, id).await)
    }

    /// One version of a resource.
    pub async fn vread(
        &self,
        t: ResourceType,
        id: &str,
        version: i64,
    ) -> Result<Option<Version>, StoreError> {
        on!(self, engine => engine.vread(t, id, version).await)
    }

    /// At most `limit` versions of a history, newest first.
    pub async fn history(&self, history: &History, limit: usize) -> Result<Vec<Past>, StoreError> {
        on!(self, engine => engine.history(history, limit).await)
    }

    /// How many versions a history has; costs as much as there are.
    pub async fn count_history(&self, history: &History) -> Result<u64, StoreError> {
        on!(self, engine => engine.count_history(history).await)
    }

    /// Whose SQL the store takes.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a generated search; with what it found comes a mark of the state that was asked, if
    /// anything was found.
    pub async fn page(&self, query: &Query) -> Result<(String, Vec<Found>), StoreError> {
        on!(self, engine => engine.page(query).await)
    }

    /// How the engine would run a generated query, a line a step; nothing is run, and no argument is
    /// in it.
    pub async fn explain(&self, query: &Query) -> Result<Vec<String>, StoreError> {
        on!(self, engine => engine.explain(query).await)
    }

    /// Runs the queries of one page of a walk in one state of the record.
    pub async fn step(&self, step: Step) -> Result<Stepped, StoreError> {
        on!(self, engine => engine.step(step).await)
    }

    /// The units that someone has used.
    pub async fn units(&self) -> Result<Vec<(i64, String)>, StoreError> {
        on!(self, engine => engine.units().await)
    }

    /// Runs a generated query for current resources: key, type, id, text.
    pub async fn resources(&self, query: &Query) -> Result<Vec<Found>, StoreError> {
        on!(self, engine => engine.resources(query).await)
    }

    /// Runs a generated query for numbers: a count, or directory keys.
    pub async fn numbers(&self, query: &Query) -> Result<Vec<i64>, StoreError> {
        on!(self, engine => engine.numbers(query).await)
    }

    /// Writes a batch: all of it, flushed to disk, or nothing.
    pub async fn write(&self, batch: Batch) -> Result<Vec<Written>, StoreError> {
        on!(self, engine => engine.write(batch).await)
    }

    /// The answer that is kept under an organisation's key.
    pub async fn kept(&self, organisation: &str, key: &str) -> Result<Option<Kept>, StoreError> {
        on!(self, engine => engine.kept(organisation, key).await)
    }

    /// Takes registrations that are due, and marks them as tried until `until`.
    pub async fn due_registrations(
        &self,
        limit: usize,
        until: i64,
    ) -> Result<Vec<Task>, StoreError> {
        on!(self, engine => engine.due_registrations(limit, until).await)
    }

    /// Writes down what became of registrations.
    pub async fn settle_registrations(&self, outcomes: Vec<Outcome>) -> Result<(), StoreError> {
        on!(self, engine => engine.settle_registrations(outcomes).await)
    }

    /// Registrations to do, and parked ones.
    pub async fn registration_depth(&self) -> Result<(i64, i64), StoreError> {
        on!(self, engine => engine.registration_depth().await)
    }

    /// A secret of this store, made at its first use: the cursors' key, shared by all processes.
    pub fn secret(&self) -> [u8; 32] {
        on!(self, engine => engine.secret())
    }

    /// Whether writes are accepted: after a failed flush they no longer are.
    pub fn is_writable(&self) -> bool {
        on!(self, engine => engine.is_writable())
    }

    /// Ends the store: writes in the queue are finished first.
    pub async fn close(&self) {
        on!(self, engine => engine.close().await);
    }
}
