//! What was counted: one histogram of latencies for each operation, and every error by its reason.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// What came of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Bytes of the answer's body.
    pub(crate) bytes: u64,
    /// Things that were looked at in it: resources of an import, entries of a search.
    pub(crate) items: u64,
}

/// Everything that was counted of one operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: String,
    /// Microseconds, of the requests that succeeded.
    pub(crate) latency: Histogram<u64>,
    pub(crate) bytes: u64,
    pub(crate) items: u64,
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Operation {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            latency: Histogram::new(3).expect("three significant digits are allowed"),
            bytes: 0,
            items: 0,
            errors: BTreeMap::new(),
        }
    }

    /// Requests that succeeded.
    pub(crate) fn succeeded(&self) -> u64 {
        self.latency.len()
    }

    /// Requests that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Milliseconds within which `percent` of the requests succeeded.
    pub(crate) fn percentile_ms(&self, percent: f64) -> f64 {
        self.latency.value_at_percentile(percent) as f64 / 1000.0
    }
}

/// The operations of a workload, in the order of its names.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) operations: Vec<Operation>,
    /// How long it took to count this.
    pub(crate) elapsed: Duration,
}

impl Tally {
    /// Nothing counted yet.
    pub(crate) fn new(names: &[&str]) -> Self {
        let operations = names.iter().map(|name| Operation::new(name)).collect();
        Self { operations, elapsed: Duration::ZERO }
    }

    /// Counts a request of operation `which` that was due at `due`.
    pub(crate) fn count(&mut self, which: usize, due: Instant, outcome: Result<Outcome, String>) {
        let operation = &mut self.operations[which];
        match outcome {
            Ok(Outcome { bytes, items }) => {
                let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                let recorded = operation.latency.record(micros.max(1));
                recorded.expect("a histogram that resizes itself takes any latency");
                operation.bytes += bytes;
                operation.items += items;
            }
            Err(reason) => *operation.errors.entry(reason).or_default() += 1,
        }
    }

    /// Counts failures that no request stands for.
    pub(crate) fn fail(&mut self, which: usize, reason: &str, times: u64) {
        if times > 0 {
            *self.operations[which].errors.entry(reason.to_owned()).or_default() += times;
        }
    }

    /// Adds what another worker counted in the same time.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.operations.iter_mut().zip(&other.operations) {
            mine.latency.add(&theirs.latency).expect("a histogram that resizes itself takes any");
            mine.bytes += theirs.bytes;
            mine.items += theirs.items;
            for (reason, times) in &theirs.errors {
                *mine.errors.entry(reason.clone()).or_default() += times;
            }
        }
    }

    /// Adds what was counted in another stretch of time.
    pub(crate) fn append(&mut self, other: &Self) {
        self.merge(other);
        self.elapsed += other.elapsed;
    }

    /// Requests that failed, of all operations.
    pub(crate) fn failed(&self) -> u64 {
        self.operations.iter().map(Operation::failed).sum()
    }
}
