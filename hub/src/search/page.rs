//! One page of a search as a Bundle.

use bytes::Bytes;
use fhir::bundle::{SearchMode, SearchsetWriter};
use fhir::outcome::{IssueCode, OperationOutcome};
use fhir::subset;
use http::StatusCode;
use service::caller::Caller;
use service::caller::scope::Rights;
use service::refusal::Refusal;
use url::form_urlencoded;

use super::cursor::{After, Cursor, bound_to};
use super::include::{included, resources};
use super::parameters::Search;
use super::plan::Plan;
use super::predicate::KnownUnit;
use super::walk::{self, Page, Standing, Walk};
use crate::Hub;
use crate::access::View;
use crate::error::HubError;
use crate::store::query::Found;
use crate::store::target::SEPARATOR;

/// Included resources on one page; more come on pages of their own.
const INCLUDED_COUNT: usize = 1_000;

/// Where a search is taken up again.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Resume {
    /// The page to show; `None`: the first.
    pub walk: Option<Walk>,
    /// The rest of what goes along with these matches, after this key.
    pub included: Option<(Vec<i64>, i64)>,
    /// The generation of the index that was walked until then.
    pub generation: i64,
}

/// What a page shows.
struct Shown {
    matches: Vec<Found>,
    included: Vec<Found>,
    next: Option<Resume>,
    total: Option<u64>,
    standing: Option<Standing>,
}

/// Runs a search and writes its first page, or the one to be taken up.
pub async fn run(
    hub: &Hub,
    caller: &Caller,
    search: &Search,
    resume: Option<Resume>,
) -> Result<Vec<u8>, HubError> {
    hub.store.serves(search.generation).await?;
    let units = if search.needs_units { units(hub).await? } else { Vec::new() };
    let view = hub.view(caller)?;
    let plan = plan(hub, search, &view, &units);
    let (walk, rest) = match resume {
        None => (None, None),
        Some(resume) if resume.generation != search.generation => return Err(outdated().into()),
        Some(Resume { walk, included, .. }) => (walk, included),
    };
    let first = walk.is_none() && rest.is_none();
    let mut shown = match rest {
        Some((matches, after)) => more_included(hub, search, &view, walk, matches, after).await?,
        None => page(hub, search, &plan, walk).await?,
    };
    let total = match shown.total {
        Some(total) if first => Some(total),
        _ if search.total || search.count == 0 => Some(total(hub, &plan).await?),
        _ => None,
    };
    view.withhold_in(hub, &mut shown.matches).await?;
    view.withhold_in(hub, &mut shown.included).await?;
    hub.store.served(search.generation).await?;
    Ok(write(hub, caller, search, &shown, total))
}

/// The plan of a search.
pub(super) fn plan<'a>(
    hub: &Hub,
    search: &'a Search,
    view: &'a View,
    units: &'a [KnownUnit],
) -> Plan<'a> {
    Plan {
        engine: hub.store.engine(),
        matching: &search.matching,
        view,
        order: &search.order,
        units,
        now: hub.clock.now_micros(),
    }
}

/// The units in which someone has stored a quantity.
pub(super) async fn units(hub: &Hub) -> Result<Vec<KnownUnit>, HubError> {
    let units = hub.store.units().await?.into_iter().map(|(key, id)| {
        let mut parts = id.split(SEPARATOR).map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        KnownUnit { key, system: part(), code: part(), unit: part() }
    });
    Ok(units.collect())
}

async fn total(hub: &Hub, plan: &Plan<'_>) -> Result<u64, HubError> {
    let counted = hub.store.numbers(&plan.total()).await?;
    Ok(counted.first().copied().unwrap_or_default().unsigned_abs())
}

/// One page of matches, for an operation that looks through them.
pub async fn matches(
    hub: &Hub,
    caller: &Caller,
    search: &Search,
    walk: Option<Walk>,
) -> Result<Page, HubError> {
    hub.store.serves(search.generation).await?;
    let units = if search.needs_units { units(hub).await? } else { Vec::new() };
    let view = hub.view(caller)?;
    let mut page = step(hub, search, &plan(hub, search, &view, &units), walk).await?;
    view.withhold_in(hub, &mut page.found).await?;
    hub.store.served(search.generation).await?;
    Ok(page)
}

/// A Bundle of everything that an operation has found.
pub fn whole(hub: &Hub, caller: &Caller, search: &Search, matches: Vec<Found>) -> Vec<u8> {
    let total = Some(matches.len() as u64);
    let shown = Shown { matches, included: Vec::new(), next: None, total, standing: None };
    write(hub, caller, search, &shown, total)
}

async fn step(
    hub: &Hub,
    search: &Search,
    plan: &Plan<'_>,
    walk: Option<Walk>,
) -> Result<Page, HubError> {
    match walk {
        _ if search.count == 0 => Ok(Page::default()),
        None => walk::first(&hub.store, plan, search.count).await,
        Some(walk) => walk::next(&hub.store, plan, search, walk).await,
    }
}

