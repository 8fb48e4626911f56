//! One remote hub: a search drained page by page, or one read passed through. Whatever goes wrong
//! on the way ends as a [`Failure`]; a region that fails after some pages contributes nothing.

use std::time::Duration;

use bytes::Bytes;
use fhir::bundle::{Bundle, SearchMode};
use fhir::outcome::{Issue, IssueCode, OperationOutcome};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use service::client::{ReadError, read_body};
use tokio::time::timeout_at;
use url::{Url, form_urlencoded};

use crate::context::Context;
use crate::directory::Region;
use crate::outcome::{Failure, RegionStatus};

/// Most bytes that one region may contribute to one answer.
pub const REGION_BYTES_MAX: usize = 16 << 20;
/// Most entries that one region may contribute to one answer.
pub const REGION_ENTRIES_MAX: usize = 5_000;
/// Longest silence within a body.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// Largest OperationOutcome of a refusal that is read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const FHIR: HeaderValue = HeaderValue::from_static(fhir::FHIR_JSON);

/// A search as a hub takes it.
#[derive(Debug, Clone)]
pub struct HubSearch {
    /// The resource type.
    pub kind: &'static str,
    /// The parameters, encoded.
    pub form: Bytes,
    /// The parameters that the hub has to execute, for it to be believed that it did.
    pub parameters: Vec<String>,
}

/// Everything one region holds that matches.
#[derive(Debug, Default)]
pub struct RegionAnswer {
    /// Its entries, in its order.
    pub entries: Vec<RawEntry>,
    /// What it said about the search.
    pub issues: Vec<Issue>,
    /// The parameters that it left out.
    pub left_out: Vec<String>,
}

/// An entry: its resource's own bytes.
#[derive(Debug, Clone)]
pub struct RawEntry {
    /// Why it is there, if the hub says so.
    pub mode: Option<SearchMode>,
    /// The resource, a slice of the region's answer.
    pub resource: Bytes,
}

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

fn not_sent(error: &reqwest::Error) -> RegionStatus {
    tracing::debug!(cause = root_cause(error), "a region could not be asked");
    if error.is_timeout() && !error.is_connect() {
        RegionStatus::Timeout
    } else {
        RegionStatus::Unreachable
    }
}

/// The innermost cause: the outer ones name the URL.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

fn not_read(error: &ReadError) -> RegionStatus {
    match error {
        ReadError::TooLarge(_) => RegionStatus::TooLarge,
        ReadError::Stalled => RegionStatus::Timeout,
        ReadError::Cut(_) => RegionStatus::Invalid,
    }
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

/// Whether a body says that it is JSON, in any of the spellings in use.
pub fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.and_then(|text| text.split(';').next()).unwrap_or_default();
    matches!(
        media.trim().to_ascii_lowercase().as_str(),
        "application/fhir+json" | "application/json" | "text/json" | "application/json+fhir"
    )
}

impl RegionAnswer {
    /// Adds a page; the next one's path and query below the region's base, if there is one.
    fn take(
        &mut self,
        page: &Bytes,
        search: &HubSearch,
        first: bool,
    ) -> Result<Option<String>, Failure> {
        let invalid = |_| Failure::from(RegionStatus::Invalid);
        let bundle: Bundle<'_> = serde_json::from_slice(page).map_err(invalid)?;
        if bundle.resource_type != "Bundle" || bundle.kind != "searchset" {
            return Err(RegionStatus::Invalid.into());
        }
        let mut matches = 0;
        for entry in &bundle.entry {
            let resource = entry.resource.ok_or(RegionStatus::Invalid)?;
            let mode = entry.search.and_then(|search| search.mode);
            if mode == Some(SearchMode::Outcome) {
                self.issues.extend(issues(resource.get()));
                continue;
            }
            matches += u64::from(mode != Some(SearchMode::Include));
            let resource = page.slice_ref(resource.get().as_bytes());
            self.entries.push(RawEntry { mode, resource });
        }
        if self.entries.len() > REGION_ENTRIES_MAX {
            return Err(RegionStatus::TooLarge.into());
        }
        if first && let Some(link) = bundle.link("self") {
            self.left_out = left_out(link, &search.parameters);
        }
        let next = bundle.link("next").map(|link| below_base(link, search.kind));
        let whole = first && next.is_none();
        if whole && bundle.total.is_some_and(|total| total > matches) {
            // It counted more than it sent, and says nothing of where the rest is.
            return Err(RegionStatus::Invalid.into());
        }
        next.transpose().map_err(Failure::from)
    }

    /// How the region ended if all of its entries are the asked patient's.
    pub fn status(&self, matches: usize) -> RegionStatus {
        if self.issues.iter().any(|issue| issue.code == IssueCode::Suppressed) {
            RegionStatus::Suppressed
        } else if matches == 0 {
            RegionStatus::Empty
        } else {
            RegionStatus::Ok
        }
    }
}

/// The issues of an outcome entry; one that cannot be read is itself worth a word.
fn issues(resource: &str) -> Vec<Issue> {
    #[derive(Deserialize)]
    struct Outcome {
        #[serde(default)]
        issue: Vec<serde_json::Value>,
    }
    let outcome: Outcome = match serde_json::from_str(resource) {
        Ok(outcome) => outcome,
        Err(_) => return vec![unreadable()],
    };
    let read = |issue| serde_json::from_value(issue).unwrap_or_else(|_| unreadable());
    outcome.issue.into_iter().map(read).collect()
}

fn unreadable() -> Issue {
    let text = "a remark about this search that cannot be read.";
    Issue::new(fhir::outcome::Severity::Warning, IssueCode::Incomplete, text)
}

