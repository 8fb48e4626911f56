//! The shared engine: any number of hub processes on one PostgreSQL, one transaction a write, the
//! server groups the flushes.
//!
//! A write locks the rows it replaces in key order; what still collides (two creates of one id,
//! a deadlock, a serialisation failure) is run again as a whole. Only a write whose connection broke
//! is not: no one knows whether it was committed.

mod apply;
mod directory;
mod history;
mod once;
pub(super) mod rebuild;
mod registration;
mod rows;
mod search;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use fhir::definitions::ResourceType;
use service::clock::Clock;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query as Statement;
use sqlx::{AssertSqlSafe, Connection, Postgres as Engine, Row};
use tokio::sync::{Mutex, Semaphore};

use super::StoreError;
use super::generation::Knowledge;
use super::query::{Argument, Query};
use super::vocabulary::Vocabulary;
use super::write::{Batch, Kept, Method, Version, Written};
use crate::registration::outbox::{Outcome, Task};

/// How the schema came to be, step by step; a step is frozen once it is merged.
const MIGRATIONS: [&str; 3] = [
    include_str!("../schema/postgres/0001_record.sql"),
    include_str!("../schema/postgres/0002_search_and_kept_answers.sql"),
    include_str!("../schema/postgres/0003_generation_of_the_index.sql"),
];
/// One process migrates at a time ("hub" in ASCII).
const MIGRATION_LOCK: i64 = 0x0068_7562;
const CONNECTIONS_MAX: u32 = 16;
/// Writes that run at a time. The other connections are left to reads: they go on while all writes
/// wait for a standby or for each other.
const WRITERS_MAX: usize = 12;
/// Writes that may run or wait; beyond that the caller is told to come back.
const WRITES_MAX: usize = 1_024;
/// How long to wait for a connection.
const WAIT_TIME_MAX: Duration = Duration::from_secs(5);
/// A connection that has not been used for so long is tested first.
const IDLE_TIME_MAX: Duration = Duration::from_secs(1);
/// How often a write that collided is run again.
const ATTEMPTS_MAX: usize = 12;

/// An open PostgreSQL store.
#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    known: Knowledge,
    clock: Clock,
    writes: Semaphore,
    writers: Semaphore,
    /// Of writes that rest on something, those that collided go one at a time, and those that come
    /// meanwhile wait for them: else many that look at the same would undo each other's turns.
    turn: Mutex<()>,
    secret: [u8; 32],
}

impl Postgres {
    /// Connects to `url` and migrates the database.
    pub async fn open(url: &str, base: &str, clock: Clock) -> Result<Self, StoreError> {
        let pool = connect(url).await?;
        durable(&pool).await?;
        let known = migrate(&pool, base).await?;
        let secret: Vec<u8> = sqlx::query_scalar("SELECT value FROM setting WHERE name = 'secret'")
            .fetch_one(&pool)
            .await?;
        let secret = secret.try_into().map_err(|_| StoreError::Failed("secret".into()))?;
        let (writes, writers) = (Semaphore::new(WRITES_MAX), Semaphore::new(WRITERS_MAX));
        Ok(Self { pool, known, clock, writes, writers, turn: Mutex::new(()), secret })
    }

    pub(super) fn known(&self) -> &Knowledge {
        &self.known
    }

    /// A write waits for a connection or is refused; the engine itself never stops for good.
    pub(super) fn is_writable(&self) -> bool {
        !self.pool.is_closed()
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) fn secret(&self) -> [u8; 32] {
        self.secret
    }

    pub(super) async fn read(
        &self,
        t: ResourceType,
        id: &str,
    ) -> Result<Option<Version>, StoreError> {
        let sql = "SELECT r.version, r.updated, r.method, r.body FROM directory d \
                   JOIN resource r ON r.key = d.key WHERE d.type = $1 AND d.id = $2";
        let statement =
            sqlx::query(sql).bind(self.known.terms().resource_type(t)).bind(id.to_owned());
        Ok(statement.fetch_optional(&self.pool).await?.as_ref().map(version))
    }

