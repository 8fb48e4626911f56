//! The shared engine: any number of hub processes on one PostgreSQL, one transaction a write, the
//! server groups the flushes.
//!
//! A write locks the rows it replaces in key order; what still collides (two creates of one id,
//! a deadlock, a serialisation failure) is run again as a whole. Only a write whose connection broke
//! is not: no one knows whether it was committed.

mod apply;
pub(super) mod audit;
mod directory;
mod history;
mod line;
mod once;
mod open;
mod policy;
pub(super) mod rebuild;
mod registration;
mod rows;
mod search;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fhir::definitions::ResourceType;
use service::clock::Clock;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::query::Query as Statement;
use sqlx::{AssertSqlSafe, Postgres as Engine, Row};
use tokio::sync::{Mutex, Semaphore};

use audit::Lanes;

use super::StoreError;
use super::generation::Knowledge;
use super::query::{Argument, Query};
use super::vocabulary::Vocabulary;
use super::write::{Batch, Held, Kept, Method, Version, Written};
use crate::custody::Custodian;
use crate::registration::outbox::{Depth, Known, Outcome, Task};
use line::Line;

/// Writes that run at a time. The other connections are left to reads: they go on while all writes
/// wait for a standby or for each other.
const WRITERS_MAX: usize = 12;
/// Writes that may run or wait; beyond that the caller is told to come back.
const WRITES_MAX: usize = 1_024;
/// How long a write waits for its turn.
const WAIT_TIME_MAX: Duration = Duration::from_secs(5);
/// How often a write that collided is run again.
const ATTEMPTS_MAX: usize = 12;

/// An open PostgreSQL store.
#[derive(Debug)]
pub struct Postgres {
    line: Arc<Line>,
    known: Knowledge,
    clock: Clock,
    writes: Semaphore,
    writers: Semaphore,
    /// Of writes that rest on something, those that collided go one at a time, and those that come
    /// meanwhile wait for them: else many that look at the same would undo each other's turns.
    turn: Mutex<()>,
    lanes: Lanes,
    secret: [u8; 32],
}

impl Postgres {
    /// Connects to `url` and migrates the database.
    pub async fn open(url: &str, base: &str, clock: Clock) -> Result<Self, StoreError> {
        let line = Line::open(url).await?;
        let pool = line.pool();
        open::durable(&pool).await?;
        let known = open::migrate(&pool, base).await?;
        let secret: Vec<u8> = sqlx::query_scalar("SELECT value FROM setting WHERE name = 'secret'")
            .fetch_one(&pool)
            .await?;
        let secret = secret.try_into().map_err(|_| StoreError::Failed("secret".into()))?;
        let lanes = Lanes::lease(&pool).await?;
        let (writes, writers) = (Semaphore::new(WRITES_MAX), Semaphore::new(WRITERS_MAX));
        let turn = Mutex::new(());
        Ok(Self { line, known, clock, writes, writers, turn, lanes, secret })
    }

    pub(super) fn known(&self) -> &Knowledge {
        &self.known
    }

    /// A write waits for a connection or is refused; the engine itself never stops for good.
    pub(super) fn is_writable(&self) -> bool {
        self.line.is_there()
    }

    pub(super) async fn close(&self) {
        self.pool().close().await;
    }

    /// What the server answers, unless it vanishes before.
    pub(super) async fn answered<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.line.answered(work).await
    }

    fn pool(&self) -> PgPool {
        self.line.pool()
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
        Ok(statement.fetch_optional(&self.pool()).await?.as_ref().map(version))
    }

    pub(super) async fn held(&self, t: ResourceType, id: &str) -> Result<Option<Held>, StoreError> {
        let sql = "SELECT r.version, r.updated, r.method, r.body, r.custodian FROM directory d \
                   JOIN resource r ON r.key = d.key WHERE d.type = $1 AND d.id = $2";
        let statement =
            sqlx::query(sql).bind(self.known.terms().resource_type(t)).bind(id.to_owned());
        Ok(statement.fetch_optional(&self.pool()).await?.as_ref().map(held))
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
        let row = statement.bind(number).fetch_optional(&self.pool()).await?;
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
        let mut lane = self.lanes.lend()?;
        lane.look(&self.pool()).await?;
        apply::batch(&self.pool(), &terms, batch, &mut lane, self.clock.now_micros()).await
    }

    /// Enters code systems that no one has met; they stay even if the write is refused.
    async fn enter_systems(&self, terms: &Vocabulary, batch: &Batch) -> Result<(), sqlx::Error> {
        let contents = batch.writes.iter().filter_map(|write| write.action.content());
        let tokens = contents.flat_map(|content| &content.index.tokens);
        let unknown = terms.unknown(tokens.map(|token| token.system.as_str()));
        if !unknown.is_empty() {
            terms.learn(enter_terms(&self.pool(), &unknown).await?);
        }
        Ok(())
    }

    pub(super) async fn kept(
        &self,
        organisation: &str,
        key: &str,
    ) -> Result<Option<Kept>, StoreError> {
        once::kept(&self.pool(), organisation, key, self.clock.now_micros()).await
    }

    pub(super) async fn due_registrations(
        &self,
        limit: usize,
        until: i64,
    ) -> Result<Vec<Task>, StoreError> {
        registration::due(&self.pool(), limit, self.clock.now_micros(), until).await
    }

    pub(super) async fn settle_registrations(
        &self,
        outcomes: Vec<Outcome>,
    ) -> Result<(), StoreError> {
        let patient = self.patient();
        registration::settle(&self.pool(), patient, &outcomes, self.clock.now_micros()).await
    }

    pub(super) async fn registration_depth(&self) -> Result<Depth, StoreError> {
        registration::depth(&self.pool()).await
    }

    pub(super) async fn known_registrations(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Known>, StoreError> {
        registration::known(&self.pool(), self.patient(), after, limit).await
    }

    pub(super) async fn sample_registrations(
        &self,
        from: &str,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        registration::sample(&self.pool(), from, limit).await
    }

    pub(super) async fn kept_setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        registration::setting(&self.pool(), name).await
    }

    pub(super) async fn keep_setting(
        &self,
        name: &'static str,
        value: Vec<u8>,
    ) -> Result<(), StoreError> {
        registration::keep(&self.pool(), name, value).await
    }

    fn patient(&self) -> i64 {
        self.known.terms().resource_type(ResourceType::PATIENT)
    }
}

/// Waits a moment by chance, longer each time, before a write that collided is run again.
async fn pause(attempt: usize) {
    let chance = u64::from(uuid::Uuid::new_v4().as_fields().1 % 1_000);
    tokio::time::sleep(Duration::from_micros(chance * attempt as u64)).await;
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
    let mut statement = sqlx::query(AssertSqlSafe(query.postgres_sql()));
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

/// Reads version, updated, method, body, custodian.
fn held(row: &PgRow) -> Held {
    Held { version: version(row), custodian: Custodian::stored(row.get(4)) }
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
