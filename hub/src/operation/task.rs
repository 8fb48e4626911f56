//! `$receive`, `$accept`, `$reject` and `$log-disagreement`: `POST [base]/Task/[id]/$…`. Our own, for
//! Tasks by which one organisation asks another for something: see [`task`](crate::custody::task).
//!
//! What is accepted is done in the same transaction that completes the Task.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use fhir::identifier::OdsCode;
use fhir::instant::format_instant;
use fhir::outcome::{Issue, IssueCode};
use fhir::tree::Tree;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use service::answer::Answer;
use service::caller::Caller;
use service::journal::InStore;
use service::parameters::Input;
use service::refusal::Refusal;

use crate::Hub;
use crate::address::Id;
use crate::custody::task::{Changes, Kind, TASK, concept, kind, organisation, party, stored, with};
use crate::custody::{Hand, amendment, transfer};
use crate::error::HubError;
use crate::interaction::footing::{Footing, Patience};
use crate::store::write::{Action, Write};

/// Longest reason or note, in bytes.
const REASON_BYTES_MAX: usize = 4_096;

/// The owner has taken note of a Task.
pub async fn receive(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Id(id): Id,
) -> Result<Answer, HubError> {
    settle(&hub, &caller, &id, &Verb::Receive).await
}

/// The owner agrees: what the Task asks for is done.
pub async fn accept(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Id(id): Id,
) -> Result<Answer, HubError> {
    settle(&hub, &caller, &id, &Verb::Accept).await
}

/// The owner does not agree, and says why.
pub async fn reject(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Id(id): Id,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let reason = reason(query, &headers, body).await?;
    settle(&hub, &caller, &id, &Verb::Reject(reason)).await
}

/// The requester of what was rejected has it written down that it thinks otherwise.
pub async fn log_disagreement(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Id(id): Id,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let reason = reason(query, &headers, body).await?;
    settle(&hub, &caller, &id, &Verb::Disagree(reason)).await
}

/// The parameter `reason`, which must be there.
async fn reason(query: Option<String>, headers: &HeaderMap, body: Body) -> Result<String, Refusal> {
    let pairs = Input::read(query.as_deref(), headers, body).await?.pairs;
    let mut reasons = pairs.into_iter().filter(|(name, _)| name == "reason");
    match (reasons.next(), reasons.next()) {
        (Some((_, reason)), None)
            if !reason.trim().is_empty() && reason.len() <= REASON_BYTES_MAX =>
        {
            Ok(reason)
        }
        _ => {
            let text = format!(
                "Say why, in Parameters with one parameter named reason that has a valueString of at \
                 most {REASON_BYTES_MAX} bytes."
            );
            let issue = Issue::error(IssueCode::Required, text).at("reason");
            Err(Refusal::bad_request_issue(issue))
        }
    }
}

/// What is done to a Task.
#[derive(Debug)]
enum Verb {
    Receive,
    Accept,
    Reject(String),
    Disagree(String),
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Accept => "accept",
            Self::Reject(_) => "reject",
            Self::Disagree(_) => "log-disagreement",
        }
    }

    /// The member that says whose it is to do, and in which states.
    fn whose(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Receive => ("owner", &["requested"]),
            Self::Accept => ("owner", &["requested", "received"]),
            Self::Reject(_) => ("owner", &["requested", "received", "on-hold"]),
            Self::Disagree(_) => ("requester", &["rejected"]),
        }
    }

    /// Refuses it to others, and when it is too late or too early.
    fn permit(&self, task: &Tree<'_>, caller: &OdsCode) -> Result<(), Refusal> {
        let (member, states) = self.whose();
        let is = |member| party(task, member).is_some_and(|party| party == *caller);
        if !is(member) || (member == "owner" && is("requester")) {
            let text =
                format!("${} is for the Task's {member} to ask, and no one else.", self.name());
            return Err(Refusal::error(StatusCode::FORBIDDEN, IssueCode::Forbidden, text));
        }
        let status = task.text("status").unwrap_or_default();
        if states.contains(&status) {
            return Ok(());
        }
        let text = format!(
            "The Task is {status}, and ${} is for one that is {}.",
            self.name(),
            states.join(" or ")
        );
        let issue = Issue::error(IssueCode::Conflict, text).at("Task.status");
        Err(Refusal::new(StatusCode::CONFLICT, issue))
    }
}

