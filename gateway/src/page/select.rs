//! Which matches a page shows. Pure: the heads of all regions are merged; a region whose next match
//! is not here yet has to say more before anybody goes on.

use super::place::{Mark, Rank};

/// What is here of one region.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Its turn among equal ranks.
    pub turn: usize,
    /// Its matches, by when they have to be shown.
    pub ranks: Vec<Rank>,
    /// It has more.
    pub more: bool,
    /// Another stretch of it comes after this one.
    pub further: bool,
    /// What comes before is not for this page.
    pub behind: Option<Mark>,
    /// What does not come before is not for this stretch.
    pub until: Option<Mark>,
}

/// What a page shows of one region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// So many were passed by.
    pub skipped: usize,
    /// The next so many are shown.
    pub taken: usize,
    /// Nothing of the stretch is left.
    pub ended: bool,
}

/// What a page shows.
#[derive(Debug, Default)]
pub struct Selection {
    /// By region.
    pub cuts: Vec<Cut>,
    /// The regions that have to say more first; if there are any, the rest does not count.
    pub short: Vec<usize>,
    /// How far the page has come.
    pub mark: Option<Mark>,
}

/// A lane while it is walked.
struct Walker<'a> {
    lane: &'a Lane,
    cut: Cut,
    end: usize,
    more: bool,
}

impl<'a> Walker<'a> {
    fn new(lane: &'a Lane) -> Self {
        let mark = |rank: &Rank| Mark { rank: *rank, turn: lane.turn };
        let past = |rank: &Rank| lane.until.is_some_and(|until| mark(rank) >= until);
        let cut_off = lane.ranks.iter().position(past);
        let end = cut_off.unwrap_or(lane.ranks.len());
        let behind = |rank: &&Rank| lane.behind.is_some_and(|behind| mark(rank) < behind);
        let skipped = lane.ranks[..end].iter().take_while(behind).count();
        let cut = Cut { skipped, ..Cut::default() };
        Self { lane, cut, end, more: lane.more && cut_off.is_none() }
    }

    fn head(&self) -> Option<Mark> {
        let place = self.cut.skipped + self.cut.taken;
        let rank = self.lane.ranks[..self.end].get(place)?;
        Some(Mark { rank: *rank, turn: self.lane.turn })
    }

    fn finish(self) -> Cut {
        let ended = self.head().is_none() && !self.more;
        Cut { ended, ..self.cut }
    }
}

/// Takes the first `count` matches of all regions.
pub fn select(lanes: &[Lane], count: usize) -> Selection {
    let mut walkers: Vec<_> = lanes.iter().map(Walker::new).collect();
    let mut selection = Selection::default();
    for _ in 0..count {
        let out = |walker: &Walker<'_>| walker.head().is_none();
        let short = |(_, walker): &(usize, &Walker<'_>)| {
            out(walker) && (walker.more || walker.lane.further && walker.cut.taken == 0)
        };
        selection.short = walkers.iter().enumerate().filter(short).map(|(at, _)| at).collect();
        // The next stretch of a region is for the next page.
        let turns = walkers.iter().any(|walker| out(walker) && walker.lane.further);
        if turns || !selection.short.is_empty() {
            break;
        }
        let heads = walkers.iter_mut().filter_map(|walker| Some((walker.head()?, walker)));
        let Some((mark, walker)) = heads.min_by_key(|(mark, _)| *mark) else { break };
        walker.cut.taken += 1;
        selection.mark = selection.mark.max(Some(mark));
    }
    selection.cuts = walkers.into_iter().map(Walker::finish).collect();
    selection
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(turn: usize, dates: &[i64]) -> Lane {
        let ranks = dates.iter().map(|date| Rank::of(Some(*date), false)).collect();
        Lane { turn, ranks, more: false, further: false, behind: None, until: None }
    }

    fn mark(date: i64, turn: usize) -> Mark {
        Mark { rank: Rank::of(Some(date), false), turn }
    }

    fn taken(selection: &Selection) -> Vec<usize> {
        selection.cuts.iter().map(|cut| cut.taken).collect()
    }

    #[test]
    fn the_least_are_taken_and_among_equals_the_first_region_has_its_turn() {
        let lanes = [lane(0, &[2, 3, 9]), lane(1, &[1, 2, 2])];
        let selection = select(&lanes, 4);
        assert_eq!((taken(&selection), selection.mark), (vec![1, 3], Some(mark(2, 1))));
        assert!(selection.cuts[1].ended && !selection.cuts[0].ended);
        assert_eq!(taken(&select(&lanes, 99)), [3, 3]);
    }

    #[test]
    fn nobody_goes_on_before_who_has_more_has_said_it() {
        let more = Lane { more: true, ..lane(1, &[1]) };
        assert_eq!(select(&[lane(0, &[2, 3]), more.clone()], 2).short, [1]);
        assert!(select(&[lane(0, &[2, 3]), more], 1).short.is_empty());
    }

    #[test]
    fn what_comes_before_the_mark_is_passed_by_and_a_stretch_ends_where_it_must() {
        let late = Lane { behind: Some(mark(3, 0)), ..lane(1, &[1, 2, 3, 4]) };
        let cut = Cut { skipped: 2, taken: 2, ended: true };
        assert_eq!(select(&[late], 9).cuts, [cut]);
        let stretch = Lane { until: Some(mark(3, 0)), more: true, ..lane(1, &[1, 2, 3, 4]) };
        let cut = Cut { skipped: 0, taken: 2, ended: true };
        assert_eq!(select(&[stretch], 9).cuts, [cut]);
    }

    #[test]
    fn the_next_stretch_is_asked_for_when_nothing_of_this_one_is_shown() {
        let further = |dates| Lane { further: true, ..lane(0, dates) };
        let selection = select(&[further(&[1]), lane(1, &[5])], 9);
        assert_eq!((taken(&selection), selection.short.is_empty()), (vec![1, 0], true));
        assert_eq!(select(&[further(&[]), lane(1, &[5])], 9).short, [0]);
    }
}
