//! The audit trail, in as many lanes as there are writers.
//!
//! A write holds its lane from before its transaction until after it: so lanes wait for no one, and
//! where a lane ends is known without asking. A process leases a block of lanes by a lock that goes with
//! its connection. Should the lock be lost while the process lives, two may prolong one lane: of two that
//! add the same place, the primary key refuses the later, which looks again and comes back. So a lane
//! never forks.

use std::sync::{Mutex, PoisonError};

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPool, PgRow};

use super::WRITERS_MAX;
use crate::audit::chain::Tip;
use crate::store::StoreError;

/// The lock of the first block of lanes ("audit" in ASCII, shifted); those of the others follow it.
const BLOCK_LOCK: i64 = 0x6175_6469_7400_0000;
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
