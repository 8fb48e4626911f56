//! `POST /reconcile` and `GET /reconcile` on the admin listener: compares the record with the locator,
//! and says how far that is. Numbers are shown to who asks with `?numbers=true` only.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::Hub;
use crate::error::HubError;
use crate::reindex::admin::json;

/// What was asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Demanded {
    /// The comparison that is meant.
    pub number: u64,
}

#[derive(Debug, Deserialize)]
struct Shown {
    #[serde(default)]
    numbers: bool,
}

/// The routes.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/reconcile", get(status).post(demand)).with_state(hub)
}

async fn demand(State(hub): State<Arc<Hub>>) -> Result<Response, HubError> {
    if hub.config.locator.is_none() {
        let text = "this hub's configuration has no [locator]: nothing is registered\n";
        return Ok((StatusCode::CONFLICT, text).into_response());
    }
    json(&Demanded { number: hub.reconciliation.demand() })
}

async fn status(
    State(hub): State<Arc<Hub>>,
    Query(shown): Query<Shown>,
) -> Result<Response, HubError> {
    let mut status = hub.reconciliation.status();
    if !shown.numbers {
        status.report.parked_numbers.clear();
    }
    json(&status)
}
