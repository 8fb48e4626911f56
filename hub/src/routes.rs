//! What the hub offers: URL -> interaction. The router and the CapabilityStatement are made from
//! [`offers`], so that they cannot disagree. Each says what a caller's scopes must grant for it, which is
//! checked before anything else of the request is read; [`permission`](crate::interaction::permission)
//! asks for more where parameters and entries reach further.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use service::admin;
use service::caller::identify;
use service::caller::scope::{Needs, On, Rights, permit};
use service::encoding::compress;
use service::journal::record;
use service::limit::{Limiter, limit};
use service::negotiation::{json_only, json_or_binary};
use service::refusal::Refusal;

use crate::Hub;
use crate::audit::{disclosed, interaction as audit, witness};
use crate::interaction::{
    self, bundle, capabilities, create, history, read, search, update, vread,
};
use crate::operation::{everything, lastn, meta, meta_add, meta_delete, task, validate};

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

const C: Rights = Rights::CREATE;
const R: Rights = Rights::READ;
const U: Rights = Rights::UPDATE;
const D: Rights = Rights::DELETE;
const S: Rights = Rights::SEARCH;

/// What is needed on the type that the URL names.
const fn on_type(rights: Rights) -> Needs {
    Needs { rights, on: On::Part("type") }
}

const fn on(on: On, rights: Rights) -> Needs {
    Needs { rights, on }
}

/// Everything that is offered to a caller of the record.
pub fn offers() -> Vec<Offer> {
    [searches(), resources(), operations(), on_tasks()].into_iter().flatten().collect()
}

fn offer(
    codes: &'static [&'static str],
    method: &'static str,
    url: &'static str,
    needs: Needs,
    handler: MethodRouter<Arc<Hub>>,
) -> Offer {
    let handler = handler.layer(from_fn_with_state(needs, permit));
    Offer { codes, url, method, handler }
}

/// What concerns many resources at a time.
fn searches() -> Vec<Offer> {
    vec![
        offer(&["transaction", "batch"], "POST", "", on(On::Entries, R), post(bundle::bundle)),
        offer(
            &["history-system"],
            "GET",
            "/_history",
            on(On::Everything, R.and(S)),
            get(history::system),
        ),
        offer(&["search-system"], "GET", "", on(On::Everything, S), get(search::get)),
        offer(&["search-system"], "POST", "/_search", on(On::Everything, S), post(search::post)),
        offer(
            &["search-type"],
            "GET",
            "/AuditEvent",
            on(On::Named("AuditEvent"), S),
            get(audit::search),
        ),
        offer(
            &["search-type"],
            "POST",
            "/AuditEvent/_search",
            on(On::Named("AuditEvent"), S),
            post(audit::search_by_form),
        ),
        offer(&["search-type"], "GET", "/{type}", on_type(S), get(search::get)),
        offer(&["search-type"], "POST", "/{type}/_search", on_type(S), post(search::post)),
        offer(
            &["search-type"],
            "GET",
            "/{type}/{id}/{member}",
            on(On::Part("member"), S),
            get(search::get),
        ),
        offer(
            &["search-type"],
            "POST",
            "/{type}/{id}/{member}/_search",
            on(On::Part("member"), S),
            post(search::post),
        ),
    ]
}

/// What concerns one resource.
fn resources() -> Vec<Offer> {
    vec![
        offer(
            &["create", "conditional-create"],
            "POST",
            "/{type}",
            on_type(C),
            post(create::create),
        ),
        offer(
            &["conditional-update"],
            "PUT",
            "/{type}",
            on_type(U.and(S)),
            put(update::conditional),
        ),
        offer(
            &["conditional-patch"],
            "PATCH",
            "/{type}",
            on_type(U.and(S)),
            patch(interaction::patch::conditional),
        ),
        offer(
            &["conditional-delete"],
            "DELETE",
            "/{type}",
            on_type(D.and(S)),
            delete(interaction::delete::conditional),
        ),
        offer(&["history-type"], "GET", "/{type}/_history", on_type(S), get(history::of_type)),
        offer(
            &["read"],
            "GET",
            "/AuditEvent/{id}",
            on(On::Named("AuditEvent"), R),
            get(audit::read),
        ),
        offer(&["read"], "GET", "/{type}/{id}", on_type(R), get(read::read)),
        offer(&["update"], "PUT", "/{type}/{id}", on_type(U), put(update::update)),
        offer(&["patch"], "PATCH", "/{type}/{id}", on_type(U), patch(interaction::patch::patch)),
        offer(
            &["delete"],
            "DELETE",
            "/{type}/{id}",
            on_type(D),
            delete(interaction::delete::delete),
        ),
        offer(
            &["history-instance"],
            "GET",
            "/{type}/{id}/_history",
            on_type(R),
            get(history::instance),
        ),
        offer(&["vread"], "GET", "/{type}/{id}/_history/{vid}", on_type(R), get(vread::vread)),
    ]
}