    pub(super) async fn vread(
        &self,
        t: ResourceType,
        id: &str,
        number: i64,
    ) -> Result<Option<Version>, StoreError> {
        let sql = "SELECT v.version, v.updated, v.method, v.body FROM directory d JOIN (\
                   SELECT key, version, updated, method, body FROM resource UNION ALL \
                   SELECT key, version, updated, method, body FROM history\
                   ) v ON v.key = d.key WHERE d.type = $1 AND d.id = $2 AND v.version = $3";
        let statement =
            sqlx::query(sql).bind(self.known.terms().resource_type(t)).bind(id.to_owned());
        let row = statement.bind(number).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(version))
    }

    pub(super) async fn write(&self, batch: Batch) -> Result<Vec<Written>, StoreError> {
        let _place = self.writes.try_acquire().map_err(|_| StoreError::Overloaded)?;
        let rests = !batch.expected.is_empty();
        let mut turn = match self.turn.try_lock() {
            Err(_) if rests => Some(self.turn.lock().await),
            _ => None,
        };
        for attempt in 1.. {
            match self.attempt(&batch).await {
                Err(apply::Failure::Collision(cause)) if attempt >= ATTEMPTS_MAX => {
                    tracing::warn!(cause, "a write collided too often");
                    return Err(StoreError::Overloaded);
                }
                Err(apply::Failure::Collision(_)) => {
                    if rests && turn.is_none() {
                        turn = Some(self.turn.lock().await);
                    }
                    pause(attempt).await;
                }
                Err(apply::Failure::Store(StoreError::Moved)) => return Err(self.moved().await),
                Err(apply::Failure::Store(error)) => return Err(error),
                Ok(written) => return Ok(written),
            }
        }
        Err(StoreError::Overloaded)
    }

    /// Why a batch is to be prepared again, once it is known by which rules.
    async fn moved(&self) -> StoreError {
        match self.refresh().await {
            Ok(()) if self.known.generation().is_ours() => StoreError::Moved,
            Ok(()) => StoreError::Outdated,
            Err(error) => error,
        }
    }

    async fn attempt(&self, batch: &Batch) -> Result<Vec<Written>, apply::Failure> {
        let writer = tokio::time::timeout(WAIT_TIME_MAX, self.writers.acquire()).await;
        let _writer = writer.map_err(|_| StoreError::Overloaded)?;
        let terms = self.known.terms();
        self.enter_systems(&terms, batch).await?;
        apply::batch(&self.pool, &terms, batch, self.clock.now_micros()).await
    }

    /// Enters code systems that no one has met; they stay even if the write is refused.
    async fn enter_systems(&self, terms: &Vocabulary, batch: &Batch) -> Result<(), sqlx::Error> {
        let contents = batch.writes.iter().filter_map(|write| write.action.content());
        let tokens = contents.flat_map(|content| &content.index.tokens);
        let unknown = terms.unknown(tokens.map(|token| token.system.as_str()));
        if !unknown.is_empty() {
            terms.learn(enter_terms(&self.pool, &unknown).await?);
        }
        Ok(())
    }

    pub(super) async fn kept(
        &self,
        organisation: &str,
        key: &str,
    ) -> Result<Option<Kept>, StoreError> {
        once::kept(&self.pool, organisation, key, self.clock.now_micros()).await
    }

    pub(super) async fn due_registrations(
        &self,
        limit: usize,
        until: i64,
    ) -> Result<Vec<Task>, StoreError> {
        registration::due(&self.pool, limit, self.clock.now_micros(), until).await
    }

    pub(super) async fn settle_registrations(
        &self,
        outcomes: Vec<Outcome>,
    ) -> Result<(), StoreError> {
        registration::settle(&self.pool, &outcomes).await
    }

    pub(super) async fn registration_depth(&self) -> Result<(i64, i64), StoreError> {
        registration::depth(&self.pool).await
    }
}

/// Waits a moment by chance, longer each time, before a write that collided is run again.
async fn pause(attempt: usize) {
    let chance = u64::from(uuid::Uuid::new_v4().as_fields().1 % 1_000);
    tokio::time::sleep(Duration::from_micros(chance * attempt as u64)).await;
}

