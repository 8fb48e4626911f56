//! A change that is proposed to a resource's custodian: a patch, another text, or its end; about one
//! version, and applied to no other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use fhir::tree::Tree;
use http::StatusCode;
use serde_json::{Value, json};
use service::caller::Caller;
use service::caller::scope::Rights;
use service::refusal::Refusal;

use super::provenance::{Act, provenance};
use super::task::{self, Changes, TASK, concept, inputs, invalid, is_ours, organisation, party};
use super::{Custodian, Hand, May, permit};
use crate::Hub;
use crate::error::HubError;
use crate::interaction::content::{check, prepare, same_id};
use crate::interaction::footing::Footing;
use crate::interaction::intent::{Deed, Intent, Language};
use crate::interaction::patch::{JSON_PATCH, MERGE_PATCH, patched};
use crate::interaction::perform::{Planned, Told};
use crate::operation::task::Settled;
use crate::store::StoreError;
use crate::store::write::{Action, Decision, Held, Write, decide};

/// The input that is a patch or another text: an attachment of the media type that a request would have.
const CHANGE: &str = "amendment";
/// The input that says that the resource should end.
const END: &str = "deletion";

/// A change, as it is proposed.
#[derive(Debug, Clone)]
pub enum Amendment {
    /// A patch in this language.
    Patch(Language, Bytes),
    /// Another text.
    Replacement(Bytes),
    /// Its end.
    Deletion,
}

impl Amendment {
    /// What someone wanted to do.
    fn of(deed: &Deed) -> Self {
        match deed {
            Deed::Patch { language, text, .. } => Self::Patch(*language, text.clone()),
            Deed::Create { text, .. } | Deed::Update { text, .. } => {
                Self::Replacement(text.clone())
            }
            Deed::Delete { .. } => Self::Deletion,
        }
    }

    /// What a Task proposes.
    fn read(task: &Tree<'_>, at: &str) -> Result<Self, Refusal> {
        let refused = |place: &str, text: &str| {
            invalid(&format!("{at}.input{place}"), IssueCode::Required, text)
        };
        let ends = inputs(task, END)
            .any(|(_, input)| matches!(input.get("valueBoolean"), Some(Tree::Bool(true))));
        let mut changes = inputs(task, CHANGE);
        let (place, attachment) = match (ends, changes.next(), changes.next()) {
            (true, None, _) => return Ok(Self::Deletion),
            (false, Some((place, input)), None) => {
                (format!("[{place}]"), input.get("valueAttachment"))
            }
            _ => {
                let text = "A proposal needs one input: of type amendment, with a valueAttachment \
                            that is a patch or the resource as it should be, or of type deletion, \
                            with valueBoolean true.";
                return Err(refused("", text));
            }
        };
        let media = attachment.and_then(|a| a.text("contentType")).unwrap_or_default();
        let data = attachment.and_then(|a| STANDARD.decode(a.text("data")?).ok());
        let data = Bytes::from(data.ok_or_else(|| {
            refused(&place, "The amendment must be a valueAttachment with base64 data.")
        })?);
        match media {
            JSON_PATCH => Ok(Self::Patch(Language::JsonPatch, data)),
            MERGE_PATCH => Ok(Self::Patch(Language::Merge, data)),
            fhir::FHIR_JSON => {
                let is_patch = Tree::parse(&data)
                    .is_ok_and(|tree| tree.text("resourceType") == Some("Parameters"));
                if is_patch {
                    check(&data, ResourceType::PARAMETERS, "Parameters")?;
                    return Ok(Self::Patch(Language::FhirPath, data));
                }
                Ok(Self::Replacement(data))
            }
            _ => {
                let text = format!(
                    "The contentType must be {JSON_PATCH}, {MERGE_PATCH}, or {} for a FHIRPath \
                     Patch or the resource as it should be.",
                    fhir::FHIR_JSON
                );
                Err(refused(&place, &text))
            }
        }
    }

