//! The one writer: a thread that takes what waits, runs each batch in a SAVEPOINT of one
//! transaction, commits once, and answers only then.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use rusqlite::Connection;
use service::clock::Clock;
use tokio::sync::oneshot;

use super::apply::Turn;
use super::{apply, registration};
use crate::registration::outbox::{Outcome, Task};
use crate::store::StoreError;
use crate::store::vocabulary::Vocabulary;
use crate::store::write::{Batch, Written};

/// Batches that may wait; beyond that the caller is told to come back.
const QUEUE_MAX: usize = 1_024;
/// Batches in one commit.
const GROUP_MAX: usize = 128;
/// Resources in one commit, unless one batch alone has more.
const GROUP_WRITES_MAX: usize = 2_000;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Write(Batch, Reply<Vec<Written>>),
    Due(usize, i64, Reply<Vec<Task>>),
    Settle(Vec<Outcome>, Reply<()>),
    Close(oneshot::Sender<()>),
}

/// Tells a job's caller how it ended: what the job did if the group was committed, else why the group
/// was not.
type Done = Box<dyn FnOnce(Result<(), &StoreError>)>;

/// The queue into the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Job>,
    stopped: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        terms: Arc<Vocabulary>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let stopped = Arc::new(AtomicBool::new(false));
        let mut thread =
            Thread { connection, terms, clock, failed: None, stopped: stopped.clone() };
        std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || thread.run(&jobs))
            .map_err(super::unavailable)?;
        Ok(Self { queue, stopped })
    }

    /// Whether it has stopped writing for safety.
    pub(super) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) async fn write(&self, batch: Batch) -> Result<Vec<Written>, StoreError> {
        self.submit(|reply| Job::Write(batch, reply)).await
    }

    pub(super) async fn due_registrations(
        &self,
        limit: usize,
        until: i64,
    ) -> Result<Vec<Task>, StoreError> {
        self.submit(|reply| Job::Due(limit, until, reply)).await
    }

    pub(super) async fn settle_registrations(
        &self,
        outcomes: Vec<Outcome>,
    ) -> Result<(), StoreError> {
        self.submit(|reply| Job::Settle(outcomes, reply)).await
    }

    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        let queue = self.queue.clone();
        // The queue may be full: waiting for room must not hold up the runtime.
        let sent = tokio::task::spawn_blocking(move || queue.send(Job::Close(reply)).is_ok()).await;
        if matches!(sent, Ok(true)) {
            let _ = closed.await;
        }
    }

    async fn submit<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(job(reply)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Unavailable("the writer has ended".into()),
        })?;
        answer.await.map_err(|_| StoreError::Unavailable("the writer has ended".into()))?
    }
}

struct Thread {
    connection: Connection,
    terms: Arc<Vocabulary>,
    clock: Clock,
    /// Set after a failed flush or a damaged file: nothing is written any more.
    failed: Option<StoreError>,
    /// The same, for whoever asks whether the record is ready.
    stopped: Arc<AtomicBool>,
}

