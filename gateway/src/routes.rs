//! URL to interaction. `/metadata`, `/live` and `/ready` need no caller; everything else does.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, any, get, post};
use service::admin::probes;
use service::caller::identify;
use service::caller::scope::{Needs, On, Rights, permit};
use service::encoding::compress;
use service::journal::record;
use service::limit::limit;
use service::negotiation::{json_only, json_or_stream};
use service::refusal::Refusal;

use crate::Gateway;
use crate::health::GatewayHealth;
use crate::interaction::{capabilities, everything, read, search};

/// Everything the public listener serves.
pub fn router(health: GatewayHealth) -> Router {
    let gateway = health.gateway.clone();
    let only_get = || async { Refusal::method_not_allowed("GET") };
    let get_or_post = || async { Refusal::method_not_allowed("GET, POST") };
    let only_post = || async { Refusal::method_not_allowed("POST") };
    let found = Rights::READ.and(Rights::SEARCH);
    let of_type = Needs { rights: Rights::SEARCH, on: On::Part("type") };
    let all = Needs { rights: found, on: On::Everything };
    let one = Needs { rights: Rights::READ, on: On::Part("type") };
    let search_routes = Router::new()
        .route("/FHIR/R4/{type}", needing(of_type, get(search::get)).fallback(only_get))
        .route("/FHIR/R4/{type}/_search", needing(of_type, post(search::post)).fallback(only_post))
        .layer(from_fn(json_or_stream));
    let record_routes = Router::new()
        .route(
            "/FHIR/R4/Patient/$everything",
            needing(all, get(everything::by_identifier).post(everything::by_identifier))
                .fallback(get_or_post),
        )
        .route(
            "/FHIR/R4/Patient/{number}/$everything",
            needing(all, get(everything::by_path).post(everything::by_path)).fallback(get_or_post),
        )
        .route("/FHIR/R4/{type}/{id}", any(read::nowhere))
        .route("/FHIR/R4/{type}/{id}/{*rest}", any(read::nowhere))
        .route("/FHIR/R4/at/{region}/{type}/{id}", needing(one, get(read::read)).fallback(only_get))
        .route(
            "/FHIR/R4/at/{region}/{type}/{id}/_history/{vid}",
            needing(one, get(read::vread)).fallback(only_get),
        )
        .layer(from_fn(json_only))
        .merge(search_routes)
        .layer(from_fn_with_state(gateway.limiter().clone(), limit))
        .layer(from_fn_with_state(gateway.gatekeeper().clone(), identify))
        .layer(from_fn_with_state(gateway.journal().clone(), record));
    let open_routes = Router::new()
        .route("/FHIR/R4/metadata", get(capabilities::capabilities).fallback(only_get))
        .layer(from_fn(json_only));
    Router::new()
        .merge(record_routes)
        .merge(open_routes)
        .fallback(async || Refusal::no_such_url())
        .with_state(gateway)
        .merge(probes(health))
        .layer(from_fn(compress))
}

/// The same, for those whose scopes grant it.
fn needing(needs: Needs, route: MethodRouter<Gateway>) -> MethodRouter<Gateway> {
    route.layer(from_fn_with_state(needs, permit))
}
