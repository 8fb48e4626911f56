//! One region on its way through a page: what it has sent so far, and where it goes on.

use std::sync::Arc;

use fhir::bundle::SearchMode;

use super::place::{Leg, Mark, Place, Rank, Spot};
use super::select::{self, Cut};
use crate::context::Context;
use crate::directory::Region;
use crate::merge::key::Reading;
use crate::outcome::{Failure, RegionStatus};
use crate::question::Question;
use crate::region::Hub;
use crate::region::answer::{REGION_ENTRIES_MAX, RawEntry, RegionAnswer};
use crate::region::question::HubSearch;
use crate::region::search::{Allowance, From, page};

/// What a region is asked, and how.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub question: &'a Question,
    pub hub: Hub<'a>,
    pub search: &'a HubSearch,
    pub context: &'a Context,
}

/// One region on its way through a page.
#[derive(Debug)]
pub(super) struct Lane {
    pub region: Arc<Region>,
    /// Where it stood when the page began.
    pub spot: Spot,
    /// What it has sent, or why nothing of it is shown.
    pub held: Result<Held, Failure>,
}

/// What a region has sent.
#[derive(Debug, Default)]
pub(super) struct Held {
    matches: Vec<Match>,
    /// What it sent beside its matches, and said about them.
    beside: RegionAnswer,
    /// Where the pages begin that it has sent.
    pages: Vec<From>,
    next: Option<String>,
    /// Matches yet to come that earlier pages have shown.
    shown_before: usize,
    allowance: Allowance,
    /// It does not keep to the order, and has sent all it has.
    pub unordered: bool,
}

#[derive(Debug)]
struct Match {
    entry: RawEntry,
    id: String,
    rank: Rank,
    /// By when it has to be shown: with what it stands before, at the latest.
    due: Rank,
    after: Option<Box<str>>,
    /// The page that it came on, and which of its matches it is, counted from one.
    page: usize,
    number: usize,
}

impl Lane {
    /// A region that has sent nothing yet.
    pub(super) fn new(region: Arc<Region>, spot: Spot) -> Self {
        let held = Ok(Held::of(spot.legs.first()));
        Self { region, spot, held }
    }

