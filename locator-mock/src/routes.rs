//! URL to interaction.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use fhir::FHIR_JSON;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use service::correlation::{CORRELATION_ID, REQUEST_ID};

use crate::error::LocatorError;
use crate::{Locator, consumer, fault, producer, token};

const PRODUCER: &str = "/producer/FHIR/R4";
const CONSUMER: &str = "/consumer/FHIR/R4";
/// FHIR JSON, by the version of the NRL's API.
const NRL_JSON: &str = "application/fhir+json;version=1";

/// The locator's routes. The NRL answers HEAD with 405 everywhere.
pub fn router(locator: Locator) -> Router {
    let producer = Router::new()
        .route("/_ping", only("GET", get(ping)))
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
        .route("/_ping", only("GET", get(ping)))
        .route("/_status", only("GET", get(status)))
        .route("/DocumentReference", only("GET", get(consumer::search)))
        .route("/DocumentReference/_search", only("POST", post(consumer::search_by_post)))
        .route("/DocumentReference/_count", only("GET", get(consumer::count)))
        .route("/DocumentReference/{id}", only("GET", get(consumer::read)));
    Router::new()
        .nest(PRODUCER, producer)
        .nest(CONSUMER, consumer)
        .merge(token::routes())
        .route("/_status", only("GET", get(status)))
        .fallback(async || LocatorError::NoSuchUrl)
        .layer(from_fn_with_state(locator.clone(), fault::interfere))
        .layer(from_fn(dress))
        .with_state(locator.clone())
        .merge(service::admin::probes(locator))
}

/// The admin listener's routes: health, metrics and `/faults`.
pub fn admin(locator: Locator) -> Router {
    service::admin::router(locator.clone()).merge(fault::routes(locator))
}

/// Middleware: the media type the NRL has, and the caller's ids as they were sent.
async fn dress(request: Request, next: Next) -> Response {
    let ids = [REQUEST_ID, CORRELATION_ID].map(|name| request.headers().get(&name).cloned());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if headers.get(CONTENT_TYPE).is_some_and(|media| media == FHIR_JSON) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(NRL_JSON));
    }
    for (name, id) in [REQUEST_ID, CORRELATION_ID].into_iter().zip(ids) {
        if let Some(id) = id {
            headers.insert(name, id);
        }
    }
    response
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
async fn status(State(locator): State<Locator>) -> Response {
    match locator.registry().ping().await {
        Ok(()) => (StatusCode::OK, "OK").into_response(),
        Err(error) => {
            tracing::error!(cause = %error, "the store failed");
            (StatusCode::SERVICE_UNAVAILABLE, "Service unavailable").into_response()
        }
    }
}

/// `GET /_ping`, which needs no caller: which version answers.
async fn ping() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let body = format!(r#"{{"version":"{version}","revision":"1","releaseId":"","commitId":""}}"#);
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
