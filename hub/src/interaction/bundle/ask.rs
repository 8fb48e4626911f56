//! Entries that read: put to the hub's own routes, so that an entry can ask whatever a URL can.

use axum::Router;
use axum::body::{Body, to_bytes};
use fhir::FHIR_JSON;
use fhir::instant::{Interval, format_http_date};
use http::header::{CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{Method, Request, Response};
use serde::Deserialize;
use service::body::BUNDLE_BYTES_MAX;
use service::caller::Caller;
use service::refusal::Refusal;
use tower::ServiceExt as _;

use super::at;
use super::entry::Ask;
use super::response::Reply;
use fhir::outcome::IssueCode;

/// Asks the routes, and makes a reply of their answer.
pub(super) async fn ask(routes: Router, caller: &Caller, ask: &Ask) -> Result<Reply, Refusal> {
    let Ok(response) = routes.oneshot(request(ask, caller)?).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, BUNDLE_BYTES_MAX).await.map_err(|error| Refusal::internal(&error))?;
    let parts = Response::from_parts(parts, ());
    let header = |name| parts.headers().get(name).and_then(|value| value.to_str().ok());
    let etag = header(ETAG).map(str::to_owned);
    let last_modified = etag.as_ref().and_then(|_| last_updated(&body));
    let mut reply = Reply { status: parts.status(), etag, last_modified, ..Reply::default() };
    if !body.is_empty() && ask.method != Method::HEAD {
        let place =
            if parts.status().is_success() { &mut reply.resource } else { &mut reply.outcome };
        *place = Some(body.to_vec());
    }
    Ok(reply)
}

fn request(ask: &Ask, caller: &Caller) -> Result<Request<Body>, Refusal> {
    let url = format!("/FHIR/R4/{}", ask.url.replace('|', "%7C").replace(' ', "%20"));
    let mut request = Request::builder().method(ask.method.clone()).uri(url);
    if let Some(tag) = &ask.if_none_match {
        request = request.header(IF_NONE_MATCH, tag);
    }
    if let Some(since) = ask.if_modified_since.as_deref().and_then(Interval::parse) {
        request = request.header(IF_MODIFIED_SINCE, format_http_date(since.low));
    }
    if ask.body.is_some() {
        request = request.header(CONTENT_TYPE, FHIR_JSON);
    }
    let body = ask.body.clone().map_or_else(Body::empty, Body::from);
    let request = request.extension(caller.clone()).body(body);
    request.map_err(|_| at("request.url", IssueCode::Value, "The url cannot be read as a URL."))
}

/// `meta.lastUpdated` of a resource.
fn last_updated(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        meta: Meta,
    }

    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "lastUpdated")]
        last_updated: String,
    }

    serde_json::from_slice::<Head>(body).ok().map(|head| head.meta.last_updated)
}
