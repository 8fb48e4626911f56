//! The audit trail, in as many lanes as there are writers.
//!
//! A write holds its lane from before its transaction until after it: so lanes wait for no one, and
//! where a lane ends is known without asking. A process leases a block of lanes by a lock that goes with
//! its connection. Should the lock be lost while the process lives, two may prolong one lane: of two that
//! add the same place, the primary key refuses the later, which looks again and comes back. So a lane
//! never forks.

use std::sync::{Mutex, PoisonError};

use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::{Postgres, WAIT_TIME_MAX, WRITERS_MAX};
use crate::audit::chain::Tip;
use crate::store::StoreError;
use crate::store::query::{LANES, Query};
use crate::store::trail::{Fit, KeptHead, Lines, Recorded, Stored, Subject, Subjects, Witnessed};

/// The lock of the first block of lanes ("audit" in ASCII, shifted); those of the others follow it.
const BLOCK_LOCK: i64 = 0x6175_6469_7400_0000;
/// The lock of who adds to the heads of other regions ("witness" in ASCII).
const WITNESS_LOCK: i64 = 0x0077_6974_6e65_7373;
/// Blocks that are tried; a process that finds none free shares the last.
const BLOCKS_MAX: i64 = 1_024;

/// A process's lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    free: Mutex<Vec<Lane>>,
    /// Holds the lock.
    _lease: Mutex<PgConnection>,
}

/// A lane, and where it ends: unknown before it is first used, and after a failure.
#[derive(Debug)]
struct Lane {
    number: i64,
    tip: Option<Tip>,
}

/// A lane that is lent to one write.
pub(super) struct Lent<'a> {
    lanes: &'a Lanes,
    lane: Lane,
}

impl Lanes {
    /// Leases the first block that is free.
    pub(super) async fn lease(pool: &PgPool) -> Result<Self, StoreError> {
        let mut lease = pool.acquire().await?.detach();
        let mut block = 0;
        while block + 1 < BLOCKS_MAX {
            let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                .bind(BLOCK_LOCK + block)
                .fetch_one(&mut lease)
                .await?;
            if taken {
                break;
            }
            block += 1;
        }
        let first = block * WRITERS_MAX as i64 + 1;
        // The last is lent first: a hub with little to do stays in few lanes.
        let lanes = (first..first + WRITERS_MAX as i64).rev();
        let free = lanes.map(|number| Lane { number, tip: None }).collect();
        Ok(Self { free: Mutex::new(free), _lease: Mutex::new(lease) })
    }

    /// Lends a lane to whoever is let write: there are as many.
    pub(super) fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let lane = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let lane = lane.ok_or_else(|| StoreError::Failed("more writers than lanes".into()))?;
        Ok(Lent { lanes: self, lane })
    }
}

impl Lent<'_> {
    /// Sees to it that the lane's end is known.
    pub(super) async fn look(&mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        if self.lane.tip.is_none() {
            let sql = "SELECT lane, seq, hash FROM audit WHERE lane = $1 ORDER BY seq DESC LIMIT 1";
            let row = sqlx::query(sql).bind(self.lane.number).fetch_optional(pool).await?;
            let last = row.as_ref().map(read_tip).transpose()?;
            self.lane.tip = Some(last.unwrap_or(Tip::start(self.lane.number)));
        }
        Ok(())
    }

    /// Where the lane ends. It is unknown from here on, until it is [kept](Self::keep).
    pub(super) fn take(&mut self) -> Result<Tip, StoreError> {
        self.lane.tip.take().ok_or_else(|| StoreError::Failed("a lane was not looked at".into()))
    }

    /// Remembers where the lane ends, now that it is committed.
    pub(super) fn keep(&mut self, tip: Tip) {
        self.lane.tip = Some(tip);
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Lane { number, tip } = self.lane;
        let mut free = self.lanes.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(Lane { number, tip });
    }
}

fn read_tip(row: &PgRow) -> Result<Tip, sqlx::Error> {
    Ok(Tip { lane: row.try_get(0)?, seq: row.try_get(1)?, hash: row.try_get(2)? })
}