/// Of the parameters that were sent, those that a hub's `self` link does not name. A link without
/// any query says nothing either way.
fn left_out(self_link: &str, parameters: &[String]) -> Vec<String> {
    let Some((_, query)) = self_link.split_once('?') else {
        return Vec::new();
    };
    let base = |name: &str| name.split([':', '.']).next().unwrap_or_default().to_owned();
    let executed: Vec<_> =
        form_urlencoded::parse(query.as_bytes()).map(|(name, _)| base(&name)).collect();
    let missing = |name: &&String| !executed.contains(&base(name));
    parameters.iter().filter(missing).cloned().collect()
}

/// A `next` link cut down to what may be asked: `/Type?query` or `?query` below the region's own
/// base. The link's host is never dialled.
fn below_base(link: &str, kind: &str) -> Result<String, RegionStatus> {
    let anywhere = Url::parse("http://region.invalid/").map_err(|_| RegionStatus::Invalid)?;
    let url = anywhere.join(link).map_err(|_| RegionStatus::Invalid)?;
    let query = url.query().ok_or(RegionStatus::Invalid)?;
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/_search").unwrap_or(path);
    if path.rsplit('/').next() == Some(kind) {
        Ok(format!("/{kind}?{query}"))
    } else {
        Ok(format!("?{query}"))
    }
}

/// A read's answer, as the hub gave it.
#[derive(Debug)]
pub struct ReadAnswer {
    /// The hub's status.
    pub status: StatusCode,
    /// The hub's headers.
    pub headers: HeaderMap,
    /// The resource or OperationOutcome; empty if the hub sent something else.
    pub body: Bytes,
}

/// Reads one resource from a region's hub: `path` below its base, with the caller's conditions.
pub async fn read(
    client: &reqwest::Client,
    region: &Region,
    path: &str,
    conditions: HeaderMap,
    context: &Context,
) -> Result<ReadAnswer, RegionStatus> {
    let request = client
        .get(format!("{}/{path}", region.base()))
        .headers(context.headers())
        .headers(conditions)
        .header(ACCEPT, FHIR);
    let exchange = async {
        let response = request.send().await.map_err(|e| not_sent(&e))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let redirected = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
        let foreign = status == StatusCode::OK && !is_json(&headers);
        if redirected || foreign || status.is_informational() {
            return Err(RegionStatus::Invalid);
        }
        let body = read_body(response, REGION_BYTES_MAX, IDLE_MAX).await;
        let body = body.map_err(|e| not_read(&e))?;
        let body = if is_json(&headers) { body } else { Bytes::new() };
        Ok(ReadAnswer { status, headers, body })
    };
    match timeout_at(context.region_deadline(), exchange).await {
        Ok(result) => result,
        Err(_elapsed) => Err(RegionStatus::Timeout),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn take(page: &'static str) -> Result<(RegionAnswer, Option<String>), RegionStatus> {
        let search = HubSearch {
            kind: "Observation",
            form: Bytes::new(),
            parameters: vec!["code".into(), "date".into()],
        };
        let mut answer = RegionAnswer::default();
        let next = answer.take(&Bytes::from_static(page.as_bytes()), &search, true);
        next.map(|next| (answer, next)).map_err(|failure| failure.status)
    }

    #[test]
    fn only_a_whole_searchset_is_an_answer() {
        for page in [
            "",
            "<html></html>",
            r#"{"resourceType":"OperationOutcome","issue":[]}"#,
            r#"{"resourceType":"Bundle","type":"history"}"#,
            r#"{"resourceType":"Bundle","type":"searchset","entry":[{}]}"#,
            r#"{"resourceType":"Bundle","type":"searchset","entry":["#,
            r#"{"resourceType":"Bundle","type":"searchset","total":2,"entry":[{"resource":{"id":"1"}}]}"#,
        ] {
            assert_eq!(take(page).unwrap_err(), RegionStatus::Invalid, "{page}");
        }
        let (answer, next) = take(r#"{"resourceType":"Bundle","type":"searchset"}"#).unwrap();
        assert!(answer.entries.is_empty() && next.is_none());
    }

    #[test]
    fn what_a_hub_says_of_its_search_is_kept_apart_from_its_entries() {
        let page = r#"{"resourceType":"Bundle","type":"searchset","entry":[
            {"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"suppressed"}]},
             "search":{"mode":"outcome"}}]}"#;
        let (answer, _) = take(page).unwrap();
        assert!(answer.entries.is_empty());
        assert_eq!(answer.status(0), RegionStatus::Suppressed);
    }

    #[test]
    fn a_parameter_that_a_hub_does_not_name_was_left_out() {
        let page = r#"{"resourceType":"Bundle","type":"searchset",
            "link":[{"relation":"self","url":"http://h/Observation?patient.identifier=a&date=ge2020"}]}"#;
        assert_eq!(take(page).unwrap().0.left_out, ["code"]);
    }

    #[test]
    fn a_next_link_keeps_nothing_but_its_query() {
        for (link, expected) in [
            ("https://evil.example/FHIR/R4/Observation?page=2", "/Observation?page=2"),
            ("http://h/FHIR/R4/Observation/_search?c=%2B", "/Observation?c=%2B"),
            ("http://h/FHIR/R4?cursor=a", "?cursor=a"),
            ("Observation?page=2", "/Observation?page=2"),
        ] {
            assert_eq!(below_base(link, "Observation").unwrap(), expected);
        }
        assert!(below_base("http://h/Observation", "Observation").is_err());
    }
}
