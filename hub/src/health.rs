//! Readiness and metrics.

use std::fmt::Write as _;

use fhir::definitions::ResourceType;
use service::admin::{Check, Health};

use crate::Hub;

impl Health for Hub {
    async fn checks(&self) -> Vec<Check> {
        let read = self.store.read(ResourceType::PATIENT, "readiness").await;
        let stopped = || "the writer has stopped for safety; see the log".to_owned();
        let unsound = || "the audit journal could not be synced; see the log".to_owned();
        vec![
            Check { name: "reading", problem: read.err().map(|error| error.to_string()) },
            Check { name: "writing", problem: (!self.store.is_writable()).then(stopped) },
            Check { name: "audit", problem: (!self.journal.is_sound()).then(unsound) },
        ]
    }

    async fn metrics(&self) -> String {
        let mut text = String::new();
        if let Ok((waiting, parked)) = self.store.registration_depth().await {
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "# TYPE hub_registrations_waiting gauge\nhub_registrations_waiting {waiting}\n\
                 # TYPE hub_registrations_parked gauge\nhub_registrations_parked {parked}\n"
            );
        }
        text
    }
}
