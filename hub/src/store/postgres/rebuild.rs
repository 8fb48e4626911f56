//! The index made anew, piece by piece: each piece is a transaction that the writes of all hubs wait for.
//!
//! Every write holds `index_state` in ROW SHARE MODE from its beginning to its end; a piece holds it in
//! EXCLUSIVE MODE. So no write is under way while a piece is, and every write sees where the index is.
//! A piece that cannot have the table at once lets the writes go first, and comes again.

use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{Connection, Postgres as Engine, Row};

use super::apply::Failure;
use super::directory::Directory;
use super::rows::{Owner, Rows};
use super::{Postgres, enter_terms, version};
use crate::store::StoreError;
use crate::store::effects::{Effects, Numbers};
use crate::store::generation::{Generation, Standing};
use crate::store::stretch::{Met, STRETCH_BYTES_MAX, Stretch};
use crate::store::vocabulary::Vocabulary;

/// One hub walks at a time ("walk" in ASCII).
const WALK_LOCK: i64 = 0x7761_6c6b;

/// One hub reconciles at a time ("nrl" in ASCII).
const RECONCILE_LOCK: i64 = 0x006e_726c;

/// The one hub whose turn it is, as long as this lives.
#[derive(Debug)]
pub(in crate::store) struct Turn {
    _connection: PoolConnection<Engine>,
}

impl Postgres {
    /// Takes the turn to walk, unless another hub has it.
    pub(in crate::store) async fn turn_to_walk(&self) -> Result<Option<Turn>, StoreError> {
        self.turn_to(WALK_LOCK).await
    }

    /// Takes the turn to compare the record with the locator, unless another hub has it.
    pub(in crate::store) async fn turn_to_reconcile(&self) -> Result<Option<Turn>, StoreError> {
        self.turn_to(RECONCILE_LOCK).await
    }

    async fn turn_to(&self, lock: i64) -> Result<Option<Turn>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(lock)
            .fetch_one(&mut *connection)
            .await?;
        if !taken {
            return Ok(None);
        }
        // The lock goes with its connection, however that ends.
        connection.close_on_drop();
        Ok(Some(Turn { _connection: connection }))
    }

    /// Takes note of where the index is.
    pub(in crate::store) async fn refresh(&self) -> Result<(), StoreError> {
        let seen = generation(&mut *self.pool().acquire().await?).await?;
        let known = self.known.generation().standing.generation;
        if seen.standing.generation > known && seen.is_ours() {
            let terms = enter_terms(&self.pool(), &Vocabulary::fixed_terms(&seen.added)).await?;
            self.known.terms().learn(terms);
        }
        self.known.learn(seen);
        Ok(())
    }

    pub(in crate::store) async fn begin_anew(&self, added: String) -> Result<(), StoreError> {
        let anew = self.known.generation().anew(added);
        enter_terms(&self.pool(), &Vocabulary::fixed_terms(&anew.added)).await?;
        let mut connection = self.pool().acquire().await?;
        let mut transaction = connection.begin().await?;
        alone(&mut transaction).await?;
        if standing(&mut transaction).await?.generation + 1 != anew.standing.generation {
            return Err(StoreError::Moved);
        }
        set(&mut transaction, &anew).await?;
        transaction.commit().await?;
        drop(connection);
        self.refresh().await
    }

    pub(in crate::store) async fn empty(&self) -> Result<Duration, StoreError> {
        let begun = Instant::now();
        let mut connection = self.pool().acquire().await?;
        let mut transaction = connection.begin().await?;
        alone(&mut transaction).await?;
        if !standing(&mut transaction).await?.is_emptied() {
            let sql = "TRUNCATE compartment, token, patient_token, date, number, reference";
            sqlx::query(sql).execute(&mut *transaction).await.map_err(busy)?;
            let sql = "UPDATE index_state SET cursor = 0, done = 0, \
                       last = (SELECT coalesce(max(key), 0) FROM directory)";
            sqlx::query(sql).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        drop(connection);
        self.refresh().await?;
        Ok(begun.elapsed())
    }

    pub(in crate::store) async fn walk(&self, size: usize) -> Result<Duration, StoreError> {
        let (terms, standing) = (self.known.terms(), self.known.generation().standing);
        let (met, is_all) = self.met(standing, size).await?;
        let own = terms.clone();
        let taken_apart =
            tokio::task::spawn_blocking(move || Stretch::of(standing, &met, is_all, &own));
        let stretch = taken_apart.await.map_err(|error| StoreError::Failed(error.to_string()))?;
        let unknown = terms.unknown(stretch.systems());
        if !unknown.is_empty() {
            terms.learn(enter_terms(&self.pool(), &unknown).await?);
        }
        let held = self.enter(&terms, &stretch).await.map_err(|failure| match failure {
            Failure::Collision(_) => StoreError::Overloaded,
            Failure::Store(error) => error,
        })?;
        self.refresh().await?;
        Ok(held)
    }

    /// The next resources, and whether they are all that are left.
    async fn met(&self, at: Standing, size: usize) -> Result<(Vec<Met>, bool), StoreError> {
        let sizes: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT key, coalesce(octet_length(body), 0)::bigint FROM resource \
             WHERE key > $1 AND key <= $2 ORDER BY key LIMIT $3",
        )
        .bind(at.cursor)
        .bind(at.last)
        .bind(size as i64)
        .fetch_all(&self.pool())
        .await?;
        let mut bytes = 0;
        let fits = |(_, more): &&(i64, i64)| {
            bytes += more.unsigned_abs() as usize;
            bytes <= STRETCH_BYTES_MAX
        };
        let count = sizes.iter().take_while(fits).count().max(1).min(sizes.len());
        let is_all = sizes.len() < size && count == sizes.len();
        let to = if is_all { at.last } else { sizes[count - 1].0 };
        let rows = sqlx::query(
            "SELECT r.version, r.updated, r.method, r.body, r.key, r.type, d.id \
             FROM resource r JOIN directory d ON d.key = r.key \
             WHERE r.key > $1 AND r.key <= $2 ORDER BY r.key",
        )
        .bind(at.cursor)
        .bind(to)
        .fetch_all(&self.pool())
        .await?;
        let met = |row: &PgRow| Met {
            key: row.get(4),
            resource_type: row.get(5),
            id: row.get(6),
            version: version(row),
        };
        Ok((rows.iter().map(met).collect(), is_all))
    }

    /// Puts resources into the index; gives how long the others waited for it.
    async fn enter(&self, terms: &Vocabulary, stretch: &Stretch) -> Result<Duration, Failure> {
        let mut connection = self.pool().acquire().await?;
        let mut directory = Directory::default();
        directory.enter(&mut connection, terms, stretch.targets().collect()).await?;
        let mut transaction = connection.begin().await?;
        let begun = Instant::now();
        alone(&mut transaction).await?;
        if !stretch.continues(standing(&mut transaction).await?) {
            return Err(StoreError::Moved.into());
        }
        let current: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT key, version FROM resource WHERE key > $1 AND key <= $2 ORDER BY key",
        )
        .bind(stretch.from)
        .bind(stretch.to)
        .fetch_all(&mut *transaction)
        .await?;
        let (to, count) = stretch.reach(&current);
        put_in(&mut transaction, (terms, &directory), stretch, to).await?;
        sqlx::query("UPDATE index_state SET cursor = $1, done = done + $2")
            .bind(to)
            .bind(count as i64)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(begun.elapsed())
    }
}

