//! Does what the outbox says, again and again until it is done. A locator that is down is caught up
//! when it returns; while it is, it is asked for a few only.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::iter;
use service::clock::Clock;
use service::serve::Shutdown;
use tokio::sync::Notify;

use super::locator::{Locator, LocatorError, Pointer};
use super::outbox::{Outcome, Settled, Task};
use super::wish::registrable;
use crate::store::{Store, StoreError};

/// Tasks taken at a time, and done at the same time.
const TAKEN_MAX: usize = 32;
const CONCURRENT_MAX: usize = 16;
/// How long one task may take, access tokens included.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(15);
/// A taken task is anyone's again after this long: more than two rounds of tasks that run into their
/// deadline.
const LEASE_MICROS: i64 = 35_000_000;
/// How long the sender rests when it was not woken: retries fall due meanwhile.
const REST: Duration = Duration::from_secs(1);
/// Longest wait between two attempts: a locator that returns is caught up within a minute.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// Longest rest that a locator may ask for.
const ASKED_REST_MAX: Duration = Duration::from_mins(10);
/// After so many attempts what the locator fails at is parked: about ten minutes.
const PATIENCE: i64 = 20;

/// What sends registrations.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The record.
    pub store: Store,
    /// The locator.
    pub locator: Locator,
    /// The time.
    pub clock: Clock,
    /// Whether only verified numbers are registered.
    pub only_verified: bool,
}

/// What became of the tasks that were due.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// How many were taken.
    pub taken: usize,
    /// How long to leave the locator alone: none of them was done, for a reason that would hold for
    /// all others.
    pub rest: Option<Duration>,
}

impl Sender {
    /// Sends registrations until `shutdown`; `wake` says that there may be new ones.
    pub async fn run(&self, wake: &Notify, shutdown: Shutdown) {
        let mut troubles = 0;
        loop {
            tokio::select! {
                () = shutdown.triggered() => return,
                () = wake.notified() => {}
                () = tokio::time::sleep(REST) => {}
            }
            while !shutdown.is_triggered() {
                let sent = self.send_due(troubles).await.unwrap_or_else(|error| {
                    tracing::warn!(cause = %error, "registrations could not be read or settled");
                    Sent::default()
                });
                match sent {
                    Sent { taken: 0, .. } => break,
                    Sent { rest: None, .. } => troubles = 0,
                    Sent { rest: Some(rest), .. } => {
                        troubles = (troubles + 1).min(20);
                        tokio::select! {
                            () = shutdown.triggered() => return,
                            () = tokio::time::sleep(rest) => {}
                        }
                    }
                }
            }
        }
    }

    /// Sends some of what is due. `troubles`: how often in a row there was reason to rest.
    pub async fn send_due(&self, troubles: i64) -> Result<Sent, StoreError> {
        let until = self.clock.now_micros() + LEASE_MICROS;
        let mut tasks = self.store.due_registrations(TAKEN_MAX, until).await?;
        let taken = tasks.len();
        if taken == 0 {
            return Ok(Sent::default());
        }
        let wanted = tasks.iter().filter(|task| task.wanted);
        let wanted: Vec<(&str, i64)> = wanted.map(|t| (t.number.as_str(), t.holder)).collect();
        let now = self.clock.now_micros();
        let registrable = registrable(&self.store, self.only_verified, &wanted, now).await?;
        for task in &mut tasks {
            task.wanted &= registrable.contains(&task.number);
        }
        let tried: Vec<(Outcome, Option<Duration>)> = iter(tasks)
            .map(|task| self.attempt(task, troubles))
            .buffer_unordered(CONCURRENT_MAX)
            .collect()
            .await;
        let (outcomes, rests): (Vec<_>, Vec<_>) = tried.into_iter().unzip();
        self.store.settle_registrations(outcomes).await?;
        let all = rests.iter().all(Option::is_some);
        Ok(Sent { taken, rest: rests.into_iter().flatten().max().filter(|_| all) })
    }

    /// Tries a task; gives how long to rest if the locator would do no better with any other.
    async fn attempt(&self, task: Task, troubles: i64) -> (Outcome, Option<Duration>) {
        let done = async {
            if task.wanted { self.register(&task).await } else { self.withdraw(&task).await }
        };
        let done = tokio::time::timeout(ATTEMPT_TIME_MAX, done).await;
        let done = done.unwrap_or(Err(LocatorError::Unreachable));
        let mut rest = None;
        let result = done.unwrap_or_else(|error| {
            if is_hopeless(&error, task.attempts) {
                tracing::error!(cause = %error, "a registration is parked: a person must look");
                return Settled::Parked { problem: error.to_string() };
            }
            let asked = error.retry_after().unwrap_or_default().min(ASKED_REST_MAX);
            rest = error.is_general().then(|| asked.max(back_off(troubles)));
            let wait = asked.max(back_off(task.attempts));
            let due = self.clock.now_micros() + wait.as_micros() as i64;
            Settled::Retry { due, problem: error.to_string() }
        });
        (Outcome { number: task.number, generation: task.generation, result }, rest)
    }

    /// One pointer, no more: what an earlier attempt may have left is adopted; a surplus, and what leads
    /// elsewhere, is deleted once there is a good one.
    async fn register(&self, task: &Task) -> Result<Settled, LocatorError> {
        let locator = &self.locator;
        if task.attempts == 0 && task.pointer.is_none() {
            match locator.create(&task.number).await {
                Err(LocatorError::Duplicate) => {}
                created => return Ok(Settled::Registered { pointer: created? }),
            }
        }
        let found = locator.find(&task.number).await?;
        let (current, mut surplus): (Vec<Pointer>, _) =
            found.into_iter().partition(|pointer| pointer.is_current);
        let mut current = current.into_iter();
        let pointer = match current.next() {
            Some(pointer) => pointer.id,
            None => locator.create(&task.number).await?,
        };
        surplus.extend(current);
        for surplus in surplus {
            locator.delete(&surplus.id).await?;
        }
        Ok(Settled::Registered { pointer })
    }

    async fn withdraw(&self, task: &Task) -> Result<Settled, LocatorError> {
        if task.attempts > 0 || task.pointer.is_some() {
            for pointer in self.locator.find(&task.number).await? {
                self.locator.delete(&pointer.id).await?;
            }
        }
        Ok(Settled::Withdrawn)
    }
}

/// Whether it is of no use to try again as before.
fn is_hopeless(error: &LocatorError, attempts: i64) -> bool {
    match error {
        LocatorError::Refused { .. } => true,
        error => !error.is_general() && attempts >= PATIENCE,
    }
}

/// 1 s after the first time, up to [`BACK_OFF_MAX`]; half of it is by chance, so that a locator that
/// returns is not stormed.
fn back_off(times: i64) -> Duration {
    let wait = Duration::from_secs(1 << times.clamp(0, 10)).min(BACK_OFF_MAX);
    let chance = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    wait.mul_f64(0.5 + chance / 2.0)
}
