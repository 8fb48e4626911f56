//! Lawful erasure: `hub purge` takes the content of every version of a resource away, and what it was
//! found by. That there were versions stays known, and the audit trail says who took them away and why.
//!
//! The resource ends with a deletion, so a read answers 410; its unique identifiers are free, and the
//! locator is told as after any deletion. Words that it was found by stay in the dictionary of all words,
//! which says of no one that they are theirs. Backups still hold what was taken away, and so do free pages
//! that earlier versions left behind, until SQLite uses them again or PostgreSQL's are vacuumed.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use clap::Args;
use fhir::definitions::ResourceType;
use fhir::outcome::IssueCode;
use fhir::reference::is_id;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use service::caller::Caller;
use service::clock::Clock;
use service::correlation::Correlation;
use service::program::ProgramError;
use service::refusal::Refusal;

use crate::Hub;
use crate::command::{Asked, Unasked};
use crate::config::HubConfig;
use crate::custody::{Custodian, Hand};
use crate::error::HubError;
use crate::reindex::admin::json;
use crate::store::write::{Action, Write};

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1_000;

/// What is to be erased, and why.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct Order {
    /// The resource: its type, a slash and its id
    pub resource: String,
    /// Why. It is kept in the audit trail: name no one in it
    #[arg(long)]
    pub reason: String,
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// The resource.
    pub resource: String,
    /// How many of its versions have no content now, beside the deletion that was added.
    pub versions: i64,
}

impl fmt::Display for Purged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} versions erased", self.resource, self.versions)
    }
}

/// Erases a resource of the configured record: a hub that serves it is asked to; if none does, it is
/// opened.
///
/// # Errors
/// If there is no such resource, or neither a hub can be asked nor the record be opened.
pub async fn run(config: HubConfig, clock: Clock, order: &Order) -> Result<Purged, ProgramError> {
    config.check()?;
    let failed = |error: &dyn fmt::Display| ProgramError::failed("erasing", error);
    let asked = Asked::new(&config, "purge")?;
    let body = serde_json::to_vec(order).map_err(|error| failed(&error))?;
    match asked.send(asked.client.post(&asked.url).body(body)).await {
        Ok(purged) => return Ok(purged),
        Err(Unasked::Failed(text)) => return Err(ProgramError::Failed(text)),
        Err(Unasked::NoOne) => {}
    }
    let hub = Hub::open(config, clock).await.map_err(|error| asked.instead_of(error))?;
    let purged = purge(&hub, order).await;
    hub.store.close().await;
    purged.map_err(|error| match error {
        HubError::Refused(refusal) => failed(&String::from_utf8_lossy(&refusal.outcome.to_json())),
        error => failed(&error),
    })
}

/// `POST /purge` on the admin listener.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/purge", post(ask)).with_state(hub)
}

async fn ask(State(hub): State<Arc<Hub>>, body: Bytes) -> Result<Response, HubError> {
    let order: Order = serde_json::from_slice(&body).map_err(|_| {
        let text = "Send {\"resource\": \"Type/id\", \"reason\": \"…\"}.";
        Refusal::bad_request(IssueCode::Structure, text)
    })?;
    json(&purge(&hub, &order).await?)
}

/// Erases a resource in one transaction.
pub async fn purge(hub: &Hub, Order { resource, reason }: &Order) -> Result<Purged, HubError> {
    let refused = |text: &str| Refusal::bad_request(IssueCode::Value, text);
    let reason = reason.trim();
    if !(1..=REASON_BYTES_MAX).contains(&reason.len()) {
        return Err(refused("The reason must have 1 to 1000 bytes.").into());
    }
    let parts = resource.split_once('/').filter(|(_, id)| is_id(id));
    let parts = parts.and_then(|(name, id)| Some((name.parse::<ResourceType>().ok()?, id)));
    let Some((resource_type, id)) = parts else {
        return Err(refused("Name the resource by its type and id: Patient/4f1c.").into());
    };
    if hub.store.read(resource_type, id).await?.is_none() {
        return Err(HubError::NotFound { resource_type });
    }
    let ods = Arc::new(hub.config.region.ods.clone());
    let caller = Caller::own(ods, Correlation::of(&HeaderMap::new()));
    let (id, hand) = (id.to_owned(), Hand::hubs(Custodian::default()));
    let write = Write { resource_type, id, action: Action::Erase, if_match: None, hand };
    let written = hub.erase(&caller, write, reason).await?;
    let versions = written.version.map_or(0, |version| version.version - 1);
    Ok(Purged { resource: resource.clone(), versions })
}