/// Connects to a record's server for reading alone.
pub(in crate::store) async fn open(url: &str) -> Result<PgPool, StoreError> {
    let pool = super::line::Line::open(url).await?.pool();
    let sql = "SELECT to_regclass('audit_head') IS NOT NULL";
    let is_chained: bool = sqlx::query_scalar(sql).fetch_one(&pool).await?;
    if !is_chained {
        let text = "the database holds no record, or one of an earlier version: start the hub once";
        return Err(StoreError::Unavailable(text.into()));
    }
    Ok(pool)
}

/// The lanes that have entries.
pub(in crate::store) async fn lanes(pool: &PgPool) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(LANES).fetch_all(pool).await
}

/// Entries of a lane after a place.
pub(in crate::store) async fn after(
    pool: &PgPool,
    lane: i64,
    place: i64,
    limit: i64,
) -> Result<Vec<Stored>, sqlx::Error> {
    let sql = "SELECT seq, recorded, entry, hash FROM audit WHERE lane = $1 AND seq > $2 \
               ORDER BY seq LIMIT $3";
    let rows = sqlx::query(sql).bind(lane).bind(place).bind(limit).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let (seq, recorded) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Stored { seq, recorded, entry: row.try_get(2)?, hash: row.try_get(3)? })
        })
        .collect()
}

