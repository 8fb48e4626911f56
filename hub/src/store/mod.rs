//! The store: every version of every resource, and what they are found by, on one of two engines.
//!
//! | room | what lives there |
//! |---|---|
//! | [`mod@write`] | what a write is and what it decides; pure |
//! | [`draft`] | a resource's text with the gap for its version; pure |
//! | [`index`], [`unique`], [`target`] | what a resource is found by; pure |
//! | [`effects`] | what a write changes in the index; pure |
//! | [`mod@policy`] | what a write changes of who may see its resource; pure |
//! | [`vocabulary`] | numbers for names |
//! | [`generation`] | by which rules the index is made, and how far it is |
//! | [`stretch`] | resources that a walk puts into the index together |
//! | [`trail`] | the audit trail, read on its own |
//! | [`history`] | which versions, newest first |
//! | [`query`] | SQL text and its arguments, engine-neutral |
//! | [`sqlite`], [`postgres`] | the two engines, step for step alike |
//!
//! **Invariants.** A write is one transaction: version, current row, index rows, unique
//! identifiers, registrations, kept answer, audit entry. Versions of a resource are 1, 2, 3, … without gaps.
//! Each has one custodian, which only the hub's own hand changes.
//! An acknowledged write has been flushed to disk.

pub mod draft;
pub mod effects;
pub mod generation;
pub mod history;
pub mod index;
pub mod policy;
pub mod postgres;
pub mod query;
pub mod sqlite;
pub mod stretch;
pub mod target;
pub mod trail;
pub mod unique;
pub mod vocabulary;
pub mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fhir::definitions::ResourceType;
use service::clock::Clock;
use thiserror::Error;

use crate::audit::chain::Tip;
use crate::registration::outbox::{Depth, Known, Outcome, Task};
use generation::{Generation, Knowledge};
use history::{History, Past};
use query::{Found, Query, Step, Stepped};
use trail::{Lines, Recorded, Subjects, Witnessed};
use vocabulary::Vocabulary;
use write::{Batch, Conflict, Held, Kept, Version, Written};

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
    /// The index is being made anew: until it is whole, it answers nothing.
    #[error("the index is being rebuilt and is {percent} % done")]
    Rebuilding {
        /// How far it is.
        percent: u8,
    },
    /// The index is made by rules that this program does not know.
    #[error("the record's index is made by another version of this program: start that one")]
    Outdated,
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

/// The turn to walk or to reconcile, held by at most one hub at a time.
#[derive(Debug)]
pub struct Turn {
    _of: Option<postgres::rebuild::Turn>,
}

macro_rules! on {
    ($store:expr, $engine:ident => $body:expr) => {
        match $store {
            Store::Sqlite($engine) => $body,
            Store::Postgres($engine) => $body,
        }
    };
}

