//! transaction: `POST [base]`, all or nothing. <https://hl7.org/fhir/R4/http.html#transaction>

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::instant::format_instant;
use fhir::outcome::{Issue, IssueCode};
use fhir::reference::is_id;
use fhir::validate::{ValidationIssue, validate};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use service::answer::Answer;
use service::body::{BUNDLE_BYTES_MAX, json};
use service::caller::Caller;
use service::journal::InStore;
use service::refusal::Refusal;
use uuid::Uuid;

use super::content::{prepare, refuse_issues, unreadable};
use super::links::{Links, Place, key, rewrite};
use super::preconditions::version;
use super::update::other_id;
use crate::Hub;
use crate::error::HubError;
use crate::store::write::{Action, Method, Write, Written};

/// Entries in one transaction.
const ENTRIES_MAX: usize = 10_000;

/// Writes every entry of a Bundle in one transaction of the store.
pub async fn transaction(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let text = json(&headers, body, BUNDLE_BYTES_MAX).await?;
    let preparing = hub.clone();
    // A large Bundle takes milliseconds to read: not on a thread that others wait for.
    let prepared = tokio::task::spawn_blocking(move || prepare_all(&preparing, &text)).await;
    let mut entries = prepared.map_err(|error| Refusal::internal(&error))??;
    // The specification's order: DELETE, POST, PUT.
    entries.sort_by_key(|entry| entry.order);
    let places: Vec<usize> = entries.iter().map(|entry| entry.place).collect();
    let writes: Vec<Write> = entries.into_iter().map(|entry| entry.write).collect();
    let names = names(&writes);
    let written = hub.write(&caller, "transaction", writes, Vec::new()).await;
    let written = written.map_err(|error| locate(error, &places))?;
    Ok(Answer::resource(StatusCode::OK, response(&places, &names, &written)).noting(InStore))
}

/// A Bundle as it comes in; entries borrowed from its text.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "fullUrl", borrow, default)]
    full_url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    url: Cow<'a, str>,
    #[serde(borrow, default)]
    if_match: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    if_none_match: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    if_none_exist: Option<Cow<'a, str>>,
}

/// An entry ready to be written.
struct Prepared {
    /// Where it stands in the Bundle.
    place: usize,
    /// When its turn is.
    order: u8,
    write: Write,
}

/// What an entry is to do, before its resource is read.
struct Plan {
    method: Method,
    resource_type: ResourceType,
    id: String,
    if_match: Option<i64>,
}

fn prepare_all(hub: &Hub, text: &Bytes) -> Result<Vec<Prepared>, Refusal> {
    let survey = validate(text).map_err(|malformed| unreadable(&malformed))?;
    refuse_issues(&survey.issues)?;
    if survey.resource_type != Some(ResourceType::BUNDLE) {
        return Err(at("resourceType", IssueCode::Invalid, "Send a Bundle to the FHIR base."));
    }
    let bundle: Incoming<'_> =
        serde_json::from_slice(text).map_err(|error| Refusal::internal(&error))?;
    if bundle.kind != "transaction" {
        let text = "Only Bundles of type transaction are processed here.";
        return Err(at("Bundle.type", IssueCode::NotSupported, text));
    }
    if bundle.entry.len() > ENTRIES_MAX {
        let text = format!("A transaction may have at most {ENTRIES_MAX} entries.");
        return Err(Refusal::error(StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooCostly, text));
    }
    let plans = bundle.entry.iter().enumerate().map(|(place, entry)| plan(place, entry));
    let plans = plans.collect::<Result<Vec<Plan>, Refusal>>()?;
    let links = links(&bundle.entry, &plans)?;
    let entries = plans.into_iter().enumerate().zip(&bundle.entry);
    entries
        .map(|((place, plan), entry)| {
            let rewritten = |resource: &RawValue| {
                let place = Place {
                    range: range(text, resource),
                    full_url: entry.full_url.as_deref(),
                    expression: &expression(place),
                };
                rewrite(text, &place, &survey.references, &links)
            };
            let resource = entry.resource.map(rewritten).transpose()?;
            prepare_one(hub, place, plan, resource.as_deref())
        })
        .collect()
}

/// Where a borrowed part lies in the text it was borrowed from.
fn range(text: &Bytes, part: &RawValue) -> std::ops::Range<usize> {
    let start = part.get().as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.get().len()
}

fn plan(place: usize, entry: &Entry<'_>) -> Result<Plan, Refusal> {
    let bad = |member: &str, code, text: &str| {
        at(&format!("{}.request{member}", expression(place)), code, text)
    };
    let request = entry.request.as_ref().ok_or_else(|| {
        bad("", IssueCode::Required, "Every entry of a transaction needs a request.")
    })?;
    if request.if_none_exist.is_some() || request.if_none_match.is_some() {
        let text = "Conditional requests are not supported in a transaction, except ifMatch.";
        return Err(bad("", IssueCode::NotSupported, text));
    }
    let if_match = request.if_match.as_deref().map(|tag| {
        let text = "ifMatch must be the ETag of a version, such as W/\"3\".";
        version(tag).ok_or_else(|| bad(".ifMatch", IssueCode::Value, text))
    });
    let (type_name, id) = match request.url.split_once('/') {
        Some((type_name, id)) => (type_name, Some(id)),
        None => (&*request.url, None),
    };
    let resource_type = type_name.parse::<ResourceType>().map_err(|_| {
        let text = "The url must be Type (POST) or Type/id (PUT, DELETE), relative to the base.";
        bad(".url", IssueCode::Value, text)
    })?;
    let (method, id) = match (&*request.method, id) {
        ("POST", None) => (Method::Create, Uuid::now_v7().to_string()),
        ("PUT", Some(id)) if is_id(id) => (Method::Update, id.to_owned()),
        ("DELETE", Some(id)) if is_id(id) => (Method::Delete, id.to_owned()),
        ("POST" | "PUT" | "DELETE", _) => {
            let text = "The url must be Type for POST and Type/id for PUT and DELETE.";
            return Err(bad(".url", IssueCode::Value, text));
        }
        _ => {
            let text = "Entries of a transaction here are POST, PUT or DELETE.";
            return Err(bad(".method", IssueCode::NotSupported, text));
        }
    };
    Ok(Plan { method, resource_type, id, if_match: if_match.transpose()? })
}