    /// As an input of a Task.
    fn input(&self) -> Value {
        let attachment = |media: &str, data: &Bytes| {
            let attachment = json!({"contentType": media, "data": STANDARD.encode(data)});
            json!({"type": concept(CHANGE), "valueAttachment": attachment})
        };
        match self {
            Self::Patch(Language::JsonPatch, patch) => attachment(JSON_PATCH, patch),
            Self::Patch(Language::Merge, patch) => attachment(MERGE_PATCH, patch),
            Self::Patch(Language::FhirPath, text) | Self::Replacement(text) => {
                attachment(fhir::FHIR_JSON, text)
            }
            Self::Deletion => json!({"type": concept(END), "valueBoolean": true}),
        }
    }

    /// The resource with the change; nothing if it ends.
    fn applied(
        &self,
        (resource_type, id): (ResourceType, &str),
        base: &[u8],
    ) -> Result<Option<Bytes>, Refusal> {
        match self {
            Self::Patch(language, patch) => {
                patched((resource_type, id), base, *language, patch).map(Some)
            }
            Self::Replacement(text) => {
                let at = resource_type.as_str();
                let found = check(text, resource_type, at)?;
                same_id(found.as_deref(), id, at)?;
                Ok(Some(text.clone()))
            }
            Self::Deletion => Ok(None),
        }
    }
}

/// An amendment and what it is about.
#[derive(Debug, Clone)]
pub struct Proposal {
    resource_type: ResourceType,
    id: String,
    held: Held,
    amendment: Amendment,
}

impl Proposal {
    /// Reads a Task that is to be created.
    pub async fn read(
        footing: &mut Footing<'_>,
        task: &Tree<'_>,
        at: &str,
    ) -> Result<Self, HubError> {
        let focus = format!("{at}.focus");
        let (resource_type, id, version) = focused(task, &focus)?;
        footing.caller().require(resource_type.as_str(), Rights::READ)?;
        let held = footing.pin(resource_type, &id).await?;
        let held = held.filter(|held| held.version.body.is_some()).ok_or_else(|| {
            invalid(&focus, IssueCode::NotFound, "There is no such resource in this record.")
        })?;
        if held.version.version != version {
            let text = format!(
                "The resource is at version {} now: read it, and propose a change of that.",
                held.version.version
            );
            let issue = Issue::error(IssueCode::Conflict, text).at(focus);
            return Err(Refusal::new(StatusCode::CONFLICT, issue).into());
        }
        let own = footing.hub().hand(footing.caller(), resource_type).organisation;
        if held.custodian == own {
            let text = "The resource is your organisation's own: change it yourself.";
            return Err(invalid(&focus, IssueCode::BusinessRule, text).into());
        }
        if resource_type == TASK && held.version.body.as_ref().is_some_and(|body| is_ours(body)) {
            let text = "Nothing is proposed about a Task that is a proposal itself.";
            return Err(invalid(&focus, IssueCode::BusinessRule, text).into());
        }
        if task.get("reasonCode").is_none() {
            let text = "A proposal needs its reason: a text will do.";
            return Err(invalid(&format!("{at}.reasonCode"), IssueCode::Required, text).into());
        }
        let amendment = Amendment::read(task, at)?;
        Ok(Self { resource_type, id, held, amendment })
    }

    /// What its Task says that is not the proposer's to say.
    pub fn members(&self, hub: &Hub) -> Result<Changes, Refusal> {
        let Self { resource_type, id, held, amendment } = self;
        let focus = format!("{resource_type}/{id}/_history/{}", held.version.version);
        let owner = match held.custodian.as_str() {
            "" => hub.config.region.ods.as_str(),
            code => code,
        };
        let mut changes: Changes = vec![
            ("focus", Some(json!({"reference": focus}).to_string())),
            ("owner", Some(organisation(owner).to_string())),
        ];
        // What cannot be applied now never can be.
        let body = held.version.body.as_deref().unwrap_or_default();
        let applied = amendment.applied((*resource_type, id), body)?;
        let content = prepare(
            applied.as_deref().unwrap_or(body),
            (*resource_type, id),
            resource_type.as_str(),
            &held.custodian,
            hub,
        )?;
        if let [patient] = content.index.patients.as_slice() {
            let patient = json!({"reference": format!("Patient/{patient}")});
            changes.push(("for", Some(patient.to_string())));
        }
        let hand = Hand { organisation: held.custodian.clone(), may: May::Own };
        let action = Action::Update { content, may_create: false };
        let (resource_type, id) = (*resource_type, id.clone());
        let write = Write { resource_type, id, action, if_match: None, hand };
        permit(&write, Some(held)).map_err(refused)?;
        Ok(changes)
    }
}

