//! Custody that passes to another organisation: offered by the custodian, taken over by the one that it
//! names, of all the resources or none. A resource keeps its text, and is its new custodian's from the
//! next version on.

use fhir::definitions::ResourceType;
use fhir::identifier::OdsCode;
use fhir::outcome::{Issue, IssueCode};
use fhir::tree::Tree;
use http::StatusCode;
use service::caller::scope::Rights;
use service::refusal::Refusal;

use super::provenance::{Act, provenance};
use super::task::{self, Changes, inputs, invalid, organisation, party};
use super::{Custodian, Hand};
use crate::error::HubError;
use crate::interaction::content::prepare;
use crate::interaction::footing::Footing;
use crate::operation::task::Settled;
use crate::store::write::{Action, Write};

/// The input that names a resource.
const RESOURCE: &str = "resource";
/// Resources in one transfer.
const RESOURCES_MAX: usize = 100;

/// Custody that is offered.
#[derive(Debug, Clone)]
pub struct Offer {
    to: OdsCode,
}

impl Offer {
    /// Reads a Task that is to be created: all its resources must be the caller's own.
    pub async fn read(
        footing: &mut Footing<'_>,
        task: &Tree<'_>,
        at: &str,
    ) -> Result<Self, HubError> {
        let (hub, caller) = (footing.hub(), footing.caller());
        let to = party(task, "owner").filter(|to| *to != *caller.organisation).ok_or_else(|| {
            let text = "The owner must be the organisation that is to take over, by the identifier \
                        that is its ODS code.";
            invalid(&format!("{at}.owner.identifier"), IssueCode::Required, text)
        })?;
        let own = Custodian::of(&caller.organisation, &hub.config.region.ods);
        for (place, resource_type, id) in resources(task, at)? {
            let held = hub.store.held(resource_type, &id).await?;
            let is_own =
                held.is_some_and(|held| held.version.body.is_some() && held.custodian == own);
            if !is_own {
                let text = "Only what belongs to your own organisation can be handed over.";
                let issue = Issue::error(IssueCode::Forbidden, text);
                let issue = issue.at(format!("{at}.input[{place}].valueReference"));
                return Err(Refusal::new(StatusCode::FORBIDDEN, issue).into());
            }
        }
        Ok(Self { to })
    }

    /// What its Task says.
    pub fn members(&self) -> Changes {
        vec![("owner", Some(organisation(self.to.as_str()).to_string())), ("focus", None)]
    }
}

/// The resources that a Task names, each with the place of its input.
fn resources(task: &Tree<'_>, at: &str) -> Result<Vec<(usize, ResourceType, String)>, Refusal> {
    let mut all: Vec<(usize, ResourceType, String)> = Vec::new();
    // Without a resource it is refused, and so it is with too many.
    let few = inputs(task, RESOURCE).count() <= RESOURCES_MAX;
    for (place, input) in inputs(task, RESOURCE).filter(|_| few) {
        let reference = input.get("valueReference").and_then(|value| value.text("reference"));
        let Some((resource_type, id, None)) = reference.and_then(task::local) else {
            let text = "This must be a reference to a resource of this record: Type/id.";
            let at = format!("{at}.input[{place}].valueReference");
            return Err(invalid(&at, IssueCode::Value, text));
        };
        if !all.iter().any(|(_, known, own)| *known == resource_type && *own == id) {
            all.push((place, resource_type, id));
        }
    }
    if !all.is_empty() {
        return Ok(all);
    }
    let text = format!(
        "A transfer needs its resources: 1 to {RESOURCES_MAX} inputs of type {RESOURCE}, each with a \
         valueReference."
    );
    Err(invalid(&format!("{at}.input"), IssueCode::Required, text))
}

/// Accepts a transfer: all its resources become the caller's, unless one is no more the offerer's.
pub async fn accept(
    footing: &mut Footing<'_>,
    (id, task): (&str, &Tree<'_>),
) -> Result<Settled, HubError> {
    let (hub, caller) = (footing.hub(), footing.caller());
    let region = &hub.config.region.ods;
    let Some(from) = party(task, "requester") else {
        return Err(invalid("Task.requester", IssueCode::Required, "It names no requester.").into());
    };
    let (giver, taker) =
        (Custodian::of(&from, region), Custodian::of(&caller.organisation, region));
    let (mut writes, mut results, mut entities) = (Vec::new(), Vec::new(), Vec::new());
    for (_, resource_type, resource) in resources(task, "Task")? {
        caller.require(resource_type.as_str(), Rights::UPDATE)?;
        let held = footing.pin(resource_type, &resource).await?;
        let held = held.filter(|held| held.custodian == giver);
        let Some((version, body)) = held.and_then(|h| Some((h.version.version, h.version.body?)))
        else {
            let text =
                "Not all the resources belong to the organisation that offered them any more.";
            return Ok(Settled::on_hold(text));
        };
        let at = resource_type.as_str();
        let content = prepare(&body, (resource_type, &resource), at, &taker, hub)?;
        let action = Action::Update { content, may_create: false };
        let hand = Hand::hubs(taker.clone());
        let write = Write { resource_type, id: resource, action, if_match: Some(version), hand };
        results.push(format!("{}/_history/{}", write.name(), version + 1));
        entities.push(("revision", format!("{}/_history/{version}", write.name())));
        writes.push(write);
    }
    entities.push(("source", format!("Task/{id}")));
    let act = Act {
        targets: results.clone(),
        author: from.as_str(),
        verifier: Some(caller.organisation.as_str()),
        reason: "Custody passes to another organisation.",
        entities,
    };
    let provenance = provenance(hub, caller, &act)?;
    results.push(provenance.name());
    writes.push(provenance);
    Ok(Settled::completed(writes, &results))
}
