//! history-instance: `GET [base]/[type]/[id]/_history`. <https://hl7.org/fhir/R4/http.html#history>

use std::sync::Arc;

use axum::extract::{Query, State};
use fhir::instant::format_instant;
use fhir::json::push_string;
use fhir::outcome::{Issue, IssueCode};
use http::StatusCode;
use serde::Deserialize;
use service::answer::Answer;
use service::caller::Caller;
use service::refusal::Refusal;

use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;
use crate::search::parameters::{COUNT_DEFAULT, COUNT_MAX};
use crate::store::write::{Method, Version};

/// What may be asked of a history.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    #[serde(rename = "_count")]
    count: Option<String>,
    /// Our own: only versions older than this one, as the next link says.
    #[serde(rename = "_before")]
    before: Option<String>,
}

/// The versions of a resource, newest first.
pub async fn history(
    State(hub): State<Arc<Hub>>,
    _caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    Query(parameters): Query<Parameters>,
) -> Result<Answer, HubError> {
    let count = number("_count", parameters.count.as_deref(), COUNT_DEFAULT as i64)?;
    let count = usize::try_from(count).unwrap_or(COUNT_MAX).clamp(1, COUNT_MAX);
    let before = number("_before", parameters.before.as_deref(), i64::MAX)?;
    let (mut versions, total) = hub.store.history(resource_type, &id, before, count + 1).await?;
    if total == 0 {
        return Err(HubError::NotFound { resource_type });
    }
    let more = versions.len() > count;
    versions.truncate(count);
    let own = format!("{}/{resource_type}/{id}", hub.base());
    let next = versions.last().filter(|_| more).map(|last| last.version);
    Ok(Answer::resource(StatusCode::OK, bundle(&own, &versions, total, count, next)))
}

fn number(name: &str, text: Option<&str>, default: i64) -> Result<i64, Refusal> {
    let Some(text) = text else { return Ok(default) };
    text.parse::<i64>().ok().filter(|number| *number >= 0).ok_or_else(|| {
        let text = format!("{name} must be a whole number, 0 or more.");
        Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at(name))
    })
}

fn bundle(own: &str, versions: &[Version], total: u64, count: usize, next: Option<i64>) -> Vec<u8> {
    let mut out = Vec::new();
    let head = format!(
        r#"{{"resourceType":"Bundle","type":"history","total":{total},"link":[{{"relation":"self","url":"#
    );
    out.extend_from_slice(head.as_bytes());
    push_string(&mut out, &format!("{own}/_history?_count={count}"));
    if let Some(next) = next {
        out.extend_from_slice(br#"},{"relation":"next","url":"#);
        push_string(&mut out, &format!("{own}/_history?_count={count}&_before={next}"));
    }
    out.extend_from_slice(br#"}],"entry":["#);
    for (place, version) in versions.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        entry(&mut out, own, version);
    }
    out.extend_from_slice(b"]}");
    out
}

fn entry(out: &mut Vec<u8>, own: &str, version: &Version) {
    out.extend_from_slice(br#"{"fullUrl":"#);
    push_string(out, own);
    if let Some(body) = &version.body {
        out.extend_from_slice(br#","resource":"#);
        out.extend_from_slice(body);
    }
    let mut parts = own.rsplit('/');
    let (id, resource_type) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let url = match version.method {
        Method::Create => resource_type.to_owned(),
        Method::Update | Method::Delete => format!("{resource_type}/{id}"),
    };
    let status = match version.method {
        Method::Create => "201",
        Method::Update if version.version == 1 => "201",
        Method::Update => "200",
        Method::Delete => "204",
    };
    let (verb, number) = (version.method.verb(), version.version);
    let updated = format_instant(version.updated);
    let tail = format!(
        r#","request":{{"method":"{verb}","url":"{url}"}},"response":{{"status":"{status}","etag":"W/\"{number}\"","lastModified":"{updated}"}}}}"#
    );
    out.extend_from_slice(tail.as_bytes());
}