/// What each fullUrl becomes; refuses two entries for one resource.
fn links(entries: &[Entry<'_>], plans: &[Plan]) -> Result<Links, Refusal> {
    let mut links = Links::with_capacity(plans.len());
    let mut seen = HashSet::with_capacity(plans.len());
    for (place, (entry, plan)) in entries.iter().zip(plans).enumerate() {
        if !seen.insert((plan.resource_type, plan.id.as_str())) {
            let text = "Two entries of the transaction are about this resource.";
            return Err(at(&expression(place), IssueCode::Invalid, text));
        }
        let Some(full_url) = entry.full_url.as_deref() else { continue };
        let link = format!("{}/{}", plan.resource_type, plan.id);
        if links.insert(key(full_url).into_owned(), link).is_some() {
            let text = "Two entries of the transaction have this fullUrl.";
            return Err(at(&format!("{}.fullUrl", expression(place)), IssueCode::Invalid, text));
        }
    }
    Ok(links)
}

fn prepare_one(
    hub: &Hub,
    place: usize,
    plan: Plan,
    resource: Option<&[u8]>,
) -> Result<Prepared, Refusal> {
    let Plan { method, resource_type, id, if_match } = plan;
    let here = format!("{}.resource", expression(place));
    let content = |resource: Option<&[u8]>| {
        let text = "This entry needs a resource.";
        let resource = resource.ok_or_else(|| at(&here, IssueCode::Required, text))?;
        let head: Head<'_> =
            serde_json::from_slice(resource).map_err(|error| Refusal::internal(&error))?;
        if head.resource_type != resource_type.as_str() {
            let text = "The resource is not of the type that the entry's url names.";
            return Err(at(&here, IssueCode::Invalid, text));
        }
        if method == Method::Update && head.id.as_deref() != Some(id.as_str()) {
            return Err(other_id(&here));
        }
        // Only now is it known of what type the resources are that it refers to.
        let survey = validate(resource).map_err(|malformed| unreadable(&malformed))?;
        refuse_issues(&within(&here, survey.issues))?;
        prepare(resource, resource_type, &id, &here, hub)
    };
    let (order, action) = match method {
        Method::Delete => (0, Action::Delete),
        Method::Create => (1, Action::Create(content(resource)?)),
        Method::Update => {
            let content = content(resource)?;
            (2, Action::Update { content, may_create: hub.config.client_ids() })
        }
    };
    let if_match = if order == 2 { hub.required(if_match)? } else { if_match };
    Ok(Prepared { place, order, write: Write { resource_type, id, action, if_match } })
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "resourceType", borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
}

/// Issues of a resource as issues of the entry that it is in.
fn within(here: &str, issues: Vec<ValidationIssue>) -> Vec<ValidationIssue> {
    let moved = |issue: ValidationIssue| {
        let (_, rest) = issue.expression.split_once('.').unwrap_or_default();
        ValidationIssue { expression: format!("{here}.{rest}"), ..issue }
    };
    issues.into_iter().map(moved).collect()
}

fn names(writes: &[Write]) -> Vec<String> {
    writes.iter().map(|write| format!("{}/{}", write.resource_type, write.id)).collect()
}

/// The transaction-response, entries in the order in which they came.
fn response(places: &[usize], names: &[String], written: &[Written]) -> Vec<u8> {
    let mut entries = vec![String::new(); places.len()];
    for ((place, name), Written { version, created }) in places.iter().zip(names).zip(written) {
        entries[*place] = match version {
            Some(version) if version.method != Method::Delete => {
                let status = if *created { "201 Created" } else { "200 OK" };
                let (number, updated) = (version.version, format_instant(version.updated));
                format!(
                    r#"{{"response":{{"status":"{status}","location":"{name}/_history/{number}","etag":"W/\"{number}\"","lastModified":"{updated}"}}}}"#
                )
            }
            _ => r#"{"response":{"status":"204 No Content"}}"#.to_owned(),
        };
    }
    let head = r#"{"resourceType":"Bundle","type":"transaction-response""#;
    if entries.is_empty() {
        return format!("{head}}}").into_bytes();
    }
    format!(r#"{head},"entry":[{}]}}"#, entries.join(",")).into_bytes()
}

/// Names the entry that a refusal of the store is about.
fn locate(error: HubError, places: &[usize]) -> HubError {
    let mut refusal = Refusal::from(error);
    if let Some(place) = refusal.entry.and_then(|entry| places.get(entry)) {
        refusal.outcome.issue[0].expression.push(expression(*place));
    }
    refusal.into()
}

fn expression(place: usize) -> String {
    format!("Bundle.entry[{place}]")
}

fn at(expression: &str, code: IssueCode, text: &str) -> Refusal {
    Refusal::bad_request_issue(Issue::error(code, text).at(expression))
}
