//! create: `POST [base]/[type]`. <https://hl7.org/fhir/R4/http.html#create>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;
use uuid::Uuid;

use super::binary;
use super::content::{prepare, survey};
use super::links::refuse_conditional_references;
use super::preconditions::refuse_conditional;
use crate::Hub;
use crate::address::Kind;
use crate::error::HubError;
use crate::store::write::{Action, Write};

/// Stores a new resource under an id of our choice; an id in the body is ignored.
pub async fn create(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    refuse_conditional(&headers)?;
    let text = binary::body(resource_type, None, &headers, body).await?;
    let survey = survey(&text, resource_type)?;
    refuse_conditional_references(&text, &survey.references)?;
    let id = Uuid::now_v7().to_string();
    let content = prepare(&text, resource_type, &id, resource_type.as_str(), &hub)?;
    let action = Action::Create(content);
    let write = Write { resource_type, id, action, if_match: None };
    hub.write_one(&caller, "create", write, &headers, StatusCode::CREATED).await
}
