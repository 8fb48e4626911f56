//! What stands before a region's hub: a breaker, as many questions at a time as it answers, and so
//! many second attempts. One region's trouble is its own: nothing here is shared between regions.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fhir::identifier::OdsCode;
use tokio::time::{Instant, timeout_at};

use super::breaker::{Breaker, Leave, Verdict};
use super::limit::Limit;
use crate::config::Federation;
use crate::outcome::{Failure, RegionStatus};

/// Longest wait for one's turn; a region that cannot take a question by then is too busy.
const QUEUE_TIME_MAX: Duration = Duration::from_millis(250);
/// A region that had at least this long and did not answer has failed.
const FAIR_TIME: Duration = Duration::from_secs(1);
/// What a second attempt costs, and what each question earns towards one: a tenth of the traffic.
const RETRY_COST: u32 = 10;
const RETRY_SAVINGS_MAX: u32 = 100;

/// What stands before one region's hub.
#[derive(Debug)]
pub struct Gate {
    ods: OdsCode,
    breaker: Mutex<Breaker>,
    limit: Limit,
    savings: AtomicU32,
    /// The directory says that it is not to be asked.
    suspended: AtomicBool,
    fair: Duration,
}

impl Gate {
    /// The gate of a region that has not been asked yet.
    pub fn new(ods: &OdsCode, federation: &Federation) -> Self {
        let half = Duration::from_millis(federation.deadline_ms / 2);
        Self {
            ods: ods.clone(),
            breaker: Mutex::new(Breaker::new(Instant::now())),
            limit: Limit::new(federation.region_requests),
            savings: AtomicU32::new(RETRY_SAVINGS_MAX),
            suspended: AtomicBool::new(false),
            fair: FAIR_TIME.min(half),
        }
    }

    /// Lets a question to the region through, or says why not. `ill` tells of an answer whether
    /// the region is unwell all the same.
    pub async fn pass<T>(
        &self,
        deadline: Instant,
        asking: impl Future<Output = Result<T, Failure>>,
        ill: impl Fn(&T) -> bool,
    ) -> Result<T, Failure> {
        if self.suspended.load(Ordering::Relaxed) {
            return Err(RegionStatus::Suspended.into());
        }
        let started = Instant::now();
        let leave = self.breaker().admit(started).ok_or(RegionStatus::Open)?;
        let mut passage = Passage { gate: self, leave, verdict: Verdict::Unknown };
        let turn = timeout_at(deadline.min(started + QUEUE_TIME_MAX), self.limit.turn()).await;
        let Ok(_turn) = turn else {
            return Err(RegionStatus::Throttled.into());
        };
        self.earn();
        let result = asking.await;
        passage.verdict = match &result {
            Ok(answer) if ill(answer) => Verdict::Ill,
            Ok(_) => Verdict::Well,
            Err(failure) => {
                self.rest(failure.leave_alone);
                self.verdict(failure.status, deadline.saturating_duration_since(started))
            }
        };
        result
    }

    /// Leaves the region alone for as long as it asks for.
    fn rest(&self, time: Option<Duration>) {
        if let Some(time) = time {
            self.breaker().rest(time, Instant::now());
        }
    }

    /// Notes whether the region may be asked at all.
    pub fn suspend(&self, suspended: bool) {
        self.suspended.store(suspended, Ordering::Relaxed);
    }

    /// Whether the savings allow a second attempt; if so, they are spent.
    pub fn may_retry(&self) -> bool {
        let spend = |savings: u32| savings.checked_sub(RETRY_COST);
        self.savings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    /// What is left for second attempts.
    #[cfg(test)]
    pub(super) fn savings(&self) -> u32 {
        self.savings.load(Ordering::Relaxed)
    }

    /// Whether the region is being left alone.
    pub fn is_open(&self) -> bool {
        self.breaker().is_open()
    }

    /// How many questions it is asked at a time.
    pub fn turns(&self) -> usize {
        self.limit.now()
    }

    fn earn(&self) {
        let save = |savings: u32| (savings < RETRY_SAVINGS_MAX).then_some(savings + 1);
        // Full savings stay as they are.
        let _ = self.savings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, save);
    }

    /// A region that refuses, or sends what cannot be used, is up; one that was given no time may
    /// be.
    fn verdict(&self, status: RegionStatus, given: Duration) -> Verdict {
        match status {
            RegionStatus::Timeout if given < self.fair => Verdict::Unknown,
            RegionStatus::Timeout | RegionStatus::Unreachable | RegionStatus::Throttled => {
                Verdict::Ill
            }
            _ => Verdict::Well,
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question on its way; dropping it tells the breaker how it went.
struct Passage<'a> {
    gate: &'a Gate,
    leave: Leave,
    verdict: Verdict,
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.gate.limit.note(self.verdict, now);
        if self.gate.breaker().note(self.leave, self.verdict, now) {
            tracing::warn!(region.ods = %self.gate.ods, "a region has failed repeatedly and is \
                left alone for a while");
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn gate(region_requests: usize) -> Gate {
        let federation = Federation { region_requests, ..Federation::default() };
        Gate::new(&"A1".parse().unwrap(), &federation)
    }

    async fn pass(gate: &Gate, ms: u64, end: RegionStatus) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_millis(ms);
        gate.pass(deadline, async { Err(end.into()) }, |()| false).await
    }

    #[tokio::test]
    async fn a_question_that_came_with_no_time_says_nothing_of_the_region() {
        let gate = gate(8);
        for _ in 0..20 {
            pass(&gate, 50, RegionStatus::Timeout).await.unwrap_err();
        }
        assert!(!gate.is_open());
        for _ in 0..5 {
            pass(&gate, 2_000, RegionStatus::Timeout).await.unwrap_err();
        }
        assert!(gate.is_open());
    }

    #[tokio::test]
    async fn a_region_that_refuses_is_up() {
        let gate = gate(8);
        for status in [RegionStatus::Refused, RegionStatus::Invalid, RegionStatus::TooLarge] {
            for _ in 0..10 {
                pass(&gate, 2_000, status).await.unwrap_err();
            }
        }
        assert!(!gate.is_open());
    }

    #[tokio::test]
    async fn who_waits_too_long_for_a_turn_is_told_that_the_region_is_busy() {
        let gate = gate(1);
        let deadline = Instant::now() + Duration::from_secs(8);
        let asking = std::future::pending::<Result<(), Failure>>();
        let first = gate.pass(deadline, asking, |()| false);
        let second = async {
            tokio::task::yield_now().await;
            let asking = async { unreachable!("there is no turn") };
            gate.pass(deadline, asking, |()| false).await
        };
        let ended = tokio::select! {
            _ = first => unreachable!("it never answers"),
            ended = second => ended.unwrap_err().status,
        };
        assert_eq!(ended, RegionStatus::Throttled);
    }

    #[tokio::test]
    async fn second_attempts_stay_within_a_tenth_of_the_traffic() {
        let gate = gate(8);
        let retries = std::iter::repeat_with(|| gate.may_retry()).take_while(|may| *may).count();
        assert_eq!(retries, 10);
        for _ in 0..RETRY_COST {
            assert!(!gate.may_retry());
            pass(&gate, 2_000, RegionStatus::Refused).await.unwrap_err();
        }
        assert!(gate.may_retry());
    }
}