/// As `on`, and waits for the answer of a server no longer than the server is there. What that takes is
/// kept apart, or every interaction would be as large.
macro_rules! ask {
    ($store:expr, $engine:ident => $body:expr) => {
        match $store {
            Store::Sqlite($engine) => $body.await,
            Store::Postgres($engine) => Box::pin($engine.answered($body)).await,
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

    /// The store's terms, for one request: whoever takes them keeps them until it is answered.
    pub fn terms(&self) -> Arc<Vocabulary> {
        self.known().terms()
    }

    fn known(&self) -> &Knowledge {
        on!(self, engine => engine.known())
    }

    /// The index as it was seen last.
    pub fn generation(&self) -> Arc<Generation> {
        self.known().generation()
    }

    /// Looks where the index is.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        match self {
            // No one else can change it.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(engine) => engine.answered(engine.refresh()).await,
        }
    }

    /// Whether a search that was understood for this generation of the index will be answered: not
    /// while it is being rebuilt.
    pub async fn serves(&self, generation: i64) -> Result<(), StoreError> {
        match self.known().serves(generation) {
            Ok(()) => Ok(()),
            // Another hub may have ended what it, or a third one, began.
            Err(_) => self.served(generation).await,
        }
    }

    /// Whether everything that was found in this generation of the index, up to now, was found while it
    /// was whole.
    pub async fn served(&self, generation: i64) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(engine) => engine.known().serves(generation),
            Self::Postgres(engine) => engine.answered(engine.served(generation)).await,
        }
    }

    /// Begins the index anew, with these search parameters of the record's own.
    pub async fn begin_anew(&self, added: String) -> Result<(), StoreError> {
        ask!(self, engine => engine.begin_anew(added))
    }

    /// Takes the turn to walk; none if another hub has it.
    pub async fn turn_to_walk(&self) -> Result<Option<Turn>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Some(Turn { _of: None })),
            Self::Postgres(engine) => {
                let turn = engine.answered(engine.turn_to_walk()).await?;
                Ok(turn.map(|turn| Turn { _of: Some(turn) }))
            }
        }
    }

    /// Takes rows of the index before away, as many as `size` resources may have; gives how long
    /// writes had to wait meanwhile.
    pub async fn empty(&self, size: usize) -> Result<Duration, StoreError> {
        match self {
            Self::Sqlite(engine) => engine.empty(size).await,
            Self::Postgres(engine) => engine.answered(engine.empty()).await,
        }
    }

    /// Puts the next `size` resources into the index; gives how long writes had to wait meanwhile.
    pub async fn walk(&self, size: usize) -> Result<Duration, StoreError> {
        ask!(self, engine => engine.walk(size))
    }

    /// The current version of a resource; a deletion is a version too.
    pub async fn read(&self, t: ResourceType, id: &str) -> Result<Option<Version>, StoreError> {
        ask!(self, engine => engine.read(t, id))
    }

    /// The same, and whose the resource is.
    pub async fn held(&self, t: ResourceType, id: &str) -> Result<Option<Held>, StoreError> {
        ask!(self, engine => engine.held(t, id))
    }

    /// One version of a resource.
    pub async fn vread(
        &self,
        t: ResourceType,
        id: &str,
        version: i64,
    ) -> Result<Option<Version>, StoreError> {
        ask!(self, engine => engine.vread(t, id, version))
    }

    /// At most `limit` versions of a history, newest first.
    pub async fn history(&self, history: &History, limit: usize) -> Result<Vec<Past>, StoreError> {
        ask!(self, engine => engine.history(history, limit))
    }

    /// How many versions a history has; costs as much as there are.
    pub async fn count_history(&self, history: &History) -> Result<u64, StoreError> {
        ask!(self, engine => engine.count_history(history))
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
        ask!(self, engine => engine.page(query))
    }

    /// How the engine would run a generated query, a line a step; nothing is run, and no argument is
    /// in it.
    pub async fn explain(&self, query: &Query) -> Result<Vec<String>, StoreError> {
        ask!(self, engine => engine.explain(query))
    }

    /// Runs the queries of one page of a walk in one state of the record.
    pub async fn step(&self, step: Step) -> Result<Stepped, StoreError> {
        ask!(self, engine => engine.step(step))
    }

    /// The units that someone has used.
    pub async fn units(&self) -> Result<Vec<(i64, String)>, StoreError> {
        ask!(self, engine => engine.units())
    }

    /// Runs a generated query for current resources: key, type, id, text.
    pub async fn resources(&self, query: &Query) -> Result<Vec<Found>, StoreError> {
        ask!(self, engine => engine.resources(query))
    }

    /// Runs a generated query for versions: version, updated, method, body, key.
    pub async fn versions(&self, query: &Query) -> Result<Vec<(i64, Version)>, StoreError> {
        ask!(self, engine => engine.versions(query))
    }

    /// Runs a generated query for numbers: a count, or directory keys.
    pub async fn numbers(&self, query: &Query) -> Result<Vec<i64>, StoreError> {
        ask!(self, engine => engine.numbers(query))
    }

    /// Writes a batch: all of it, flushed to disk, or nothing.
    pub async fn write(&self, batch: Batch) -> Result<Vec<Written>, StoreError> {
        ask!(self, engine => engine.write(batch))
    }

    /// The answer that is kept under an organisation's key.
    pub async fn kept(&self, organisation: &str, key: &str) -> Result<Option<Kept>, StoreError> {
        ask!(self, engine => engine.kept(organisation, key))
    }

    /// Takes registrations that are due, and marks them as tried until `until`.
    pub async fn due_registrations(
        &self,
        limit: usize,
        until: i64,
    ) -> Result<Vec<Task>, StoreError> {
        ask!(self, engine => engine.due_registrations(limit, until))
    }

    /// Writes down what became of registrations.
    pub async fn settle_registrations(&self, outcomes: Vec<Outcome>) -> Result<(), StoreError> {
        ask!(self, engine => engine.settle_registrations(outcomes))
    }

    /// Registrations to do, and parked ones.
    pub async fn registration_depth(&self) -> Result<Depth, StoreError> {
        ask!(self, engine => engine.registration_depth())
    }

    /// At most `limit` numbers after one, in order: those that a Patient carries, and those that the
    /// outbox knows.
    pub async fn known_registrations(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Known>, StoreError> {
        ask!(self, engine => engine.known_registrations(after, limit))
    }

    /// At most `limit` numbers that the locator is said to hold a pointer for, from one on.
    pub async fn sample_registrations(
        &self,
        from: &str,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        ask!(self, engine => engine.sample_registrations(from, limit))
    }

    /// Takes the turn to compare the record with the locator; none if another hub has it.
    pub async fn turn_to_reconcile(&self) -> Result<Option<Turn>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Some(Turn { _of: None })),
            Self::Postgres(engine) => {
                let turn = engine.answered(engine.turn_to_reconcile()).await?;
                Ok(turn.map(|turn| Turn { _of: Some(turn) }))
            }
        }
    }

    /// What is kept under a name, for all of the record's hubs.
    pub async fn kept_setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        ask!(self, engine => engine.kept_setting(name))
    }

    /// Keeps something under a name.
    pub async fn keep_setting(&self, name: &'static str, value: Vec<u8>) -> Result<(), StoreError> {
        ask!(self, engine => engine.keep_setting(name, value))
    }

    /// Where the lanes of the audit trail end, all at one moment.
    pub async fn audit_tips(&self) -> Result<Vec<Tip>, StoreError> {
        ask!(self, engine => engine.audit_tips())
    }

    /// Entries of the audit trail that a generated query finds: lane, place, time, entry, patients.
    pub async fn audit_entries(&self, query: &Query) -> Result<Vec<Recorded>, StoreError> {
        ask!(self, engine => engine.audit_entries(query))
    }

    /// Ids of patients that a generated query finds.
    pub async fn audit_patients(&self, query: &Query) -> Result<Vec<String>, StoreError> {
        ask!(self, engine => engine.audit_patients(query))
    }

    /// Notes what entries of the audit trail are found by.
    pub async fn take_subjects(&self, subjects: Subjects) -> Result<(), StoreError> {
        ask!(self, engine => engine.take_subjects(subjects))
    }

    /// Up to which byte the lines of a journal's closed file are in the audit trail.
    pub async fn journal_moved(&self, file: &str) -> Result<i64, StoreError> {
        ask!(self, engine => engine.journal_moved(file))
    }

    /// Takes lines of a journal into the audit trail; [`StoreError::Moved`] if they are there already.
    pub async fn take_lines(&self, lines: Lines) -> Result<(), StoreError> {
        ask!(self, engine => engine.take_lines(lines))
    }

    /// Forgets a journal's file, all of whose lines are in the audit trail, once it is gone.
    pub async fn forget_journal(&self, file: String) -> Result<(), StoreError> {
        ask!(self, engine => engine.forget_journal(file))
    }

    /// Keeps a head of the audit trail, made at that moment.
    pub async fn keep_head(&self, at: i64, document: String) -> Result<(), StoreError> {
        ask!(self, engine => engine.keep_head(at, document))
    }

    /// Keeps a head of another region's trail, made at that moment; [`StoreError::Moved`] if it contradicts
    /// one that is kept.
    pub async fn witness(&self, head: Witnessed) -> Result<(), StoreError> {
        ask!(self, engine => engine.witness(head))
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
