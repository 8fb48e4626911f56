//! One question to many regions at once. The home hub is asked without waiting for the locator,
//! the others as soon as it has said who they are; dropping the future drops every request.

use std::pin::pin;
use std::sync::Arc;

use fhir::identifier::{OdsCode, PatientNumber};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::error::GatewayError;
use crate::identity::whereabouts;
use crate::outcome::Gap;
use crate::page::share;
use crate::question::Question;
use crate::region::flight::{Answer, ask as ask_region};
use crate::region::question::HubSearch;

/// How one region ended.
#[derive(Debug)]
pub struct Regional {
    /// The region.
    pub region: Arc<Region>,
    /// What it holds, or why that is not known.
    pub result: Answer,
}

/// Every region's answer, in the order of the directory.
#[derive(Debug)]
pub struct Collected {
    /// The regions that were asked.
    pub answers: Vec<Regional>,
    /// The numbers by which they were asked.
    pub numbers: Vec<PatientNumber>,
    /// Those by which the home hub was: it does not wait until all are known.
    pub numbers_at_home: Vec<PatientNumber>,
    /// The number that was asked for is no longer in use.
    pub superseded: bool,
    /// Organisations that hold something and could not be asked.
    pub unknown: Vec<OdsCode>,
    /// How many organisations the locator named.
    pub located: usize,
    /// What else is not known.
    pub gaps: Vec<Gap>,
}

/// Asks every region that holds something, until all have answered or the deadline has come.
pub async fn fan_out(
    gateway: &Gateway,
    question: &Question,
    context: &Context,
) -> Result<Collected, GatewayError> {
    let page = question.page.unwrap_or(gateway.federation().page_size);
    let person = gateway.links().person(question.number);
    let mut asked = FuturesUnordered::new();
    let mut answers = Vec::new();
    let home = gateway.directory().home();
    let mut numbers_at_home = person.numbers();
    let search_at_home =
        |numbers: &[PatientNumber]| HubSearch::of_question(question, numbers, page);
    if let Some(home) = home {
        asked.push(ask(gateway, home.clone(), search_at_home(&numbers_at_home), context));
    }
    let mut locating = pin!(whereabouts(gateway, person, context));
    let mut found = loop {
        tokio::select! {
            found = &mut locating => break found?,
            Some(answer) = asked.next() => answers.push(answer),
        }
    };
    let others = || {
        let is_home = |region: &Region| home.is_some_and(|home| home.ods == region.ods);
        found.regions.iter().filter(move |region| !is_home(region))
    };
    let count = share(page, others().count() + usize::from(home.is_some()));
    let search = HubSearch::of_question(question, &found.numbers, count);
    if let Some(home) = home.filter(|_| found.home_again) {
        // Nobody else has been asked so far.
        asked = FuturesUnordered::new();
        answers.clear();
        numbers_at_home.clone_from(&found.numbers);
        asked.push(ask(gateway, home.clone(), search_at_home(&found.numbers), context));
    }
    for region in others() {
        asked.push(ask(gateway, region.clone(), search.clone(), context));
    }
    while let Some(answer) = asked.next().await {
        answers.push(answer);
    }
    answers.sort_by_key(|answer| gateway.directory().place(&answer.region.ods));
    if !has_answered(&answers, home) {
        // Its silence is told by its own part of the answer.
        found.gaps.retain(|gap| *gap != Gap::LinksUnknown);
    }
    Ok(Collected {
        answers,
        located: found.regions.len() + found.unknown.len(),
        numbers: found.numbers,
        numbers_at_home,
        superseded: found.superseded,
        unknown: found.unknown,
        gaps: found.gaps,
    })
}

fn has_answered(answers: &[Regional], home: Option<&Arc<Region>>) -> bool {
    let its = answers.iter().find(|answer| home.is_some_and(|home| home.ods == answer.region.ods));
    its.is_some_and(|answer| answer.result.is_ok())
}

async fn ask(
    gateway: &Gateway,
    region: Arc<Region>,
    search: HubSearch,
    context: &Context,
) -> Regional {
    let result = ask_region(gateway, &region, &search, context).await;
    Regional { region, result }
}
