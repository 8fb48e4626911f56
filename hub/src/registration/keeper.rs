//! When the record and the locator are compared: at the start, every hour, when someone asks, and when
//! a few numbers that are looked up every minute show that the locator has lost its state. One hub of a
//! record does it at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use service::serve::Shutdown;
use tokio::sync::Notify;

use super::reconcile::{Report, reconcile};
use super::sender::Sender;
use crate::config::RegistrationConfig;
use crate::store::{Store, StoreError};

/// Under which name the record keeps when it was last compared.
const SETTING: &str = "reconciled";
/// Numbers that are looked up each time.
const SAMPLE: i64 = 4;
/// How often it is asked for the turn when someone waits.
const TURN_EVERY: Duration = Duration::from_millis(500);
/// What an hour is spread by, so that hubs and regions do not come at once: a tenth.
const SPREAD: i64 = 10;

/// What all hubs of a record know of the last comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// When it ended, in microseconds since 1970.
    pub at: i64,
    /// Patients that carried no NHS number then.
    pub patients_without_number: i64,
}

impl Reconciled {
    /// As the record keeps it; nothing if there was none yet.
    pub async fn of(store: &Store) -> Result<Option<Self>, StoreError> {
        let kept = store.kept_setting(SETTING).await?;
        Ok(kept.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    async fn keep(self, store: &Store) -> Result<(), StoreError> {
        let json = serde_json::to_vec(&self).expect("two numbers are JSON");
        store.keep_setting(SETTING, json).await
    }
}

/// How far this hub is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Comparisons begun since the start.
    pub begun: u64,
    /// Comparisons ended.
    pub ended: u64,
    /// Numbers compared by the one that was begun last.
    pub checked: u64,
    /// What the last one found.
    pub report: Report,
    /// Why the last one was given up.
    pub problem: Option<String>,
}

/// Where a hub's comparisons stand, and who waits for one.
#[derive(Debug, Default)]
pub struct Watch {
    status: Mutex<Status>,
    wanted: Notify,
}

impl Watch {
    /// How far it is.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Asks for a comparison that begins after now; gives its number.
    pub fn demand(&self) -> u64 {
        let next = self.lock().begun + 1;
        self.wanted.notify_one();
        next
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares the record with the locator once, and keeps when. `told` hears how many numbers were
/// compared so far.
pub async fn once(
    sender: &Sender,
    told: impl Fn(u64),
    wake: impl Fn(),
) -> Result<Report, super::reconcile::ReconcileError> {
    let report = reconcile(sender, told, wake).await?;
    let at = sender.clock.now_micros();
    let patients_without_number = report.patients_without_number;
    Reconciled { at, patients_without_number }.keep(&sender.store).await?;
    Ok(report)
}

/// What keeps a hub's part of the locator right.
pub struct Keeper<'a> {
    /// What is compared, and with what.
    pub sender: &'a Sender,
    /// How often.
    pub config: &'a RegistrationConfig,
    /// Where it stands.
    pub watch: &'a Watch,
    /// Told when the sender has something to do.
    pub wake: &'a Notify,
}

impl Keeper<'_> {
    /// Keeps it until `shutdown`.
    pub async fn run(&self, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.triggered() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&self) {
        let check = Duration::from_secs(self.config.check_s);
        let chance = i64::from(uuid::Uuid::new_v4().as_fields().0);
        let period = i64::try_from(self.config.reconcile_s).unwrap_or(i64::MAX / 4_000_000);
        let period = period.saturating_mul(1_000_000);
        let period = period - chance % (period / SPREAD).max(1);
        let mut owed = true;
        loop {
            match self.pass(owed, period).await {
                Ok(done) => owed = !done,
                Err(error) => {
                    owed = true;
                    tracing::warn!(cause = %error, "the record was not compared with the locator");
                }
            }
            let rest = if owed { TURN_EVERY.max(check / 4) } else { check };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.watch.wanted.notified() => self.demanded().await,
            }
        }
    }

    /// Compares for someone who waits, once it is this hub's turn.
    async fn demanded(&self) {
        let begun = self.watch.lock().begun;
        loop {
            // A failure of the comparison itself is told to who waits.
            if let Err(error) = self.turn(true, 0).await {
                tracing::warn!(cause = %error, "the record was not compared with the locator");
            }
            if self.watch.lock().begun > begun {
                return;
            }
            tokio::time::sleep(TURN_EVERY).await;
        }
    }

    /// Whether nothing is owed any more.
    async fn pass(&self, owed: bool, period: i64) -> Result<bool, String> {
        self.turn(owed, period).await.map(|had| had || !owed)
    }

    /// Takes the turn, and compares if that is owed, due, or needed. False: another hub has it.
    async fn turn(&self, owed: bool, period: i64) -> Result<bool, String> {
        let failed = |error: StoreError| error.to_string();
        let store = &self.sender.store;
        let Some(_turn) = store.turn_to_reconcile().await.map_err(failed)? else {
            return Ok(false);
        };
        let last = Reconciled::of(store).await.map_err(failed)?.unwrap_or_default();
        let due = self.sender.clock.now_micros() - last.at >= period;
        if owed || due || self.has_lost().await.map_err(failed)? {
            self.compare().await?;
        }
        Ok(true)
    }

    async fn compare(&self) -> Result<(), String> {
        {
            let mut status = self.watch.lock();
            status.begun += 1;
            status.checked = 0;
        }
        let told = |checked| self.watch.lock().checked = checked;
        let result = once(self.sender, told, || self.wake.notify_one()).await;
        let mut status = self.watch.lock();
        status.ended = status.begun;
        status.problem = result.as_ref().err().map(ToString::to_string);
        let report = result.map_err(|error| error.to_string())?;
        let put_right = report.missing + report.surplus + report.misaligned;
        if put_right > 0 {
            tracing::warn!(
                missing = report.missing,
                surplus = report.surplus,
                misaligned = report.misaligned,
                "the locator did not hold what the record says; it is put right"
            );
        }
        status.report = report;
        Ok(())
    }

    /// Whether the locator no longer holds one of a few pointers that it held.
    async fn has_lost(&self) -> Result<bool, StoreError> {
        let chance = uuid::Uuid::new_v4().as_u128() % 10_000_000_000;
        let store = &self.sender.store;
        let mut numbers = store.sample_registrations(&format!("{chance:010}"), SAMPLE).await?;
        if numbers.is_empty() {
            numbers = store.sample_registrations("", SAMPLE).await?;
        }
        let found = numbers.iter().map(|number| self.sender.locator.find(number));
        let found = join_all(found).await;
        Ok(found.iter().any(|found| found.as_ref().is_ok_and(Vec::is_empty)))
    }
}

impl std::fmt::Debug for Keeper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("config", self.config).finish_non_exhaustive()
    }
}
