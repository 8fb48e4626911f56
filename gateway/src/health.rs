//! How the gateway is: readiness, which asks nothing of locator or regions, and counters.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use service::admin::{Check, Health};
use service::serve::Shutdown;

use crate::Gateway;
use crate::outcome::RegionStatus;

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchEnd {
    /// Answered, with everything.
    Complete,
    /// Answered, and marked as incomplete.
    Partial,
    /// Refused, or failed.
    Refused,
}

/// What is counted since the start; no count knows a patient.
#[derive(Debug)]
pub struct Counters {
    searches: [AtomicU64; 3],
    regions: Vec<[AtomicU64; RegionStatus::ALL.len()]>,
}

impl Counters {
    /// Counters for that many regions.
    pub fn new(regions: usize) -> Self {
        Self {
            searches: Default::default(),
            regions: (0..regions).map(|_| Default::default()).collect(),
        }
    }

    /// Counts a search.
    pub fn search(&self, end: SearchEnd) {
        self.searches[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts how the region at that place of the directory ended.
    pub fn region(&self, place: usize, status: RegionStatus) {
        let column = RegionStatus::ALL.iter().position(|s| *s == status);
        if let (Some(row), Some(column)) = (self.regions.get(place), column) {
            row[column].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The gateway as its probes see it.
#[derive(Debug, Clone)]
pub struct GatewayHealth {
    /// The gateway.
    pub gateway: Gateway,
    /// Its stop signal.
    pub shutdown: Shutdown,
}

impl Health for GatewayHealth {
    async fn checks(&self) -> Vec<Check> {
        let stopping = self.shutdown.is_triggered();
        vec![Check {
            name: "draining",
            problem: stopping.then(|| "the service is stopping".to_owned()),
        }]
    }

    async fn metrics(&self) -> String {
        let counters = self.gateway.counters();
        let mut text = String::from("# TYPE gateway_searches_total counter\n");
        for (end, count) in ["complete", "partial", "refused"].iter().zip(&counters.searches) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(text, "gateway_searches_total{{end=\"{end}\"}} {count}");
        }
        text.push_str("# TYPE gateway_region_answers_total counter\n");
        let regions = self.gateway.directory().regions();
        for (region, row) in regions.iter().zip(&counters.regions) {
            for (status, count) in RegionStatus::ALL.iter().zip(row) {
                let (ods, status) = (&region.ods, status.as_str());
                let count = count.load(Ordering::Relaxed);
                let _ = writeln!(
                    text,
                    "gateway_region_answers_total{{region=\"{ods}\",status=\"{status}\"}} {count}"
                );
            }
        }
        text.push_str("# TYPE gateway_region_open gauge\n");
        for (region, gate) in regions.iter().zip(self.gateway.gates()) {
            let (ods, open) = (&region.ods, u8::from(gate.is_open()));
            let _ = writeln!(text, "gateway_region_open{{region=\"{ods}\"}} {open}");
        }
        text
    }
}
