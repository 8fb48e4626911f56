//! batch and transaction: `POST [base]`. <https://hl7.org/fhir/R4/http.html#transaction>
//!
//! | room | what lives there |
//! |---|---|
//! | [`incoming`] | the Bundle's text taken apart |
//! | [`entry`] | what an entry asks for |
//! | [`batch`] | each entry on its own |
//! | [`transaction`] | all entries or none |
//! | [`parsed`], [`roles`], [`prepared`] | its steps: validated; where each entry leads; ready to be written |
//! | [`ask`] | entries that read, put to the hub's own routes |
//! | [`response`] | the Bundle that answers |
//! | [`load`] | a transaction that the operator imports |

mod ask;
mod batch;
mod entry;
mod incoming;
pub(crate) mod load;
mod parsed;
mod prepared;
mod response;
mod roles;
mod transaction;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use fhir::outcome::{Issue, IssueCode};
use http::HeaderMap;
use service::answer::Answer;
use service::body::{BUNDLE_BYTES_MAX, json};
use service::caller::Caller;
use service::refusal::Refusal;

use super::preconditions::{IF_NONE_EXIST, refuse};
use crate::Hub;
use crate::error::HubError;
use incoming::Incoming;

/// Does what the entries of a Bundle ask for: each on its own, or all or nothing.
pub async fn bundle(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    refuse(&headers, &["If-Match", "If-None-Match", IF_NONE_EXIST])?;
    let text = json(&headers, body, BUNDLE_BYTES_MAX).await?;
    let incoming = blocking(move || Incoming::read(text)).await??;
    match incoming.kind.as_str() {
        "transaction" => transaction::transaction(hub, caller, &headers, incoming).await,
        "batch" => batch::batch(hub, caller, &headers, incoming).await,
        _ => {
            let text = "Only Bundles of type batch or transaction are processed here.";
            Err(at("Bundle.type", IssueCode::NotSupported, text).into())
        }
    }
}

/// Runs what takes milliseconds where no one else waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Refusal::internal(&error))
}

fn expression(place: usize) -> String {
    format!("Bundle.entry[{place}]")
}

fn at(expression: impl Into<String>, code: IssueCode, text: &str) -> Refusal {
    Refusal::bad_request_issue(Issue::error(code, text).at(expression))
}

/// Names the entry that a refusal is about, before what it names already.
fn within(place: usize, part: &str, error: impl Into<Refusal>) -> Refusal {
    let mut refusal = error.into();
    for issue in &mut refusal.outcome.issue {
        if !issue.expression.iter().any(|named| named.starts_with("Bundle.entry[")) {
            issue.expression.insert(0, format!("{}{part}", expression(place)));
        }
    }
    refusal
}
