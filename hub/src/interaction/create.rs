//! create: `POST [base]/[type]`. <https://hl7.org/fhir/R4/http.html#create>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::HeaderMap;
use service::answer::Answer;
use service::caller::Caller;

use super::binary;
use super::content::check;
use super::intent::{Deed, Intent};
use super::perform::perform;
use super::preconditions::{if_none_exist, refuse};
use crate::Hub;
use crate::address::Kind;
use crate::error::HubError;

/// Stores a new resource under an id of our choice; an id in the body is ignored. With If-None-Exist,
/// only if the criteria select none.
pub async fn create(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    refuse(&headers, &["If-Match", "If-None-Match"])?;
    let if_none_exist = if_none_exist(&headers)?;
    let text = binary::body(resource_type, None, &headers, body).await?;
    let at = resource_type.as_str().to_owned();
    check(&text, resource_type, &at)?;
    let deed = Deed::Create { text, if_none_exist };
    let intent = Intent { resource_type, deed, if_match: None, at };
    perform(&hub, &caller, &intent, &headers).await
}
