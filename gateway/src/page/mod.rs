//! An answer in pages: so many matches of all regions at a time, in one order.
//!
//! | room | what lives there |
//! |---|---|
//! | here | a page from its regions' first words to its links |
//! | [`place`] | where each region goes on, how far all have come |
//! | `lane` | one region on its way through a page |
//! | [`select`](mod@select) | which matches a page shows, pure |
//! | [`token`] | what a page link carries |
//! | [`turn`] | what a page leaves behind, for its links |
//! | `people` | whether what regions count is one person's |
//! | [`snapshot`] | a whole answer that is kept, and its pages |
//!
//! **Invariants.** The pages of a walk, and those that `retry-missing` leads to, show what the
//! regions hold: no entry is lost, and none comes twice unless it changes meanwhile. Nothing is
//! kept between pages, but of a snapshot, which is asked for. Whose record it is and whom it is asked of is settled on the first page; who
//! asks is verified on each. A page never holds more matches than it may.
//!
//! A region that fails contributes nothing to the page, and is asked again on the next one from
//! where it stood. What belongs before the place that the pages have reached by then is not shown
//! out of order: `retry-missing` leads to it.

mod lane;
mod people;
pub mod place;
pub mod select;
pub mod snapshot;
pub mod token;
pub mod turn;

use std::sync::Arc;
use std::time::Duration;

use fhir::identifier::PatientNumber;
use futures::future::join_all;
use tokio::time::Instant;
use url::form_urlencoded;

use self::lane::{Asking, Lane};
use self::place::{Mark, Spot};
use self::select::{Cut, Selection, select};
use self::token::Token;
use self::turn::Turn;
use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::error::GatewayError;
use crate::fan_out::{Collected, Regional, fan_out};
use crate::question::{Handling, Question, Total};
use crate::region::answer::RegionAnswer;
use crate::region::question::HubSearch;

/// The parameter that a page link consists of.
pub const PARAMETER: &str = "_page";
/// Up to so many regions, each is asked for a whole page.
const REGIONS_FEW: usize = 4;
/// The least that a region is asked for, where more of them fill a page.
const COUNT_MIN: usize = 10;

/// A page: what was asked, what the regions said, what comes next.
pub type Page = (Question, Collected, Turn);

/// The secret of a page link among a request's parameters. Nothing else may stand beside it but how
/// the answer is to be written.
pub fn link(pairs: &str) -> Result<Option<String>, GatewayError> {
    let (mut link, mut others) = (None, false);
    for (name, value) in form_urlencoded::parse(pairs.as_bytes()) {
        match &*name {
            PARAMETER if link.is_none() => link = Some(value.into_owned()),
            "" | "_format" | "_pretty" => {}
            _ => others = true,
        }
    }
    if link.is_some() && others { Err(GatewayError::PageNotAlone) } else { Ok(link) }
}

/// How many matches a region is asked for at a time.
pub fn share(page: u32, regions: usize) -> u32 {
    if regions <= REGIONS_FEW {
        return page;
    }
    let share = (2 * page as usize).div_ceil(regions).max(COUNT_MIN);
    u32::try_from(share).unwrap_or(u32::MAX)
}

/// The first page of a question, or all of its answer.
pub async fn begin(
    gateway: &Gateway,
    question: Question,
    context: &Context,
) -> Result<Page, GatewayError> {
    let mut collected = fan_out(gateway, &question, context).await?;
    let Some(count) = question.page else {
        return Ok((question, collected, Turn::whole()));
    };
    let spots = collected.answers.iter().enumerate();
    let spots: Vec<_> =
        spots.map(|(turn, answer)| Spot::new(answer.region.ods.clone(), turn)).collect();
    if is_all(&collected, count) {
        let turn = Turn::all(&collected, spots);
        return Ok((question, collected, turn));
    }
    let walk = Walk::new(gateway, &question, context, &collected, None);
    let answers = std::mem::take(&mut collected.answers);
    let lanes = answers.into_iter().zip(spots).map(|(Regional { region, result, .. }, spot)| {
        let walk = &walk;
        async move {
            let asking = walk.asking(&region);
            Lane::begun(region.clone(), spot, result, asking).await
        }
    });
    let lanes = join_all(lanes).await;
    let mut turn = walk.page(lanes, Vec::new(), &mut collected).await;
    if question.total == Total::Accurate && turn.total.is_some() {
        let counting = people::counting(gateway, &collected);
        let one = people::are_one(gateway, context, &counting).await;
        turn.total = turn.total.filter(|_| one);
    }
    Ok((question, collected, turn))
}