/// What becomes of a Task, and what is written with it.
#[derive(Debug, Default)]
pub struct Settled {
    writes: Vec<Write>,
    changes: Changes,
    /// Why what was asked is not done.
    refusal: Option<String>,
}

impl Settled {
    /// It is done by these writes; `results` are references to what came of it.
    pub fn completed(writes: Vec<Write>, results: &[String]) -> Self {
        let output = |reference: &String| json!({"type": concept("result"), "valueReference": {"reference": reference}});
        let outputs = json!(results.iter().map(output).collect::<Vec<Value>>());
        let changes = vec![status("completed"), ("output", Some(outputs.to_string()))];
        Self { writes, changes, refusal: None }
    }

    /// It cannot be done any more.
    pub fn on_hold(why: &str) -> Self {
        let changes = vec![status("on-hold"), said(why)];
        Self { changes, refusal: Some(why.to_owned()), ..Self::default() }
    }
}

fn status(code: &str) -> (&'static str, Option<String>) {
    ("status", Some(json!(code).to_string()))
}

fn said(reason: &str) -> (&'static str, Option<String>) {
    ("statusReason", Some(json!({"text": reason}).to_string()))
}

async fn settle(hub: &Hub, caller: &Caller, id: &str, verb: &Verb) -> Result<Answer, HubError> {
    let mut patience = Patience::default();
    loop {
        match attempt(hub, caller, id, verb).await {
            Err(error) if patience.bears(&error) => patience.pause().await,
            result => return result,
        }
    }
}

async fn attempt(hub: &Hub, caller: &Caller, id: &str, verb: &Verb) -> Result<Answer, HubError> {
    let mut footing = Footing::new(hub, caller);
    let held = footing.pin(TASK, id).await?.ok_or(HubError::NotFound { resource_type: TASK })?;
    let body = held.version.body.ok_or(HubError::Deleted { resource_type: TASK })?;
    let task = Tree::parse(&body).map_err(|error| Refusal::internal(&error))?;
    let kind = kind(&task, "Task")?;
    verb.permit(&task, &caller.organisation)?;
    let now = json!(format_instant(hub.clock.now_micros()));
    let Settled { mut writes, mut changes, refusal } = match (verb, kind) {
        (Verb::Accept, Kind::Amendment) => amendment::accept(&mut footing, (id, &task)).await?,
        (Verb::Accept, Kind::Transfer) => transfer::accept(&mut footing, (id, &task)).await?,
        (Verb::Receive, _) => Settled { changes: vec![status("received")], ..Settled::default() },
        (Verb::Reject(reason), _) => {
            Settled { changes: vec![status("rejected"), said(reason)], ..Settled::default() }
        }
        (Verb::Disagree(text), _) => {
            let notes = noted(&task, caller.organisation.as_str(), &now, text);
            Settled { changes: vec![("note", Some(notes))], ..Settled::default() }
        }
    };
    changes.push(("lastModified", Some(now.to_string())));
    let text = with(&body, changes).map_err(|error| Refusal::internal(&error))?;
    let content = stored(hub, id, &text, &held.custodian)?;
    let action = Action::Update { content, may_create: false };
    let (hand, if_match) = (Hand::hubs(held.custodian), Some(held.version.version));
    writes.push(Write { resource_type: TASK, id: id.to_owned(), action, if_match, hand });
    let written = hub.write(caller, verb.name(), writes, footing.expected(), None).await?;
    if let Some(text) = refusal {
        return Err(Refusal::error(StatusCode::CONFLICT, IssueCode::Conflict, text).into());
    }
    let version = written.into_iter().last().and_then(|written| written.version);
    let version = version.ok_or(HubError::NotFound { resource_type: TASK })?;
    let body = version.body.ok_or(HubError::Deleted { resource_type: TASK })?;
    let answer = Answer::resource(StatusCode::OK, body);
    Ok(answer.versioned(version.version, version.updated).noting(InStore))
}

/// A Task's notes and one more.
fn noted(task: &Tree<'_>, author: &str, now: &Value, text: &str) -> String {
    let mut notes = vec![b'['];
    for note in task.get("note").map_or(&[][..], Tree::items) {
        note.write(&mut notes);
        notes.push(b',');
    }
    let note = json!({"authorReference": organisation(author), "time": now, "text": text});
    notes.extend_from_slice(note.to_string().as_bytes());
    notes.push(b']');
    String::from_utf8(notes).expect("JSON text is UTF-8")
}
