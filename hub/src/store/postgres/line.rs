//! The line to the server: a pool of connections, and a pulse.
//!
//! A server that vanishes without a word (its machine is gone, the network drops its packets) leaves
//! whoever waits for an answer waiting until TCP gives up, a quarter of an hour later. So a connection of
//! its own asks for a sign of life; once there has been none for a while, whoever waits is told, the
//! connections are given up, and nobody waits again until the server is back.

use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::store::StoreError;

const CONNECTIONS_MAX: u32 = 16;
/// A connection that has not been used for so long is tested first.
const IDLE_TIME_MAX: Duration = Duration::from_secs(1);
/// How often a sign of life is asked for.
const PULSE: Duration = Duration::from_secs(1);
/// A server that has given none for so long has vanished.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How long to wait for a connection: longer than it takes to see that there is no server.
const ACQUIRE_TIME_MAX: Duration = Duration::from_secs(8);

/// What statements of ours run with. The server takes a disk for one whose arm must move, and would
/// rather read a whole table than a hundred rows of it by their keys.
const SETTINGS: [(&str, &str); 2] = [("statement_timeout", "30s"), ("random_page_cost", "1.1")];

/// The line to a server.
#[derive(Debug)]
pub(super) struct Line {
    options: PgConnectOptions,
    pool: RwLock<PgPool>,
    is_there: watch::Sender<bool>,
}

impl Line {
    /// Connects to the server at `url`.
    pub(super) async fn open(url: &str) -> Result<Arc<Self>, sqlx::Error> {
        let options = url.parse::<PgConnectOptions>()?.options(SETTINGS);
        let pool = pool().connect_with(options.clone()).await?;
        let (pool, is_there) = (RwLock::new(pool), watch::Sender::new(true));
        let line = Arc::new(Self { options, pool, is_there });
        tokio::spawn(feel(Arc::downgrade(&line)));
        Ok(line)
    }

    /// The connections that are in use now.
    pub(super) fn pool(&self) -> PgPool {
        self.pool.read().expect("no holder of this lock panics").clone()
    }

    /// Whether the server is there, as far as is known.
    pub(super) fn is_there(&self) -> bool {
        *self.is_there.borrow() && !self.pool().is_closed()
    }

    /// What the server answers, unless it vanishes before: then no one knows what became of the work.
    pub(super) async fn answered<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut is_there = self.is_there.subscribe();
        tokio::select! {
            biased;
            _ = is_there.wait_for(|is_there| !is_there) => {
                Err(StoreError::Unavailable("the database server does not answer".into()))
            }
            answer = work => answer,
        }
    }

    /// The connections are given up: none may ever be told that its server is gone.
    fn give_up(&self) {
        if self.is_there.send_replace(false) {
            tracing::error!("the database server does not answer");
            let anew = pool().connect_lazy_with(self.options.clone());
            *self.pool.write().expect("no holder of this lock panics") = anew;
        }
    }

    fn take_up(&self) {
        if !self.is_there.send_replace(true) {
            tracing::info!("the database server answers again");
        }
    }
}

fn pool() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIME_MAX)
        .after_connect(|connection, _| Box::pin(flush(connection)))
        // A connection is tested when it is given back: in use it need not be again.
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for > IDLE_TIME_MAX {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// An acknowledged write is on the server's disk, and on that of a synchronous standby, whatever the
/// server's default is; one that also waits until a standby shows it is left so.
async fn flush(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') <> 'remote_apply'",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Feels the pulse for as long as there is a line.
async fn feel(line: Weak<Line>) {
    let (mut connection, mut seen) = (None, Instant::now());
    loop {
        sleep(PULSE).await;
        let Some(line) = line.upgrade().filter(|line| !line.pool().is_closed()) else { return };
        match timeout(SILENCE_MAX, beat(&line.options, &mut connection)).await {
            Ok(Ok(())) => {
                seen = Instant::now();
                line.take_up();
            }
            // A connection that is dropped waits for nobody.
            Ok(Err(_)) | Err(_) => connection = None,
        }
        if seen.elapsed() > SILENCE_MAX {
            line.give_up();
        }
    }
}

async fn beat(
    options: &PgConnectOptions,
    connection: &mut Option<PgConnection>,
) -> Result<(), sqlx::Error> {
    match connection {
        Some(connection) => connection.ping().await,
        None => connection.insert(options.connect().await?).ping().await,
    }
}
