//! The closed and the open loop.
//!
//! Closed: each worker sends its next request when the last one is answered. Open: requests fall
//! due at a constant rate whatever the server does, and latency counts from when a request was
//! due, so that a stall is paid for by everyone who would have waited (no coordinated omission).

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::tally::Tally;

/// A unit of work: its place in the run, and when it was due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub(crate) number: u64,
    pub(crate) due: Instant,
}

/// Something that can be done over and over against one server.
pub(crate) trait Work: Send + Sync + 'static {
    /// The operations that are counted apart.
    fn operations(&self) -> Vec<&str>;

    /// Does one unit and counts what it did.
    fn perform(&self, ticket: Ticket, tally: &mut Tally) -> impl Future<Output = ()> + Send;
}

/// How much, and how.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Requests in flight at most.
    pub(crate) workers: usize,
    /// No unit begins after this time.
    pub(crate) duration: Duration,
    /// Units a second; without it the loop is closed.
    pub(crate) rate: Option<f64>,
    /// The numbers of the units, unless time ends first.
    pub(crate) units: Range<u64>,
}

impl Plan {
    fn units_max(&self) -> u64 {
        self.units.end - self.units.start
    }
}

/// Runs `work` by `plan`. Requests under way at the end are waited for and counted.
pub(crate) async fn drive<W: Work>(work: Arc<W>, plan: Plan) -> Tally {
    let started = Instant::now();
    let (workers_max, rate) = (plan.workers, plan.rate);
    let run = Arc::new(Run {
        plan,
        started,
        next: AtomicU64::new(0),
        due: Semaphore::new(0),
        issued: AtomicU64::new(0),
    });
    let mut workers = JoinSet::new();
    for _ in 0..workers_max {
        let (work, run) = (Arc::clone(&work), Arc::clone(&run));
        workers.spawn(async move {
            let mut tally = Tally::new(&work.operations());
            while let Some(ticket) = run.ticket().await {
                work.perform(ticket, &mut tally).await;
            }
            tally
        });
    }
    if let Some(rate) = rate {
        let run = Arc::clone(&run);
        tokio::task::spawn_blocking(move || run.issue(rate)).await.expect("issuing does not panic");
    }
    let mut total = Tally::new(&work.operations());
    while let Some(tally) = workers.join_next().await {
        total.merge(&tally.expect("a worker does not panic"));
    }
    let unsent = run.issued.load(Ordering::Relaxed).saturating_sub(run.taken());
    total.fail(0, "due, but not sent before the end", unsent);
    total.elapsed = started.elapsed();
    total
}

#[derive(Debug)]
struct Run {
    plan: Plan,
    started: Instant,
    /// How many tickets were taken.
    next: AtomicU64,
    /// One permit for each ticket that is due and not taken: the open loop's queue.
    due: Semaphore,
    issued: AtomicU64,
}

impl Run {
    fn taken(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    async fn ticket(&self) -> Option<Ticket> {
        let Some(rate) = self.plan.rate else {
            let due = Instant::now();
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let open = due < self.started + self.plan.duration && number < self.plan.units_max();
            return open.then(|| self.numbered(number, due));
        };
        self.due.acquire().await.ok()?.forget();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number + 1 == self.plan.units_max() {
            self.due.close();
        }
        Some(self.numbered(number, self.due_at(number, rate)))
    }

    fn numbered(&self, taken: u64, due: Instant) -> Ticket {
        Ticket { number: self.plan.units.start + taken, due }
    }

    fn due_at(&self, number: u64, rate: f64) -> Instant {
        self.started + Duration::from_secs_f64(number as f64 / rate)
    }

    /// Lets tickets fall due. On a thread of its own: the runtime's timer knows milliseconds only.
    fn issue(&self, rate: f64) {
        let end = self.started + self.plan.duration;
        for number in 0..self.plan.units_max() {
            let due = self.due_at(number, rate);
            if due >= end {
                std::thread::sleep(end.saturating_duration_since(Instant::now()));
                self.due.close();
                return;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.issued.fetch_add(1, Ordering::Relaxed);
            self.due.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Outcome;

    /// Holds one unit at a time, as a server with one thread does.
    struct OneAtATime(tokio::sync::Mutex<u64>);

    impl Work for OneAtATime {
        fn operations(&self) -> Vec<&str> {
            vec!["unit"]
        }

        async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
            let mut done = self.0.lock().await;
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            *done += 1;
            let outcome =
                if ticket.number == 3 { Err("three".into()) } else { Ok(Outcome::default()) };
            tally.count(0, ticket.due, outcome);
        }
    }

    async fn run(workers: usize, rate: Option<f64>, units_max: u64) -> (Tally, u64) {
        let work = Arc::new(OneAtATime(tokio::sync::Mutex::new(0)));
        let plan = Plan { workers, duration: Duration::from_mins(1), rate, units: 0..units_max };
        let tally = drive(Arc::clone(&work), plan).await;
        let done = *work.0.lock().await;
        (tally, done)
    }

    #[tokio::test]
    async fn a_closed_loop_does_each_unit_once_whatever_the_workers() {
        for workers in [1, 7] {
            let (tally, done) = run(workers, None, 40).await;
            assert_eq!((done, tally.operations[0].succeeded(), tally.failed()), (40, 39, 1));
        }
    }

    #[tokio::test]
    async fn an_open_loop_does_each_unit_that_fell_due() {
        let (tally, done) = run(4, Some(10_000.0), 50).await;
        assert_eq!((done, tally.operations[0].succeeded(), tally.failed()), (50, 49, 1));
    }

    #[tokio::test]
    async fn a_request_that_had_to_wait_is_measured_from_when_it_was_due() {
        // All fall due at once and one worker does them one by one: the last waits for all others.
        let (tally, _) = run(1, Some(1e9), 200).await;
        let slowest_ms = tally.operations[0].percentile_ms(100.0);
        assert!(slowest_ms * 2.0 > tally.elapsed.as_secs_f64() * 1000.0);
        assert!(tally.operations[0].percentile_ms(50.0) * 4.0 > slowest_ms);
    }

    #[tokio::test]
    async fn what_fell_due_and_was_never_sent_is_an_error() {
        let work = Arc::new(OneAtATime(tokio::sync::Mutex::new(0)));
        let plan =
            Plan { workers: 0, duration: Duration::from_millis(1), rate: Some(1e6), units: 0..10 };
        assert_eq!(drive(work, plan).await.failed(), 10);
    }
}
