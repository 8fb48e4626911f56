//! A transaction that the operator imports: as a client's, but under ids that follow from the
//! Bundle's text. So the same Bundle is known again, and nothing is written twice.

use std::sync::Arc;

use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::IssueCode;
use http::HeaderMap;
use service::caller::Caller;
use service::correlation::Correlation;
use service::refusal::Refusal;
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::entry::Job;
use super::incoming::Incoming;
use super::parsed::Parsed;
use super::prepared::{Prepared, prepare};
use super::roles::{Role, links, roles};
pub(crate) use super::transaction::named;
use super::{at, blocking, within};
use crate::Hub;
use crate::custody::Custodian;
use crate::error::HubError;
use crate::interaction::content::{Basis, content};
use crate::interaction::footing::Footing;
use crate::interaction::resolve::{Before, Resolved};
use crate::store::write::{Expected, Write};

/// A valid transaction, not yet looked at against the record.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    parsed: Arc<Parsed>,
    digest: [u8; 32],
}

/// A transaction ready to be written.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The writes; none if it has taken place before.
    pub writes: Vec<Write>,
    /// What they rest on.
    pub expected: Vec<Expected>,
    /// The types of what is left as it is.
    pub unchanged: Vec<ResourceType>,
    /// For each write, the place of its entry.
    pub places: Vec<usize>,
}

impl Load {
    /// Validates a transaction; `base` is our own.
    pub(crate) fn read(text: Bytes, base: &str) -> Result<Self, Refusal> {
        let digest = Sha256::digest(&text).into();
        let incoming = Incoming::read(text)?;
        if incoming.kind != "transaction" {
            let text = "This is no transaction.";
            return Err(at("Bundle.type", IssueCode::Invalid, text));
        }
        Ok(Self { parsed: Arc::new(Parsed::new(incoming, base)?), digest })
    }

    /// Takes the resources apart for the index, as far as that can be done without the record:
    /// links stay as they are. Their types.
    pub(crate) fn rehearse(&self, basis: Basis<'_>) -> Result<Vec<ResourceType>, Refusal> {
        let mut types = Vec::with_capacity(self.parsed.jobs.len());
        for (place, job) in self.parsed.jobs.iter().enumerate() {
            let Job::Write(intent) = job else { continue };
            if let Some((resource_type, text)) = intent.carries() {
                let id = self.id(place);
                let own = &Custodian::default();
                let rehearsed = content(text, (resource_type, &id), &intent.at, own, basis);
                rehearsed.map_err(|refusal| within(place, "", refusal))?;
            }
            types.push(intent.resource_type);
        }
        Ok(types)
    }

    /// Looks up where the entries lead and prepares them.
    pub(crate) async fn ready(&self, hub: &Arc<Hub>) -> Result<Ready, HubError> {
        // Who loads files into a record is at its machine.
        let organisation = Arc::new(hub.config.region.ods.clone());
        let caller = Caller::own(organisation, Correlation::of(&HeaderMap::new()));
        let mut footing = Footing::new(hub, &caller);
        let mut roles = roles(&mut footing, &self.parsed).await?;
        if self.has_taken_place(hub, &mut roles).await? {
            let unchanged = self.types().collect();
            return Ok(Ready { writes: vec![], expected: vec![], unchanged, places: vec![] });
        }
        let links = links(&mut footing, &self.parsed, &roles).await?;
        let left = |(role, resource_type)| match role {
            &Role::Own(Resolved::Found { .. } | Resolved::Nothing) | &Role::SameAs(_) => {
                Some(resource_type)
            }
            _ => None,
        };
        let unchanged = roles.iter().filter(|role| !matches!(role, Role::Ask)).zip(self.types());
        let unchanged = unchanged.filter_map(left).collect();
        let expected = footing.expected();
        let (own, parsed) = (hub.clone(), self.parsed.clone());
        let prepared = blocking(move || prepare(&own, &caller, &parsed, roles, &links)).await??;
        let Prepared { writes, places, .. } = prepared;
        Ok(Ready { writes, expected, unchanged, places })
    }

    /// Gives what is created its id. A transaction is written as a whole, so the first of them tells
    /// whether it was.
    async fn has_taken_place(&self, hub: &Hub, roles: &mut [Role]) -> Result<bool, HubError> {
        let mut known = None;
        for (place, role) in roles.iter_mut().enumerate() {
            let Role::Own(Resolved::Write { id, before: Before::Fresh | Before::Order(_) }) = role
            else {
                continue;
            };
            let Job::Write(intent) = &self.parsed.jobs[place] else { continue };
            *id = self.id(place);
            if known.is_none() {
                known = Some(hub.store.read(intent.resource_type, id).await?.is_some());
            }
        }
        Ok(known.unwrap_or(false))
    }

    /// The id of what an entry creates.
    fn id(&self, place: usize) -> String {
        let digest = Sha256::new().chain_update(self.digest).chain_update(place.to_be_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        let bytes = std::array::from_fn(|at| digest[at]);
        Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }

    /// The types of what is written, in the order of the entries.
    fn types(&self) -> impl Iterator<Item = ResourceType> {
        self.parsed.jobs.iter().filter_map(|job| match job {
            Job::Write(intent) => Some(intent.resource_type),
            Job::Ask(_) => None,
        })
    }
}
