//! Reading by a view: one resource, one version, and what is shown of either.

use bytes::Bytes;
use fhir::definitions::ResourceType;

use super::View;
use super::place::{may_tell, without};
use super::predicate::Rows;
use crate::Hub;
use crate::error::HubError;
use crate::store::history::Past;
use crate::store::query::{Found, Query};
use crate::store::vocabulary::Vocabulary;
use crate::store::write::Version;

/// Keys in one question to the store.
const KEYS_MAX: usize = 400;

/// Everything that has a version, current or not.
const VERSIONS: &str = "(SELECT key, type, version, updated, method, body FROM resource UNION ALL \
                        SELECT key, type, version, updated, method, body FROM history)";

impl View {
    /// The current version of a resource, a deletion too, as the caller may see it.
    pub async fn read(
        &self,
        hub: &Hub,
        t: ResourceType,
        id: &str,
    ) -> Result<Option<Version>, HubError> {
        if self.bound.is_none() {
            return Ok(hub.store.read(t, id).await?);
        }
        let mut query = named("resource", t, id, &hub.store.terms());
        self.visible(&mut query, "v", Rows::Current);
        Box::pin(self.one(hub, t, &query)).await
    }

    /// One version of a resource, as the caller may see it.
    pub async fn vread(
        &self,
        hub: &Hub,
        t: ResourceType,
        id: &str,
        version: i64,
    ) -> Result<Option<Version>, HubError> {
        if self.bound.is_none() {
            return Ok(hub.store.vread(t, id, version).await?);
        }
        let mut query = named(VERSIONS, t, id, &hub.store.terms());
        query.push(" AND v.version = ").number(version);
        self.visible(&mut query, "v", Rows::Past);
        Box::pin(self.one(hub, t, &query)).await
    }

    /// Whether the caller may know of a resource that is there, or was.
    pub async fn sees(&self, hub: &Hub, t: ResourceType, id: &str) -> Result<bool, HubError> {
        Ok(self.bound.is_none() || self.read(hub, t, id).await?.is_some())
    }

    async fn one(
        &self,
        hub: &Hub,
        t: ResourceType,
        query: &Query,
    ) -> Result<Option<Version>, HubError> {
        self.can_be_told(hub).await?;
        let Some((key, mut version)) = hub.store.versions(query).await?.into_iter().next() else {
            return Ok(None);
        };
        if let Some(body) = &mut version.body {
            self.withhold(hub, vec![(key, t, body)]).await?;
        }
        Ok(Some(version))
    }

    /// Refuses while the index is made anew, if a rule may bind the caller: whom a resource is about
    /// cannot be told then.
    pub async fn can_be_told(&self, hub: &Hub) -> Result<(), HubError> {
        if hub.store.generation().standing.is_whole() {
            return Ok(());
        }
        let Some(rules) = self.rules() else { return Ok(()) };
        if !hub.store.numbers(&rules).await?.is_empty() {
            hub.store.serves(hub.store.terms().generation()).await?;
        }
        Ok(())
    }

    /// Leaves out of what was found where patients are who must not be found.
    pub async fn withhold_in(&self, hub: &Hub, found: &mut [Found]) -> Result<(), HubError> {
        if self.bound.is_none() {
            return Ok(());
        }
        let terms = hub.store.terms();
        let typed = found.iter_mut().filter_map(|found| {
            Some((found.key, terms.type_of(found.resource_type)?, &mut found.body))
        });
        Box::pin(self.withhold(hub, typed.collect())).await
    }

    /// The same of old versions.
    pub async fn withhold_in_past(&self, hub: &Hub, past: &mut [Past]) -> Result<(), HubError> {
        if self.bound.is_none() {
            return Ok(());
        }
        let typed = past.iter_mut().filter_map(|past| {
            Some((past.place.key, past.resource_type, past.version.body.as_mut()?))
        });
        Box::pin(self.withhold(hub, typed.collect())).await
    }

    /// The same of a text that is about to be shown under this name.
    pub async fn withhold_of(
        &self,
        hub: &Hub,
        t: ResourceType,
        id: &str,
        body: &mut Bytes,
    ) -> Result<(), HubError> {
        match self.key(hub, t, id).await? {
            Some(key) => Box::pin(self.withhold(hub, vec![(key, t, body)])).await,
            None => Ok(()),
        }
    }

    /// Whether of this resource something is withheld from the caller.
    pub async fn withholds(&self, hub: &Hub, t: ResourceType, id: &str) -> Result<bool, HubError> {
        let Some(key) = self.key(hub, t, id).await? else { return Ok(false) };
        Ok(!hub.store.numbers(&Self::unfindable(&[key])).await?.is_empty())
    }

    /// The key of a resource of which something may be withheld.
    async fn key(&self, hub: &Hub, t: ResourceType, id: &str) -> Result<Option<i64>, HubError> {
        if self.bound.is_none() || !may_tell(t) {
            return Ok(None);
        }
        let mut query = Query::default();
        query.push("SELECT d.key FROM directory d WHERE d.type = ");
        query.number(hub.store.terms().resource_type(t)).push(" AND d.id = ").text(id);
        Ok(hub.store.numbers(&query).await?.first().copied())
    }

    async fn withhold(
        &self,
        hub: &Hub,
        mut all: Vec<(i64, ResourceType, &mut Bytes)>,
    ) -> Result<(), HubError> {
        all.retain(|(_, resource_type, _)| may_tell(*resource_type));
        if self.bound.is_none() || all.is_empty() {
            return Ok(());
        }
        let keys: Vec<i64> = all.iter().map(|(key, ..)| *key).collect();
        let mut withheld = Vec::new();
        for keys in keys.chunks(KEYS_MAX) {
            withheld.extend(hub.store.numbers(&Self::unfindable(keys)).await?);
        }
        for (_, _, body) in all.into_iter().filter(|(key, ..)| withheld.contains(key)) {
            *body = without(body);
        }
        Ok(())
    }
}

/// `SELECT … WHERE …`: version, updated, method, body, key of a resource of that name.
fn named(table: &str, t: ResourceType, id: &str, terms: &Vocabulary) -> Query {
    let mut query = Query::default();
    query.push("SELECT v.version, v.updated, v.method, v.body, v.key FROM directory d JOIN ");
    query.push(table).push(" v ON v.key = d.key WHERE d.type = ");
    query.number(terms.resource_type(t)).push(" AND d.id = ").text(id);
    query
}
