//! The writer's thread: it takes what waits, runs it in one transaction, commits once, and answers only
//! then.
//!
//! A group is first run without SAVEPOINTs, for they cost a copy of every page that a job touches. Jobs
//! are refused before they change anything, nearly always; when one is refused later, the group is rolled
//! back and run again, each job in a SAVEPOINT of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use fhir::definitions::ResourceType;
use rusqlite::Connection;
use service::clock::Clock;

use super::apply::Turn;
use super::audit::{End, Note};
use super::writer::{Did, Job};
use super::{apply, rebuild, registration};
use crate::audit::chain::Tip;
use crate::store::StoreError;
use crate::store::generation::Knowledge;
use crate::store::write::Batch;

/// Batches in one commit.
const GROUP_MAX: usize = 128;
/// Resources in one commit, unless one batch alone has more.
const GROUP_WRITES_MAX: usize = 2_000;

/// How what a refused job changed is undone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// With the whole group.
    Group,
    /// By itself.
    Job,
}

/// Why a group cannot be committed.
enum Halt {
    /// A refused job has changed something: the group is to be run again.
    Refused,
    /// Nothing of the group may be kept.
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What each job did, and the code systems entered along with it.
type Ran = (Vec<Result<Did, StoreError>>, HashMap<String, i64>);

/// The thread's state.
pub(super) struct Thread {
    connection: Connection,
    note: Note,
    /// Where the audit trail ends.
    end: End,
    known: Arc<Knowledge>,
    clock: Clock,
    /// Set after a failed flush or a damaged file: nothing is written any more.
    failed: Option<StoreError>,
    /// The same, for whoever asks whether the record is ready.
    stopped: Arc<AtomicBool>,
}

impl Thread {
    pub(super) fn new(
        connection: Connection,
        (note, tip): (Note, Tip),
        known: Arc<Knowledge>,
        clock: Clock,
        stopped: Arc<AtomicBool>,
    ) -> Self {
        Self { connection, note, end: End::new(tip), known, clock, failed: None, stopped }
    }

