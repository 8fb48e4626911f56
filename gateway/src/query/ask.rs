//! The gateway's own searches, asked without a port: through the same routes, and so checked and
//! journalled as any other.

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use fhir::outcome::{Issue, IssueCode, OperationOutcome, Severity};
use futures::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Response};
use serde::Deserialize;
use service::negotiation::Streamed;
use service::program::ProgramError;
use tokio::sync::mpsc::UnboundedSender;
use tower::ServiceExt;

use crate::kind::Kind;
use crate::tally::COMPLETE;

/// One search.
#[derive(Debug)]
pub struct Asked {
    /// What is asked for.
    pub kind: &'static Kind,
    /// Its parameters, as a form.
    pub form: String,
}

/// Asks.
#[derive(Debug)]
pub struct Asker {
    /// The gateway's routes.
    pub router: Router,
}

/// What is learnt while regions answer.
#[derive(Debug)]
pub enum Update {
    /// These are asked.
    Pending(Vec<Named>),
    /// This one has ended.
    Region(RegionEnded),
}

/// A region that is asked.
#[derive(Debug, Deserialize)]
pub struct Named {
    /// Its organisation code.
    pub ods: String,
    /// What people call it.
    pub name: String,
}

/// How a region ended.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionEnded {
    /// Its organisation code.
    pub ods: String,
    /// What people call it, if it is in the directory.
    pub name: Option<String>,
    /// The code of how it ended.
    pub status: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How many matches it holds.
    pub count: usize,
}

/// A search's answer, read.
#[derive(Debug)]
pub struct Answered {
    /// What was asked for.
    pub kind: &'static Kind,
    /// The entries, as JSON.
    pub entries: Vec<String>,
    /// Whether everything that matches is among them.
    pub complete: bool,
    /// What the answer says about itself, or why there is none.
    pub issues: Vec<Issue>,
    /// There is none.
    pub refused: bool,
}

/// An ordinary answer as it came.
#[derive(Debug)]
pub struct Whole {
    /// The body.
    pub body: Bytes,
    /// Whether it is a Bundle.
    pub is_bundle: bool,
    /// What its headers say of completeness, if they do.
    pub complete: Option<bool>,
}

#[derive(Deserialize)]
struct Pending {
    regions: Vec<Named>,
}

#[derive(Deserialize)]
struct Ended {
    complete: bool,
    outcome: OperationOutcome,
}

impl Asker {
    /// Asks for an ordinary answer.
    pub async fn whole(&self, asked: &Asked) -> Result<Whole, ProgramError> {
        let response = self.send(asked, fhir::FHIR_JSON).await;
        let complete = response.headers().get(COMPLETE).map(|value| value == "true");
        let is_bundle = response.status().is_success();
        Ok(Whole { body: read(response).await?, is_bundle, complete })
    }

    /// Asks for an answer in parts, and tells of regions as they end.
    pub async fn parts(
        &self,
        asked: &Asked,
        updates: UnboundedSender<Update>,
    ) -> Result<Answered, ProgramError> {
        let response = self.send(asked, Streamed::EventStream.media()).await;
        let mut answered = Answered {
            kind: asked.kind,
            entries: Vec::new(),
            complete: false,
            issues: Vec::new(),
            refused: !response.status().is_success(),
        };
        if answered.refused {
            let outcome: OperationOutcome = parse(&read(response).await?)?;
            answered.issues = outcome.issue;
            return Ok(answered);
        }
        let mut parts = response.into_body().into_data_stream();
        let mut ended = false;
        while let Some(Ok(part)) = parts.next().await {
            let text = std::str::from_utf8(&part).map_err(reading)?;
            // Each part is whole events.
            for event in text.split_terminator("\n\n") {
                ended |= answered.take(event, &updates)?;
            }
        }
        if !ended {
            answered.complete = false;
            let text = format!("The answer about {} broke off.", asked.kind.name());
            answered.issues.push(Issue::new(Severity::Error, IssueCode::Incomplete, text));
        }
        Ok(answered)
    }

    async fn send(&self, asked: &Asked, accept: &'static str) -> Response<Body> {
        let request = Request::post(format!("/FHIR/R4/{}/_search", asked.kind.name()))
            .header(ACCEPT, accept)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(asked.form.clone()))
            .expect("a type's name and constants make a request");
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }
}

impl Answered {
    /// Takes an event; whether it was the last.
    fn take(
        &mut self,
        event: &str,
        updates: &UnboundedSender<Update>,
    ) -> Result<bool, ProgramError> {
        let mut lines = event.lines();
        let name = lines.next().and_then(|line| line.strip_prefix("event: ")).unwrap_or_default();
        let data: Vec<_> = lines.filter_map(|line| line.strip_prefix("data: ")).collect();
        let data = data.join("\n");
        // Who looks on may have stopped looking.
        match name {
            "pending" => {
                let pending: Pending = parse(data.as_bytes())?;
                let _ = updates.send(Update::Pending(pending.regions));
            }
            "region" => {
                let _ = updates.send(Update::Region(parse(data.as_bytes())?));
            }
            "entry" => self.entries.push(data),
            "complete" => {
                let ended: Ended = parse(data.as_bytes())?;
                (self.complete, self.issues) = (ended.complete, ended.outcome.issue);
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }
}

async fn read(response: Response<Body>) -> Result<Bytes, ProgramError> {
    // What each region may contribute is what bounds it.
    to_bytes(response.into_body(), usize::MAX).await.map_err(reading)
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ProgramError> {
    serde_json::from_slice(json).map_err(reading)
}

fn reading(error: impl std::fmt::Display) -> ProgramError {
    ProgramError::failed("reading the answer", error)
}