fn operations() -> Vec<Offer> {
    vec![
        offer(
            &["$everything"],
            "GET",
            "/Patient/{id}/$everything",
            on(On::Everything, R.and(S)),
            get(everything::patient),
        ),
        offer(
            &["$everything"],
            "POST",
            "/Patient/{id}/$everything",
            on(On::Everything, R.and(S)),
            post(everything::patient),
        ),
        offer(
            &["$everything"],
            "GET",
            "/Encounter/{id}/$everything",
            on(On::Everything, R.and(S)),
            get(everything::encounter),
        ),
        offer(
            &["$everything"],
            "POST",
            "/Encounter/{id}/$everything",
            on(On::Everything, R.and(S)),
            post(everything::encounter),
        ),
        offer(
            &["$lastn"],
            "GET",
            "/Observation/$lastn",
            on(On::Type("Observation"), S),
            get(lastn::lastn),
        ),
        offer(
            &["$lastn"],
            "POST",
            "/Observation/$lastn",
            on(On::Type("Observation"), S),
            post(lastn::lastn),
        ),
        offer(&["$validate"], "POST", "/{type}/$validate", on_type(R), post(validate::of_type)),
        offer(
            &["$validate"],
            "POST",
            "/{type}/{id}/$validate",
            on_type(R),
            post(validate::instance),
        ),
        offer(&["$meta"], "GET", "/{type}/{id}/$meta", on_type(R), get(meta::meta)),
        offer(
            &["$meta-add"],
            "POST",
            "/{type}/{id}/$meta-add",
            on_type(R.and(U)),
            post(meta_add::meta_add),
        ),
        offer(
            &["$meta-delete"],
            "POST",
            "/{type}/{id}/$meta-delete",
            on_type(R.and(U)),
            post(meta_delete::meta_delete),
        ),
    ]
}

/// What organisations ask of each other.
fn on_tasks() -> Vec<Offer> {
    let needs = on(On::Type("Task"), R.and(U));
    vec![
        offer(&["$receive"], "POST", "/Task/{id}/$receive", needs, post(task::receive)),
        offer(&["$accept"], "POST", "/Task/{id}/$accept", needs, post(task::accept)),
        offer(&["$reject"], "POST", "/Task/{id}/$reject", needs, post(task::reject)),
        offer(
            &["$log-disagreement"],
            "POST",
            "/Task/{id}/$log-disagreement",
            needs,
            post(task::log_disagreement),
        ),
    ]
}

/// Everything the hub answers.
pub fn router(hub: Arc<Hub>) -> Router {
    let base = routed(offers())
        .layer(from_fn_with_state(hub.clone(), disclosed::note))
        .layer(from_fn(json_or_binary))
        .layer(from_fn_with_state(Limiter::new(hub.config.limits, hub.config.security.mode), limit))
        .layer(from_fn_with_state(hub.gatekeeper.clone(), identify))
        .layer(from_fn_with_state(hub.journal.clone(), record));
    let open = Router::new()
        .route("/FHIR/R4/metadata", only("GET", get(capabilities::capabilities)))
        .layer(from_fn(json_only));
    base.merge(open)
        .with_state(hub.clone())
        .merge(admin::probes(hub.clone()))
        .merge(witness::router(hub))
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
