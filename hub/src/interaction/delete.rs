//! delete: `DELETE [base]/[type]/[id]`. <https://hl7.org/fhir/R4/http.html#delete>

use std::sync::Arc;

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;

use super::preconditions::if_match;
use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;
use crate::store::write::{Action, Write};

/// Ends a resource; its versions stay. Deleting what is not there is no error.
pub async fn delete(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    let if_match = if_match(&headers)?;
    let write = Write { resource_type, id, action: Action::Delete, if_match };
    hub.write_one(&caller, "delete", write, &headers, StatusCode::NO_CONTENT).await
}
