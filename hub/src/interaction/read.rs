//! read: `GET [base]/[type]/[id]`. <https://hl7.org/fhir/R4/http.html#read>

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use fhir::definitions::ResourceType;
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;

use super::binary;
use super::preconditions::not_modified;
use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;
use crate::store::write::Version;

/// The current version of a resource.
pub async fn read(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    let version = hub.view(&caller)?.read(&hub, resource_type, &id).await?;
    answer(resource_type, version, &headers, query.as_deref())
}

/// A version as an answer: 404 if there is none, 410 if it is a deletion, 304 if it is known.
pub(super) fn answer(
    resource_type: ResourceType,
    version: Option<Version>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Answer, HubError> {
    let version = version.ok_or(HubError::NotFound { resource_type })?;
    let known = not_modified(headers, &version);
    let body = version.body.ok_or(HubError::Deleted { resource_type })?;
    let answer = if known {
        Answer::empty(StatusCode::NOT_MODIFIED)
    } else if resource_type == ResourceType::BINARY {
        binary::answer(headers, query.unwrap_or_default(), body)
    } else {
        Answer::resource(StatusCode::OK, body)
    };
    Ok(answer.versioned(version.version, version.updated))
}
