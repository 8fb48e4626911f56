//! update: `PUT [base]/[type]/[id]` and `PUT [base]/[type]?criteria`.
//! <https://hl7.org/fhir/R4/http.html#update>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use fhir::definitions::ResourceType;
use http::HeaderMap;
use service::answer::Answer;
use service::caller::Caller;

use super::binary;
use super::content::{check, same_id};
use super::intent::{Deed, Intent, Target};
use super::perform::perform;
use super::preconditions::{IF_NONE_EXIST, if_match, if_none_match, refuse};
use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;

/// Stores the next version of a resource, or the first under this id.
pub async fn update(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    put(&hub, &caller, resource_type, Target::Id(id), &headers, body).await
}

/// Stores the next version of the resource that the criteria select, or the first if they select none.
pub async fn conditional(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    RawQuery(criteria): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let target = Target::Criteria(criteria.unwrap_or_default());
    put(&hub, &caller, resource_type, target, &headers, body).await
}

async fn put(
    hub: &Hub,
    caller: &Caller,
    resource_type: ResourceType,
    target: Target,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    refuse(headers, &[IF_NONE_EXIST])?;
    let (if_match, if_none_match) = (if_match(headers)?, if_none_match(headers)?);
    let id = if let Target::Id(id) = &target { Some(id.as_str()) } else { None };
    let text = binary::body(resource_type, id, headers, body).await?;
    let at = resource_type.as_str().to_owned();
    let id = check(&text, resource_type, &at)?;
    if let Target::Id(wanted) = &target {
        same_id(id.as_deref(), wanted, &at)?;
    }
    let deed = Deed::Update { target, text, id, if_none_match };
    perform(hub, caller, &Intent { resource_type, deed, if_match, at }, headers).await
}
