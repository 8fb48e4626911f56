//! `$meta-add`: `POST [base]/[type]/[id]/$meta-add`.
//! <https://hl7.org/fhir/R4/resource-operation-meta-add.html>

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

/// Adds profiles, security labels and tags to a resource; what is there already stays once.
pub async fn meta_add(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let (caller, edit) = (&caller, labels::add);
    let asked = Change { caller, interaction: "meta-add", resource_type, id, edit };
    change(&hub, asked, &headers, body).await
}