/// Heads after a number.
pub(in crate::store) async fn heads(
    pool: &PgPool,
    number: i64,
    limit: i64,
) -> Result<Vec<KeptHead>, sqlx::Error> {
    let sql = "SELECT number, document FROM audit_head WHERE number > $1 ORDER BY number LIMIT $2";
    let rows = sqlx::query(sql).bind(number).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

impl Postgres {
    pub(in crate::store) async fn audit_tips(&self) -> Result<Vec<Tip>, StoreError> {
        let sql = format!(
            "WITH lanes AS ({LANES}) SELECT l.lane, t.seq, t.hash FROM lanes l, LATERAL (\
             SELECT seq, hash FROM audit WHERE lane = l.lane ORDER BY seq DESC LIMIT 1) t \
             ORDER BY l.lane"
        );
        // Only names fixed in this crate are in it.
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool()).await?;
        Ok(rows.iter().map(read_tip).collect::<Result<_, _>>()?)
    }

    pub(in crate::store) async fn audit_entries(
        &self,
        query: &Query,
    ) -> Result<Vec<Recorded>, StoreError> {
        let rows = super::statement(query).fetch_all(&self.pool()).await?;
        let read = |row: &PgRow| {
            let (lane, seq) = (row.try_get(0)?, row.try_get(1)?);
            let (recorded, entry, patients) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
            Ok(Recorded { lane, seq, recorded, entry, patients })
        };
        rows.iter().map(read).collect()
    }

    pub(in crate::store) async fn audit_patients(
        &self,
        query: &Query,
    ) -> Result<Vec<String>, StoreError> {
        let rows = super::statement(query).fetch_all(&self.pool()).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    pub(in crate::store) async fn take_subjects(
        &self,
        Subjects { lane, to, entries }: Subjects,
    ) -> Result<(), StoreError> {
        let (mut times, mut places, mut patients) = (Vec::new(), Vec::new(), Vec::new());
        let (mut abouts, mut about_times, mut about_places) = (Vec::new(), Vec::new(), Vec::new());
        for Subject { recorded, seq, patients: of, about } in entries {
            for about in about {
                abouts.push(about);
                about_times.push(recorded);
                about_places.push(seq);
            }
            times.push(recorded);
            places.push(seq);
            patients.push(of);
        }
        let sql = "WITH events AS (INSERT INTO audit_event (recorded, lane, seq, patients) \
                   SELECT recorded, $1, seq, patients FROM unnest($3::bigint[], $4::bigint[], \
                   $5::text[]) AS t (recorded, seq, patients) ON CONFLICT DO NOTHING), \
                   found_by AS (INSERT INTO audit_subject (about, recorded, lane, seq) \
                   SELECT about, recorded, $1, seq FROM unnest($6::text[], $7::bigint[], \
                   $8::bigint[]) AS t (about, recorded, seq) ON CONFLICT DO NOTHING) \
                   INSERT INTO audit_indexed (lane, seq) VALUES ($1, $2) \
                   ON CONFLICT (lane) DO UPDATE SET seq = greatest(audit_indexed.seq, $2)";
        let statement = sqlx::query(sql).bind(lane).bind(to).bind(times).bind(places);
        let statement = statement.bind(patients).bind(abouts).bind(about_times).bind(about_places);
        statement.execute(&self.pool()).await?;
        Ok(())
    }

    pub(in crate::store) async fn journal_moved(&self, file: &str) -> Result<i64, StoreError> {
        let moved = sqlx::query_scalar("SELECT moved FROM audit_journal WHERE name = $1");
        let moved: Option<i64> = moved.bind(file).fetch_optional(&self.pool()).await?;
        Ok(moved.unwrap_or_default())
    }

    /// Takes lines in, unless they are in already.
    pub(in crate::store) async fn take_lines(&self, lines: Lines) -> Result<(), StoreError> {
        let writer = tokio::time::timeout(WAIT_TIME_MAX, self.writers.acquire()).await;
        let _writer = writer.map_err(|_| StoreError::Overloaded)?;
        let mut lane = self.lanes.lend()?;
        lane.look(&self.pool()).await?;
        let mut transaction = self.pool().begin().await?;
        let moved = sqlx::query(
            "INSERT INTO audit_journal (name, moved) SELECT $1, $3 WHERE $2 = 0::bigint \
             ON CONFLICT (name) DO NOTHING",
        );
        let advanced =
            sqlx::query("UPDATE audit_journal SET moved = $3 WHERE name = $1 AND moved = $2");
        let statement = if lines.from == 0 { moved } else { advanced };
        let statement = statement.bind(&lines.file).bind(lines.from).bind(lines.to);
        if statement.execute(&mut *transaction).await?.rows_affected() != 1 {
            return Err(StoreError::Moved);
        }
        let mut tip = lane.take()?;
        let (mut places, mut hashes) = (Vec::new(), Vec::new());
        let (times, entries): (Vec<i64>, Vec<String>) = lines.entries.into_iter().unzip();
        for (recorded, entry) in times.iter().zip(&entries) {
            tip = tip.after(*recorded, entry);
            places.push(tip.seq);
            hashes.push(tip.hash.to_vec());
        }
        let sql = "INSERT INTO audit (lane, seq, recorded, entry, hash) SELECT $1, * FROM \
                   unnest($2::bigint[], $3::bigint[], $4::text[], $5::bytea[])";
        let statement = sqlx::query(sql).bind(tip.lane).bind(places).bind(times);
        statement.bind(entries).bind(hashes).execute(&mut *transaction).await?;
        transaction.commit().await?;
        lane.keep(tip);
        Ok(())
    }

    pub(in crate::store) async fn forget_journal(&self, file: String) -> Result<(), StoreError> {
        let sql = "DELETE FROM audit_journal WHERE name = $1";
        sqlx::query(sql).bind(file).execute(&self.pool()).await?;
        Ok(())
    }

    pub(in crate::store) async fn keep_head(
        &self,
        recorded: i64,
        document: String,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit_head (recorded, document) VALUES ($1, $2)";
        sqlx::query(sql).bind(recorded).bind(document).execute(&self.pool()).await?;
        Ok(())
    }

    /// Keeps a head of another region's trail, unless it contradicts one that is kept.
    pub(in crate::store) async fn witness(&self, head: Witnessed) -> Result<(), StoreError> {
        let mut transaction = self.pool().begin().await?;
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WITNESS_LOCK);
        lock.execute(&mut *transaction).await?;
        let before = sqlx::query_as(
            "SELECT recorded, document FROM audit_witnessed WHERE region = $1 AND recorded <= $2 \
             ORDER BY recorded DESC LIMIT 1",
        );
        let before = before.bind(&head.region).bind(head.recorded);
        let before = before.fetch_optional(&mut *transaction).await?;
        let after = sqlx::query_scalar(
            "SELECT document FROM audit_witnessed WHERE region = $1 AND recorded > $2 \
             ORDER BY recorded LIMIT 1",
        );
        let after = after.bind(&head.region).bind(head.recorded);
        let after = after.fetch_optional(&mut *transaction).await?;
        if head.fits(before, after)? == Fit::New {
            let sql =
                "INSERT INTO audit_witnessed (region, recorded, document) VALUES ($1, $2, $3)";
            let Witnessed { region, recorded, document } = head;
            let insert = sqlx::query(sql).bind(region).bind(recorded).bind(document);
            insert.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}
