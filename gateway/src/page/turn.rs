//! What a page leaves behind: where each region stands after it, and the links that lead on.

use std::collections::HashSet;
use std::sync::Arc;

use fhir::identifier::OdsCode;

use super::PARAMETER;
use super::place::{Mark, Rank, Spot};
use super::token::{self, Token};
use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::error::GatewayError;
use crate::fan_out::Collected;
use crate::merge::{Merged, Shown, fold};
use crate::question::{Dedup, Question};

/// Facts of one rank that are remembered until the next page; what is more is shown again.
const SEEN_MAX: usize = 256;

/// A page's place in its walk.
#[derive(Debug, Default)]
pub struct Turn {
    /// The answer is in pages.
    paged: bool,
    /// The page is the first of its walk.
    pub first: bool,
    /// The walk shows what another was missing.
    pub retry: bool,
    /// The regions as they stood before the page, and as they stand after it.
    steps: Vec<(Spot, Spot)>,
    mark: Option<Mark>,
    /// What the page before has shown of the rank that it ended in, and that rank.
    before: Option<(Rank, HashSet<u64>)>,
    seen: Vec<u64>,
    /// How many matches there are on all pages, as far as the regions say.
    pub total: Option<u64>,
    /// Regions that do not keep to the order.
    pub unordered: Vec<Arc<Region>>,
}

impl Turn {
    /// The one answer that holds everything.
    pub fn whole() -> Self {
        Self { first: true, ..Self::default() }
    }

    /// The one page that holds everything, but what failed.
    pub(super) fn all(collected: &Collected, spots: Vec<Spot>) -> Self {
        let mut turn = Self { paged: true, ..Self::whole() };
        for (answer, spot) in collected.answers.iter().zip(spots) {
            let after = match answer.result {
                Ok(_) => Spot { legs: Vec::new(), ..spot.clone() },
                Err(_) => spot.clone().failing(),
            };
            turn.add(spot, after);
        }
        turn
    }

    /// The page that a token leads to, or the first.
    pub(super) fn of(token: Option<&Token>, mark: Option<Mark>) -> Self {
        let before = token.and_then(|token| {
            let seen = token.seen.iter().copied().collect();
            Some((token.mark?.rank, seen))
        });
        let (first, retry) = (token.is_none(), token.is_some_and(|token| token.retry));
        Self { paged: true, first, retry, mark, before, ..Self::default() }
    }

    pub(super) fn add(&mut self, before: Spot, after: Spot) {
        self.steps.push((before, after));
    }

    /// Nothing of a region is shown after all: it stands where it stood.
    pub fn fail(&mut self, ods: &OdsCode) {
        for (before, after) in self.steps.iter_mut().filter(|(before, _)| before.ods == *ods) {
            *after = before.clone().failing();
        }
    }

    /// Whether the page is all there is.
    pub fn is_all(&self) -> bool {
        self.first && self.steps.iter().all(|(_, after)| after.legs.is_empty())
    }

    /// The regions of which pages have passed something by.
    pub fn passed_by(&self) -> impl Iterator<Item = &OdsCode> {
        let after = self.steps.iter().map(|(_, after)| after);
        after.filter(|spot| !spot.missed.is_empty()).map(|spot| &spot.ods)
    }

    /// The regions of the page.
    pub fn regions(&self) -> impl Iterator<Item = &OdsCode> {
        self.steps.iter().map(|(before, _)| &before.ods)
    }

    /// Folds what is the same as an entry of the page before, and remembers what the next page may
    /// fold. Only equal ranks are compared: equal facts have equal dates. The places of what was
    /// folded.
    pub fn fold(&mut self, merged: &mut Merged<'_>, question: &Question) -> Vec<usize> {
        if question.dedup != Dedup::Fold || !self.paged {
            return Vec::new();
        }
        let rank =
            |shown: &Shown<'_>| Rank::of(shown.candidate.key.date, question.order.descending);
        let before = self.before.take();
        let mut folded = Vec::new();
        let mut seen = HashSet::new();
        if let Some((at, facts)) = before {
            for (place, shown) in merged.matches.iter().enumerate() {
                let again = || fold::prints(shown).iter().any(|print| facts.contains(print));
                if rank(shown) == at && !merged.folded[place] && again() {
                    merged.folded[place] = true;
                    folded.push(place);
                }
            }
            if self.mark.is_some_and(|mark| mark.rank == at) {
                seen = facts;
            }
        }
        let last = |shown: &&Shown<'_>| self.mark.is_some_and(|mark| mark.rank == rank(shown));
        seen.extend(merged.matches.iter().filter(last).flat_map(fold::prints));
        self.seen = if seen.len() > SEEN_MAX { Vec::new() } else { seen.into_iter().collect() };
        folded
    }

    /// The page's links, beginning with its `own`.
    pub fn links(
        &self,
        gateway: &Gateway,
        context: &Context,
        question: &Question,
        collected: &Collected,
        own: String,
    ) -> Result<Links, GatewayError> {
        let mut links = Links { urls: vec![("self", own)], retry_too_costly: false };
        if !self.paged {
            return Ok(links);
        }
        let base = format!("{}/{}", gateway.base(), question.kind.name());
        let url = |spots: Vec<Spot>, anew: bool| {
            let token = self.token(gateway, question, collected, spots, anew);
            let text = token.seal(gateway.seal(), &context.caller.organisation)?;
            Some(format!("{base}?{PARAMETER}={text}"))
        };
        let after = || self.steps.iter().map(|(_, after)| after);
        let live = after().any(Spot::is_live);
        if live {
            let next = url(after().cloned().collect(), false);
            links.urls.push(("next", next.ok_or(GatewayError::PageTooCostly)?));
        }
        if (live || !self.first) && !self.retry {
            links.urls.push(("first", links.urls[0].1.clone()));
        }
        let missing: Vec<_> = after().filter_map(Spot::missing).collect();
        if !missing.is_empty() {
            match url(missing, true) {
                Some(url) => links.urls.push(("retry-missing", url)),
                None => links.retry_too_costly = true,
            }
        }
        Ok(links)
    }

    /// What leads to the next page, or to the first one of a walk `anew` through what is missing.
    fn token(
        &self,
        gateway: &Gateway,
        question: &Question,
        collected: &Collected,
        spots: Vec<Spot>,
        anew: bool,
    ) -> Token {
        let retry = anew || self.retry;
        let differs = collected.numbers_at_home != collected.numbers;
        Token {
            kind: question.kind.name().to_owned(),
            query: question.executed.clone(),
            numbers: token::written(&collected.numbers),
            numbers_at_home: differs.then(|| token::written(&collected.numbers_at_home)),
            superseded: collected.superseded,
            unknown: collected.unknown.clone(),
            located: collected.located,
            gaps: collected.gaps.clone(),
            mark: self.mark.filter(|_| !anew),
            seen: if anew { Vec::new() } else { self.seen.clone() },
            total: self.total.filter(|_| !retry),
            spots,
            retry,
            made: gateway.now_micros(),
        }
    }
}

/// A page's links.
#[derive(Debug)]
pub struct Links {
    /// Relation and URL.
    pub urls: Vec<(&'static str, String)>,
    /// There is something missing, and more of it than a link can carry.
    pub retry_too_costly: bool,
}