    /// Works until it is told to close, or no one is left to ask.
    pub(super) fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            let first = match jobs.recv_timeout(self.note.due(self.end.get())) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.note.catch_up(self.end.get());
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut writes = first.writes();
            let mut group = vec![first];
            while group.len() < GROUP_MAX && writes < GROUP_WRITES_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                writes += job.writes();
                group.push(job);
            }
            let close = group.iter().position(|job| matches!(job, Job::Close(_)));
            let rest = close.map(|at| group.split_off(at)).unwrap_or_default();
            self.commit(group);
            if let Some(close) = rest.into_iter().next() {
                // A clean end leaves no WAL behind; if it cannot, the next start replays it.
                let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
                self.note.catch_up(self.end.get());
                close.answer(Ok(Did::Settled));
                return;
            }
        }
    }

    /// Runs a group in one transaction and answers once it is on the disk.
    fn commit(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        let ran = match self.failed.clone() {
            Some(error) => Err(error),
            None => self.attempt(&group),
        };
        self.forget_erased(&group);
        match ran {
            Ok((results, new_systems)) => {
                self.known.terms().learn(new_systems.into_iter().collect());
                self.learn(&results);
                for (job, result) in group.into_iter().zip(results) {
                    job.answer(result);
                }
            }
            Err(error) => {
                for job in group {
                    job.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Empties the log of what was erased, unless a reader still looks at it: then the next checkpoint does.
    fn forget_erased(&self, group: &[Job]) {
        if group.iter().any(|job| job.batch().is_some_and(Batch::erases)) {
            let sql = "PRAGMA secure_delete = OFF; PRAGMA wal_checkpoint(TRUNCATE)";
            if let Err(error) = self.connection.execute_batch(sql) {
                tracing::warn!(cause = %error, "what was erased is still in the write-ahead log");
            }
        }
    }

    /// Takes note of what has become of the index, before anyone is told.
    fn learn(&mut self, results: &[Result<Did, StoreError>]) {
        if !results.iter().any(|result| matches!(result, Ok(Did::Rebuilt(_)))) {
            return;
        }
        let learn = |c: &Connection| {
            let seen = rebuild::generation(c)?;
            if seen.standing.generation != self.known.generation().standing.generation {
                self.known.terms().learn(rebuild::find_terms(c, &seen.added)?);
            }
            self.known.learn(seen);
            Ok::<_, rusqlite::Error>(())
        };
        if let Err(error) = learn(&self.connection) {
            self.note(&StoreError::Unavailable(error.to_string()));
        }
    }

    /// Runs and commits a group, or leaves nothing of it.
    fn attempt(&mut self, group: &[Job]) -> Result<Ran, StoreError> {
        let before = self.end.get();
        let mut ran = self.transaction(group, Undo::Group);
        if matches!(ran, Err(Halt::Refused)) {
            // SQLite may have done so by itself: then there is nothing left to do.
            let _ = self.connection.execute_batch("ROLLBACK");
            self.end.set(before);
            ran = self.transaction(group, Undo::Job);
        }
        ran.map_err(|halt| {
            let _ = self.connection.execute_batch("ROLLBACK");
            self.end.set(before);
            let error = match halt {
                Halt::Failed(error) => error,
                Halt::Refused => StoreError::Failed("a job was not undone".into()),
            };
            self.note(&error);
            error
        })
    }

    fn transaction(&self, group: &[Job], undo: Undo) -> Result<Ran, Halt> {
        let (new_systems, stamp) = self.begin(group)?;
        let mut results = Vec::with_capacity(group.len());
        for job in group {
            results.push(self.one(undo, || self.job(job, &new_systems, stamp))?);
        }
        self.connection.execute_batch("COMMIT")?;
        self.note.keep_up(self.end.get());
        Ok((results, new_systems))
    }

    /// Opens the transaction and enters code systems that no one has met; gives them with the number of
    /// the commit.
    fn begin(&self, group: &[Job]) -> Result<(HashMap<String, i64>, i64), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let sql = "SELECT coalesce(max(stamp), 0) + 1 FROM resource";
        let stamp = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        let unknown = self.known.terms().unknown(group.iter().flat_map(Job::systems));
        let mut numbers = HashMap::with_capacity(unknown.len());
        for system in unknown {
            let sql = "INSERT INTO term (text) VALUES (?1) RETURNING id";
            let id = self.connection.prepare_cached(sql)?.query_row([&system], |row| row.get(0))?;
            numbers.insert(system, id);
        }
        Ok((numbers, stamp))
    }

    fn job(
        &self,
        job: &Job,
        new_systems: &HashMap<String, i64>,
        stamp: i64,
    ) -> Result<Did, StoreError> {
        let (connection, now) = (&self.connection, self.clock.now_micros());
        let terms = self.known.terms();
        match job {
            Job::Write(batch, _) => {
                let turn = Turn { now, stamp, standing: rebuild::standing(connection)? };
                if batch.erases() {
                    // What is taken away is written over, not left in free pages.
                    connection.execute_batch("PRAGMA secure_delete = ON")?;
                }
                apply::batch(connection, &self.end, &terms, new_systems, batch, turn)
                    .map(Did::Wrote)
            }
            Job::Rebuild(piece, _) => {
                rebuild::piece(connection, &terms, new_systems, piece).map(Did::Rebuilt)
            }
            Job::Due { limit, until, .. } => {
                registration::due(connection, *limit, now, *until).map(Did::Found)
            }
            Job::Settle(outcomes, _) => {
                let patient = terms.resource_type(ResourceType::PATIENT);
                registration::settle(connection, patient, outcomes, now).map(|()| Did::Settled)
            }
            Job::Keep { name, value, .. } => {
                registration::keep(connection, name, value).map(|()| Did::Settled)
            }
            Job::Audit(given, _) => {
                super::audit::take(connection, &self.end, given).map(|()| Did::Settled)
            }
            Job::Close(_) => Ok(Did::Settled),
        }
    }

    /// Runs one job. Its refusal is its own, and the group goes on, unless the job cannot be undone
    /// alone, SQLite has rolled back everything, or the disk cannot be trusted.
    fn one(
        &self,
        undo: Undo,
        job: impl FnOnce() -> Result<Did, StoreError>,
    ) -> Result<Result<Did, StoreError>, Halt> {
        let (changes, before) = (self.connection.total_changes(), self.end.get());
        if undo == Undo::Job {
            self.connection.prepare_cached("SAVEPOINT job")?.execute([])?;
        }
        let result = job();
        if let Err(error) = &result {
            if self.connection.is_autocommit() || matches!(error, StoreError::Unavailable(_)) {
                return Err(Halt::Failed(error.clone()));
            }
            self.end.set(before);
            match undo {
                Undo::Job => self.connection.prepare_cached("ROLLBACK TO job")?.execute([])?,
                Undo::Group if self.connection.total_changes() != changes => {
                    return Err(Halt::Refused);
                }
                Undo::Group => 0,
            };
        }
        if undo == Undo::Job {
            self.connection.prepare_cached("RELEASE job")?.execute([])?;
        }
        Ok(result)
    }

    /// Remembers an error after which nothing more may be written.
    fn note(&mut self, error: &StoreError) {
        if matches!(error, StoreError::Unavailable(_)) && self.failed.is_none() {
            tracing::error!(cause = %error, "the store stops writing: repair the disk, then start");
            self.failed = Some(error.clone());
            self.stopped.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Thread {
    /// However the thread ends, a panic included: what has no writer is not ready.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
