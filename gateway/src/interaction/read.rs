//! read and vread of one region's resource, passed through: bytes, ETag, Last-Modified and status
//! are the hub's own. <https://hl7.org/fhir/R4/http.html#read>

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use fhir::FHIR_JSON;
use fhir::identifier::OdsCode;
use fhir::outcome::IssueCode;
use fhir::reference::is_id;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use service::refusal::Refusal;

use crate::Gateway;
use crate::context::Context;
use crate::error::GatewayError;
use crate::outcome::Failure;
use crate::region::read::{ReadAnswer, read as read_region};
use crate::tally::Shortfall;

/// `GET /at/{region}/{type}/{id}`
pub async fn read(
    State(gateway): State<Gateway>,
    context: Context,
    at: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path((ods, kind, id)) = at.map_err(|_| GatewayError::UnknownRegion)?;
    pass(&gateway, &context, &ods, &[&kind, &id], &headers).await
}

/// `GET /at/{region}/{type}/{id}/_history/{vid}`
pub async fn vread(
    State(gateway): State<Gateway>,
    context: Context,
    at: Result<Path<(String, String, String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path((ods, kind, id, version)) = at.map_err(|_| GatewayError::UnknownRegion)?;
    pass(&gateway, &context, &ods, &[&kind, &id, "_history", &version], &headers).await
}

/// Any read without a region.
pub async fn nowhere(_context: Context) -> Refusal {
    GatewayError::NotHere.into()
}

async fn pass(
    gateway: &Gateway,
    context: &Context,
    ods: &str,
    steps: &[&str],
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let ods: OdsCode = ods.parse().map_err(|_| GatewayError::UnknownRegion)?;
    let found = gateway.directory().find(&ods);
    let region = found.ok_or(GatewayError::UnknownRegion)?;
    let known: Result<fhir::definitions::ResourceType, _> = steps[0].parse();
    known.map_err(|_| GatewayError::UnknownType)?;
    let plain = |step: &&str| is_id(step) || *step == "_history";
    if !steps.iter().all(plain) {
        return Err(no_such_resource());
    }
    let path = steps.join("/");
    let answer = read_region(&gateway.hub(&region), &path, conditions(headers), context).await;
    match answer {
        Ok(answer) => Ok(passed(answer)),
        Err(Failure { status, .. }) => {
            let (ods, status_code) = (&region.ods, status.as_str());
            tracing::warn!(region.ods = %ods, region.status = status_code, "a region did not \
                answer a read");
            Err(GatewayError::RegionFailed(Shortfall::of(&region, status)).into())
        }
    }
}

fn conditions(headers: &HeaderMap) -> HeaderMap {
    let kept = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
    let kept = kept.into_iter().filter_map(|name| {
        let value = headers.get(&name)?.clone();
        Some((name, value))
    });
    kept.collect()
}

fn passed(answer: ReadAnswer) -> Response {
    let failed = answer.status.is_client_error() || answer.status.is_server_error();
    let mut response = if failed && answer.body.is_empty() {
        let text = "The region refused to answer, without saying why.";
        Refusal::error(answer.status, IssueCode::Processing, text).into_response()
    } else {
        (answer.status, answer.body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if answer.status != StatusCode::NOT_MODIFIED {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    }
    for name in [ETAG, LAST_MODIFIED] {
        if let Some(value) = answer.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    response
}

fn no_such_resource() -> Refusal {
    let text = "An id is 1 to 64 letters, digits, hyphens and dots: there is no such resource.";
    Refusal::error(StatusCode::NOT_FOUND, IssueCode::NotFound, text)
}