/// What is written in the place of an edit: a Task that proposes it.
pub fn plan(
    hub: &Hub,
    caller: &Caller,
    intent: &Intent,
    id: String,
    held: &Held,
) -> Result<Planned, Refusal> {
    let amendment = Amendment::of(&intent.deed);
    let text = json!({
        "resourceType": "Task",
        "code": concept(task::AMENDMENT),
        "reasonCode": {"text": "An edit of another organisation's resource."},
        "input": [amendment.input()],
    });
    let resource_type = intent.resource_type;
    let proposal = Proposal { resource_type, id, held: held.clone(), amendment };
    let (text, id) = (text.to_string(), uuid::Uuid::now_v7().to_string());
    let write = task::requested(hub, caller, text.as_bytes(), id, proposal.members(hub)?)?;
    Ok(Planned { writes: vec![write], told: Told::Proposed })
}

/// The version of a resource that a Task is about.
fn focused(task: &Tree<'_>, at: &str) -> Result<(ResourceType, String, i64), Refusal> {
    let reference = task.get("focus").and_then(|focus| focus.text("reference"));
    match reference.and_then(task::local) {
        Some((resource_type, id, Some(version))) => Ok((resource_type, id, version)),
        _ => {
            let text = "The focus must be the version that the change is about: \
                        Type/id/_history/version, of this record.";
            Err(invalid(at, IssueCode::Value, text))
        }
    }
}

/// Accepts an amendment: it is applied, or the Task is put on hold if it comes too late.
pub async fn accept(
    footing: &mut Footing<'_>,
    (id, task): (&str, &Tree<'_>),
) -> Result<Settled, HubError> {
    let (hub, caller) = (footing.hub(), footing.caller());
    let (resource_type, focus, version) = focused(task, "Task.focus")?;
    let amendment = Amendment::read(task, "Task")?;
    let right = match amendment {
        Amendment::Deletion => Rights::DELETE,
        _ => Rights::UPDATE,
    };
    caller.require(resource_type.as_str(), right)?;
    let held = footing.pin(resource_type, &focus).await?;
    let current = held.filter(|held| held.version.version == version);
    let current = current.and_then(|held| Some((held.version.body.clone()?, held)));
    let Some((body, held)) = current else {
        return Ok(Settled::on_hold("What the proposal is about has changed since it was made."));
    };
    let organisation = Custodian::of(&caller.organisation, &hub.config.region.ods);
    let action = match amendment.applied((resource_type, &focus), &body)? {
        Some(text) => {
            let at = resource_type.as_str();
            let content = prepare(&text, (resource_type, &focus), at, &organisation, hub)?;
            Action::Update { content, may_create: false }
        }
        None => Action::Delete,
    };
    let hand = Hand { organisation, may: May::Own };
    let write = Write { resource_type, id: focus, action, if_match: Some(version), hand };
    let decision = decide(&write, Some(&held), hub.clock.now_micros()).map_err(refused)?;
    let made = match decision {
        Decision::Store(held) => held.version.version,
        Decision::Nothing => version,
    };
    let (name, author) = (write.name(), party(task, "requester"));
    let reason = task.get("reasonCode");
    let coded = reason.and_then(|reason| reason.get("coding")?.items().first()?.text("code"));
    let act = Act {
        targets: vec![format!("{name}/_history/{made}")],
        author: author.as_ref().map_or("", |code| code.as_str()),
        verifier: Some(caller.organisation.as_str()),
        reason: reason.and_then(|reason| reason.text("text")).or(coded).unwrap_or(task::AMENDMENT),
        entities: vec![
            ("revision", format!("{name}/_history/{version}")),
            ("source", format!("Task/{id}")),
        ],
    };
    let provenance = provenance(hub, caller, &act)?;
    let results = [act.targets[0].clone(), provenance.name()];
    Ok(Settled::completed(vec![write, provenance], &results))
}

fn refused(conflict: crate::store::write::Conflict) -> Refusal {
    HubError::from(StoreError::Conflict { entry: 0, conflict }).into()
}
