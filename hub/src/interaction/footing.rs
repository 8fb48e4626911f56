//! What a write rests on: looked up before it is prepared, and looked at again in its own transaction.
//!
//! A condition is therefore never raced: if what it found has changed, nothing is written, and the
//! interaction decides again, as long as its [`Patience`] lasts.

use std::collections::HashMap;
use std::time::Duration;

use fhir::definitions::ResourceType;
use fhir::outcome::IssueCode;
use http::StatusCode;
use service::caller::Caller;
use service::caller::scope::Rights;
use service::refusal::Refusal;
use uuid::Uuid;

use super::permission;
use super::search::decode;
use crate::Hub;
use crate::error::HubError;
use crate::search::select::select;
use crate::store::StoreError;
use crate::store::query::Query;
use crate::store::write::{Conflict, Expected, Held};

/// How often a write is decided before its caller is told to come back.
const ATTEMPTS_MAX: u32 = 32;
/// The longest pause before the second attempt; it grows with each.
const PAUSE_MAX: Duration = Duration::from_millis(2);

/// Everything that one attempt at a write has looked up.
#[derive(Debug)]
pub struct Footing<'a> {
    hub: &'a Hub,
    caller: &'a Caller,
    selected: HashMap<(ResourceType, String), Option<String>>,
    expected: Vec<Expected>,
}

impl<'a> Footing<'a> {
    /// Nothing looked up yet.
    pub fn new(hub: &'a Hub, caller: &'a Caller) -> Self {
        Self { hub, caller, selected: HashMap::new(), expected: Vec::new() }
    }

    /// The hub whose record it is.
    pub fn hub(&self) -> &'a Hub {
        self.hub
    }

    /// The id of the one resource that criteria select, if any does; 412 if several do, 403 if the
    /// caller may not search by them.
    pub async fn select(
        &mut self,
        resource_type: ResourceType,
        criteria: &str,
    ) -> Result<Option<String>, HubError> {
        let asked = (resource_type, criteria.to_owned());
        if let Some(known) = self.selected.get(&asked) {
            return Ok(known.clone());
        }
        self.caller.require(resource_type.as_str(), Rights::SEARCH)?;
        permission::search(self.caller, &decode(criteria.as_bytes()))?;
        let view = self.hub.view(self.caller)?;
        let mut selection = select(self.hub, &view, resource_type, criteria).await?;
        if selection.ids.len() > 1 {
            return Err(several().into());
        }
        let id = selection.ids.pop();
        self.expected.push(selection.expected);
        self.selected.insert(asked, id.clone());
        Ok(id)
    }

    /// In whose name it is asked.
    pub fn caller(&self) -> &'a Caller {
        self.caller
    }

    /// The id of a resource that is to be written by it. What the caller may not know of is not
    /// written, and answered like what is not there: by an id that no one ever had. `creates`: whether
    /// it would be created.
    pub async fn target(
        &self,
        resource_type: ResourceType,
        id: String,
        creates: bool,
    ) -> Result<String, HubError> {
        let view = self.hub.view(self.caller)?;
        if view.sees(self.hub, resource_type, &id).await? {
            return Ok(id);
        }
        let is_free = self.hub.store.read(resource_type, &id).await?.is_none();
        if is_free {
            return Ok(id);
        }
        if self.hub.config.client_ids() && creates {
            // Who may choose ids must not get another one; it learns that this one cannot be had.
            return Err(StoreError::Conflict { entry: 0, conflict: Conflict::NotFound }.into());
        }
        Ok(Uuid::new_v4().to_string())
    }

    /// Refuses to change a resource of which something is withheld from the caller, by what it says
    /// now: the change could tell what that is.
    pub async fn nothing_withheld(
        &self,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<(), HubError> {
        let view = self.hub.view(self.caller)?;
        if !view.withholds(self.hub, resource_type, id).await? {
            return Ok(());
        }
        let text =
            "Where this patient is to be found is withheld, so the resource cannot be patched.";
        Err(Refusal::error(StatusCode::FORBIDDEN, IssueCode::Suppressed, text).into())
    }

    /// The version of a resource, a deletion too, that must still be the current one, and whose it is.
    pub async fn pin(
        &mut self,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Option<Held>, HubError> {
        let current = self.hub.store.held(resource_type, id).await?;
        let mut query = Query::default();
        query.push("SELECT r.version FROM directory d JOIN resource r ON r.key = d.key ");
        query.push("WHERE d.type = ").number(self.hub.store.terms().resource_type(resource_type));
        query.push(" AND d.id = ").text(id);
        let keys = current.iter().map(|held| held.version.version).collect();
        self.expected.push(Expected { query, keys, generation: None });
        Ok(current)
    }

    /// What is to be looked at again.
    pub fn expected(self) -> Vec<Expected> {
        self.expected
    }
}

fn several() -> Refusal {
    let text = "The criteria select several resources: name the one that is meant by its id.";
    Refusal::error(StatusCode::PRECONDITION_FAILED, IssueCode::MultipleMatches, text)
}

/// How long an interaction goes on deciding.
#[derive(Debug, Default)]
pub struct Patience {
    attempts: u32,
}

impl Patience {
    /// Whether to try again after this error: only if what the write rested on has moved.
    pub fn bears(&mut self, error: &HubError) -> bool {
        self.attempts += 1;
        matches!(error, HubError::Store(StoreError::Moved)) && self.attempts < ATTEMPTS_MAX
    }

    /// Waits a moment by chance, so that those who collided do not do so again.
    pub async fn pause(&self) {
        let chance = f64::from(Uuid::new_v4().as_fields().1) / f64::from(u16::MAX);
        tokio::time::sleep(PAUSE_MAX.mul_f64(chance * f64::from(self.attempts))).await;
    }
}