    /// A region that has sent the first page.
    pub(super) async fn begun(
        region: Arc<Region>,
        spot: Spot,
        first: Result<Arc<RegionAnswer>, Failure>,
        asking: Asking<'_>,
    ) -> Self {
        let mut lane = Self::new(region, spot);
        let taken = match first {
            Ok(first) => {
                let allowance = Allowance::after(&first);
                lane.held = Ok(Held { allowance, ..Held::default() });
                lane.take(From::Start, Arc::unwrap_or_clone(first), asking).await
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = taken {
            lane.held = Err(failure);
        }
        lane
    }

    /// How the selection sees it, if there is anything of it to see.
    pub(super) fn seen(&self, mark: Option<Mark>) -> Option<select::Lane> {
        let (held, leg) = (self.held.as_ref().ok()?, self.spot.legs.first()?);
        Some(select::Lane {
            turn: self.spot.turn,
            ranks: held.matches.iter().map(|found| found.due).collect(),
            more: held.next.is_some(),
            further: self.spot.legs.len() > 1,
            behind: mark.filter(|_| self.spot.failed),
            until: leg.until,
        })
    }

    /// Has the region say more: its first page, the next one, or the next stretch's first.
    pub(super) async fn ask(&mut self, mark: Option<Mark>, cut: Cut, asking: Asking<'_>) {
        if let Err(failure) = self.try_ask(mark, cut, asking).await {
            self.held = Err(failure);
        }
    }

    async fn try_ask(
        &mut self,
        mark: Option<Mark>,
        cut: Cut,
        asking: Asking<'_>,
    ) -> Result<(), Failure> {
        let Ok(held) = &mut self.held else { return Ok(()) };
        if cut.ended {
            // The next stretch begins; what was passed by of this one is not forgotten.
            let allowance = std::mem::take(&mut held.allowance);
            if cut.skipped > 0 {
                self.spot.miss(mark);
            }
            self.spot.legs.remove(0);
            self.held = Ok(Held { allowance, ..Held::of(self.spot.legs.first()) });
        }
        let Ok(held) = &mut self.held else { return Ok(()) };
        let from = match (held.next.take(), self.spot.legs.first()) {
            (Some(next), _) => From::Page(next),
            (None, Some(leg)) => leg.place.from.clone(),
            (None, None) => return Ok(()),
        };
        let said =
            page(&asking.hub, asking.search, &from, asking.context, &mut held.allowance).await?;
        self.take(from, said, asking).await
    }

    /// Takes a page; if the region does not keep to the order, all that follows, too.
    async fn take(
        &mut self,
        from: From,
        said: RegionAnswer,
        asking: Asking<'_>,
    ) -> Result<(), Failure> {
        let Ok(held) = &mut self.held else { return Ok(()) };
        held.add(from, said, asking.question)?;
        let turn = self.spot.turn;
        let Some(leg) = self.spot.legs.first_mut() else { return Ok(()) };
        if !leg.sorted && held.is_ordered(leg.until, turn) {
            return Ok(());
        }
        leg.sorted = true;
        while let Some(next) = held.next.take() {
            let from = From::Page(next);
            let (search, allowance) = (asking.search, &mut held.allowance);
            let said = page(&asking.hub, search, &from, asking.context, allowance).await?;
            held.add(from, said, asking.question)?;
        }
        held.put_in_order(leg.place.past.as_ref());
        Ok(())
    }

    /// Where the region stands after a page that shows that much of it.
    pub(super) fn after(&self, cut: Cut, mark: Option<Mark>) -> Spot {
        let (Ok(held), Some(leg)) = (&self.held, self.spot.legs.first()) else {
            return self.spot.clone().failing();
        };
        let mut spot = Spot { failed: false, ..self.spot.clone() };
        if cut.skipped > 0 {
            spot.miss(mark);
        }
        if cut.ended {
            spot.legs.remove(0);
        } else {
            spot.legs[0].place = held.place_after(leg, cut.skipped + cut.taken);
        }
        spot
    }

    /// What a page shows of the region.
    pub(super) fn shown(self, cut: Cut) -> Result<RegionAnswer, Failure> {
        let held = self.held?;
        let mut answer = held.beside;
        let shown = held.matches.into_iter().skip(cut.skipped).take(cut.taken);
        answer.entries.extend(shown.map(|found| found.entry));
        Ok(answer)
    }
}

impl Held {
    fn of(leg: Option<&Leg>) -> Self {
        Self { shown_before: leg.map_or(0, |leg| leg.place.skip), ..Self::default() }
    }

    /// How many matches the region says there are on all pages.
    pub(super) fn total(&self) -> Option<u64> {
        self.beside.total
    }

    fn add(&mut self, from: From, said: RegionAnswer, question: &Question) -> Result<(), Failure> {
        let (page, begin) = (self.pages.len(), self.matches.len());
        self.pages.push(from);
        self.next = said.next;
        self.beside.issues.extend(said.issues);
        self.beside.left_out.extend(said.left_out);
        self.beside.total = self.beside.total.or(said.total);
        let order = &question.order;
        let reading =
            Reading { subjects: &[], dates: &order.dates, pick: order.pick, members: &[] };
        let mut number = 0;
        for (entry, after) in said.entries.into_iter().zip(said.after) {
            let key = reading.read(&entry.resource);
            let key = key.map_err(|_malformed| Failure::from(RegionStatus::Invalid))?;
            let of_kind = key.resource_type == question.kind.name();
            if !of_kind || !matches!(entry.mode, None | Some(SearchMode::Match)) {
                self.beside.entries.push(entry);
                continue;
            }
            number += 1;
            if self.shown_before > 0 {
                self.shown_before -= 1;
                continue;
            }
            let rank = Rank::of(key.date, order.descending);
            let id = key.id.into_owned();
            self.matches.push(Match { entry, id, rank, due: rank, after, page, number });
        }
        if self.matches.len() + self.beside.entries.len() > REGION_ENTRIES_MAX {
            return Err(RegionStatus::TooLarge.into());
        }
        let mut due = None;
        for found in self.matches[begin..].iter_mut().rev() {
            found.due = due.map_or(found.rank, |due| found.rank.min(due));
            due = Some(found.due);
        }
        Ok(())
    }

    /// Whether its matches keep to the order, as far as the stretch goes. What a hub of ours shows
    /// out of turn has changed under the walk: it names its place all the same.
    fn is_ordered(&self, until: Option<Mark>, turn: usize) -> bool {
        let past = |found: &&Match| {
            let mark = Mark { rank: found.rank, turn };
            until.is_some_and(|until| mark >= until)
        };
        let stretch = self.matches.iter().take_while(|found| !past(found));
        stretch.is_sorted_by(|a, b| a.rank <= b.rank || b.after.is_some())
    }

    fn put_in_order(&mut self, past: Option<&(Rank, String)>) {
        self.unordered = true;
        self.matches.sort_by(|a, b| (a.rank, &a.id).cmp(&(b.rank, &b.id)));
        if let Some((rank, id)) = past {
            self.matches.retain(|found| (found.rank, &found.id) > (*rank, id));
        }
        self.matches.iter_mut().for_each(|found| found.due = found.rank);
    }

    fn place_after(&self, leg: &Leg, consumed: usize) -> Place {
        let Some(last) = consumed.checked_sub(1).map(|last| &self.matches[last]) else {
            return leg.place.clone();
        };
        if self.unordered {
            return Place { past: Some((last.rank, last.id.clone())), ..leg.place.clone() };
        }
        if let Some(after) = &last.after {
            return Place { from: From::After(after.clone()), ..Place::default() };
        }
        let following = self.matches.get(consumed).map(|found| found.page);
        let next = match following {
            Some(page) if page == last.page => None,
            Some(page) => Some(self.pages[page].clone()),
            None => self.next.clone().map(From::Page),
        };
        match next {
            Some(from) => Place { from, ..Place::default() },
            None => {
                let from = self.pages[last.page].clone();
                Place { from, skip: last.number, past: None }
            }
        }
    }
}
