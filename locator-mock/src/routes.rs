//! URL to interaction.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::header::ALLOW;
use http::{HeaderValue, StatusCode};
use service::admin;

use crate::error::LocatorError;
use crate::{Locator, consumer, producer};

const PRODUCER: &str = "/producer/FHIR/R4";
const CONSUMER: &str = "/consumer/FHIR/R4";

/// The locator's routes. The NRL answers HEAD with 405 everywhere.
pub fn router(locator: Locator) -> Router {
    let producer = Router::new()
        .route("/_status", only("GET", get(status)))
        .route(
            "/DocumentReference",
            only("GET,POST", get(producer::search).post(producer::create).put(producer::upsert)),
        )
        .route("/DocumentReference/_search", only("POST", post(producer::search_by_post)))
        .route(
            "/DocumentReference/{id}",
            only("GET,DELETE", get(producer::read).put(producer::update).delete(producer::delete)),
        );
    let consumer = Router::new()
        .route("/_status", only("GET", get(status)))
        .route("/DocumentReference", only("GET", get(consumer::search)))
        .route("/DocumentReference/_search", only("POST", post(consumer::search_by_post)))
        .route("/DocumentReference/_count", only("GET", get(consumer::count)))
        .route("/DocumentReference/{id}", only("GET", get(consumer::read)));
    Router::new()
        .nest(PRODUCER, producer)
        .nest(CONSUMER, consumer)
        .route("/_status", only("GET", get(status)))
        .fallback(async || LocatorError::NoSuchUrl)
        .with_state(locator.clone())
        .merge(admin::probes(locator))
}

/// Refuses every other method; HEAD without a body.
fn only(allow: &'static str, methods: MethodRouter<Locator>) -> MethodRouter<Locator> {
    let head = async move || -> Response {
        let allow = [(ALLOW, HeaderValue::from_static(allow))];
        (StatusCode::METHOD_NOT_ALLOWED, allow).into_response()
    };
    methods.head(head).fallback(async move || LocatorError::MethodNotAllowed(allow))
}

/// `GET /_status`, which needs no caller.
async fn status(axum::extract::State(locator): axum::extract::State<Locator>) -> Response {
    match locator.registry().ping().await {
        Ok(()) => (StatusCode::OK, "OK").into_response(),
        Err(error) => {
            tracing::error!(cause = %error, "the store failed");
            (StatusCode::SERVICE_UNAVAILABLE, "Service unavailable").into_response()
        }
    }
}