async fn connect(url: &str) -> Result<PgPool, sqlx::Error> {
    let options = url.parse::<PgConnectOptions>()?.options([("statement_timeout", "30s")]);
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(WAIT_TIME_MAX)
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
        .connect_with(options)
        .await
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

/// Warns of a server that acknowledges what it has not flushed.
async fn durable(pool: &PgPool) -> Result<(), StoreError> {
    for setting in ["fsync", "full_page_writes"] {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(pool).await?;
        if value != "on" {
            tracing::warn!(setting, "PostgreSQL may lose acknowledged writes in a power cut");
        }
    }
    Ok(())
}

/// Brings an empty or older database to the latest of [`MIGRATIONS`] and reads its terms. An index by
/// other rules is begun anew.
async fn migrate(pool: &PgPool, base: &str) -> Result<Knowledge, StoreError> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await?;
    let empty: bool = sqlx::query_scalar("SELECT to_regclass('setting') IS NULL")
        .fetch_one(&mut *transaction)
        .await?;
    let done = if empty { 0 } else { migrated(&mut transaction).await? };
    for step in &MIGRATIONS[done..] {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    if empty {
        let secret: [u8; 32] = {
            let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
            std::array::from_fn(|i| if i < 16 { a.as_bytes()[i] } else { b.as_bytes()[i - 16] })
        };
        sqlx::query("INSERT INTO setting (name, value) VALUES ('secret', $1)")
            .bind(secret.to_vec())
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(
        "INSERT INTO setting (name, value) VALUES ('schema', $1) \
         ON CONFLICT (name) DO UPDATE SET value = $1",
    )
    .bind(MIGRATIONS.len().to_string().into_bytes())
    .execute(&mut *transaction)
    .await?;
    forget_other_servers(&mut transaction).await?;
    let found = rebuild::generation(&mut transaction).await?;
    let is_empty = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM resource)")
        .fetch_one(&mut *transaction)
        .await?;
    let generation = found.clone().opened(is_empty)?;
    if generation != found {
        // Writes of other hubs that are under way are by the rules before.
        let sql = "LOCK TABLE index_state IN EXCLUSIVE MODE";
        sqlx::raw_sql(sql).execute(&mut *transaction).await?;
        rebuild::set(&mut transaction, &generation).await?;
    }
    transaction.commit().await?;
    enter_terms(pool, &Vocabulary::fixed_terms(&generation.added)).await?;
    let rows = sqlx::query("SELECT text, id FROM term").fetch_all(pool).await?;
    let terms: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    // What was parked is tried again: whoever started us may have mended it.
    sqlx::query("UPDATE registration SET state = 0, due = 0 WHERE state = 2").execute(pool).await?;
    Ok(Knowledge::new(Vocabulary::new(terms, base, &generation), generation))
}

/// A restored dump carries stamps of the server it came from, whose transactions may be ahead of ours.
async fn forget_other_servers(connection: &mut PgConnection) -> Result<(), StoreError> {
    let sql = "UPDATE resource SET stamp = '0' WHERE stamp > pg_current_xact_id()";
    let ahead = sqlx::query(sql).execute(&mut *connection).await?.rows_affected();
    if ahead > 0 {
        let sql = "UPDATE history SET stamp = '0' WHERE stamp > pg_current_xact_id()";
        sqlx::query(sql).execute(connection).await?;
    }
    Ok(())
}

/// How many of [`MIGRATIONS`] a database has.
async fn migrated(connection: &mut PgConnection) -> Result<usize, StoreError> {
    let schema: Vec<u8> = sqlx::query_scalar("SELECT value FROM setting WHERE name = 'schema'")
        .fetch_one(connection)
        .await?;
    let done = std::str::from_utf8(&schema).ok().and_then(|text| text.parse().ok());
    done.filter(|done| *done <= MIGRATIONS.len()).ok_or_else(|| {
        let text = "the database has a schema that this program does not know";
        StoreError::Unavailable(text.into())
    })
}

async fn enter_terms(pool: &PgPool, texts: &[String]) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query(
        "INSERT INTO term (text) SELECT t.text FROM unnest($1::text[]) AS t (text) \
         WHERE NOT EXISTS (SELECT 1 FROM term known WHERE known.text = t.text) \
         ORDER BY t.text ON CONFLICT (text) DO NOTHING",
    )
    .bind(texts)
    .execute(pool)
    .await?;
    let mut connection = pool.acquire().await?;
    find_terms(&mut connection, texts).await
}

/// The numbers of those texts that someone has entered.
async fn find_terms(
    connection: &mut PgConnection,
    texts: &[String],
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query("SELECT text, id FROM term WHERE text = ANY($1)")
        .bind(texts)
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The one place where generated SQL is handed over: see [`Query`] for why it is safe.
fn statement(query: &Query) -> Statement<'static, Engine, PgArguments> {
    let mut statement = sqlx::query(AssertSqlSafe(query.sql().to_owned()));
    for argument in query.arguments() {
        statement = match argument {
            Argument::Number(number) => statement.bind(*number),
            Argument::Real(real) => statement.bind(*real),
            Argument::Text(text) => statement.bind(text.clone()),
        };
    }
    statement
}

/// Reads version, updated, method, body.
fn version(row: &PgRow) -> Version {
    Version {
        version: row.get(0),
        updated: row.get(1),
        method: Method::from_number(row.get(2)),
        body: row.get::<Option<Vec<u8>>, _>(3).map(Bytes::from),
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code =
            error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        match code.as_deref() {
            Some("53100") => Self::Full,
            Some("57014") => Self::TooSlow,
            // Connections, shutdowns, read-only servers; a standby that cannot finish a read or, being
            // one, refuses a transaction.
            Some(code)
                if ["08", "57", "53", "25", "28", "3D", "40", "0A"]
                    .iter()
                    .any(|c| code.starts_with(c)) =>
            {
                Self::Unavailable(error.to_string())
            }
            Some(_) => Self::Failed(error.to_string()),
            None => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Configuration(_) => Self::Unavailable(error.to_string()),
                // Nothing was sent: all connections were in use.
                sqlx::Error::PoolTimedOut => Self::Overloaded,
                _ => Self::Failed(error.to_string()),
            },
        }
    }
}