/// The page that a link leads to.
pub async fn resume(
    gateway: &Gateway,
    type_name: &str,
    link: &str,
    context: &Context,
) -> Result<Page, GatewayError> {
    let organisation = &context.caller.organisation;
    let token = Token::open(link, gateway.seal(), organisation, gateway.now_micros())?;
    if token.kind != type_name {
        return Err(GatewayError::PageNotAlone);
    }
    let pairs = form_urlencoded::Serializer::new(String::new()).extend_pairs(&token.query).finish();
    let question = Question::parse(&token.kind, &pairs, Handling::Lenient)?;
    let question = question.in_pages_of(gateway.federation().page_size);
    let numbers = token::read(&token.numbers)?;
    let at_home = token.numbers_at_home.as_deref().map(token::read).transpose()?;
    let mut collected = Collected {
        answers: Vec::new(),
        numbers_at_home: at_home.unwrap_or_else(|| numbers.clone()),
        numbers,
        superseded: token.superseded,
        unknown: token.unknown.clone(),
        located: token.located,
        gaps: token.gaps.clone(),
    };
    let walk = Walk::new(gateway, &question, context, &collected, Some(&token));
    let (mut lanes, mut shown) = (Vec::new(), Vec::new());
    for spot in &token.spots {
        match gateway.directory().find(&spot.ods) {
            // It was taken out of the directory since the page before.
            None => collected.unknown.push(spot.ods.clone()),
            Some(region) if spot.legs.is_empty() => shown.push((region.clone(), spot.clone())),
            Some(region) => lanes.push(Lane::new(region.clone(), spot.clone())),
        }
    }
    join_all(lanes.iter_mut().map(|lane| {
        let region = lane.region.clone();
        let walk = &walk;
        async move { lane.ask(walk.mark, Cut::default(), walk.asking(&region)).await }
    }))
    .await;
    let turn = walk.page(lanes, shown, &mut collected).await;
    Ok((question, collected, turn))
}

/// Whether the regions' first words are all they have to say, and fit on one page.
fn is_all(collected: &Collected, count: u32) -> bool {
    let answered = || collected.answers.iter().filter_map(|answer| answer.result.as_ref().ok());
    let matches: usize = answered().map(|said| said.matches()).sum();
    matches <= count as usize && answered().all(|said| said.next.is_none())
}

/// A walk through the pages, on one of them.
struct Walk<'a> {
    gateway: &'a Gateway,
    question: &'a Question,
    context: &'a Context,
    search: HubSearch,
    search_at_home: HubSearch,
    token: Option<&'a Token>,
    mark: Option<Mark>,
    begun: Instant,
}

impl<'a> Walk<'a> {
    fn new(
        gateway: &'a Gateway,
        question: &'a Question,
        context: &'a Context,
        collected: &Collected,
        token: Option<&'a Token>,
    ) -> Self {
        let regions = token.map_or(collected.answers.len(), |token| token.spots.len());
        let count = share(question.page.unwrap_or(1), regions);
        let search = |numbers: &[PatientNumber]| HubSearch::of_question(question, numbers, count);
        Self {
            gateway,
            question,
            context,
            search: search(&collected.numbers),
            search_at_home: search(&collected.numbers_at_home),
            token,
            mark: token.and_then(|token| token.mark),
            begun: Instant::now(),
        }
    }

