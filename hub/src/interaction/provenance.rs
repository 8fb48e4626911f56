//! X-Provenance: who is behind a write, stored with it. <https://hl7.org/fhir/R4/provenance.html#header>

use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use fhir::validate::validate;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use service::refusal::Refusal;
use uuid::Uuid;

use super::content::{check, prepare};
use super::footing::Footing;
use super::links::{Links, Place, rewrite};
use crate::error::HubError;
use crate::store::StoreError;
use crate::store::draft::members;
use crate::store::write::{Action, Decision, Write, decide};

const HEADER: &str = "X-Provenance";
/// What stands for the target until it is known.
const SOMEWHERE: &str = "Basic/target";

/// A valid Provenance whose target is still to be filled in.
#[derive(Debug, Clone)]
pub struct Provenance {
    text: Bytes,
}

impl Provenance {
    /// The Provenance in the headers; 400 if it is none.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let text = Bytes::copy_from_slice(value.as_bytes());
        let filled = with_target(&text, &[SOMEWHERE.to_owned()]).map_err(|_| {
            let text = "The header must be a Provenance resource as JSON, on one line.";
            Refusal::bad_request_issue(Issue::error(IssueCode::Structure, text).at(HEADER))
        })?;
        check(&filled, ResourceType::PROVENANCE, HEADER).map_err(|mut refusal| {
            refusal.status = StatusCode::BAD_REQUEST;
            refusal
        })?;
        Ok(Some(Self { text }))
    }

    /// The same with the links of a transaction.
    pub fn linked(&self, links: &Links, base: &str) -> Result<Self, Refusal> {
        let references =
            validate(&self.text).map_err(|error| Refusal::internal(&error))?.references;
        let place = Place { start: 0, resource: &self.text, base, expression: HEADER };
        Ok(Self { text: rewrite(&place, &references, links)?.into() })
    }

    /// The Provenance of `writes`: its targets are the versions that they will make. They are certain,
    /// for they rest on the versions before them.
    /// None, if there is nothing to be behind.
    pub async fn about(
        &self,
        footing: &mut Footing<'_>,
        writes: &[Write],
    ) -> Result<Option<Write>, HubError> {
        let hub = footing.hub();
        let mut targets = Vec::with_capacity(writes.len());
        for (entry, write) in writes.iter().enumerate() {
            let Write { resource_type, id, .. } = write;
            let current = footing.pin(*resource_type, id).await?;
            let refused = |conflict| StoreError::Conflict { entry, conflict };
            let decision = decide(write, current.as_ref(), hub.clock.now_micros());
            let version = match decision.map_err(refused)? {
                Decision::Store(held) => Some(held.version.version),
                Decision::Nothing => current.map(|held| held.version.version),
            };
            targets.extend(version.map(|v| format!("{resource_type}/{id}/_history/{v}")));
        }
        if targets.is_empty() {
            return Ok(None);
        }
        let failed = |error: serde_json::Error| Refusal::internal(&error);
        let text = with_target(&self.text, &targets).map_err(failed)?;
        let (resource_type, id) = (ResourceType::PROVENANCE, Uuid::now_v7().to_string());
        let hand = hub.hand(footing.caller(), resource_type);
        let content = prepare(&text, (resource_type, &id), HEADER, &hand.organisation, hub)?;
        let action = Action::Create(content);
        Ok(Some(Write { resource_type, id, action, if_match: None, hand }))
    }
}

/// The text with these references as its target.
fn with_target(text: &[u8], targets: &[String]) -> Result<Vec<u8>, serde_json::Error> {
    let reference = |target: &String| serde_json::json!({"reference": target});
    let targets: Vec<serde_json::Value> = targets.iter().map(reference).collect();
    let targets = serde_json::value::to_raw_value(&targets)?;
    let mut out = vec![b'{'];
    let kept = members(text)?.into_iter().filter(|(name, _)| name != "target");
    let target: (String, &RawValue) = ("target".to_owned(), &targets);
    for (place, (name, value)) in kept.chain([target]).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        fhir::json::push_string(&mut out, &name);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
    Ok(out)
}
