//! How the locator is, for probes and for the admin listener.

use service::admin::{Check, Health};

use crate::Locator;

impl Health for Locator {
    async fn checks(&self) -> Vec<Check> {
        let problem = self.registry().ping().await.err().map(|error| error.to_string());
        vec![Check { name: "store", problem }]
    }

    async fn metrics(&self) -> String {
        match self.registry().len().await {
            Ok(pointers) => format!(
                "# HELP locator_pointers Pointers in the registry.\n\
                 # TYPE locator_pointers gauge\n\
                 locator_pointers {pointers}\n"
            ),
            Err(_) => String::new(),
        }
    }
}