    fn asking<'w>(&'w self, region: &'w Region) -> Asking<'w> {
        let home = self.gateway.directory().home();
        let at_home = home.is_some_and(|home| home.ods == region.ods);
        Asking {
            question: self.question,
            hub: self.gateway.hub(region),
            search: if at_home { &self.search_at_home } else { &self.search },
            context: self.context,
        }
    }

    /// The page that these regions make, beside others of which everything has been shown.
    async fn page(
        &self,
        mut lanes: Vec<Lane>,
        shown: Vec<(Arc<Region>, Spot)>,
        collected: &mut Collected,
    ) -> Turn {
        let (cuts, mark) = self.fill(&mut lanes).await;
        let mut turn = Turn::of(self.token, mark.max(self.mark));
        let held = || lanes.iter().filter_map(|lane| lane.held.as_ref().ok());
        turn.total = match self.token {
            Some(token) => token.total,
            None => held().map(lane::Held::total).sum(),
        };
        for (region, spot) in shown {
            turn.add(spot.clone(), spot);
            let result = Ok(Arc::new(RegionAnswer::default()));
            collected.answers.push(Regional { region, result, took: Duration::ZERO });
        }
        let took = self.begun.elapsed();
        for (lane, cut) in lanes.into_iter().zip(cuts) {
            let unordered = lane.held.as_ref().is_ok_and(|held| held.unordered);
            turn.unordered.extend(unordered.then(|| lane.region.clone()));
            turn.add(lane.spot.clone(), lane.after(cut, self.mark));
            let region = lane.region.clone();
            let result = lane.shown(cut).map(Arc::new);
            collected.answers.push(Regional { region, result, took });
        }
        let directory = self.gateway.directory();
        collected.answers.sort_by_key(|answer| directory.place(&answer.region.ods));
        turn
    }

    /// Has regions say more until the page is full or there is no more; what it shows of each.
    async fn fill(&self, lanes: &mut [Lane]) -> (Vec<Cut>, Option<Mark>) {
        let count = self.question.page.unwrap_or(1) as usize;
        loop {
            let seen: Vec<_> = lanes.iter().map(|lane| lane.seen(self.mark)).collect();
            let here: Vec<_> = (0..lanes.len()).filter(|at| seen[*at].is_some()).collect();
            let seen: Vec<_> = seen.into_iter().flatten().collect();
            let Selection { cuts, short, mark } = select(&seen, count);
            let mut all = vec![Cut::default(); lanes.len()];
            for (at, cut) in here.iter().zip(cuts) {
                all[*at] = cut;
            }
            if short.is_empty() {
                return (all, mark);
            }
            let short: Vec<_> = short.into_iter().map(|at| here[at]).collect();
            let asked = lanes.iter_mut().enumerate().filter(|(at, _)| short.contains(at));
            join_all(asked.map(|(at, lane)| {
                let (region, cut) = (lane.region.clone(), all[at]);
                async move { lane.ask(self.mark, cut, self.asking(&region)).await }
            }))
            .await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_link_stands_alone() {
        assert_eq!(link("code=1&_format=json").ok(), Some(None));
        assert_eq!(link("&_page=abc&_format=json&_pretty=true").ok(), Some(Some("abc".into())));
        for beside in ["_page=abc&code=1", "_count=3&_page=abc", "_page=abc&_page=abc"] {
            assert!(matches!(link(beside), Err(GatewayError::PageNotAlone)), "{beside}");
        }
    }

    #[test]
    fn few_regions_are_asked_for_a_page_each_and_many_for_a_share() {
        assert_eq!([share(20, 1), share(20, 4)], [20, 20]);
        assert_eq!([share(20, 5), share(100, 7), share(1_000, 10)], [10, 29, 200]);
    }
}
