//! What the criteria of a conditional interaction select. <https://hl7.org/fhir/R4/http.html#cond-update>
//!
//! Strict: what is not understood is refused, for a criterion left out would select more.

use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use service::refusal::Refusal;
use url::form_urlencoded;

use super::include::resources;
use super::page::{plan, units};
use super::parameters::{Place, parse};
use crate::Hub;
use crate::access::View;
use crate::error::HubError;
use crate::store::write::Expected;

/// One, none or many: more are not told apart.
const MANY: usize = 2;

/// What criteria select.
#[derive(Debug)]
pub struct Selection {
    /// The ids of the resources: none, one, or two of many.
    pub ids: Vec<String>,
    /// For a write that rests on it.
    pub expected: Expected,
}

/// Finds what, of a view, criteria such as `identifier=s|v&active=true` select; a leading `?` is passed over.
pub async fn select(
    hub: &Hub,
    view: &View,
    resource_type: ResourceType,
    criteria: &str,
) -> Result<Selection, HubError> {
    let query = criteria.strip_prefix('?').unwrap_or(criteria);
    let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
    let pairs: Vec<_> = pairs.filter(|(name, _)| name != "_format" && name != "_pretty").collect();
    let place = Place::of_type(resource_type);
    let search = parse(place, &pairs, true, &hub.store.terms(), hub.base())?;
    if search.matching.conditions.is_empty() {
        return Err(without_criteria().into());
    }
    hub.store.serves(search.generation).await?;
    let units = if search.needs_units { units(hub).await? } else { Vec::new() };
    let query = plan(hub, &search, view, &units).keys(MANY);
    let keys = hub.store.numbers(&query).await?;
    let found = resources(&hub.store, view, &keys).await?;
    hub.store.served(search.generation).await?;
    let ids = found.into_iter().map(|found| found.id).collect();
    let generation = Some(search.generation);
    Ok(Selection { ids, expected: Expected { query, keys, generation } })
}

fn without_criteria() -> Refusal {
    let text = "The criteria are empty: name at least one search parameter and its value.";
    Refusal::bad_request_issue(Issue::error(IssueCode::Required, text).at("criteria"))
}
