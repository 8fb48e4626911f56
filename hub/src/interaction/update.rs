//! update: `PUT [base]/[type]/[id]`. <https://hl7.org/fhir/R4/http.html#update>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use fhir::outcome::{Issue, IssueCode};
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;
use service::refusal::Refusal;

use super::binary;
use super::content::{prepare, survey};
use super::links::refuse_conditional_references;
use super::preconditions::{if_match, refuse_conditional};
use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;
use crate::store::write::{Action, Write};

/// Stores the next version of a resource, or the first under this id.
pub async fn update(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    refuse_conditional(&headers)?;
    let if_match = hub.required(if_match(&headers)?)?;
    let text = binary::body(resource_type, Some(&id), &headers, body).await?;
    let survey = survey(&text, resource_type)?;
    if survey.id.as_deref() != Some(id.as_str()) {
        return Err(other_id(resource_type.as_str()).into());
    }
    refuse_conditional_references(&text, &survey.references)?;
    let content = prepare(&text, resource_type, &id, resource_type.as_str(), &hub)?;
    let action = Action::Update { content, may_create: hub.config.client_ids() };
    let write = Write { resource_type, id, action, if_match };
    hub.write_one(&caller, "update", write, &headers, StatusCode::OK).await
}

/// The body must say which resource it is, and say the same as the URL.
pub(super) fn other_id(at: &str) -> Refusal {
    let text = "The id in the body must be there and be the id in the URL.";
    Refusal::bad_request_issue(Issue::error(IssueCode::Invalid, text).at(format!("{at}.id")))
}
