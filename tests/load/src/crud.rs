//! `crud`: a resource of each of nine types created, read, updated and deleted, over and over.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::drive::{Ticket, Work};
use crate::resources::{KINDS, resource};
use crate::tally::{Outcome, Tally};
use crate::target::{Answer, Target};

/// Create, read, update and delete; one unit is the four of one resource.
#[derive(Debug)]
pub(crate) struct Crud {
    pub(crate) target: Target,
}

impl Crud {
    async fn step(
        &self,
        (which, due): (usize, Instant),
        tally: &mut Tally,
        request: (Method, &str, Option<bytes::Bytes>),
        statuses: &[StatusCode],
    ) -> Option<Answer> {
        let (method, path, body) = request;
        let answer = self.target.send(method, path, body).await;
        let answer = answer.and_then(|answer| answer.expect(statuses));
        let outcome = answer.as_ref().map_err(String::clone);
        let outcome = outcome.map(|answer| Outcome { bytes: answer.body.len() as u64, items: 1 });
        tally.count(which, due, outcome);
        answer.ok()
    }
}

impl Work for Crud {
    fn operations(&self) -> Vec<&str> {
        vec!["create", "read", "update", "delete"]
    }

    async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
        let kind = KINDS[(ticket.number % KINDS.len() as u64) as usize];
        let body = resource(kind, ticket.number, None);
        let create = (Method::POST, kind, Some(body));
        let created = self.step((0, ticket.due), tally, create, &[StatusCode::CREATED]).await;
        let Some(created) = created else { return };
        let id = match created_id(&created, kind) {
            Ok(id) => id,
            Err(reason) => return tally.fail(0, &reason, 1),
        };
        let path = format!("{kind}/{id}");
        let read = (Method::GET, path.as_str(), None);
        self.step((1, Instant::now()), tally, read, &[StatusCode::OK]).await;
        let changed = resource(kind, ticket.number + 1, Some(&id));
        let update = (Method::PUT, path.as_str(), Some(changed));
        self.step((2, Instant::now()), tally, update, &[StatusCode::OK]).await;
        let delete = (Method::DELETE, path.as_str(), None);
        let gone = [StatusCode::OK, StatusCode::NO_CONTENT];
        self.step((3, Instant::now()), tally, delete, &gone).await;
    }
}

/// The id a server gave: from `Location` (`…/Type/id/_history/1`), else from the body.
pub(crate) fn created_id(answer: &Answer, kind: &str) -> Result<String, String> {
    if let Some(location) = &answer.location {
        let mut segments = location.split('/');
        if segments.any(|segment| segment == kind)
            && let Some(id) = segments.next().filter(|id| !id.is_empty())
        {
            return Ok(id.to_owned());
        }
    }
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let id = body.as_ref().and_then(|body| body["id"].as_str());
    id.map(str::to_owned).ok_or_else(|| "the answer to a create names no id".to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn answer(location: Option<&str>, body: &'static str) -> Answer {
        Answer {
            status: StatusCode::CREATED,
            location: location.map(str::to_owned),
            body: body.into(),
        }
    }

    #[test]
    fn the_id_of_a_created_resource_is_found_in_the_location_or_the_body() {
        let located = answer(Some("http://h/FHIR/R4/Patient/7/_history/1"), "");
        assert_eq!(created_id(&located, "Patient").unwrap(), "7");
        assert_eq!(created_id(&answer(Some("Patient/8"), ""), "Patient").unwrap(), "8");
        assert_eq!(created_id(&answer(None, r#"{"id":"9"}"#), "Patient").unwrap(), "9");
        assert!(created_id(&answer(Some("http://h/other"), "{}"), "Patient").is_err());
    }

    #[test]
    fn what_is_written_is_json_of_the_type_it_says() {
        for (number, kind) in KINDS.iter().enumerate() {
            let body = resource(kind, number as u64 * 37, Some("x"));
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["resourceType"], *kind);
            assert_eq!(body["id"], "x");
        }
    }
}
