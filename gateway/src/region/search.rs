//! A search of one hub, drained page by page.

use bytes::Bytes;
use fhir::outcome::OperationOutcome;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use service::client::read_body;
use tokio::time::timeout_at;

use super::answer::RegionAnswer;
use super::question::HubSearch;
use super::{FHIR, IDLE_MAX, REGION_BYTES_MAX, is_json, not_read, not_sent};
use crate::context::Context;
use crate::directory::Region;
use crate::outcome::{Failure, RegionStatus};

/// Largest OperationOutcome of a refusal that is read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Asks a region's hub for everything that matches, until the region's deadline.
pub async fn search(
    client: &reqwest::Client,
    region: &Region,
    search: &HubSearch,
    context: &Context,
) -> Result<RegionAnswer, Failure> {
    match timeout_at(context.region_deadline(), drain(client, region, search, context)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(RegionStatus::Timeout.into()),
    }
}

async fn drain(
    client: &reqwest::Client,
    region: &Region,
    search: &HubSearch,
    context: &Context,
) -> Result<RegionAnswer, Failure> {
    let mut answer = RegionAnswer::default();
    let mut bytes_left = REGION_BYTES_MAX;
    let url = format!("{}/{}/_search", region.base(), search.kind);
    let first = client
        .post(url)
        .headers(context.headers())
        .header(ACCEPT, FHIR)
        .header(CONTENT_TYPE, FORM)
        .body(search.form.clone());
    let page = fetch(first, &mut bytes_left).await?;
    let mut next = answer.take(&page, search, true)?;
    while let Some(query) = next {
        let url = format!("{}{query}", region.base());
        let request = client.get(url).headers(context.headers()).header(ACCEPT, FHIR);
        let page = fetch(request, &mut bytes_left).await?;
        next = answer.take(&page, search, false)?;
        if next.as_ref() == Some(&query) {
            return Err(RegionStatus::Invalid.into());
        }
    }
    Ok(answer)
}

async fn fetch(request: reqwest::RequestBuilder, bytes_left: &mut usize) -> Result<Bytes, Failure> {
    let response = request.send().await.map_err(|e| Failure::from(not_sent(&e)))?;
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