async fn page(
    hub: &Hub,
    search: &Search,
    plan: &Plan<'_>,
    walk: Option<Walk>,
) -> Result<Shown, HubError> {
    let page = step(hub, search, plan, walk).await?;
    let whole = page.next.is_none() && search.count > 0;
    let total = whole.then_some(page.found.len() as u64);
    let mut keys = Vec::new();
    if !search.include.is_empty() {
        keys = included(&hub.store, plan.view, &search.include, &page.found).await?;
    }
    let (keys, next) = cut(search, &page.found, keys, page.next);
    let included = resources(&hub.store, plan.view, &keys).await?;
    Ok(Shown { matches: page.found, included, next, total, standing: page.standing })
}

/// What goes along beyond [`INCLUDED_COUNT`] comes next, before any further matches.
fn cut(
    search: &Search,
    matches: &[Found],
    mut keys: Vec<i64>,
    next: Option<Walk>,
) -> (Vec<i64>, Option<Resume>) {
    let generation = search.generation;
    if keys.len() <= INCLUDED_COUNT {
        let resume = |walk| Resume { walk: Some(walk), included: None, generation };
        return (keys, next.map(resume));
    }
    keys.truncate(INCLUDED_COUNT);
    let last = keys[INCLUDED_COUNT - 1];
    let of = matches.iter().map(|found| found.key).collect();
    (keys, Some(Resume { walk: next, included: Some((of, last)), generation }))
}

/// The order that was walked may be another now.
fn outdated() -> Refusal {
    let text =
        "The record's index was rebuilt since this page link was made: begin the search again.";
    Refusal::error(StatusCode::GONE, IssueCode::Expired, text)
}

/// A page of nothing but what goes along with the matches of the page before.
async fn more_included(
    hub: &Hub,
    search: &Search,
    view: &View,
    walk: Option<Walk>,
    matches: Vec<i64>,
    after: i64,
) -> Result<Shown, HubError> {
    let of = resources(&hub.store, view, &matches).await?;
    let mut keys = included(&hub.store, view, &search.include, &of).await?;
    keys.retain(|key| *key > after);
    let (keys, next) = cut(search, &of, keys, walk);
    let included = resources(&hub.store, view, &keys).await?;
    Ok(Shown { matches: Vec::new(), included, next, total: None, standing: None })
}

fn write(
    hub: &Hub,
    caller: &Caller,
    search: &Search,
    shown: &Shown,
    total: Option<u64>,
) -> Vec<u8> {
    let base = hub.base();
    let own =
        if search.path.is_empty() { base.to_owned() } else { format!("{base}/{}", search.path) };
    let mut links = vec![("self", self_link(&own, search))];
    if let Some(resume) = &shown.next {
        let cursor = Cursor {
            path: search.path.clone(),
            query: search.executed.clone(),
            resume: resume.clone(),
            made: hub.clock.now_micros(),
        };
        let sealed = hub.seal.seal(&cursor, &caller.organisation);
        links.push(("next", format!("{own}?_cursor={sealed}")));
    }
    let links: Vec<(&str, &str)> = links.iter().map(|(r, url)| (*r, url.as_str())).collect();
    let all = shown.matches.iter().chain(&shown.included);
    let bytes = all.map(|found| found.body.len() + 160).sum();
    let mut bundle = SearchsetWriter::new("", total, &links, bytes);
    if !search.left_out.is_empty() {
        bundle.outcome(&OperationOutcome { issue: search.left_out.clone() });
    }
    let after = shown.links(hub, caller, search, &own);
    let matches = shown.matches.iter().zip(after).map(|(found, after)| {
        let link = after.map(|url| ("after", url));
        (found, SearchMode::Match, link)
    });
    let terms = hub.store.terms();
    // What goes along with the matches does so only for who may read it.
    let visible = |found: &&Found| {
        let of_type = terms.type_of(found.resource_type);
        of_type.is_some_and(|of_type| caller.may(of_type.as_str(), Rights::READ))
    };
    let included = shown.included.iter().filter(visible);
    let included = included.map(|found| (found, SearchMode::Include, None));
    for (found, mode, link) in matches.chain(included) {
        let Some(resource_type) = terms.type_of(found.resource_type) else { continue };
        let url = format!("{base}/{resource_type}/{}", found.id);
        let body = match &search.subset {
            None => found.body.clone(),
            Some(subset) => Bytes::from(subset::apply(&found.body, resource_type, subset)),
        };
        let links: Vec<(&str, &str)> = link.iter().map(|(r, url)| (*r, url.as_str())).collect();
        bundle.entry(&url, &links, &body, mode);
    }
    bundle.finish()
}

impl Shown {
    /// For each match the link with which the walk goes on right after it, if whoever asks wants to
    /// go on from anywhere.
    fn links(&self, hub: &Hub, caller: &Caller, search: &Search, own: &str) -> Vec<Option<String>> {
        let Some(standing) = self.standing.as_ref().filter(|_| search.entry_links) else {
            return vec![None; self.matches.len()];
        };
        let bound_to = bound_to(search, &caller.organisation);
        let (generation, made) = (search.generation, hub.clock.now_micros());
        let link = |place| {
            let walk = standing.after(&self.matches, place)?;
            let sealed = hub.seal.seal_after(&After { walk, generation, made }, &bound_to);
            Some(format!("{own}?_after={sealed}"))
        };
        (0..self.matches.len()).map(link).collect()
    }
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
