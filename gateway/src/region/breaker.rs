//! When a region is not asked: once it has failed too often, until one question has shown that it
//! answers again. Pure: the time is passed in.
//!
//! Failures in a row open it, and so does a bad share of a busy window, which a region that fails
//! every other question never escapes. Open lasts one second, then twice as long each time the
//! probe fails.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open a breaker.
const IN_A_ROW_MAX: u32 = 5;
/// What is looked back at.
const WINDOW: Duration = Duration::from_secs(10);
/// Answers within a window that say something about a region.
const WINDOW_ANSWERS_MIN: u32 = 20;
const OPEN_MIN: Duration = Duration::from_secs(1);
const OPEN_MAX: Duration = Duration::from_secs(10);

/// How one region has answered lately.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    in_a_row: u32,
    window: Window,
    open_for: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    answers: u32,
    failures: u32,
}

/// Leave to ask a region once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// As everyone else.
    Ordinary,
    /// As the only one, to find out whether it answers.
    Probe,
}

/// How a question to a region went, as far as the region's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It answered.
    Well,
    /// It did not.
    Ill,
    /// Nobody waited long enough to know.
    Unknown,
}

impl Breaker {
    /// The breaker of a region of which nothing is known.
    pub fn new(now: Instant) -> Self {
        Self { state: State::Closed, in_a_row: 0, window: Window::new(now), open_for: OPEN_MIN }
    }

    /// Leave to ask now, unless the region is being left alone.
    pub fn admit(&mut self, now: Instant) -> Option<Leave> {
        match self.state {
            State::Closed => Some(Leave::Ordinary),
            State::Open { until } if until <= now => {
                self.state = State::Probing;
                Some(Leave::Probe)
            }
            State::Open { .. } | State::Probing => None,
        }
    }

    /// Notes how a question went that was let through; whether the breaker has opened by it.
    pub fn note(&mut self, leave: Leave, verdict: Verdict, now: Instant) -> bool {
        match (leave, verdict) {
            (Leave::Probe, Verdict::Well) => *self = Self::new(now),
            (Leave::Probe, Verdict::Ill) if self.state != State::Probing => {}
            (Leave::Probe, Verdict::Ill) => {
                self.open_for = (self.open_for * 2).min(OPEN_MAX);
                self.state = State::Open { until: now + self.open_for };
            }
            // The next one may find out.
            (Leave::Probe, Verdict::Unknown) => self.state = State::Open { until: now },
            // What was asked before it opened says nothing any more.
            (Leave::Ordinary, _) if self.state != State::Closed => {}
            (Leave::Ordinary, Verdict::Unknown) => {}
            (Leave::Ordinary, Verdict::Well) => {
                self.in_a_row = 0;
                self.window.count(false, now);
            }
            (Leave::Ordinary, Verdict::Ill) => {
                self.in_a_row += 1;
                self.window.count(true, now);
                if self.in_a_row >= IN_A_ROW_MAX || self.window.is_bad() {
                    self.state = State::Open { until: now + self.open_for };
                    return true;
                }
            }
        }
        false
    }

    /// Leaves the region alone for that time, because it asked for it.
    pub fn rest(&mut self, time: Duration, now: Instant) {
        let until = now + time.min(OPEN_MAX);
        let later = match self.state {
            State::Open { until: known } => known < until,
            State::Closed | State::Probing => !time.is_zero(),
        };
        if later {
            self.state = State::Open { until };
        }
    }

    /// Whether the region is being left alone.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

impl Window {
    fn new(since: Instant) -> Self {
        Self { since, answers: 0, failures: 0 }
    }

    fn count(&mut self, failed: bool, now: Instant) {
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self::new(now);
        }
        self.answers += 1;
        self.failures += u32::from(failed);
    }

    fn is_bad(self) -> bool {
        self.answers >= WINDOW_ANSWERS_MIN && self.failures * 2 >= self.answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn opened(start: Instant) -> Breaker {
        let mut breaker = Breaker::new(start);
        for n in 1..=IN_A_ROW_MAX {
            assert_eq!(breaker.admit(start), Some(Leave::Ordinary));
            let opens = breaker.note(Leave::Ordinary, Verdict::Ill, start);
            assert_eq!(opens, n == IN_A_ROW_MAX);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_closes_it() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(after(start, 999)), None);
        assert_eq!(breaker.admit(after(start, 1_000)), Some(Leave::Probe));
        assert_eq!(breaker.admit(after(start, 1_000)), None, "one probe at a time");
        breaker.note(Leave::Ordinary, Verdict::Well, after(start, 1_001));
        assert!(breaker.is_open(), "an old answer closes nothing");
        breaker.note(Leave::Probe, Verdict::Well, after(start, 1_002));
        assert_eq!(breaker.admit(after(start, 1_002)), Some(Leave::Ordinary));
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_ten_seconds() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for wait_ms in [1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            assert_eq!(breaker.admit(after(now, wait_ms - 1)), None, "{wait_ms}");
            now = after(now, wait_ms);
            assert_eq!(breaker.admit(now), Some(Leave::Probe), "{wait_ms}");
            breaker.note(Leave::Probe, Verdict::Ill, now);
        }
    }

    #[test]
    fn a_region_that_asks_for_a_rest_has_it_and_at_most_ten_seconds() {
        let start = Instant::now();
        for (asked_ms, given_ms) in [(3_000, 3_000), (60_000, 10_000)] {
            let mut breaker = Breaker::new(start);
            let leave = breaker.admit(start).expect("it is closed");
            breaker.rest(Duration::from_millis(asked_ms), start);
            breaker.note(leave, Verdict::Ill, start);
            assert_eq!(breaker.admit(after(start, given_ms - 1)), None);
            assert_eq!(breaker.admit(after(start, given_ms)), Some(Leave::Probe));
            breaker.rest(Duration::from_millis(asked_ms), after(start, given_ms));
            breaker.note(Leave::Probe, Verdict::Ill, after(start, given_ms));
            assert_eq!(breaker.admit(after(start, 2 * given_ms - 1)), None);
        }
    }

    #[test]
    fn a_probe_that_nobody_waited_for_leaves_the_next_one_to_try() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let later = after(start, 1_000);
        assert_eq!(breaker.admit(later), Some(Leave::Probe));
        breaker.note(Leave::Probe, Verdict::Unknown, later);
        assert_eq!(breaker.admit(later), Some(Leave::Probe));
    }

    #[test]
    fn every_other_failure_opens_it_too_and_a_few_old_ones_do_not() {
        let start = Instant::now();
        let mut busy = Breaker::new(start);
        let mut slow = Breaker::new(start);
        for n in 0..WINDOW_ANSWERS_MIN {
            let verdict = if n % 2 == 0 { Verdict::Well } else { Verdict::Ill };
            busy.note(Leave::Ordinary, verdict, start);
            slow.note(Leave::Ordinary, verdict, after(start, u64::from(n) * 2_000));
        }
        assert!(busy.is_open() && !slow.is_open());
    }
}
