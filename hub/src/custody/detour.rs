//! Where a write leads that is not simply stored: another organisation's edit, by the policy of its type,
//! and a Task that asks for something of ours. Looked up before it is prepared, like everything that a
//! write rests on.

use service::caller::scope::Rights;
use uuid::Uuid;

use super::policy::Policy;
use super::supersede::Replaced;
use super::task::{Order, TASK, is_ours};
use crate::error::HubError;
use crate::interaction::footing::Footing;
use crate::interaction::intent::{Deed, Intent};
use crate::interaction::resolve::{Before, Resolved};
use crate::store::StoreError;
use crate::store::write::Conflict;

/// Where an intent leads that seems to lead to `resolved`.
pub async fn detour(
    footing: &mut Footing<'_>,
    intent: &Intent,
    resolved: Resolved,
) -> Result<Resolved, HubError> {
    let Resolved::Write { id, before } = resolved else { return Ok(resolved) };
    if let Deed::Create { text, .. } = &intent.deed {
        if intent.resource_type != TASK || !is_ours(text) {
            return Ok(Resolved::Write { id, before });
        }
        let order = Order::read(footing, text, &intent.at).await?;
        return Ok(Resolved::Write { id, before: Before::Order(Box::new(order)) });
    }
    edit(footing, intent, id, before).await
}

/// An update, a patch or a deletion.
async fn edit(
    footing: &mut Footing<'_>,
    intent: &Intent,
    id: String,
    before: Before,
) -> Result<Resolved, HubError> {
    let (hub, resource_type) = (footing.hub(), intent.resource_type);
    let policy = hub.policy(resource_type);
    let asis = |before| Ok(Resolved::Write { id: id.clone(), before });
    let leads_on = match policy {
        Policy::Supersede => !matches!(intent.deed, Deed::Delete { .. }),
        Policy::Request => true,
        Policy::Any | Policy::Custodian => false,
    };
    if !leads_on || matches!(before, Before::Fresh) {
        return asis(before);
    }
    let Some(held) = footing.pin(resource_type, &id).await? else { return asis(before) };
    let own = hub.hand(footing.caller(), resource_type).organisation;
    // What is deleted is its custodian's alone, and so are our Tasks the hub's.
    let Some(body) = held.version.body.as_ref().filter(|_| held.custodian != own) else {
        return asis(before);
    };
    if resource_type == TASK && is_ours(body) {
        return asis(before);
    }
    let current = held.version.version;
    if intent.if_match.is_some_and(|wanted| wanted != current) {
        let conflict = Conflict::VersionMismatch { current: Some(current) };
        return Err(StoreError::Conflict { entry: 0, conflict }.into());
    }
    if matches!(intent.deed, Deed::Update { .. }) {
        hub.required(intent.if_match)?;
    }
    if policy == Policy::Supersede {
        footing.caller().require(resource_type.as_str(), Rights::CREATE)?;
        let replaced = Box::new(Replaced { id: id.clone(), held });
        let id = Uuid::now_v7().to_string();
        return Ok(Resolved::Write { id, before: Before::Replaced(replaced) });
    }
    Ok(Resolved::Write { id, before: Before::Proposed(Box::new(held)) })
}
