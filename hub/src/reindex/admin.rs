//! `POST /reindex` and `GET /reindex` on the admin listener: begins the index anew, and says how far it
//! is.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use service::refusal::Refusal;

use super::begin;
use super::take_up::TakenUp;
use crate::Hub;
use crate::error::HubError;
use crate::store::Store;

/// How far the index is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How often it was begun.
    pub generation: i64,
    /// How much of it is done: 100 only if it is whole.
    pub percent: u8,
    /// Resources that were put into it, or passed over as deleted, since it was begun.
    pub walked: i64,
}

/// What was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begun {
    /// The record's own search parameters.
    #[serde(flatten)]
    pub taken_up: TakenUp,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

impl Progress {
    /// What is known of a record now.
    pub fn of(store: &Store) -> Self {
        let known = store.generation();
        let standing = known.standing;
        let (generation, percent) = (standing.generation, standing.percent());
        Self { generation, percent, walked: known.done }
    }

    /// Whether nothing is left to do.
    pub fn is_whole(&self) -> bool {
        self.percent == 100
    }
}

/// The routes.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/reindex", get(progress).post(reindex)).with_state(hub)
}

async fn reindex(State(hub): State<Arc<Hub>>) -> Result<Response, HubError> {
    let taken_up = begin(&hub).await?;
    json(&Begun { taken_up, progress: Progress::of(&hub.store) })
}

async fn progress(State(hub): State<Arc<Hub>>) -> Result<Response, HubError> {
    hub.store.refresh().await?;
    json(&Progress::of(&hub.store))
}

/// An answer as JSON.
pub(crate) fn json(answer: &impl Serialize) -> Result<Response, HubError> {
    let json = serde_json::to_vec_pretty(answer).map_err(|error| Refusal::internal(&error))?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}
