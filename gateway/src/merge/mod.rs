//! Many regions' entries as one list. Pure: no clock, no network, and the same result whatever the
//! order in which regions answered.
//!
//! | room | what lives there |
//! |---|---|
//! | [`key`] | what is read of a resource, borrowed |
//! | [`check`] | whose it is |
//! | [`content`] | whether two resources say the same |
//! | [`demographics`] | whether it can be one person |
//! | [`fold`] | facts that reached us more than once |
//!
//! **Invariants.** For each region, entries in = entries shown + entries folded +
//! entries of somebody who only once had the number. A resource's bytes
//! are never edited. Only an identity that a source asserts folds anything.

pub mod check;
pub mod content;
pub mod demographics;
pub mod fold;
pub mod key;

use std::cmp::{Ordering, Reverse};

use check::{Candidate, Checked};
use fold::Finding;

use crate::directory::Region;
use crate::question::Dedup;

/// One region's checked answer.
#[derive(Debug)]
pub struct Source<'a> {
    /// The region.
    pub region: &'a Region,
    /// Its entries, every one of them the asked patient's.
    pub checked: Checked<'a>,
}

/// An entry and where it comes from.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The region that holds it.
    pub region: &'a Region,
    /// The region's place among the sources.
    pub source: usize,
    /// The entry.
    pub candidate: Candidate<'a>,
}

impl Shown<'_> {
    /// Where it is read through the gateway with that base.
    pub fn full_url(&self, base: &str) -> String {
        let key = &self.candidate.key;
        format!("{base}/at/{}/{}/{}", self.region.ods, key.resource_type, key.id)
    }

    /// What it is called for ever.
    pub fn canonical_url(&self) -> String {
        let key = &self.candidate.key;
        format!("{}/{}/{}", self.region.base(), key.resource_type, key.id)
    }
}

/// All regions' entries in one order.
#[derive(Debug, Default)]
pub struct Merged<'a> {
    /// The matches, in order; what was folded is still among them.
    pub matches: Vec<Shown<'a>>,
    /// For each match, whether another one stands for it.
    pub folded: Vec<bool>,
    /// Facts that reached us more than once; places among the matches.
    pub findings: Vec<Finding>,
    /// The Patients beside the matches.
    pub patients: Vec<Shown<'a>>,
    /// Matches that a region sent twice.
    pub repeated: usize,
}

impl<'a> Merged<'a> {
    /// The matches that are shown, in order.
    pub fn shown(&self) -> impl Iterator<Item = &Shown<'a>> {
        let kept = self.matches.iter().zip(&self.folded);
        kept.filter(|(_, folded)| !**folded).map(|(entry, _)| entry)
    }

    /// The Patients, whether they match or stand beside the matches.
    pub fn people(&self) -> impl Iterator<Item = &Shown<'a>> {
        let matches = self.matches.iter().filter(|m| m.candidate.key.resource_type == "Patient");
        matches.chain(&self.patients)
    }

    /// How many matches are shown.
    pub fn shown_count(&self) -> usize {
        self.folded.iter().filter(|folded| !**folded).count()
    }
}

/// Merges the sources, which stand in the order of the directory.
pub fn merge(sources: Vec<Source<'_>>, dedup: Dedup, descending: bool) -> Merged<'_> {
    let mut merged = Merged::default();
    for (place, source) in sources.into_iter().enumerate() {
        let shown = |candidate| Shown { region: source.region, source: place, candidate };
        merged.repeated += source.checked.repeated;
        merged.matches.extend(source.checked.matches.into_iter().map(shown));
        merged.patients.extend(source.checked.patients.into_iter().map(shown));
    }
    // Facts are looked for in the order of the directory, so that it decides which copy stands.
    merged
        .matches
        .sort_by(|a, b| (a.source, &a.candidate.key.id).cmp(&(b.source, &b.candidate.key.id)));
    merged
        .patients
        .sort_by(|a, b| (a.source, &a.candidate.key.id).cmp(&(b.source, &b.candidate.key.id)));
    let findings = fold::find(&merged.matches, dedup);
    merged.folded = vec![false; merged.matches.len()];
    for finding in &findings {
        if let Finding::Folded(_, place) = finding {
            merged.folded[*place] = true;
        }
    }
    in_order(&mut merged, findings, descending);
    merged
}

/// Puts the matches into the order of the answer, and the findings' places with them.
fn in_order(merged: &mut Merged<'_>, findings: Vec<Finding>, descending: bool) {
    let mut order: Vec<usize> = (0..merged.matches.len()).collect();
    order.sort_by(|a, b| {
        let (left, right) = (&merged.matches[*a].candidate, &merged.matches[*b].candidate);
        by_date(left.key.date, right.key.date, descending).then(a.cmp(b))
    });
    let mut now = vec![0; order.len()];
    for (place, before) in order.iter().enumerate() {
        now[*before] = place;
    }
    let moved = |finding| match finding {
        Finding::Duplicate(a, b) => Finding::Duplicate(now[a], now[b]),
        Finding::Folded(a, b) => Finding::Folded(now[a], now[b]),
        Finding::Conflict(a, b) => Finding::Conflict(now[a], now[b]),
    };
    merged.findings = findings.into_iter().map(moved).collect();
    let mut places: Vec<_> = std::mem::take(&mut merged.matches).into_iter().map(Some).collect();
    let mut folded = Vec::with_capacity(order.len());
    for before in order {
        let entry = places[before].take().expect("each place stands in the order once");
        merged.matches.push(entry);
        folded.push(merged.folded[before]);
    }
    merged.folded = folded;
}

/// By date; what has none comes last either way.
fn by_date(left: Option<i64>, right: Option<i64>, descending: bool) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) if descending => Reverse(left).cmp(&Reverse(right)),
        (Some(left), Some(right)) => left.cmp(&right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    }
}

#[cfg(test)]
mod tests;
