//! search-type: `GET [base]/[type]?…` and `POST [base]/[type]/_search`.
//! <https://hl7.org/fhir/R4/http.html#search>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::body::form;
use service::caller::Caller;
use service::journal::Detail;
use service::refusal::Refusal;
use url::form_urlencoded;

use super::preconditions::strict;
use crate::Hub;
use crate::address::Kind;
use crate::error::HubError;
use crate::search::page;
use crate::search::parameters::parse;

type Pairs = Vec<(String, String)>;

/// By GET.
pub async fn get(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    let pairs = decode(query.unwrap_or_default().as_bytes());
    search(&hub, &caller, resource_type, pairs, &headers).await
}

/// By POST: parameters of the URL and of the form count alike.
pub async fn post(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let form = form(&headers, body).await?;
    let mut pairs = decode(query.unwrap_or_default().as_bytes());
    pairs.extend(decode(&form));
    let answer = search(&hub, &caller, resource_type, pairs, &headers).await?;
    Ok(answer.noting(Detail(String::from_utf8_lossy(&form).into_owned())))
}

async fn search(
    hub: &Hub,
    caller: &Caller,
    resource_type: ResourceType,
    pairs: Pairs,
    headers: &HeaderMap,
) -> Result<Answer, HubError> {
    let (pairs, after) = match pairs.iter().find(|(name, _)| name == "_cursor") {
        None => (pairs, None),
        Some(_) if pairs.len() > 1 => return Err(not_alone().into()),
        Some((_, text)) => {
            let now = hub.clock.now_micros();
            let cursor = hub.seal.open(text, &caller.organisation, now)?;
            if cursor.resource_type != resource_type.as_str() {
                return Err(not_alone().into());
            }
            (cursor.query, Some(cursor.position))
        }
    };
    let search = parse(resource_type, &pairs, strict(headers), hub.base())?;
    let bundle = page::run(hub, caller, &search, after).await?;
    Ok(Answer::resource(StatusCode::OK, bundle))
}

fn decode(query: &[u8]) -> Pairs {
    form_urlencoded::parse(query).into_owned().collect()
}

fn not_alone() -> Refusal {
    let text = "A page link is used as it was given: with its own type, and without more \
                parameters.";
    Refusal::bad_request_issue(Issue::error(IssueCode::Invalid, text).at("_cursor"))
}
