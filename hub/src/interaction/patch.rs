//! patch: `PATCH [base]/[type]/[id]` and `PATCH [base]/[type]?criteria`.
//! <https://hl7.org/fhir/R4/http.html#patch>
//!
//! A patch is applied to the version that was read, and stored only over that version; if another came
//! first, it is applied to that one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use fhir::patch::{PatchError, PatchErrorKind, apply_fhirpath, apply_json, apply_merge};
use fhir::tree::Tree;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::body::{RESOURCE_BYTES_MAX, any};
use service::caller::Caller;
use service::refusal::Refusal;

use super::content::{check, same_id};
use super::intent::{Deed, Intent, Language, Target};
use super::perform::perform;
use super::preconditions::{IF_NONE_EXIST, if_match, refuse};
use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;

/// The media type of JSON Patch.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// The media type of JSON Merge Patch.
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// Changes parts of a resource.
pub async fn patch(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    change(&hub, &caller, resource_type, Target::Id(id), &headers, body).await
}

/// Changes parts of the one resource that the criteria select.
pub async fn conditional(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    RawQuery(criteria): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let target = Target::Criteria(criteria.unwrap_or_default());
    change(&hub, &caller, resource_type, target, &headers, body).await
}

async fn change(
    hub: &Hub,
    caller: &Caller,
    resource_type: ResourceType,
    target: Target,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    refuse(headers, &["If-None-Match", IF_NONE_EXIST])?;
    let (language, if_match) = (language(headers)?, if_match(headers)?);
    let text = any(headers, body, RESOURCE_BYTES_MAX).await?;
    let language = if is_parameters(&text) { Language::FhirPath } else { language };
    let deed = Deed::Patch { target, language, text };
    let intent = Intent { resource_type, deed, if_match, at: "Parameters".into() };
    if let Some((carried, text)) = intent.carries() {
        check(text, carried, &intent.at)?;
    }
    perform(hub, caller, &intent, headers).await
}

/// The language that the body's media type names.
fn language(headers: &HeaderMap) -> Result<Language, Refusal> {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = declared.unwrap_or_default().split(';').next().unwrap_or_default();
    match media.trim().to_ascii_lowercase().as_str() {
        JSON_PATCH => Ok(Language::JsonPatch),
        MERGE_PATCH | "application/json" => Ok(Language::Merge),
        fhir::FHIR_JSON => Ok(Language::FhirPath),
        _ => {
            let text = "Send a JSON Patch as application/json-patch+json, a FHIRPath Patch, which is \
                        a Parameters resource, as application/fhir+json, or a JSON Merge Patch as \
                        application/merge-patch+json.";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(Refusal::error(status, IssueCode::NotSupported, text))
        }
    }
}

/// Plain JSON may be a Parameters resource too; then it is a FHIRPath Patch.
fn is_parameters(text: &[u8]) -> bool {
    Tree::parse(text).is_ok_and(|tree| tree.text("resourceType") == Some("Parameters"))
}

/// A resource after a patch, valid and the same resource still.
pub fn patched(
    (resource_type, id): (ResourceType, &str),
    base: &[u8],
    language: Language,
    patch: &[u8],
) -> Result<Bytes, Refusal> {
    let text = match language {
        Language::JsonPatch => apply_json(base, patch),
        Language::Merge => apply_merge(base, patch),
        Language::FhirPath => apply_fhirpath(base, resource_type, patch),
    };
    let text = text.map_err(|error| unpatchable(&error, language))?;
    let at = resource_type.as_str();
    same_id(check(&text, resource_type, at)?.as_deref(), id, at)?;
    Ok(text.into())
}

fn unpatchable(error: &PatchError, language: Language) -> Refusal {
    let (status, code) = match error.kind {
        PatchErrorKind::Malformed => (StatusCode::BAD_REQUEST, IssueCode::Structure),
        PatchErrorKind::NotFound => (StatusCode::UNPROCESSABLE_ENTITY, IssueCode::NotFound),
        PatchErrorKind::Ambiguous => (StatusCode::UNPROCESSABLE_ENTITY, IssueCode::MultipleMatches),
        PatchErrorKind::Occupied => (StatusCode::UNPROCESSABLE_ENTITY, IssueCode::Duplicate),
        PatchErrorKind::TestFailed => (StatusCode::UNPROCESSABLE_ENTITY, IssueCode::Conflict),
        PatchErrorKind::Protected => (StatusCode::UNPROCESSABLE_ENTITY, IssueCode::BusinessRule),
        PatchErrorKind::NotSupported => (StatusCode::UNPROCESSABLE_ENTITY, IssueCode::NotSupported),
        PatchErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooCostly),
    };
    let at = match language {
        Language::JsonPatch => format!("[{}]", error.operation),
        Language::Merge => "$".to_owned(),
        Language::FhirPath => format!("Parameters.parameter[{}]", error.operation),
    };
    Refusal::new(status, Issue::error(code, error.to_string()).at(at))
}
