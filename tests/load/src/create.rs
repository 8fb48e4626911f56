//! `create`: one small Observation a request, each of which the server has to keep.

use reqwest::{Method, StatusCode};

use crate::crud::created_id;
use crate::drive::{Ticket, Work};
use crate::resources;
use crate::tally::{Outcome, Tally};
use crate::target::Target;

/// Creates of Observations about one patient, who is created first.
#[derive(Debug)]
pub(crate) struct Create {
    target: Target,
    patient: String,
}

impl Create {
    /// Creates the patient.
    pub(crate) async fn new(target: &Target) -> Result<Self, String> {
        let body = resources::resource("Patient", 0, None);
        let answer = target.send(Method::POST, "Patient", Some(body)).await;
        let answer = answer.and_then(|answer| answer.expect(&[StatusCode::CREATED]));
        let id = answer.and_then(|answer| created_id(&answer, "Patient"));
        let id = id.map_err(|reason| {
            format!("creating a Patient on {} failed: {reason}", target.base())
        })?;
        Ok(Self { target: target.clone(), patient: format!("Patient/{id}") })
    }
}

impl Work for Create {
    fn operations(&self) -> Vec<&str> {
        vec!["create"]
    }

    async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
        let body = resources::observation(&self.patient, ticket.number);
        let answer = self.target.send(Method::POST, "Observation", Some(body)).await;
        let outcome = answer
            .and_then(|answer| answer.expect(&[StatusCode::CREATED]))
            .map(|answer| Outcome { bytes: answer.body.len() as u64, items: 1 });
        tally.count(0, ticket.due, outcome);
    }
}
