//! URL -> interaction.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use service::caller::identify;
use service::encoding::compress;
use service::journal::record;
use service::negotiation::{json_only, json_or_binary};
use service::refusal::Refusal;
use service::{admin, caller::Gatekeeper};

use crate::Hub;
use crate::interaction::{
    capabilities, create, delete, history, read, search, transaction, update, vread,
};

/// Everything the hub answers.
pub fn router(hub: Arc<Hub>) -> Router {
    let gatekeeper = Gatekeeper::new(hub.config.security.mode, &hub.config.region);
    let base = Router::new()
        .route("/FHIR/R4", only("GET, POST", get(search::get).post(transaction::transaction)))
        .route("/FHIR/R4/", only("GET, POST", get(search::get).post(transaction::transaction)))
        .route("/FHIR/R4/_search", only("POST", post(search::post)))
        .route("/FHIR/R4/_history", only("GET", get(history::system)))
        .route("/FHIR/R4/{type}", only("GET, POST", get(search::get).post(create::create)))
        .route("/FHIR/R4/{type}/_history", only("GET", get(history::of_type)))
        .route("/FHIR/R4/{type}/_search", only("POST", post(search::post)))
        .route(
            "/FHIR/R4/{type}/{id}",
            only("GET, PUT, DELETE", get(read::read).put(update::update).delete(delete::delete)),
        )
        .route("/FHIR/R4/{type}/{id}/{member}", only("GET", get(search::get)))
        .route("/FHIR/R4/{type}/{id}/{member}/_search", only("POST", post(search::post)))
        .route("/FHIR/R4/{type}/{id}/_history", only("GET", get(history::instance)))
        .route("/FHIR/R4/{type}/{id}/_history/{vid}", only("GET", get(vread::vread)))
        .layer(from_fn(json_or_binary))
        .layer(from_fn_with_state(hub.journal.clone(), record))
        .layer(from_fn_with_state(gatekeeper, identify));
    let open = Router::new()
        .route("/FHIR/R4/metadata", only("GET", get(capabilities::capabilities)))
        .layer(from_fn(json_only));
    base.merge(open)
        .with_state(hub.clone())
        .merge(admin::probes(hub))
        .fallback(async || Refusal::no_such_url())
        .layer(from_fn(compress))
}

/// Refuses other methods in FHIR's own terms.
fn only<S: Clone + Send + Sync + 'static>(
    methods: &'static str,
    route: MethodRouter<S>,
) -> MethodRouter<S> {
    route.fallback(async move || Refusal::method_not_allowed(methods))
}
