//! Where each entry of a transaction leads, and what the links to it become.

use std::collections::HashMap;

use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use http::StatusCode;
use service::refusal::Refusal;

use super::entry::Job;
use super::incoming::Entry;
use super::parsed::{ConditionalReference, Parsed};
use super::{at, expression, within};
use crate::error::HubError;
use crate::interaction::footing::Footing;
use crate::interaction::intent::{Deed, Intent};
use crate::interaction::links::{Links, key};
use crate::interaction::resolve::{Before, Resolved, resolve};
use crate::store::StoreError;

/// What part an entry has in the transaction.
#[derive(Debug)]
pub(super) enum Role {
    /// It writes, or finds what it would have written.
    Own(Resolved),
    /// It creates, under the same condition, what an earlier entry creates.
    SameAs(usize),
    /// It reads.
    Ask,
}

/// Looks up where each entry leads.
pub(super) async fn roles(
    footing: &mut Footing<'_>,
    parsed: &Parsed,
) -> Result<Vec<Role>, HubError> {
    let mut roles = Vec::with_capacity(parsed.jobs.len());
    let mut creating: HashMap<(ResourceType, &str), usize> = HashMap::new();
    for (place, job) in parsed.jobs.iter().enumerate() {
        let Job::Write(intent) = job else {
            roles.push(Role::Ask);
            continue;
        };
        let resolved = resolve(footing, intent).await;
        let resolved = resolved.map_err(|error| located(place, intent, error))?;
        let condition = match &intent.deed {
            Deed::Create { if_none_exist: Some(criteria), .. } => Some(criteria.as_str()),
            _ => None,
        };
        roles.push(match (condition, resolved) {
            (Some(criteria), resolved @ Resolved::Write { .. }) => {
                let asked = (intent.resource_type, criteria);
                match creating.get(&asked) {
                    Some(first) => Role::SameAs(*first),
                    None => {
                        creating.insert(asked, place);
                        Role::Own(resolved)
                    }
                }
            }
            (_, resolved) => Role::Own(resolved),
        });
    }
    distinct(parsed, &roles)?;
    Ok(roles)
}

/// Names the entry, and the part of it that led astray.
fn located(place: usize, intent: &Intent, error: HubError) -> HubError {
    match error {
        // This is no one's fault: the caller decides again.
        HubError::Store(StoreError::Moved) => error,
        error => {
            let part = match &intent.deed {
                Deed::Create { .. } => ".request.ifNoneExist",
                _ => ".request.url",
            };
            within(place, part, error).into()
        }
    }
}

/// Refuses two entries about one resource, however they came to it: only creates that leave alone what
/// they found may share it.
fn distinct(parsed: &Parsed, roles: &[Role]) -> Result<(), Refusal> {
    let mut seen: HashMap<(ResourceType, &str), bool> = HashMap::with_capacity(roles.len());
    for (place, (job, role)) in parsed.jobs.iter().zip(roles).enumerate() {
        let (Job::Write(intent), Role::Own(resolved)) = (job, role) else { continue };
        let (id, writes) = match resolved {
            // What is replaced ends, too; what replaces it has an id of its own.
            Resolved::Write { before: Before::Replaced(replaced), .. } => (&replaced.id, true),
            Resolved::Write { id, .. } => (id, true),
            Resolved::Found { id, .. } => (id, false),
            Resolved::Nothing => continue,
        };
        let before = seen.insert((intent.resource_type, id), writes);
        if before.is_some_and(|wrote| wrote || writes) {
            let text = "Two entries of the transaction are about this resource.";
            return Err(at(expression(place), IssueCode::Invalid, text));
        }
    }
    Ok(())
}

/// What each fullUrl and each conditional reference becomes.
pub(super) async fn links(
    footing: &mut Footing<'_>,
    parsed: &Parsed,
    roles: &[Role],
) -> Result<Links, HubError> {
    let mut links = Links::with_capacity(roles.len());
    for (entry, (job, role)) in parsed.entries.iter().zip(parsed.jobs.iter().zip(roles)) {
        let Job::Write(intent) = job else { continue };
        let id = match role {
            Role::SameAs(first) => id(&roles[*first]),
            role => id(role),
        };
        if let (Some(full_url), Some(id)) = (&entry.full_url, id) {
            link(&mut links, entry, full_url, format!("{}/{id}", intent.resource_type))?;
        }
    }
    for reference in &parsed.conditional {
        let target = referred(footing, reference).await?;
        links.insert(reference.written.clone(), target);
    }
    Ok(links)
}

fn link(links: &mut Links, entry: &Entry, full_url: &str, to: String) -> Result<(), Refusal> {
    match links.insert(key(full_url).into_owned(), to) {
        None => Ok(()),
        Some(_) => {
            let text = "Two entries of the transaction have this fullUrl.";
            let at_url = format!("{}.fullUrl", expression(entry.place));
            Err(at(at_url, IssueCode::Invalid, text))
        }
    }
}

/// The id to which a role leads.
pub(super) fn id(role: &Role) -> Option<&str> {
    match role {
        Role::Own(Resolved::Write { id, .. } | Resolved::Found { id, .. }) => Some(id),
        Role::Own(Resolved::Nothing) | Role::SameAs(_) | Role::Ask => None,
    }
}

/// The one resource that a conditional reference means.
async fn referred(
    footing: &mut Footing<'_>,
    reference: &ConditionalReference,
) -> Result<String, HubError> {
    let ConditionalReference { resource_type, criteria, at: element, .. } = reference;
    let refused = |code, text: &str| {
        let issue = Issue::error(code, text).at(element);
        Refusal::new(StatusCode::PRECONDITION_FAILED, issue)
    };
    let Ok(resource_type) = resource_type.parse::<ResourceType>() else {
        return Err(at(element, IssueCode::Value, "There is no resource type of this name.").into());
    };
    match footing.select(resource_type, criteria).await {
        Ok(Some(id)) => Ok(format!("{resource_type}/{id}")),
        Ok(None) => {
            let text = "The conditional reference selects nothing: refer to a resource that is in \
                        the record, or send it in this transaction and refer to its fullUrl.";
            Err(refused(IssueCode::NotFound, text).into())
        }
        Err(HubError::Refused(refusal)) => {
            let mut refusal = *refusal;
            refusal.outcome.issue[0].expression.insert(0, element.clone());
            Err(refusal.into())
        }
        Err(error) => Err(error),
    }
}
