//! `$lastn`: `GET` or `POST [base]/Observation/$lastn`: of each kind of Observation the last few.
//! <https://hl7.org/fhir/R4/observation-operation-lastn.html>
//!
//! Observations are of one kind if they share a coding, or, without any, a text.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use fhir::tree::Tree;
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;
use service::parameters::Input;
use service::refusal::Refusal;

use crate::Hub;
use crate::error::HubError;
use crate::interaction::permission;
use crate::interaction::search::Pairs;
use crate::search::page;
use crate::search::parameters::{COUNT_MAX, Place, Search, parse};
use crate::store::query::Found;

/// Observations that are looked through, at most.
const LOOKED_THROUGH_MAX: usize = 50_000;
/// Observations of one kind that may be asked for.
const OF_A_KIND_MAX: usize = 1_000;

/// The last Observations of each kind.
pub async fn lastn(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let pairs = Input::read(query.as_deref(), &headers, body).await?.pairs;
    permission::search(&caller, &pairs)?;
    let (search, max) = asked(&hub, pairs)?;
    let mut kinds = Kinds { max, ..Kinds::default() };
    let mut walk = None;
    loop {
        let page = page::matches(&hub, &caller, &search, walk).await?;
        kinds.take(page.found);
        walk = page.next;
        if walk.is_none() {
            break;
        }
        if kinds.seen > LOOKED_THROUGH_MAX {
            return Err(too_many().into());
        }
    }
    let bundle = page::whole(&hub, &caller, &search, kinds.kept);
    Ok(Answer::resource(StatusCode::OK, bundle))
}

/// The search, newest first, and how many of each kind.
fn asked(hub: &Hub, pairs: Pairs) -> Result<(Search, usize), Refusal> {
    let observation = "Observation".parse::<ResourceType>().expect("R4 has Observations");
    let (max, criteria): (Pairs, Pairs) = pairs.iter().cloned().partition(|(n, _)| n == "max");
    let max = max.first().map_or(Ok(1), |(_, value)| value.parse::<usize>());
    let max = max.ok().filter(|max| (1..=OF_A_KIND_MAX).contains(max)).ok_or_else(|| {
        let text = format!("max must be a whole number from 1 to {OF_A_KIND_MAX}.");
        Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at("max"))
    })?;
    let names_patient = |name: &str| name.split([':', '.']).next() == Some("patient");
    let names_subject = |name: &str| name.split([':', '.']).next() == Some("subject");
    if !criteria.iter().any(|(name, _)| names_patient(name) || names_subject(name)) {
        let text = "$lastn is asked of one patient: name it by patient or subject.";
        return Err(Refusal::bad_request_issue(
            Issue::error(IssueCode::Required, text).at("patient"),
        ));
    }
    let place = Place::of_type(observation);
    let mut search = parse(place, &criteria, true, &hub.store.terms(), hub.base())?;
    search.path = "Observation/$lastn".into();
    search.executed = pairs;
    search.count = COUNT_MAX;
    Ok((search, max))
}

fn too_many() -> Refusal {
    let text = format!(
        "More than {LOOKED_THROUGH_MAX} Observations would have to be looked through: narrow the \
         search by category, code or date."
    );
    Refusal::bad_request(IssueCode::TooCostly, text)
}

/// Observations by kind.
#[derive(Default)]
struct Kinds {
    max: usize,
    seen: usize,
    /// The kind of each coding or text.
    of_name: HashMap<String, usize>,
    /// How many of each kind are kept.
    counts: Vec<usize>,
    kept: Vec<Found>,
}

impl Kinds {
    /// Takes Observations, newest first.
    fn take(&mut self, found: Vec<Found>) {
        for found in found {
            self.seen += 1;
            let Some(names) = Tree::parse(&found.body).ok().map(|tree| names(&tree)) else {
                continue;
            };
            let known = names.iter().find_map(|name| self.of_name.get(name).copied());
            let kind = known.unwrap_or_else(|| {
                self.counts.push(0);
                self.counts.len() - 1
            });
            self.of_name.extend(names.into_iter().map(|name| (name, kind)));
            if self.counts[kind] < self.max {
                self.counts[kind] += 1;
                self.kept.push(found);
            }
        }
    }
}

/// What names the kind of an Observation.
fn names(observation: &Tree<'_>) -> Vec<String> {
    let Some(code) = observation.get("code") else { return Vec::new() };
    let codings = code.get("coding").map_or(&[][..], Tree::items).iter();
    let named = |coding: &Tree<'_>| {
        Some(format!("{}|{}", coding.text("system").unwrap_or(""), coding.text("code")?))
    };
    let names: Vec<String> = codings.filter_map(named).collect();
    if names.is_empty() {
        code.text("text").map(str::to_owned).into_iter().collect()
    } else {
        names
    }
}
