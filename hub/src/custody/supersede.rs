//! Another organisation's edit as a resource of its own, which replaces what was there. That ends, and
//! stays in its history; what was its alone (a unique identifier) passes on in the same transaction.
//!
//! The new one says what it replaces in the element that its type has for that, else in an extension of
//! ours, and so does a Provenance.

use std::borrow::Cow;

use fhir::definitions::ResourceType;
use fhir::tree::Tree;
use service::caller::Caller;
use service::refusal::Refusal;

use super::hand::keeps_labels;
use super::provenance::{Act, provenance};
use super::{Hand, SYSTEM};
use crate::Hub;
use crate::error::HubError;
use crate::interaction::content::{check, prepare};
use crate::interaction::intent::{Deed, Intent};
use crate::interaction::patch::patched;
use crate::interaction::perform::{Planned, Told};
use crate::store::StoreError;
use crate::store::write::{Action, Held, Write};

/// The extension by which a resource says what it replaces, where its type has no element for that.
pub const REPLACES: &str = "urn:shared-record:replaces";

/// What is replaced.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// Its id.
    pub id: String,
    /// Its current version.
    pub held: Held,
}

/// What is written in the place of an edit: the new resource under `id`, the end of the old one, and who
/// did so.
pub fn plan(
    hub: &Hub,
    caller: &Caller,
    intent: &Intent,
    id: String,
    Replaced { id: old, held }: &Replaced,
) -> Result<Planned, Refusal> {
    let resource_type = intent.resource_type;
    let base = held.version.body.as_deref().unwrap_or_default();
    let edited = match &intent.deed {
        Deed::Patch { language, text, .. } => patched((resource_type, old), base, *language, text)?,
        _ => intent.text().cloned().unwrap_or_default(),
    };
    let before = format!("{resource_type}/{old}/_history/{}", held.version.version);
    let text = successor(resource_type, &edited, &before)?;
    check(&text, resource_type, &intent.at)?;
    keeps_labels(resource_type, base, Some(&text)).map_err(|conflict| {
        Refusal::from(HubError::from(StoreError::Conflict { entry: 0, conflict }))
    })?;
    let hand = hub.hand(caller, resource_type);
    let content = prepare(&text, (resource_type, &id), &intent.at, &hand.organisation, hub)?;
    let act = Act {
        targets: vec![format!("{resource_type}/{id}/_history/1")],
        author: caller.organisation.as_str(),
        verifier: None,
        reason: "An edit of another organisation's resource.",
        entities: vec![("revision", before)],
    };
    let create = Write { resource_type, id, action: Action::Create(content), if_match: None, hand };
    let end = Write {
        resource_type,
        id: old.clone(),
        action: Action::Delete,
        if_match: Some(held.version.version),
        hand: Hand::hubs(held.custodian.clone()),
    };
    let provenance = provenance(hub, caller, &act)?;
    Ok(Planned { writes: vec![create, end, provenance], told: Told::Stored })
}

/// The text that says what it replaces, and no more whose that was.
fn successor(resource_type: ResourceType, text: &[u8], before: &str) -> Result<Vec<u8>, Refusal> {
    let mut tree = Tree::parse(text).map_err(|error| Refusal::internal(&error))?;
    disown(&mut tree);
    let reference = || object(vec![("reference", string(before))]);
    match resource_type.as_str() {
        "CarePlan" | "CommunicationRequest" | "RequestGroup" | "ServiceRequest" => {
            push(&mut tree, "replaces", reference());
        }
        "DeviceRequest" => push(&mut tree, "priorRequest", reference()),
        "MedicationRequest" if tree.get("priorPrescription").is_none() => {
            tree.set(Cow::Borrowed("priorPrescription"), reference());
        }
        "DocumentReference" => {
            let relation = vec![("code", string("replaces")), ("target", reference())];
            push(&mut tree, "relatesTo", object(relation));
        }
        "Composition" => {
            let relation = vec![("code", string("replaces")), ("targetReference", reference())];
            push(&mut tree, "relatesTo", object(relation));
        }
        // These can carry no extension: the Provenance says it.
        "Binary" | "Bundle" | "Parameters" => {}
        _ => {
            let replaces = vec![("url", string(REPLACES)), ("valueReference", reference())];
            push(&mut tree, "extension", object(replaces));
        }
    }
    let mut out = Vec::with_capacity(text.len() + 128);
    tree.write(&mut out);
    Ok(out)
}

/// Takes away the tag that names the custodian of what is replaced.
fn disown(resource: &mut Tree<'_>) {
    let Some(meta) = resource.get_mut("meta") else { return };
    if let Some(Tree::Array(tags)) = meta.get_mut("tag") {
        tags.retain(|tag| tag.text("system") != Some(SYSTEM));
        if tags.is_empty() {
            meta.remove("tag");
        }
    }
    // FHIR has no empty objects.
    if matches!(meta, Tree::Object(members) if members.is_empty()) {
        resource.remove("meta");
    }
}

fn push<'a>(resource: &mut Tree<'a>, name: &'static str, item: Tree<'a>) {
    match resource.get_mut(name) {
        Some(Tree::Array(items)) => items.push(item),
        _ => resource.set(Cow::Borrowed(name), Tree::Array(vec![item])),
    }
}

fn object<'a>(members: Vec<(&'static str, Tree<'a>)>) -> Tree<'a> {
    Tree::Object(members.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect())
}

fn string(text: &str) -> Tree<'_> {
    Tree::String(Cow::Borrowed(text))
}
