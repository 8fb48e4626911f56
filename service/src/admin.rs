//! Health: `/live` and `/ready` for everyone, detail and metrics on the admin listener alone.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;

/// One thing a service needs before it can serve.
#[derive(Debug, Clone)]
pub struct Check {
    /// What is checked: `store`, `draining`, …
    pub name: &'static str,
    /// What is wrong with it, if anything.
    pub problem: Option<String>,
}

/// A service that can say how it is.
pub trait Health: Send + Sync + 'static {
    /// What must hold for the service to be ready. Other services being down is not among it.
    fn checks(&self) -> impl Future<Output = Vec<Check>> + Send;

    /// Metrics in the Prometheus text format; no label ever holds patient data.
    fn metrics(&self) -> impl Future<Output = String> + Send;
}

impl<H: Health> Health for Arc<H> {
    async fn checks(&self) -> Vec<Check> {
        H::checks(self).await
    }

    async fn metrics(&self) -> String {
        H::metrics(self).await
    }
}

/// `/live` and `/ready`, without detail.
pub fn probes<H: Health + Clone>(health: H) -> Router {
    Router::new()
        .route("/live", get(async || StatusCode::OK))
        .route("/ready", get(async |State(health): State<H>| readiness(&health.checks().await).0))
        .with_state(health)
}

/// The admin listener's routes: `/live`, `/ready` with detail, `/metrics`.
pub fn router<H: Health + Clone>(health: H) -> Router {
    Router::new()
        .route("/live", get(async || StatusCode::OK))
        .route("/ready", get(async |State(health): State<H>| readiness(&health.checks().await)))
        .route("/metrics", get(metrics::<H>))
        .with_state(health)
}

async fn metrics<H: Health + Clone>(State(health): State<H>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], health.metrics().await).into_response()
}

fn readiness(checks: &[Check]) -> (StatusCode, String) {
    let ready = checks.iter().all(|check| check.problem.is_none());
    let line =
        |check: &Check| format!("{}: {}\n", check.name, check.problem.as_deref().unwrap_or("ok"));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, checks.iter().map(line).collect())
}
