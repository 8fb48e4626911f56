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
#[derive(Debug, Default)]
pub struct Counters {
    searches: [AtomicU64; 3],
}

/// How often a region ended how.
#[derive(Debug, Default)]
pub struct RegionCounter([AtomicU64; RegionStatus::ALL.len()]);

impl RegionCounter {
    /// Counts how the region ended.
    pub fn note(&self, status: RegionStatus) {
        if let Some(column) = RegionStatus::ALL.iter().position(|s| *s == status) {
            self.0[column].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counters {
    /// Counts a search.
    pub fn search(&self, end: SearchEnd) {
        self.searches[end as usize].fetch_add(1, Ordering::Relaxed);
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
        let directory = self.gateway.directory();
        let standings = directory.regions().iter().filter_map(|region| {
            let standing = directory.standing(&region.ods)?;
            Some((&region.ods, standing))
        });
        for (ods, standing) in standings.clone() {
            for (status, count) in RegionStatus::ALL.iter().zip(&standing.counter.0) {
                let (status, count) = (status.as_str(), count.load(Ordering::Relaxed));
                let _ = writeln!(
                    text,
                    "gateway_region_answers_total{{region=\"{ods}\",status=\"{status}\"}} {count}"
                );
            }
        }
        text.push_str("# TYPE gateway_region_open gauge\n");
        for (ods, standing) in standings.clone() {
            let open = u8::from(standing.gate.is_open());
            let _ = writeln!(text, "gateway_region_open{{region=\"{ods}\"}} {open}");
        }
        text.push_str("# TYPE gateway_region_turns gauge\n");
        for (ods, standing) in standings {
            let turns = standing.gate.turns();
            let _ = writeln!(text, "gateway_region_turns{{region=\"{ods}\"}} {turns}");
        }
        let keeper = self.gateway.directory_keeper();
        let (serial, refused) = (keeper.serial(), u8::from(keeper.is_refusing()));
        let _ = write!(
            text,
            "# TYPE gateway_directory_serial gauge\ngateway_directory_serial {serial}\n\
             # TYPE gateway_directory_refused gauge\ngateway_directory_refused {refused}\n"
        );
        text
    }
}
