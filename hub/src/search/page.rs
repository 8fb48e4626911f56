//! One page of a search as a Bundle.

use std::collections::BTreeSet;

use fhir::bundle::{SearchMode, SearchsetWriter};
use fhir::definitions::{ResourceType, SearchParameter};
use fhir::outcome::OperationOutcome;
use fhir::path::{Value, values};
use fhir::tree::Tree;
use service::caller::Caller;
use url::form_urlencoded;

use super::condition::Condition;
use super::cursor::Cursor;
use super::parameters::Search;
use super::plan::{Plan, Position};
use super::resolve::conditions;
use crate::Hub;
use crate::error::HubError;
use crate::store::index::Target;
use crate::store::query::Found;
use crate::store::vocabulary::Vocabulary;

/// Runs a search and writes the page that begins after `after`.
pub async fn run(
    hub: &Hub,
    caller: &Caller,
    search: &Search,
    after: Option<Position>,
) -> Result<Vec<u8>, HubError> {
    let conditions = conditions(search, &hub.store).await?;
    let impossible = conditions.iter().any(Condition::is_impossible);
    let plan = Plan {
        resource_type: hub.store.terms().resource_type(search.resource_type),
        conditions: &conditions,
        order: search.order,
        after,
        now: hub.clock.now_micros(),
    };
    let mut page = Page::default();
    if !impossible && search.count > 0 {
        page = Page::new(hub.store.search(&plan.page(search.count + 1)).await?, search.count);
    }
    let total = match (impossible, after, page.more) {
        (true, _, _) => Some(0),
        (false, None, false) if search.count > 0 => Some(page.found.len() as u64),
        _ if search.total || search.count == 0 => {
            let counted = hub.store.numbers(&plan.total()).await?;
            Some(counted.first().copied().unwrap_or_default().unsigned_abs())
        }
        _ => None,
    };
    let included = included(hub, search, &page.found).await?;
    Ok(write(hub, caller, search, &page, &included, total))
}

/// The matches of a page, each once.
#[derive(Debug, Default)]
struct Page {
    found: Vec<Found>,
    more: bool,
}

impl Page {
    fn new(mut found: Vec<Found>, count: usize) -> Self {
        let more = found.len() > count;
        found.truncate(count);
        found.dedup_by_key(|f| f.key);
        Self { found, more }
    }
}

/// The resources that the matches refer to by the parameters of `_include`, each once.
async fn included(
    hub: &Hub,
    search: &Search,
    found: &[Found],
) -> Result<Vec<(ResourceType, String, bytes::Bytes)>, HubError> {
    let mut targets = BTreeSet::new();
    for found in found.iter().filter(|_| !search.include.is_empty()) {
        let Ok(tree) = Tree::parse(&found.body) else { continue };
        let referred = search.include.iter().flat_map(|p| referred(p, &tree, hub.store.terms()));
        targets.extend(referred);
    }
    let shown: BTreeSet<&str> = found.iter().map(|f| f.id.as_str()).collect();
    let mut included = Vec::with_capacity(targets.len());
    for Target { resource_type, id } in targets {
        let Some(resource_type) = resource_type else { continue };
        if resource_type == search.resource_type && shown.contains(id.as_str()) {
            continue;
        }
        let version = hub.store.read(resource_type, &id).await?;
        if let Some(body) = version.and_then(|version| version.body) {
            included.push((resource_type, id, body));
        }
    }
    Ok(included)
}

fn referred(parameter: &SearchParameter, tree: &Tree<'_>, terms: &Vocabulary) -> Vec<Target> {
    let reference = |value: &Value<'_>| match value {
        Value::Reference(reference) => Target::parse(terms.own(reference.reference.as_deref()?)),
        _ => None,
    };
    values(parameter, tree).iter().filter_map(reference).collect()
}

fn write(
    hub: &Hub,
    caller: &Caller,
    search: &Search,
    page: &Page,
    included: &[(ResourceType, String, bytes::Bytes)],
    total: Option<u64>,
) -> Vec<u8> {
    let base = hub.base();
    let own = format!("{base}/{}", search.resource_type);
    let mut links = vec![("self", self_link(&own, search))];
    if let Some(last) = page.found.last().filter(|_| page.more) {
        let cursor = Cursor {
            resource_type: search.resource_type.as_str().to_owned(),
            query: search.executed.clone(),
            position: Position { order: last.order, key: last.key },
            made: hub.clock.now_micros(),
        };
        let sealed = hub.seal.seal(&cursor, &caller.organisation);
        links.push(("next", format!("{own}?_cursor={sealed}")));
    }
    let links: Vec<(&str, &str)> = links.iter().map(|(r, url)| (*r, url.as_str())).collect();
    let bytes = page.found.iter().map(|f| f.body.len() + 160).sum();
    let mut bundle = SearchsetWriter::new("", total, &links, bytes);
    if !search.left_out.is_empty() {
        bundle.outcome(&OperationOutcome { issue: search.left_out.clone() });
    }
    for found in &page.found {
        bundle.entry(&format!("{own}/{}", found.id), &[], &found.body, SearchMode::Match);
    }
    for (resource_type, id, body) in included {
        bundle.entry(&format!("{base}/{resource_type}/{id}"), &[], body, SearchMode::Include);
    }
    bundle.finish()
}

/// What was executed, as a GET URL.
fn self_link(own: &str, search: &Search) -> String {
    if search.executed.is_empty() {
        return own.to_owned();
    }
    let query =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&search.executed).finish();
    format!("{own}?{query}")
}
