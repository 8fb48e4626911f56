//! The queue into the one writer, whose thread is in [`super::group`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rusqlite::Connection;
use service::clock::Clock;
use tokio::sync::oneshot;

use super::audit::{Given, Note};
use super::group::Thread;
use super::rebuild::Piece;
use crate::audit::chain::Tip;
use crate::registration::outbox::{Outcome, Task};
use crate::store::StoreError;
use crate::store::generation::Knowledge;
use crate::store::stretch::Stretch;
use crate::store::write::{Batch, Written};

/// Batches that may wait; beyond that the caller is told to come back.
const QUEUE_MAX: usize = 1_024;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do, and whom it tells.
pub(super) enum Job {
    Write(Batch, Reply<Vec<Written>>),
    Due { limit: usize, until: i64, reply: Reply<Vec<Task>> },
    Settle(Vec<Outcome>, Reply<()>),
    Keep { name: &'static str, value: Vec<u8>, reply: Reply<()> },
    Audit(Given, Reply<()>),
    Rebuild(Piece, Reply<Duration>),
    Close(oneshot::Sender<()>),
}

/// What a job did.
pub(super) enum Did {
    Wrote(Vec<Written>),
    Found(Vec<Task>),
    Settled,
    Rebuilt(Duration),
}

/// The queue into the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Job>,
    stopped: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        note: (Note, Tip),
        known: Arc<Knowledge>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let stopped = Arc::new(AtomicBool::new(false));
        let mut thread = Thread::new(connection, note, known, clock, stopped.clone());
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
        self.submit(|reply| Job::Due { limit, until, reply }).await
    }

    pub(super) async fn settle_registrations(
        &self,
        outcomes: Vec<Outcome>,
    ) -> Result<(), StoreError> {
        self.submit(|reply| Job::Settle(outcomes, reply)).await
    }

    /// Keeps something under a name.
    pub(super) async fn keep(&self, name: &'static str, value: Vec<u8>) -> Result<(), StoreError> {
        self.submit(|reply| Job::Keep { name, value, reply }).await
    }

    /// Gives the audit trail what no write leaves in it.
    pub(super) async fn give(&self, given: Given) -> Result<(), StoreError> {
        self.submit(|reply| Job::Audit(given, reply)).await
    }

    /// Does a piece of work on the index; gives how long the others waited for it.
    pub(super) async fn rebuild(&self, piece: Piece) -> Result<Duration, StoreError> {
        self.submit(|reply| Job::Rebuild(piece, reply)).await
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

impl Job {
    /// What it writes, if it is a write.
    pub(super) fn batch(&self) -> Option<&Batch> {
        if let Self::Write(batch, _) = self { Some(batch) } else { None }
    }

    /// How many resources it writes; at least 1.
    pub(super) fn writes(&self) -> usize {
        self.batch().map_or(1, |batch| batch.writes.len())
    }

    /// The code systems that it has something of.
    pub(super) fn systems(&self) -> impl Iterator<Item = &str> {
        let writes = self.batch().into_iter().flat_map(|batch| &batch.writes);
        let contents = writes.filter_map(|write| write.action.content());
        let tokens = contents.flat_map(|content| &content.index.tokens);
        let stretch = match self {
            Self::Rebuild(Piece::Walk(stretch), _) => Some(stretch),
            _ => None,
        };
        let walked = stretch.into_iter().flat_map(Stretch::systems);
        tokens.map(|token| token.system.as_str()).chain(walked)
    }

    /// Tells its caller, who may have gone away: what is written stays written.
    pub(super) fn answer(self, result: Result<Did, StoreError>) {
        match (self, result) {
            (Self::Write(_, reply), Ok(Did::Wrote(written))) => drop(reply.send(Ok(written))),
            (Self::Due { reply, .. }, Ok(Did::Found(tasks))) => drop(reply.send(Ok(tasks))),
            (Self::Settle(_, reply) | Self::Keep { reply, .. } | Self::Audit(_, reply), Ok(_)) => {
                drop(reply.send(Ok(())));
            }
            (Self::Rebuild(_, reply), Ok(Did::Rebuilt(held))) => drop(reply.send(Ok(held))),
            (Self::Write(_, reply), Err(error)) => drop(reply.send(Err(error))),
            (Self::Due { reply, .. }, Err(error)) => drop(reply.send(Err(error))),
            (
                Self::Settle(_, reply) | Self::Keep { reply, .. } | Self::Audit(_, reply),
                Err(error),
            ) => {
                drop(reply.send(Err(error)));
            }
            (Self::Rebuild(_, reply), Err(error)) => drop(reply.send(Err(error))),
            (Self::Close(reply), _) => drop(reply.send(())),
            // Dropped unanswered: the caller is told that the writer is gone.
            (Self::Write(..) | Self::Due { .. } | Self::Rebuild(..), Ok(_)) => {}
        }
    }
}