async fn put_in(
    connection: &mut PgConnection,
    (terms, directory): (&Vocabulary, &Directory),
    stretch: &Stretch,
    to: i64,
) -> Result<(), sqlx::Error> {
    let none = std::collections::HashMap::new();
    let numbers = Numbers { terms, new_systems: &none, keys: directory.keys() };
    let mut rows = Rows::default();
    let (mut keys, mut times) = (Vec::new(), Vec::new());
    for (walked, index) in stretch.indexed().take_while(|(walked, _)| walked.key <= to) {
        let (key, clinical_ms) = (walked.key, index.clinical_ms);
        let owner = Owner { key, resource_type: walked.resource_type, clinical_ms };
        for row in Effects::between(None, Some(index), &numbers).rows_new {
            rows.index(owner, row);
        }
        keys.push(key);
        times.push(clinical_ms);
    }
    rows.add(connection, 0, None).await?;
    sqlx::query(
        "UPDATE resource r SET clinical_ms = n.clinical_ms \
         FROM unnest($1::bigint[], $2::bigint[]) AS n (key, clinical_ms) \
         WHERE r.key = n.key AND r.clinical_ms <> n.clinical_ms",
    )
    .bind(keys)
    .bind(times)
    .execute(connection)
    .await?;
    Ok(())
}

/// Waits until no write is under way, but no longer than others may wait for it.
pub(super) async fn alone(connection: &mut PgConnection) -> Result<(), StoreError> {
    let sql = "SET LOCAL lock_timeout = '20ms'; LOCK TABLE index_state IN EXCLUSIVE MODE";
    sqlx::raw_sql(sql).execute(connection).await.map_err(busy)?;
    Ok(())
}

/// What could not be had in time can be had later.
fn busy(error: sqlx::Error) -> StoreError {
    let locked = |code| code == "55P03";
    match error.as_database_error() {
        Some(told) if told.code().is_some_and(locked) => StoreError::Overloaded,
        _ => error.into(),
    }
}

/// What the record says of its index.
pub(super) async fn generation(connection: &mut PgConnection) -> Result<Generation, sqlx::Error> {
    let sql = "SELECT generation, cursor, last, rules, added, done FROM index_state";
    let row = sqlx::query(sql).fetch_one(connection).await?;
    let (rules, added, done) = (row.get(3), row.get(4), row.get(5));
    Ok(Generation { standing: read(&row, 0), rules, added, done })
}

/// Where the index is.
pub(super) async fn standing(connection: &mut PgConnection) -> Result<Standing, sqlx::Error> {
    let sql = "SELECT generation, cursor, last FROM index_state";
    Ok(read(&sqlx::query(sql).fetch_one(connection).await?, 0))
}

/// Reads generation, cursor, last, from column `at` on.
pub(super) fn read(row: &PgRow, at: usize) -> Standing {
    Standing { generation: row.get(at), cursor: row.get(at + 1), last: row.get(at + 2) }
}

/// Writes down what the index is from now on.
pub(super) async fn set(
    connection: &mut PgConnection,
    generation: &Generation,
) -> Result<(), sqlx::Error> {
    let Generation { standing, rules, added, done } = generation;
    sqlx::query(
        "UPDATE index_state SET generation = $1, cursor = $2, last = $3, rules = $4, added = $5, \
         done = $6",
    )
    .bind(standing.generation)
    .bind(standing.cursor)
    .bind(standing.last)
    .bind(rules)
    .bind(added)
    .bind(done)
    .execute(connection)
    .await?;
    Ok(())
}

impl Postgres {
    /// Whether what was searched in this generation was answered by a whole index: asked of the record
    /// itself, for another hub may have begun it anew.
    pub(in crate::store) async fn served(&self, generation: i64) -> Result<(), StoreError> {
        let standing = at(&self.pool()).await?;
        if standing != self.known.generation().standing {
            self.refresh().await?;
        }
        self.known.serves(generation)
    }
}

async fn at(pool: &PgPool) -> Result<Standing, sqlx::Error> {
    standing(&mut *pool.acquire().await?).await
}
