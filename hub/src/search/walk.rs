//! A walk through the pages of a search shows every resource that matched throughout it exactly
//! once, whatever writers do meanwhile.
//!
//! A page shows, in order, the matches that are as they were when the walk began: their places do not
//! move. What has changed since the page before is shown first, if its place was still to come; from
//! then on it is no part of the order any more. So each page needs to know only the state of the
//! record when the walk began and when the page before was made.

use serde::{Deserialize, Serialize};
use service::refusal::Refusal;

use fhir::outcome::IssueCode;
use fhir::tree::Tree;
use http::StatusCode;

use super::order::Position;
use super::parameters::Search;
use super::plan::{Plan, Scope};
use crate::error::HubError;
use crate::store::Store;
use crate::store::index::Index;
use crate::store::query::{Found, Step};
use crate::store::write::Version;

/// What may have changed under a walk from one page to the next.
const CHANGED_MAX: usize = 2_000;
/// What is left of that for the pages to come: a next link carries it.
const PENDING_MAX: usize = 400;

/// Where a walk is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Walk {
    /// The state of the record when it began.
    pub start: String,
    /// The state of the record when the page before was made.
    pub last: String,
    /// The last match shown that had not changed, if any.
    pub position: Option<Position>,
    /// Keys of what has changed and is yet to be shown.
    pub pending: Vec<i64>,
}

/// One page of matches.
#[derive(Debug, Default)]
pub struct Page {
    /// The matches, each once.
    pub found: Vec<Found>,
    /// The next page, if there is one.
    pub next: Option<Walk>,
    /// Where the walk was before the page.
    pub standing: Option<Standing>,
}

/// Where a walk was before a page, as the page has left it.
#[derive(Debug)]
pub struct Standing {
    walk: Walk,
    /// How many of the page's matches have changed, and stand first.
    late: usize,
}

impl Standing {
    /// The walk that goes on right after one of the page's matches; nothing if more than a link can
    /// carry is yet to be shown.
    pub fn after(&self, found: &[Found], place: usize) -> Option<Walk> {
        let mut walk = self.walk.clone();
        let shown = &found[place];
        if place < self.late {
            walk.pending.extend(found[place + 1..self.late].iter().map(|found| found.key));
        } else {
            walk.position = Some(Position { order: shown.order.clone(), key: shown.key });
        }
        (walk.pending.len() <= PENDING_MAX).then_some(walk)
    }
}

/// The first page.
pub async fn first(store: &Store, plan: &Plan<'_>, count: usize) -> Result<Page, HubError> {
    let (mark, found) = store.page(&plan.page(Scope::All, None, count + 1)).await?;
    let walk = Walk { start: mark.clone(), last: mark, position: None, pending: Vec::new() };
    Ok(Page::of(Vec::new(), found, count, walk))
}

/// The page after `walk`.
pub async fn next(
    store: &Store,
    plan: &Plan<'_>,
    search: &Search,
    walk: Walk,
) -> Result<Page, HubError> {
    let count = search.count;
    let (engine, start, last) = (plan.engine, walk.start.clone(), walk.last.clone());
    let stepped = store
        .step(Step {
            changed: plan.page(Scope::Changed(&walk.last), None, CHANGED_MAX + 1),
            before: Box::new(move |keys| Plan::before(engine, keys, &start, &last)),
            page: plan.page(Scope::Unchanged(&walk.start), walk.position.as_ref(), count + 1),
        })
        .await?;
    if stepped.changed.len() > CHANGED_MAX {
        return Err(outrun().into());
    }
    let mut late: Vec<i64> = walk.pending.clone();
    for found in &stepped.changed {
        let before = stepped.before.iter().find(|(key, _)| *key == found.key);
        let was_to_come =
            before.is_some_and(|(_, version)| to_come(store, plan, search, found, version, &walk));
        if was_to_come {
            late.push(found.key);
        }
    }
    late.sort_unstable();
    late.dedup();
    let pending = late.split_off(late.len().min(count));
    if pending.len() > PENDING_MAX {
        return Err(outrun().into());
    }
    let shown = match late.as_slice() {
        [] => Vec::new(),
        keys => store.page(&plan.page(Scope::Keys(keys), None, keys.len())).await?.1,
    };
    let walk = Walk { last: stepped.mark, pending, ..walk };
    Ok(Page::of(shown, stepped.page, count - late.len(), walk))
}

/// Whether a resource, as it was before it changed, had its place after the page before.
fn to_come(
    store: &Store,
    plan: &Plan<'_>,
    search: &Search,
    found: &Found,
    before: &Version,
    walk: &Walk,
) -> bool {
    let Some(position) = &walk.position else { return true };
    let terms = store.terms();
    let resource_type =
        search.types.iter().find(|t| terms.resource_type(**t) == found.resource_type);
    let tree = before.body.as_ref().and_then(|body| Tree::parse(body).ok());
    let (Some(resource_type), Some(tree)) = (resource_type, tree) else { return false };
    let index = Index::of(*resource_type, &found.id, &tree, &terms, before.updated);
    let order = plan.order.values(&index, &found.id, before.updated);
    plan.order.is_after(&order, found.key, position)
}

impl Page {
    /// `changed` first, then at most `count` of `found`, which has one more if there are more.
    fn of(changed: Vec<Found>, mut found: Vec<Found>, count: usize, walk: Walk) -> Self {
        let more = found.len() > count;
        found.truncate(count);
        let last = found.last().map(|last| Position { order: last.order.clone(), key: last.key });
        let position = last.or_else(|| walk.position.clone());
        let next = (more || !walk.pending.is_empty()).then(|| Walk { position, ..walk.clone() });
        found.dedup_by_key(|found| found.key);
        let standing = Some(Standing { walk, late: changed.len() });
        let mut all = changed;
        all.append(&mut found);
        Self { found: all, next, standing }
    }
}

fn outrun() -> Refusal {
    let text = "More has changed under this search than its pages can follow: begin it again.";
    Refusal::error(StatusCode::GONE, IssueCode::Expired, text)
}
