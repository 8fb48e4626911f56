//! One write on its own: resolved, prepared, written; and again, if what it rested on has moved.

use http::HeaderMap;
use service::answer::Answer;
use service::caller::Caller;
use service::caller::scope::Rights;
use service::refusal::Refusal;

use super::content::prepare;
use super::done::Done;
use super::footing::{Footing, Patience};
use super::intent::{Deed, Intent};
use super::once::Key;
use super::patch::patched;
use super::permission;
use super::preconditions::Preference;
use super::provenance::Provenance;
use super::resolve::{Before, Resolved, resolve};
use crate::Hub;
use crate::custody::{amendment, supersede};
use crate::error::HubError;
use crate::store::write::{Action, Write};

/// What may come with a write.
#[derive(Debug, Default)]
pub struct Beside {
    /// Under which its answer is kept.
    pub key: Option<Key>,
    /// Stored with it.
    pub provenance: Option<Provenance>,
}

impl Beside {
    /// Reads the headers of a request; `parts` are what else makes it another than any other.
    pub fn of(headers: &HeaderMap, parts: &[Vec<u8>]) -> Result<Self, Refusal> {
        let provenance = Provenance::of(headers)?;
        Ok(Self { key: Key::of(headers, parts)?, provenance })
    }
}

/// Does what a request of its own asks for.
pub async fn perform(
    hub: &Hub,
    caller: &Caller,
    intent: &Intent,
    headers: &HeaderMap,
) -> Result<Answer, HubError> {
    let preference = Preference::of(headers).unwrap_or(Preference::Representation);
    let beside = Beside::of(headers, &intent.parts())?;
    let done = accomplish(hub, caller, intent, &beside).await?;
    Ok(done.answer(hub.base(), preference))
}

/// Does what an intent asks for.
pub async fn accomplish(
    hub: &Hub,
    caller: &Caller,
    intent: &Intent,
    beside: &Beside,
) -> Result<Done, HubError> {
    permission::write(caller, intent)?;
    hub.view(caller)?;
    if beside.provenance.is_some() {
        caller.require("Provenance", Rights::CREATE)?;
    }
    let mut patience = Patience::default();
    loop {
        match attempt(hub, caller, intent, beside).await {
            Err(error) if patience.bears(&error) => patience.pause().await,
            result => {
                let mut done = result?;
                done.withhold(hub, caller).await?;
                return Ok(done);
            }
        }
    }
}

async fn attempt(
    hub: &Hub,
    caller: &Caller,
    intent: &Intent,
    Beside { key, provenance }: &Beside,
) -> Result<Done, HubError> {
    if let Some(key) = key
        && let Some(mut kept) = key.kept(hub, caller).await?
        && let Some(Some(mut done)) = kept.pop()
    {
        done.refill(hub, caller).await?;
        return Ok(done);
    }
    let resource_type = intent.resource_type;
    let mut footing = Footing::new(hub, caller);
    let (id, before) = match resolve(&mut footing, intent).await? {
        Resolved::Write { id, before } => (id, before),
        Resolved::Nothing => return Ok(Done::nothing(resource_type)),
        Resolved::Found { id, version } => {
            return Ok(Done::found(&format!("{resource_type}/{id}"), &version));
        }
    };
    let Planned { mut writes, told } = plan(hub, caller, intent, id, &before)?;
    let name = writes[0].name();
    if let Some(provenance) = provenance {
        writes.extend(provenance.about(&mut footing, &writes[..1]).await?);
    }
    let once = key.as_ref().map(|key| {
        let name = name.clone();
        key.once(move |written| vec![Some(Done::written(&name, told, &written[0]))])
    });
    let interaction = intent.interaction();
    let written = hub.write(caller, interaction, writes, footing.expected(), once).await?;
    Ok(Done::written(&name, told, &written[0]))
}

/// What is written.
#[derive(Debug)]
pub struct Planned {
    /// The writes; the first is what its caller is told of.
    pub writes: Vec<Write>,
    /// How.
    pub told: Told,
}

/// What a caller is told of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The resource is stored.
    Stored,
    /// It has ended.
    Ended,
    /// It is a proposal.
    Proposed,
}

/// Prepares what is written where an intent leads: to `id`, unless it leads elsewhere. The text that came
/// is valid already.
pub fn plan(
    hub: &Hub,
    caller: &Caller,
    intent: &Intent,
    id: String,
    before: &Before,
) -> Result<Planned, Refusal> {
    match (before, intent.text()) {
        (Before::Order(order), Some(text)) => order.plan(hub, caller, text, id),
        (Before::Replaced(replaced), _) => supersede::plan(hub, caller, intent, id, replaced),
        (Before::Proposed(held), _) => amendment::plan(hub, caller, intent, id, held),
        (_, text) => {
            let told = if text.is_none() { Told::Ended } else { Told::Stored };
            Ok(Planned { writes: vec![write(hub, caller, intent, id, before)?], told })
        }
    }
}

/// Prepares what is written under `id`.
fn write(
    hub: &Hub,
    caller: &Caller,
    intent: &Intent,
    id: String,
    before: &Before,
) -> Result<Write, Refusal> {
    let resource_type = intent.resource_type;
    let hand = hub.hand(caller, resource_type);
    let mut if_match = intent.if_match;
    let content =
        |text: &[u8], at: &str| prepare(text, (resource_type, &id), at, &hand.organisation, hub);
    let action = match (&intent.deed, before) {
        (Deed::Create { text, .. }, _) | (Deed::Update { text, .. }, Before::Fresh) => {
            Action::Create(content(text, &intent.at)?)
        }
        (Deed::Update { text, .. }, _) => {
            if_match = hub.required(if_match)?;
            let content = content(text, &intent.at)?;
            Action::Update { content, may_create: hub.config.client_ids() }
        }
        (Deed::Patch { language, text, .. }, before) => {
            let Before::Text(base) = before else {
                return Err(Refusal::internal(&"a patch was resolved to no text"));
            };
            let text = patched((resource_type, &id), base, *language, text)?;
            Action::Update { content: content(&text, resource_type.as_str())?, may_create: false }
        }
        (Deed::Delete { .. }, _) => Action::Delete,
    };
    Ok(Write { resource_type, id, action, if_match, hand })
}
