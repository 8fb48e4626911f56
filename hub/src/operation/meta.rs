//! `$meta`: `GET [base]/[type]/[id]/$meta`. <https://hl7.org/fhir/R4/resource-operation-meta.html>
//!
//! Of one resource only: what labels a type or the record uses could only be told by reading all of
//! it. Its two companions change a resource by [`change`].

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use fhir::tree::Tree;
use fhir::validate::validate;
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::body::{RESOURCE_BYTES_MAX, json};
use service::caller::Caller;
use service::journal::InStore;
use service::refusal::Refusal;

use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;
use crate::interaction::content::{prepare, refuse_issues, unreadable};
use crate::interaction::preconditions::if_match;
use crate::store::StoreError;
use crate::store::write::{Action, Conflict, Version, Write};

/// How often a change that others came before is made again.
const ATTEMPTS_MAX: usize = 16;

/// The metadata of a resource.
pub async fn meta(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
) -> Result<Answer, HubError> {
    let (version, body) = current(&hub, &caller, resource_type, &id).await?;

    Ok(answer(&version, &body)?)
}

/// What a change does to a resource, given a `meta`; whether it changed anything.
pub(super) type Edit = for<'a> fn(&mut Tree<'a>, &Tree<'a>) -> bool;

/// A change to be made, by whom and to what.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) caller: &'a Caller,
    pub(super) interaction: &'static str,
    pub(super) resource_type: ResourceType,
    pub(super) id: String,
    pub(super) edit: Edit,
}

/// Makes a change as a new version; none if it changes nothing. Whoever writes in between is not
/// overwritten: the change is made again to what they wrote.
pub(super) async fn change(
    hub: &Hub,
    change: Change<'_>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let Change { caller, interaction, resource_type, id, edit } = change;
    let wanted = if_match(headers)?;
    let text = json(headers, body, RESOURCE_BYTES_MAX).await?;
    let parameters = parameters(&text)?;
    let given = given(&parameters)?;
    for _ in 0..ATTEMPTS_MAX {
        let (version, body) = current(hub, caller, resource_type, &id).await?;
        let edited = edited(edit, &body, given)?;
        let if_match = Some(wanted.unwrap_or(version.version));
        if edited.is_none() && if_match == Some(version.version) {
            return Ok(answer(&version, &body)?);
        }
        let text = edited.unwrap_or_else(|| body.to_vec());
        let (hand, at) = (hub.hand(caller, resource_type), resource_type.as_str());
        let content = prepare(&text, (resource_type, &id), at, &hand.organisation, hub)?;
        let action = Action::Update { content, may_create: false };
        let write = Write { resource_type, id: id.clone(), action, if_match, hand };
        let written = match hub.write(caller, interaction, vec![write], Vec::new(), None).await {
            Err(HubError::Store(StoreError::Conflict {
                conflict: Conflict::VersionMismatch { .. },
                ..
            })) if wanted.is_none() => continue,
            // The index is made by other rules now.
            Err(HubError::Store(StoreError::Moved)) => continue,
            written => written?,
        };
        let version = written.into_iter().next().and_then(|written| written.version);
        let version = version.ok_or(HubError::NotFound { resource_type })?;
        let body = version.body.clone().ok_or(HubError::Deleted { resource_type })?;
        return Ok(answer(&version, &body)?.noting(InStore));
    }
    Err(StoreError::Moved.into())
}

/// The current version as it is stored, if the caller may see it.
async fn current(
    hub: &Hub,
    caller: &Caller,
    resource_type: ResourceType,
    id: &str,
) -> Result<(Version, Bytes), HubError> {
    if !hub.view(caller)?.sees(hub, resource_type, id).await? {
        return Err(HubError::NotFound { resource_type });
    }
    let version = hub.store.read(resource_type, id).await?;
    let version = version.ok_or(HubError::NotFound { resource_type })?;
    let body = version.body.clone().ok_or(HubError::Deleted { resource_type })?;
    Ok((version, body))
}

/// A resource's text after an edit; `None` if it is as before.
fn edited(edit: Edit, body: &[u8], given: &Tree<'_>) -> Result<Option<Vec<u8>>, Refusal> {
    let mut tree = Tree::parse(body).map_err(|error| Refusal::internal(&error))?;
    if !edit(&mut tree, given) {
        return Ok(None);
    }
    let mut text = Vec::with_capacity(body.len() + 256);
    tree.write(&mut text);
    if text.len() > RESOURCE_BYTES_MAX {
        let text = "The resource would be larger than a resource may be.";
        return Err(Refusal::error(StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooLong, text));
    }
    Ok(Some(text))
}

/// Valid Parameters.
fn parameters(text: &[u8]) -> Result<Tree<'_>, Refusal> {
    let survey = validate(text).map_err(|malformed| unreadable(&malformed))?;
    refuse_issues(&survey.issues)?;
    if survey.resource_type != Some(ResourceType::PARAMETERS) {
        return Err(no_meta("resourceType"));
    }
    Tree::parse(text).map_err(|error| Refusal::internal(&error))
}

/// The `meta` that the Parameters hold.
fn given<'t, 'a>(parameters: &'t Tree<'a>) -> Result<&'t Tree<'a>, Refusal> {
    let all = parameters.get("parameter").map_or(&[][..], Tree::items);
    let mut metas = all.iter().filter(|parameter| parameter.text("name") == Some("meta"));
    match (metas.next().and_then(|parameter| parameter.get("valueMeta")), metas.next()) {
        (Some(meta), None) => Ok(meta),
        _ => Err(no_meta("Parameters.parameter")),
    }
}

fn no_meta(at: &str) -> Refusal {
    let text = "Send Parameters with one parameter named meta that has a valueMeta: the profiles, \
                security labels and tags in question.";
    Refusal::bad_request_issue(Issue::error(IssueCode::Required, text).at(at))
}

fn answer(version: &Version, body: &[u8]) -> Result<Answer, Refusal> {
    let tree = Tree::parse(body).map_err(|error| Refusal::internal(&error))?;
    let mut out =
        br#"{"resourceType":"Parameters","parameter":[{"name":"return","valueMeta":"#.to_vec();
    match tree.get("meta") {
        Some(meta) => meta.write(&mut out),
        None => out.extend_from_slice(b"{}"),
    }
    out.extend_from_slice(b"}]}");
    Ok(Answer::resource(StatusCode::OK, out).versioned(version.version, version.updated))
}