impl Thread {
    fn run(&mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut group = vec![first];
            let mut writes = group[0].writes();
            while group.len() < GROUP_MAX && writes < GROUP_WRITES_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                writes += job.writes();
                group.push(job);
            }
            let close = group.iter().position(|job| matches!(job, Job::Close(_)));
            let rest = close.map(|at| group.split_off(at)).unwrap_or_default();
            self.commit(group);
            if let Some(Job::Close(reply)) = rest.into_iter().next() {
                // A clean end leaves no WAL behind; if it cannot, the next start replays it.
                let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
                let _ = reply.send(());
                return;
            }
        }
    }

    /// Runs a group in one transaction and answers once it is on the disk.
    fn commit(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        if let Some(error) = &self.failed {
            refuse_all(group, error);
            return;
        }
        let (new_systems, stamp) = match self.begin(&group) {
            Ok(begun) => begun,
            Err(error) => {
                self.roll_back(&error);
                refuse_all(group, &error);
                return;
            }
        };
        let mut done = Vec::with_capacity(group.len());
        let mut jobs = group.into_iter();
        let committed = loop {
            let Some(job) = jobs.next() else {
                break self.connection.execute_batch("COMMIT").map_err(StoreError::from);
            };
            if let Err(error) = self.run_job(job, &new_systems, stamp, &mut done) {
                break Err(error);
            }
        };
        match committed {
            Ok(()) => {
                self.terms.learn(new_systems.into_iter().collect());
                for tell in done {
                    tell(Ok(()));
                }
            }
            Err(error) => {
                self.roll_back(&error);
                for tell in done {
                    tell(Err(&error));
                }
                refuse_all(jobs, &error);
            }
        }
    }

    fn roll_back(&mut self, error: &StoreError) {
        // SQLite may have done so by itself: then there is nothing left to do.
        let _ = self.connection.execute_batch("ROLLBACK");
        self.note(error);
    }

    /// Opens the transaction and enters code systems that no one has met; gives them with the number of
    /// the commit.
    fn begin(&self, group: &[Job]) -> Result<(HashMap<String, i64>, i64), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let sql = "SELECT coalesce(max(stamp), 0) + 1 FROM resource";
        let stamp = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        let contents = group.iter().filter_map(Job::batch).flat_map(|batch| &batch.writes);
        let tokens = contents.filter_map(|w| w.action.content()).flat_map(|c| &c.index.tokens);
        let unknown = self.terms.unknown(tokens.map(|token| token.system.as_str()));
        let mut numbers = HashMap::with_capacity(unknown.len());
        for system in unknown {
            let sql = "INSERT INTO term (text) VALUES (?1) RETURNING id";
            let id = self.connection.prepare_cached(sql)?.query_row([&system], |row| row.get(0))?;
            numbers.insert(system, id);
        }
        Ok((numbers, stamp))
    }

    /// Runs one job. An error is one that ends the whole group.
    fn run_job(
        &mut self,
        job: Job,
        new_systems: &HashMap<String, i64>,
        stamp: i64,
        done: &mut Vec<Done>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now_micros();
        match job {
            Job::Write(batch, reply) => {
                let terms = self.terms.clone();
                let run = |c: &Connection| {
                    apply::batch(c, &terms, new_systems, &batch, Turn { now, stamp })
                };
                self.attempt(reply, done, run)
            }
            Job::Due(limit, until, reply) => {
                self.attempt(reply, done, |c| registration::due(c, limit, now, until))
            }
            Job::Settle(outcomes, reply) => {
                self.attempt(reply, done, |c| registration::settle(c, &outcomes))
            }
            Job::Close(_) => Ok(()),
        }
    }

    /// Runs a job in a SAVEPOINT, so that its refusal is its own: the group goes on, and the caller
    /// hears of it when the group is committed, for it may rest on what others did in it.
    fn attempt<T: 'static>(
        &mut self,
        reply: Reply<T>,
        done: &mut Vec<Done>,
        run: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<(), StoreError> {
        match in_savepoint(&self.connection, run) {
            Ok(result) => {
                done.push(Box::new(move |committed| {
                    // A caller that went away misses its answer; what it wrote stays written.
                    let _ = reply.send(committed.map_err(Clone::clone).and(result));
                }));
                Ok(())
            }
            Err(error) => {
                let _ = reply.send(Err(error.clone()));
                Err(error)
            }
        }
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

impl Job {
    fn batch(&self) -> Option<&Batch> {
        if let Self::Write(batch, _) = self { Some(batch) } else { None }
    }

    fn writes(&self) -> usize {
        self.batch().map_or(1, |batch| batch.writes.len())
    }

    fn refuse(self, error: &StoreError) {
        match self {
            Self::Write(_, reply) => drop(reply.send(Err(error.clone()))),
            Self::Due(_, _, reply) => drop(reply.send(Err(error.clone()))),
            Self::Settle(_, reply) => drop(reply.send(Err(error.clone()))),
            Self::Close(reply) => drop(reply.send(())),
        }
    }
}

fn refuse_all(jobs: impl IntoIterator<Item = Job>, error: &StoreError) {
    for job in jobs {
        job.refuse(error);
    }
}

/// Runs a job in a SAVEPOINT. The outer error is one after which the group must not be committed: the
/// savepoint itself failed, SQLite has rolled back everything, or the disk cannot be trusted.
fn in_savepoint<T>(
    connection: &Connection,
    run: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<Result<T, StoreError>, StoreError> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let result = run(connection);
    if let Err(error) = &result {
        if connection.is_autocommit() || matches!(error, StoreError::Unavailable(_)) {
            return Err(error.clone());
        }
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    Ok(result)
}
