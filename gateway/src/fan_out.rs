//! One question to many regions at once. The home hub is asked without waiting for the locator,
//! the others as soon as it has said who they are; dropping the future drops every request.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fhir::identifier::{OdsCode, PatientNumber};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use crate::Gateway;
use crate::context::Context;
use crate::directory::{Directory, Region};
use crate::error::GatewayError;
use crate::identity::{Whereabouts, whereabouts};
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
    /// How long that took.
    pub took: Duration,
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

/// The regions while they answer: it is known who is asked, and by which numbers.
#[derive(Debug)]
pub struct UnderWay<'a> {
    /// As it was when the question came: a question is answered by one directory.
    directory: Arc<Directory>,
    /// The home hub, if it is asked.
    home: Option<Arc<Region>>,
    found: Whereabouts,
    numbers_at_home: Vec<PatientNumber>,
    located: usize,
    early: Vec<Regional>,
    asked: FuturesUnordered<BoxFuture<'a, Regional>>,
}

/// Asks every region that holds something, until all have answered or the deadline has come.
pub async fn fan_out(
    gateway: &Gateway,
    question: &Question,
    context: &Context,
) -> Result<Collected, GatewayError> {
    let mut under_way = begin(gateway, question, context).await?;
    let mut answers = Vec::new();
    while let Some(answer) = under_way.next().await {
        answers.push(answer);
    }
    Ok(under_way.collected(answers))
}

/// Finds out who is to be asked, and asks. The home hub's answer may be there already.
pub async fn begin<'a>(
    gateway: &'a Gateway,
    question: &Question,
    context: &'a Context,
) -> Result<UnderWay<'a>, GatewayError> {
    let directory = gateway.directory();
    if let Some(ods) = question.regions.iter().find(|ods| directory.find(ods).is_none()) {
        return Err(GatewayError::NotInDirectory(ods.clone()));
    }
    let page = question.page.unwrap_or(gateway.federation().page_size);
    let person = gateway.links().person(question.number);
    let mut asked = FuturesUnordered::new();
    let mut early = Vec::new();
    let home = directory.home().filter(|home| question.asks(&home.ods));
    let mut numbers_at_home = person.numbers();
    let search_at_home =
        |numbers: &[PatientNumber]| HubSearch::of_question(question, numbers, page);
    if let Some(home) = &home {
        let search = search_at_home(&numbers_at_home);
        asked.push(ask(gateway, home.clone(), search, context).boxed());
    }
    let mut locating = pin!(whereabouts(gateway, person, context));
    let mut found = loop {
        tokio::select! {
            found = &mut locating => break found?,
            Some(answer) = asked.next() => early.push(answer),
        }
    };
    if let Some(home) = home.as_ref().filter(|_| found.home_again) {
        // Nobody else has been asked so far.
        asked = FuturesUnordered::new();
        early.clear();
        numbers_at_home.clone_from(&found.numbers);
        let search = search_at_home(&found.numbers);
        asked.push(ask(gateway, home.clone(), search, context).boxed());
    }
    let located = found.regions.len() + found.unknown.len();
    found.regions.retain(|region| question.asks(&region.ods));
    found.unknown.retain(|ods| question.asks(ods));
    let is_home = |region: &Region| home.as_ref().is_some_and(|home| home.ods == region.ods);
    let others: Vec<_> = found.regions.iter().filter(|region| !is_home(region)).collect();
    let count = share(page, others.len() + usize::from(home.is_some()));
    let search = HubSearch::of_question(question, &found.numbers, count);
    for region in others {
        asked.push(ask(gateway, region.clone(), search.clone(), context).boxed());
    }
    Ok(UnderWay { directory, home, found, numbers_at_home, located, early, asked })
}

impl UnderWay<'_> {
    /// The next answer, in the order in which they come; none after the last.
    pub async fn next(&mut self) -> Option<Regional> {
        match self.early.pop() {
            Some(answer) => Some(answer),
            None => self.asked.next().await,
        }
    }

    /// The regions that are asked, in the order of the directory.
    pub fn regions(&self) -> Vec<Arc<Region>> {
        let is_asked = |region: &&Arc<Region>| {
            let same = |other: &Arc<Region>| other.ods == region.ods;
            self.home.as_ref().is_some_and(same) || self.found.regions.iter().any(same)
        };
        self.directory.regions().iter().filter(is_asked).cloned().collect()
    }

    /// The numbers by which they are asked.
    pub fn numbers(&self) -> &[PatientNumber] {
        &self.found.numbers
    }

    /// Organisations that hold something and cannot be asked.
    pub fn unknown(&self) -> &[OdsCode] {
        &self.found.unknown
    }

    /// What there is once these answers, which are all, have come.
    pub fn collected(self, mut answers: Vec<Regional>) -> Collected {
        let (found, directory) = (self.found, self.directory);
        answers.sort_by_key(|answer| directory.place(&answer.region.ods));
        let mut gaps = found.gaps;
        if self.home.is_some_and(|home| !has_answered(&answers, &home)) {
            // Its silence is told by its own part of the answer.
            gaps.retain(|gap| *gap != Gap::LinksUnknown);
        }
        Collected {
            answers,
            located: self.located,
            numbers: found.numbers,
            numbers_at_home: self.numbers_at_home,
            superseded: found.superseded,
            unknown: found.unknown,
            gaps,
        }
    }
}

fn has_answered(answers: &[Regional], home: &Region) -> bool {
    let its = answers.iter().find(|answer| answer.region.ods == home.ods);
    its.is_some_and(|answer| answer.result.is_ok())
}

async fn ask(
    gateway: &Gateway,
    region: Arc<Region>,
    search: HubSearch,
    context: &Context,
) -> Regional {
    let begun = Instant::now();
    let result = ask_region(gateway, &region, &search, context).await;
    Regional { region, result, took: begun.elapsed() }
}
