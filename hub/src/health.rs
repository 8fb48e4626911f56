//! Readiness and metrics.

use std::fmt::Write as _;

use fhir::definitions::ResourceType;
use service::admin::{Check, Health};

use crate::Hub;
use crate::registration::keeper::Reconciled;
use crate::registration::outbox::Depth;
use crate::store::StoreError;

impl Health for Hub {
    async fn checks(&self) -> Vec<Check> {
        let read = self.store.read(ResourceType::PATIENT, "readiness").await;
        let stopped = || "the writer has stopped for safety; see the log".to_owned();
        let unsound = || "the audit journal could not be synced; see the log".to_owned();
        let generation = self.store.generation();
        let index = match (generation.is_ours(), generation.standing.percent()) {
            (false, _) => Some(StoreError::Outdated.to_string()),
            (true, 100) => None,
            (true, percent) => Some(StoreError::Rebuilding { percent }.to_string()),
        };
        vec![
            Check { name: "index", problem: index },
            Check { name: "reading", problem: read.err().map(|error| error.to_string()) },
            Check { name: "writing", problem: (!self.store.is_writable()).then(stopped) },
            Check { name: "audit", problem: (!self.journal.is_sound()).then(unsound) },
        ]
    }

    async fn metrics(&self) -> String {
        let generation = self.store.generation();
        let (percent, done) = (generation.standing.percent(), generation.done);
        let mut text = format!(
            "# TYPE hub_index_percent gauge\nhub_index_percent {percent}\n\
             # TYPE hub_index_walked gauge\nhub_index_walked {done}\n"
        );
        // Writing into a String cannot fail.
        let mut gauge = |name: &str, value: i64| {
            let _ = write!(text, "# TYPE {name} gauge\n{name} {value}\n");
        };
        if let Ok(Depth { waiting, oldest, parked }) = self.store.registration_depth().await {
            let age = oldest.map_or(0, |oldest| (self.clock.now_micros() - oldest) / 1_000_000);
            gauge("hub_registrations_waiting", waiting);
            gauge("hub_registrations_oldest_seconds", age.max(0));
            gauge("hub_registrations_parked", parked);
        }
        if let Ok(Some(reconciled)) = Reconciled::of(&self.store).await {
            gauge("hub_reconciled_timestamp_seconds", reconciled.at / 1_000_000);
            gauge("hub_patients_without_number", reconciled.patients_without_number);
        }
        text
    }
}
