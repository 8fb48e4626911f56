//! What the criteria of a conditional interaction select. <https://hl7.org/fhir/R4/http.html#cond-update>
//!
//! Strict: what is not understood is refused, for a criterion left out would select more.

use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use service::refusal::Refusal;
use url::form_urlencoded;

use super::condition::Condition;
use super::parameters::parse;
use super::plan::Plan;
use super::resolve::conditions;
use crate::Hub;
use crate::error::HubError;
use crate::store::query::Query;
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

/// Finds what criteria such as `identifier=s|v&active=true` select; a leading `?` is passed over.
pub async fn select(
    hub: &Hub,
    resource_type: ResourceType,
    criteria: &str,
) -> Result<Selection, HubError> {
    let query = criteria.strip_prefix('?').unwrap_or(criteria);
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let search = parse(resource_type, &pairs, true, hub.base())?;
    if search.clauses.is_empty() {
        return Err(without_criteria().into());
    }
    let conditions = conditions(&search, &hub.store).await?;
    if conditions.iter().any(Condition::is_impossible) {
        // What is impossible now may not be so when the write's turn has come.
        let expected = Expected { query: Query::default(), keys: Vec::new() };
        return Ok(Selection { ids: Vec::new(), expected });
    }
    let plan = Plan {
        resource_type: hub.store.terms().resource_type(resource_type),
        conditions: &conditions,
        order: search.order,
        after: None,
        now: hub.clock.now_micros(),
    };
    let query = plan.page(MANY);
    let mut found = hub.store.search(&query).await?;
    found.dedup_by_key(|found| found.key);
    let keys = found.iter().map(|found| found.key).collect();
    let ids = found.into_iter().map(|found| found.id).collect();
    Ok(Selection { ids, expected: Expected { query, keys } })
}

fn without_criteria() -> Refusal {
    let text = "The criteria are empty: name at least one search parameter and its value.";
    Refusal::bad_request_issue(Issue::error(IssueCode::Required, text).at("criteria"))
}
