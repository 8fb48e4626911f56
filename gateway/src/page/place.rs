//! Where each region goes on, and how far all of them have come.

use fhir::identifier::OdsCode;
use serde::{Deserialize, Serialize};

use crate::region::search::From;

/// A match's rank in the order of the answer: what has no date comes last, whatever the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank(bool, i64);

impl Rank {
    /// The rank of a date.
    pub fn of(date: Option<i64>, descending: bool) -> Self {
        match date {
            None => Self(true, 0),
            // Its complement, for a number may have no negative.
            Some(date) if descending => Self(false, !date),
            Some(date) => Self(false, date),
        }
    }
}

/// How far pages have come: the last match's rank, then its region's turn among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// The rank.
    pub rank: Rank,
    /// The region's turn.
    pub turn: usize,
}

/// A place among a region's matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where a page of the region begins.
    #[serde(rename = "f", default, skip_serializing_if = "is_default")]
    pub from: From,
    /// How many matches after that have been shown; none where the region names each place itself.
    #[serde(rename = "s", default, skip_serializing_if = "is_default")]
    pub skip: usize,
    /// The last match shown of a region that does not keep to the order: its rank and id.
    #[serde(rename = "p", default, skip_serializing_if = "is_default")]
    pub past: Option<(Rank, String)>,
}

/// A stretch of a region's matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Where it begins.
    #[serde(flatten)]
    pub place: Place,
    /// What it ends before; none: with the last match.
    #[serde(rename = "u", default, skip_serializing_if = "is_default")]
    pub until: Option<Mark>,
    /// The region does not keep to the order: the stretch is the whole rest, put in order here.
    #[serde(rename = "d", default, skip_serializing_if = "is_default")]
    pub sorted: bool,
}

/// One region of a walk through the pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// The region.
    #[serde(rename = "o")]
    pub ods: OdsCode,
    /// Its turn among equal ranks; a walk through what was missing keeps it.
    #[serde(rename = "t")]
    pub turn: usize,
    /// What is yet to be shown of it, in this order; nothing: all has been.
    #[serde(rename = "l", default, skip_serializing_if = "is_default")]
    pub legs: Vec<Leg>,
    /// What the pages have passed by while it did not answer.
    #[serde(rename = "m", default, skip_serializing_if = "is_default")]
    pub missed: Vec<Leg>,
    /// It did not answer on the page before.
    #[serde(rename = "x", default, skip_serializing_if = "is_default")]
    pub failed: bool,
}

impl Spot {
    /// A region of which nothing has been shown.
    pub fn new(ods: OdsCode, turn: usize) -> Self {
        Self { ods, turn, legs: vec![Leg::default()], missed: Vec::new(), failed: false }
    }

    /// Whether a page may still show something of it.
    pub fn is_live(&self) -> bool {
        !self.failed && !self.legs.is_empty()
    }

    /// Nothing of it is shown on this page.
    #[must_use]
    pub fn failing(self) -> Self {
        Self { failed: true, ..self }
    }

    /// The current leg's beginning was passed by: what comes before the mark is not for these pages.
    pub fn miss(&mut self, mark: Option<Mark>) {
        if let Some(leg) = self.legs.first() {
            let until = leg.until.into_iter().chain(mark).min();
            self.missed.push(Leg { until, ..leg.clone() });
        }
    }

    /// What a walk through the missing shows of it.
    pub fn missing(&self) -> Option<Self> {
        let mut legs = self.missed.clone();
        legs.extend(self.legs.iter().filter(|_| self.failed).cloned());
        let missing = Self { legs, missed: Vec::new(), failed: false, ..self.clone() };
        missing.is_live().then_some(missing)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_undated_come_last_whatever_the_direction() {
        for (descending, order) in
            [(true, [Some(3), Some(2), None]), (false, [Some(2), Some(3), None])]
        {
            let ranks = order.map(|date| Rank::of(date, descending));
            assert!(ranks.is_sorted(), "{ranks:?}");
        }
        let least = [i64::MIN, i64::MAX].map(|date| Rank::of(Some(date), true));
        assert!(least[0] > least[1]);
    }

    #[test]
    fn what_is_missing_is_what_was_passed_by_and_what_comes_after_a_failure() {
        let mut spot = Spot::new("A1".parse().expect("a code"), 2);
        assert_eq!(spot.missing(), None);
        let mark = Mark { rank: Rank::of(Some(1), false), turn: 0 };
        spot.miss(Some(mark));
        let missing = spot.missing().expect("it has been passed by");
        assert_eq!(missing.legs, [Leg { until: Some(mark), ..Leg::default() }]);
        let missing = spot.failing().missing().expect("it has failed");
        assert_eq!((missing.legs.len(), missing.turn, missing.failed), (2, 2, false));
    }
}
