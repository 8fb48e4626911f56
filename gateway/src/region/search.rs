//! A search of one hub: one page of it, or all of it, page by page.

use bytes::Bytes;
use fhir::outcome::OperationOutcome;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use service::client::{read_body, retry_after};
use tokio::time::timeout_at;
use url::form_urlencoded;

use super::answer::RegionAnswer;
use super::question::HubSearch;
use super::{FHIR, Hub, IDLE_MAX, REGION_BYTES_MAX, is_json, not_read};
use crate::context::Context;
use crate::outcome::{Failure, RegionStatus};

/// Most pages that one region may send; a chain of empty ones ends somewhere.
const PAGES_MAX: usize = 200;
/// Largest OperationOutcome of a refusal that is read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Where a page of a search begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum From {
    /// With the first match.
    #[default]
    Start,
    /// Where the hub's own link leads: path and query below its base.
    #[serde(rename = "p")]
    Page(String),
    /// Right after a match, by the hub's own word for that place.
    #[serde(rename = "a")]
    After(Box<str>),
}

/// What one region may still contribute to an answer.
#[derive(Debug)]
pub struct Allowance {
    bytes: usize,
    pages: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { bytes: REGION_BYTES_MAX, pages: PAGES_MAX }
    }
}

impl Allowance {
    /// What is left after a page.
    pub fn after(page: &RegionAnswer) -> Self {
        let bytes: usize = page.entries.iter().map(|entry| entry.resource.len()).sum();
        let bytes = REGION_BYTES_MAX.saturating_sub(bytes);
        Self { bytes, pages: PAGES_MAX - 1 }
    }
}

/// Asks a region's hub for the first page of what matches, or for all of it, until the region's
/// deadline.
pub async fn search(
    hub: &Hub<'_>,
    search: &HubSearch,
    context: &Context,
) -> Result<RegionAnswer, Failure> {
    let mut allowance = Allowance::default();
    let asking = async {
        let mut answer = RegionAnswer::default();
        fetch(hub, search, &From::Start, context, &mut allowance, &mut answer).await?;
        if search.whole {
            follow(hub, search, hub.region.base(), context, &mut allowance, &mut answer).await?;
        }
        Ok(answer)
    };
    in_time(hub, context, asking).await
}

/// Asks a region's hub for one page that begins there, until the region's deadline.
pub async fn page(
    hub: &Hub<'_>,
    search: &HubSearch,
    from: &From,
    context: &Context,
    allowance: &mut Allowance,
) -> Result<RegionAnswer, Failure> {
    let asking = async {
        let mut answer = RegionAnswer::default();
        fetch(hub, search, from, context, allowance, &mut answer).await?;
        Ok(answer)
    };
    in_time(hub, context, asking).await
}

async fn in_time(
    hub: &Hub<'_>,
    context: &Context,
    asking: impl Future<Output = Result<RegionAnswer, Failure>>,
) -> Result<RegionAnswer, Failure> {
    let deadline = context.region_deadline();
    let asking = async {
        let asked = timeout_at(deadline, asking).await;
        asked.unwrap_or_else(|_elapsed| Err(RegionStatus::Timeout.into()))
    };
    hub.gate.pass(deadline, asking, |_| false).await
}

/// Adds the page that begins there to an answer.
pub(super) async fn fetch(
    hub: &Hub<'_>,
    search: &HubSearch,
    from: &From,
    context: &Context,
    allowance: &mut Allowance,
    answer: &mut RegionAnswer,
) -> Result<(), Failure> {
    let base = hub.region.base();
    let post = |form| {
        let url = format!("{base}/{}/_search", search.kind);
        hub.client.post(url).header(CONTENT_TYPE, FORM).body::<Bytes>(form)
    };
    let request = match from {
        From::Start => post(search.form.clone()),
        From::After(place) => post(beside(&search.form, place)),
        From::Page(query) => hub.client.get(format!("{base}{query}")),
    };
    add(hub, search, request, from, context, allowance, answer).await
}

/// Adds all the pages that come after the last one of an answer; their links lead to below `base`.
pub(super) async fn follow(
    hub: &Hub<'_>,
    search: &HubSearch,
    base: &str,
    context: &Context,
    allowance: &mut Allowance,
    answer: &mut RegionAnswer,
) -> Result<(), Failure> {
    while let Some(next) = answer.next.take() {
        let request = hub.client.get(format!("{base}{next}"));
        add(hub, search, request, &From::Page(next), context, allowance, answer).await?;
    }
    Ok(())
}

/// Adds the page that a request gets.
pub(super) async fn add(
    hub: &Hub<'_>,
    search: &HubSearch,
    request: reqwest::RequestBuilder,
    from: &From,
    context: &Context,
    allowance: &mut Allowance,
    answer: &mut RegionAnswer,
) -> Result<(), Failure> {
    let Some(pages) = allowance.pages.checked_sub(1) else {
        return Err(RegionStatus::TooLarge.into());
    };
    allowance.pages = pages;
    let links = (!search.whole).then_some("entry-links");
    let page = body(hub, request, context, links, &mut allowance.bytes).await?;
    answer.take(&page, search, from)?;
    match from {
        From::Page(this) if answer.next.as_ref() == Some(this) => Err(RegionStatus::Invalid.into()),
        _ => Ok(()),
    }
}

/// The same search, taken up at a place.
fn beside(form: &Bytes, place: &str) -> Bytes {
    let mut all = form_urlencoded::Serializer::new(String::from_utf8_lossy(form).into_owned());
    all.append_pair("_after", place);
    Bytes::from(all.finish())
}

async fn body(
    hub: &Hub<'_>,
    request: reqwest::RequestBuilder,
    context: &Context,
    preference: Option<&'static str>,
    bytes_left: &mut usize,
) -> Result<Bytes, Failure> {
    let response = hub.send(request.header(ACCEPT, FHIR), context, preference).await?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(refused(status, response, hub.clock.now_micros()).await);
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
async fn refused(status: StatusCode, response: reqwest::Response, now: i64) -> Failure {
    let means = match status.as_u16() {
        429 | 503 => RegionStatus::Throttled,
        408 | 504 => RegionStatus::Timeout,
        400..=499 => RegionStatus::Refused,
        500..=599 => RegionStatus::Unreachable,
        _ => RegionStatus::Invalid,
    };
    // What is gone is the place where the pages go on: the region says so in words.
    if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::GONE) {
        let leave_alone = retry_after(response.headers(), now);
        return Failure { leave_alone, ..means.into() };
    }
    let body = read_body(response, REFUSAL_BYTES_MAX, IDLE_MAX).await;
    let outcome = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let issues = outcome.map_or_else(Vec::new, |outcome: OperationOutcome| outcome.issue);
    Failure { refused: Some(issues), ..means.into() }
}
