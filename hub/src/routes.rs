//! What the hub offers: URL -> interaction. The router and the CapabilityStatement are made from
//! [`offers`], so that they cannot disagree.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use service::caller::identify;
use service::encoding::compress;
use service::journal::record;
use service::negotiation::{json_only, json_or_binary};
use service::refusal::Refusal;
use service::{admin, caller::Gatekeeper};

use crate::Hub;
use crate::interaction::{
    self, bundle, capabilities, create, history, read, search, update, vread,
};
use crate::operation::{everything, lastn, meta, meta_add, meta_delete, validate};

/// One thing that the hub does.
#[derive(Debug)]
pub struct Offer {
    /// FHIR's codes for it; an operation's name begins with `$`, and an interaction's conditional
    /// form, which has no code, is `conditional-` and its code.
    /// <https://hl7.org/fhir/R4/valueset-type-restful-interaction.html>
    pub codes: &'static [&'static str],
    /// Where, below the base: `/{type}` stands for all types, `/Patient` for that one alone.
    pub url: &'static str,
    method: &'static str,
    handler: MethodRouter<Arc<Hub>>,
}

/// Everything that is offered to a caller of the record.
pub fn offers() -> Vec<Offer> {
    let offer = |codes, method, url, handler| Offer { codes, url, method, handler };
    vec![
        offer(&["transaction", "batch"], "POST", "", post(bundle::bundle)),
        offer(&["history-system"], "GET", "/_history", get(history::system)),
        offer(&["search-system"], "GET", "", get(search::get)),
        offer(&["search-system"], "POST", "/_search", post(search::post)),
        offer(&["search-type"], "GET", "/{type}", get(search::get)),
        offer(&["search-type"], "POST", "/{type}/_search", post(search::post)),
        offer(&["search-type"], "GET", "/{type}/{id}/{member}", get(search::get)),
        offer(&["search-type"], "POST", "/{type}/{id}/{member}/_search", post(search::post)),
        offer(&["create", "conditional-create"], "POST", "/{type}", post(create::create)),
        offer(&["conditional-update"], "PUT", "/{type}", put(update::conditional)),
        offer(&["conditional-patch"], "PATCH", "/{type}", patch(interaction::patch::conditional)),
        offer(
            &["conditional-delete"],
            "DELETE",
            "/{type}",
            delete(interaction::delete::conditional),
        ),
        offer(&["history-type"], "GET", "/{type}/_history", get(history::of_type)),
        offer(&["read"], "GET", "/{type}/{id}", get(read::read)),
        offer(&["update"], "PUT", "/{type}/{id}", put(update::update)),
        offer(&["patch"], "PATCH", "/{type}/{id}", patch(interaction::patch::patch)),
        offer(&["delete"], "DELETE", "/{type}/{id}", delete(interaction::delete::delete)),
        offer(&["history-instance"], "GET", "/{type}/{id}/_history", get(history::instance)),
        offer(&["vread"], "GET", "/{type}/{id}/_history/{vid}", get(vread::vread)),
        offer(&["$everything"], "GET", "/Patient/{id}/$everything", get(everything::patient)),
        offer(&["$everything"], "POST", "/Patient/{id}/$everything", post(everything::patient)),
        offer(&["$everything"], "GET", "/Encounter/{id}/$everything", get(everything::encounter)),
        offer(&["$everything"], "POST", "/Encounter/{id}/$everything", post(everything::encounter)),
        offer(&["$lastn"], "GET", "/Observation/$lastn", get(lastn::lastn)),
        offer(&["$lastn"], "POST", "/Observation/$lastn", post(lastn::lastn)),
        offer(&["$validate"], "POST", "/{type}/$validate", post(validate::of_type)),
        offer(&["$validate"], "POST", "/{type}/{id}/$validate", post(validate::instance)),
        offer(&["$meta"], "GET", "/{type}/{id}/$meta", get(meta::meta)),
        offer(&["$meta-add"], "POST", "/{type}/{id}/$meta-add", post(meta_add::meta_add)),
        offer(
            &["$meta-delete"],
            "POST",
            "/{type}/{id}/$meta-delete",
            post(meta_delete::meta_delete),
        ),
    ]
}

/// Everything the hub answers.
pub fn router(hub: Arc<Hub>) -> Router {
    let gatekeeper = Gatekeeper::new(hub.config.security.mode, &hub.config.region);
    let base = routed(offers())
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

/// A route for each URL, which takes the methods that are offered there and no other.
fn routed(mut offers: Vec<Offer>) -> Router<Arc<Hub>> {
    let mut router = Router::new();
    while let Some(url) = offers.first().map(|offer| offer.url) {
        let (here, rest): (Vec<Offer>, Vec<Offer>) =
            offers.into_iter().partition(|offer| offer.url == url);
        let mut methods: Vec<&str> = here.iter().map(|offer| offer.method).collect();
        methods.dedup();
        let methods = methods.join(", ");
        let handler = here.into_iter().map(|offer| offer.handler).reduce(MethodRouter::merge);
        let handler = only(methods, handler.unwrap_or_default());
        if url.is_empty() {
            router = router.route("/FHIR/R4/", handler.clone());
        }
        router = router.route(&format!("/FHIR/R4{url}"), handler);
        offers = rest;
    }
    router
}

/// The interactions alone, for the entries of a Bundle: who asks is known, and its own line in the
/// journal names them.
pub fn interactions(hub: Arc<Hub>) -> Router {
    routed(offers()).with_state(hub).fallback(async || Refusal::no_such_url())
}

/// Refuses other methods in FHIR's own terms.
fn only<S: Clone + Send + Sync + 'static>(
    methods: impl Into<String>,
    route: MethodRouter<S>,
) -> MethodRouter<S> {
    let refusal = Refusal::method_not_allowed(&methods.into());
    route.fallback(async move || refusal)
}
