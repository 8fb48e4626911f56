//! Where a write leads in the record as it is now.
//! <https://hl7.org/fhir/R4/http.html#ccreate>, <https://hl7.org/fhir/R4/http.html#cond-update>

use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use http::StatusCode;
use service::refusal::Refusal;
use uuid::Uuid;

use super::footing::Footing;
use super::intent::{Deed, Intent, Target};
use crate::custody::detour::detour;
use crate::custody::supersede::Replaced;
use crate::custody::task::Order;
use crate::error::HubError;
use crate::store::StoreError;
use crate::store::write::{Conflict, Held, Version};

/// Where a write leads.
#[derive(Debug, Clone)]
pub enum Resolved {
    /// To a resource that is written.
    Write {
        /// Its id.
        id: String,
        /// What is known of it.
        before: Before,
    },
    /// To a resource that is there already: a conditional create leaves it as it is.
    Found {
        /// Its id.
        id: String,
        /// What is there.
        version: Version,
    },
    /// To none: there is nothing to delete.
    Nothing,
}

/// What is known of a resource before it is written.
#[derive(Debug, Clone)]
pub enum Before {
    /// Its id is new and ours.
    Fresh,
    /// Nothing, or nothing that matters.
    Unknown,
    /// Its text, to which a patch is applied.
    Text(Bytes),
    /// It is a Task that asks for something of ours.
    Order(Box<Order>),
    /// Another's resource is replaced by it.
    Replaced(Box<Replaced>),
    /// It is another's, to whom the edit is proposed.
    Proposed(Box<Held>),
}

/// Looks up where an intent leads.
pub async fn resolve(footing: &mut Footing<'_>, intent: &Intent) -> Result<Resolved, HubError> {
    let resolved = straight(footing, intent).await?;
    detour(footing, intent, resolved).await
}

/// Where an intent leads by itself.
async fn straight(footing: &mut Footing<'_>, intent: &Intent) -> Result<Resolved, HubError> {
    let resource_type = intent.resource_type;
    match &intent.deed {
        Deed::Create { if_none_exist: None, .. } => Ok(fresh()),
        Deed::Create { if_none_exist: Some(criteria), .. } => {
            match footing.select(resource_type, criteria).await? {
                None => Ok(fresh()),
                Some(id) => found(footing, resource_type, id).await,
            }
        }
        Deed::Update { target, id, if_none_match, .. } => {
            let resolved = match target {
                Target::Id(id) => known(footing.target(resource_type, id.clone(), true).await?),
                Target::Criteria(criteria) => {
                    let selected = footing.select(resource_type, criteria).await?;
                    let id = match id {
                        Some(id) if selected.is_none() => {
                            Some(footing.target(resource_type, id.clone(), true).await?)
                        }
                        id => id.clone(),
                    };
                    updated(footing, intent, selected, id).await?
                }
            };
            match &resolved {
                Resolved::Write { id, .. } if *if_none_match => {
                    absent(footing, resource_type, id).await?;
                }
                _ => {}
            }
            Ok(resolved)
        }
        Deed::Patch { target, .. } => {
            let id = match target {
                Target::Id(id) => footing.target(resource_type, id.clone(), false).await?,
                Target::Criteria(criteria) => {
                    let selected = footing.select(resource_type, criteria).await?;
                    selected.ok_or(HubError::NotFound { resource_type })?
                }
            };
            patched(footing, intent, id).await
        }
        Deed::Delete { target: Target::Id(id) } => {
            Ok(known(footing.target(resource_type, id.clone(), false).await?))
        }
        Deed::Delete { target: Target::Criteria(criteria) } => {
            let selected = footing.select(resource_type, criteria).await?;
            Ok(selected.map_or(Resolved::Nothing, known))
        }
    }
}

fn fresh() -> Resolved {
    Resolved::Write { id: Uuid::now_v7().to_string(), before: Before::Fresh }
}

fn known(id: String) -> Resolved {
    Resolved::Write { id, before: Before::Unknown }
}

/// What a conditional create found.
async fn found(
    footing: &Footing<'_>,
    resource_type: ResourceType,
    id: String,
) -> Result<Resolved, HubError> {
    match footing.hub().store.read(resource_type, &id).await? {
        Some(version) if version.body.is_some() => Ok(Resolved::Found { id, version }),
        // It went in the meantime.
        _ => Err(StoreError::Moved.into()),
    }
}

/// A conditional update: of what was selected, else of what the body names, else of a new resource.
async fn updated(
    footing: &mut Footing<'_>,
    intent: &Intent,
    selected: Option<String>,
    body: Option<String>,
) -> Result<Resolved, HubError> {
    match (selected, body) {
        (Some(selected), Some(body)) if selected != body => {
            let text = "The criteria select a resource with another id than the body has: send \
                        the body without an id, or with that of the resource.";
            let issue = Issue::error(IssueCode::Value, text).at(format!("{}.id", intent.at));
            Err(Refusal::bad_request_issue(issue).into())
        }
        (Some(selected), _) => Ok(known(selected)),
        (None, None) => Ok(fresh()),
        (None, Some(body)) => match footing.pin(intent.resource_type, &body).await? {
            Some(held) if held.version.body.is_some() => {
                let text = "The criteria select nothing, and the id in the body is in use by a \
                            resource that they do not select.";
                let issue = Issue::error(IssueCode::Conflict, text).at(format!("{}.id", intent.at));
                Err(Refusal::new(StatusCode::CONFLICT, issue).into())
            }
            _ => Ok(known(body)),
        },
    }
}

/// A patch: of a version that must still be the current one when its turn comes.
async fn patched(
    footing: &mut Footing<'_>,
    intent: &Intent,
    id: String,
) -> Result<Resolved, HubError> {
    let resource_type = intent.resource_type;
    footing.nothing_withheld(resource_type, &id).await?;
    let version = footing.pin(resource_type, &id).await?;
    let version = version.ok_or(HubError::NotFound { resource_type })?.version;
    let text = version.body.ok_or(HubError::Deleted { resource_type })?;
    if intent.if_match.is_some_and(|wanted| wanted != version.version) {
        let conflict = Conflict::VersionMismatch { current: Some(version.version) };
        return Err(StoreError::Conflict { entry: 0, conflict }.into());
    }
    Ok(Resolved::Write { id, before: Before::Text(text) })
}

/// `If-None-Match: *`
async fn absent(
    footing: &mut Footing<'_>,
    resource_type: ResourceType,
    id: &str,
) -> Result<(), HubError> {
    match footing.pin(resource_type, id).await?.map(|held| held.version) {
        Some(Version { version, body: Some(_), .. }) => {
            let text = format!(
                "If-None-Match asks that there be no such {resource_type} yet, but it is there, at \
                 version {version}."
            );
            Err(Refusal::error(StatusCode::PRECONDITION_FAILED, IssueCode::Conflict, text).into())
        }
        _ => Ok(()),
    }
}
