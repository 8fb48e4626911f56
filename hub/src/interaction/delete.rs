//! delete: `DELETE [base]/[type]/[id]` and `DELETE [base]/[type]?criteria`.
//! <https://hl7.org/fhir/R4/http.html#delete>

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use fhir::definitions::ResourceType;
use http::HeaderMap;
use service::answer::Answer;
use service::caller::Caller;

use super::intent::{Deed, Intent, Target};
use super::perform::perform;
use super::preconditions::{IF_NONE_EXIST, if_match, refuse};
use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;

/// Ends a resource; its versions stay. Deleting what is not there is no error.
pub async fn delete(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    end(&hub, &caller, resource_type, Target::Id(id), &headers).await
}

/// Ends the one resource that the criteria select; it is no error if they select none.
pub async fn conditional(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    RawQuery(criteria): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    let target = Target::Criteria(criteria.unwrap_or_default());
    end(&hub, &caller, resource_type, target, &headers).await
}

async fn end(
    hub: &Hub,
    caller: &Caller,
    resource_type: ResourceType,
    target: Target,
    headers: &HeaderMap,
) -> Result<Answer, HubError> {
    refuse(headers, &["If-None-Match", IF_NONE_EXIST])?;
    let (deed, if_match) = (Deed::Delete { target }, if_match(headers)?);
    let at = resource_type.as_str().to_owned();
    perform(hub, caller, &Intent { resource_type, deed, if_match, at }, headers).await
}
