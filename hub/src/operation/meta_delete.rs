//! `$meta-delete`: `POST [base]/[type]/[id]/$meta-delete`.
//! <https://hl7.org/fhir/R4/resource-operation-meta-delete.html>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::HeaderMap;
use service::answer::Answer;
use service::caller::Caller;

use super::labels;
use super::meta::{Change, change};
use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;

/// Takes profiles, security labels and tags from a resource; what is not there is no error.
pub async fn meta_delete(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let (caller, edit) = (&caller, labels::delete);
    let asked = Change { caller, interaction: "meta-delete", resource_type, id, edit };
    change(&hub, asked, &headers, body).await
}
