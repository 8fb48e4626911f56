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
    /// Types and ids.
    asked: Vec<(&'static str, String)>,
}

impl Read {
    /// Samples resources to read.
    pub(crate) async fn new(target: &Target) -> Result<Self, String> {
        let mut lists = Vec::new();
        for kind in KINDS {
            let ids = sample::ids(target, kind).await?;
            lists.push(ids.into_iter().map(|id| (kind, id)).collect::<Vec<_>>());
        }
        // One of each type after the other, so that the mix is the same however long it runs.
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        let asked = (0..longest).flat_map(|place| {
            let present = lists.iter().filter(|list| !list.is_empty());
            present.map(move |list| list[place % list.len()].clone())
        });
        let asked: Vec<(&str, String)> = asked.collect();
        if asked.is_empty() {
            return Err(format!("{} holds nothing to read: import some first", target.base()));
        }
        Ok(Self { target: target.clone(), asked })
    }
}

impl Work for Read {
    fn operations(&self) -> Vec<&str> {
        vec!["read"]
    }

    async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
        let (kind, id) = &self.asked[(ticket.number % self.asked.len() as u64) as usize];
        let answer = self.target.get(&format!("{kind}/{id}")).await;
        let outcome =
            answer.and_then(|answer| answer.expect(&[StatusCode::OK])).and_then(|answer| {
                if !answer.has(id) || !answer.has(&format!("\"{kind}\"")) {
                    return Err("wrong: not the resource that was asked for".to_owned());
                }
                Ok(Outcome { bytes: answer.body.len() as u64, items: 1 })
            });
        tally.count(0, ticket.due, outcome);
    }
}
