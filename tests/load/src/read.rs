//! `read`: resources of several types read by id, over and over.

use reqwest::StatusCode;

use crate::drive::{Ticket, Work};
use crate::sample;
use crate::tally::{Outcome, Tally};
use crate::target::Target;

/// The types that are read.
const KINDS: [&str; 5] = ["Patient", "Observation", "Encounter", "Condition", "MedicationRequest"];

/// Reads of sampled resources.
#[derive(Debug)]
pub(crate) struct Read {
    target: Target,
    paths: Vec<String>,
}

impl Read {
    /// Samples resources to read.
    pub(crate) async fn new(target: &Target) -> Result<Self, String> {
        let mut lists = Vec::new();
        for kind in KINDS {
            let ids = sample::ids(target, kind).await?;
            lists.push(ids.into_iter().map(|id| format!("{kind}/{id}")).collect::<Vec<_>>());
        }
        // One of each type after the other, so that the mix is the same however long it runs.
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        let paths = (0..longest).flat_map(|place| {
            let present = lists.iter().filter(|list| !list.is_empty());
            present.map(move |list| list[place % list.len()].clone())
        });
        let paths: Vec<String> = paths.collect();
        if paths.is_empty() {
            return Err(format!("{} holds nothing to read: import some first", target.base()));
        }
        Ok(Self { target: target.clone(), paths })
    }
}

impl Work for Read {
    fn operations(&self) -> Vec<&str> {
        vec!["read"]
    }

    async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
        let path = &self.paths[(ticket.number % self.paths.len() as u64) as usize];
        let outcome = match self.target.get(path).await {
            Ok(answer) => answer
                .expect(&[StatusCode::OK])
                .map(|answer| Outcome { bytes: answer.body.len() as u64, items: 1 }),
            Err(reason) => Err(reason),
        };
        tally.count(0, ticket.due, outcome);
    }
}
