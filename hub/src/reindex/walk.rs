//! All resources into an index that is made anew, a few at a time, while the record is in use.

use std::time::Duration;

use service::serve::Shutdown;

use crate::Hub;
use crate::store::{Store, StoreError};

/// How long writes may have to wait for a piece; the next is made smaller if they waited longer, and
/// larger if they waited for less than half of it.
const HELD_MAX: Duration = Duration::from_millis(10);
/// Resources in a piece.
const SIZE_MIN: usize = 4;
const SIZE_MAX: usize = 512;
const SIZE_FIRST: usize = 32;
/// How long is waited when others go first.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it is looked whether there is anything to do; on PostgreSQL another hub may have begun.
const REST: Duration = Duration::from_secs(1);

/// Sees to it until `shutdown` that the index is whole, whoever began it anew.
pub async fn keep(hub: &Hub, shutdown: Shutdown) {
    loop {
        let walked = async {
            if let Err(error) = once(&hub.store).await {
                tracing::warn!(cause = %error, "the index could not be rebuilt; it is tried again");
            }
        };
        // What a piece has done stays done: the walk goes on from there.
        tokio::select! {
            () = shutdown.triggered() => return,
            () = walked => {}
        }
        tokio::select! {
            () = shutdown.triggered() => return,
            () = hub.begun.notified() => {}
            () = tokio::time::sleep(REST) => {}
        }
    }
}

async fn once(store: &Store) -> Result<(), StoreError> {
    // A store that is gone is told of by whoever needs it.
    if store.refresh().await.is_err() {
        return Ok(());
    }
    let generation = store.generation();
    if generation.standing.is_whole() || !generation.is_ours() {
        return Ok(());
    }
    walk(store).await
}

/// Walks until the index is whole, unless another hub walks already.
///
/// # Errors
/// If the store fails or is gone; what was walked stays in the index.
pub async fn walk(store: &Store) -> Result<(), StoreError> {
    let Some(_turn) = store.turn_to_walk().await? else { return Ok(()) };
    let mut size = SIZE_FIRST;
    let begun = store.generation().standing;
    tracing::info!(percent = begun.percent(), "the index is being rebuilt");
    loop {
        let generation = store.generation();
        if generation.standing.is_whole() {
            tracing::info!(resources = generation.done, "the index is whole");
            return Ok(());
        }
        if !generation.is_ours() {
            return Err(StoreError::Outdated);
        }
        match piece(store, size).await {
            Ok(held) if held > HELD_MAX => size = (size / 2).max(SIZE_MIN),
            Ok(held) if held < HELD_MAX / 2 => size = (size * 2).min(SIZE_MAX),
            Ok(_) => {}
            // Writes go first; or someone has begun the index anew.
            Err(StoreError::Overloaded | StoreError::Moved) => {
                tokio::time::sleep(PAUSE).await;
                store.refresh().await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Comes back when the index is whole, whoever walks.
///
/// # Errors
/// As [`walk`].
pub async fn complete(store: &Store) -> Result<(), StoreError> {
    loop {
        store.refresh().await?;
        walk(store).await?;
        if store.generation().standing.is_whole() {
            return Ok(());
        }
        tokio::time::sleep(REST).await;
    }
}

/// The next piece of work; gives how long writes had to wait for it.
async fn piece(store: &Store, size: usize) -> Result<Duration, StoreError> {
    if store.generation().standing.is_emptied() {
        store.walk(size).await
    } else {
        store.empty(size).await
    }
}
