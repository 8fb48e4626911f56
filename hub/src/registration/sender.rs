//! Does what the outbox says, again and again until it is done. A locator that is down is caught up
//! when it returns.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::iter;
use service::clock::Clock;
use service::serve::Shutdown;
use tokio::sync::Notify;

use super::locator::{Locator, LocatorError};
use super::outbox::{Outcome, Settled, Task};
use crate::store::Store;

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
const BACK_OFF_MICROS_MAX: i64 = 30_000_000;

/// Sends registrations until `shutdown`; `wake` says that there may be new ones.
pub async fn run(store: Store, locator: Locator, clock: Clock, wake: &Notify, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.triggered() => return,
            () = wake.notified() => {}
            () = tokio::time::sleep(REST) => {}
        }
        while !shutdown.is_triggered() {
            match send_due(&store, &locator, &clock).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(cause = %error, "registrations could not be read or settled");
                    break;
                }
            }
        }
    }
}

async fn send_due(
    store: &Store,
    locator: &Locator,
    clock: &Clock,
) -> Result<usize, crate::store::StoreError> {
    let until = clock.now_micros() + LEASE_MICROS;
    let tasks = store.due_registrations(TAKEN_MAX, until).await?;
    let taken = tasks.len();
    let outcomes: Vec<Outcome> = iter(tasks)
        .map(|task| attempt(task, locator, clock))
        .buffer_unordered(CONCURRENT_MAX)
        .collect()
        .await;
    if taken > 0 {
        store.settle_registrations(outcomes).await?;
    }
    Ok(taken)
}

async fn attempt(task: Task, locator: &Locator, clock: &Clock) -> Outcome {
    let done = async {
        if task.wanted { register(&task, locator).await } else { withdraw(&task, locator).await }
    };
    let done = tokio::time::timeout(ATTEMPT_TIME_MAX, done).await;
    let result = done.unwrap_or(Err(LocatorError::Unreachable)).unwrap_or_else(|error| {
        if let LocatorError::Refused { .. } = error {
            tracing::error!(cause = %error, "a registration is parked: the locator refuses it");
            Settled::Parked { problem: error.to_string() }
        } else {
            let wait = 1_000_000_i64.saturating_mul(1 << task.attempts.clamp(0, 20));
            let wait = wait.min(BACK_OFF_MICROS_MAX);
            // Half of the wait is by chance, so that a returning locator is not stormed.
            let chance = i64::from(uuid::Uuid::new_v4().as_fields().0) % (wait / 2);
            let due = clock.now_micros() + wait / 2 + chance;
            Settled::Retry { due, problem: error.to_string() }
        }
    });
    Outcome { number: task.number, generation: task.generation, result }
}

/// One pointer, no more: what an earlier attempt may have left is adopted, a surplus is deleted.
async fn register(task: &Task, locator: &Locator) -> Result<Settled, LocatorError> {
    if task.attempts == 0 && task.pointer.is_none() {
        return Ok(Settled::Registered { pointer: locator.create(&task.number).await? });
    }
    let mut found = locator.find(&task.number).await?.into_iter();
    let pointer = match found.next() {
        Some(pointer) => pointer,
        None => locator.create(&task.number).await?,
    };
    for surplus in found {
        locator.delete(&surplus).await?;
    }
    Ok(Settled::Registered { pointer })
}

async fn withdraw(task: &Task, locator: &Locator) -> Result<Settled, LocatorError> {
    for pointer in locator.find(&task.number).await? {
        locator.delete(&pointer).await?;
    }
    Ok(Settled::Withdrawn)
}
