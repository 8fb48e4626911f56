//! What answers in the registry's place while a fault is scripted: a snapshot of it, or an empty
//! registry. The registry itself is never touched, so that it is back when the fault ends.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::connections::{Connections, reader};
use super::{Registry, StoreError};

/// What answers instead.
#[derive(Debug, Default)]
pub(super) struct Instead {
    /// Where reads come from.
    snapshot: Option<Arc<Mutex<Connection>>>,
    /// Where everything goes to and comes from.
    scratch: Option<Arc<Connections>>,
}

/// Where a read comes from.
#[derive(Debug)]
pub(super) enum Source {
    Snapshot(Arc<Mutex<Connection>>),
    Connections(Arc<Connections>),
}

impl Source {
    /// A connection to read from.
    pub(super) fn connection(&self) -> impl Deref<Target = Connection> + '_ {
        match self {
            Self::Snapshot(one) => one.lock().unwrap_or_else(PoisonError::into_inner),
            Self::Connections(all) => all.reader(),
        }
    }
}

impl Registry {
    /// From now on reads see the registry as it is now, whatever is written.
    pub(crate) async fn freeze(&self) -> Result<(), StoreError> {
        let path = self.inner.path.clone();
        let snapshot = tokio::task::spawn_blocking(move || snapshot(&path)).await??;
        self.instead().snapshot = Some(Arc::new(Mutex::new(snapshot)));
        Ok(())
    }

    /// Reads see what is written again.
    pub(crate) fn thaw(&self) {
        self.instead().snapshot = None;
    }

    /// From now on an empty registry takes this one's place.
    pub(crate) async fn lose(&self) -> Result<(), StoreError> {
        let scratch = tokio::task::spawn_blocking(Connections::scratch).await??;
        self.instead().scratch = Some(Arc::new(scratch));
        Ok(())
    }

    /// The registry is back as it was; what was written meanwhile is gone.
    pub(crate) fn find(&self) {
        self.instead().scratch = None;
    }

    /// Where reads come from.
    pub(super) fn source(&self) -> Source {
        let instead = self.instead();
        match &instead.snapshot {
            Some(snapshot) => Source::Snapshot(snapshot.clone()),
            None => {
                Source::Connections(instead.scratch.as_ref().unwrap_or(&self.inner.own).clone())
            }
        }
    }

    /// Where writes go to.
    pub(super) fn written(&self) -> Arc<Connections> {
        self.instead().scratch.as_ref().unwrap_or(&self.inner.own).clone()
    }

    fn instead(&self) -> MutexGuard<'_, Instead> {
        self.inner.instead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that sees the database as it is now.
fn snapshot(path: &Path) -> rusqlite::Result<Connection> {
    let connection = reader(path)?;
    // The first read of a transaction is what takes the snapshot.
    connection.execute_batch("BEGIN; SELECT pointers FROM tally")?;
    Ok(connection)
}
