//! vread: `GET [base]/[type]/[id]/_history/[vid]`. <https://hl7.org/fhir/R4/http.html#vread>

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use http::HeaderMap;
use service::answer::Answer;
use service::caller::Caller;

use super::read::answer;
use crate::Hub;
use crate::address::{Id, Kind, Vid};
use crate::error::HubError;

/// One version of a resource.
pub async fn vread(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    Vid(vid): Vid,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    let version = hub.view(&caller)?.vread(&hub, resource_type, &id, vid).await?;
    answer(resource_type, version, &headers, query.as_deref())
}
