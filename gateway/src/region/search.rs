//! A search of one hub, drained page by page.

use bytes::Bytes;
use fhir::outcome::OperationOutcome;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use service::client::read_body;
use tokio::time::timeout_at;

use super::answer::RegionAnswer;
use super::question::HubSearch;
use super::{FHIR, Hub, IDLE_MAX, REGION_BYTES_MAX, is_json, not_read};
use crate::context::Context;
use crate::outcome::{Failure, RegionStatus};

/// Most pages that one region may send; a chain of empty ones ends somewhere.
const PAGES_MAX: usize = 200;
/// Largest OperationOutcome of a refusal that is read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
pub(super) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Asks a region's hub for everything that matches, until the region's deadline.
pub async fn search(
    hub: &Hub<'_>,
    search: &HubSearch,
    context: &Context,
) -> Result<RegionAnswer, Failure> {
    let deadline = context.region_deadline();
    let asking = async {
        let drained = timeout_at(deadline, drain(hub, search, context)).await;
        drained.unwrap_or_else(|_elapsed| Err(RegionStatus::Timeout.into()))
    };
    hub.gate.pass(deadline, asking, |_| false).await
}

async fn drain(
    hub: &Hub<'_>,
    search: &HubSearch,
    context: &Context,
) -> Result<RegionAnswer, Failure> {
    let mut answer = RegionAnswer::default();
    let url = format!("{}/{}/_search", hub.region.base(), search.kind);
    let first = hub.client.post(url).header(CONTENT_TYPE, FORM).body(search.form.clone());
    follow(hub, first, hub.region.base(), search, context, &mut answer, &mut { REGION_BYTES_MAX })
        .await?;
    Ok(answer)
}

/// Adds a first page and all that come after it; their links lead to below `base`.
pub(super) async fn follow(
    hub: &Hub<'_>,
    first: reqwest::RequestBuilder,
    base: &str,
    search: &HubSearch,
    context: &Context,
    answer: &mut RegionAnswer,
    bytes_left: &mut usize,
) -> Result<(), Failure> {
    let page = fetch(hub, first, context, bytes_left).await?;
    let mut next = answer.take(&page, search, true)?;
    let mut pages = 1;
    while let Some(query) = next {
        if pages == PAGES_MAX {
            return Err(RegionStatus::TooLarge.into());
        }
        pages += 1;
        let request = hub.client.get(format!("{base}{query}"));
        let page = fetch(hub, request, context, bytes_left).await?;
        next = answer.take(&page, search, false)?;
        if next.as_ref() == Some(&query) {
            return Err(RegionStatus::Invalid.into());
        }
    }
    Ok(())
}

async fn fetch(
    hub: &Hub<'_>,
    request: reqwest::RequestBuilder,
    context: &Context,
    bytes_left: &mut usize,
) -> Result<Bytes, Failure> {
    let response = hub.send(request.header(ACCEPT, FHIR), context).await?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(refused(status, response).await);
    }
    if !is_json(response.headers()) {
        return Err(RegionStatus::Invalid.into());
    }
    let body = read_body(response, *bytes_left, IDLE_MAX).await;
    let body = body.map_err(|e| Failure::from(not_read(&e)))?;
    *bytes_left -= body.len();
    Ok(body)
}

/// What a status other than 200 means.
async fn refused(status: StatusCode, response: reqwest::Response) -> Failure {
    let means = match status.as_u16() {
        429 | 503 => RegionStatus::Throttled,
        408 | 504 => RegionStatus::Timeout,
        400..=499 => RegionStatus::Refused,
        500..=599 => RegionStatus::Unreachable,
        _ => RegionStatus::Invalid,
    };
    if status != StatusCode::BAD_REQUEST {
        return means.into();
    }
    let body = read_body(response, REFUSAL_BYTES_MAX, IDLE_MAX).await;
    let outcome = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let issues = outcome.map_or_else(Vec::new, |outcome: OperationOutcome| outcome.issue);
    Failure { status: means, refused: Some(issues) }
}
