//! Many regions' entries as one list. Pure: no clock, no network, and the same result whatever the
//! order in which regions answered.
//!
//! | room | what lives there |
//! |---|---|
//! | [`key`] | what is read of a resource, borrowed |
//! | [`check`] | whose it is |
//! | [`content`] | whether two resources say the same |
//! | [`demographics`] | whether it can be one person |
//! | [`rules`] | what makes two resources of a type the same, or alike: the table |
//! | [`names`], [`alike`] | by what a resource is known everywhere; what two have in common |
//! | `facts`, `replaced` | which entries are one fact; which is an older version of which |
//! | [`fold`], [`found`] | facts that reached us more than once; what is said of them |
//! | `contradictions` | what cannot both be relied on |
//!
//! **Invariants.** For each region, entries in = entries shown + entries folded +
//! entries of somebody who only once had the number. A resource's bytes
//! are never edited. Only an identity that a source asserts folds anything.

pub mod alike;
pub mod check;
pub mod content;
mod contradictions;
pub mod demographics;
mod facts;
pub mod fold;
pub mod found;
pub mod key;
pub mod names;
mod replaced;
pub mod rules;

use std::cmp::{Ordering, Reverse};

use check::{Candidate, Checked};
use found::{Finding, Found, Group, What};

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
    /// Facts that reached us more than once, what has to be looked at first; see [`Self::entry`].
    pub findings: Vec<Finding>,
    /// Entries that are, or may be, one fact; see [`Self::entry`].
    pub groups: Vec<Group>,
    /// What stands beside the matches, the patient apart.
    pub includes: Vec<Shown<'a>>,
    /// The Patients beside the matches.
    pub patients: Vec<Shown<'a>>,
    /// Matches that a region sent twice.
    pub repeated: usize,
}

impl<'a> Merged<'a> {
    /// The entry at a place: the matches come first, then what stands beside them.
    pub fn entry(&self, place: usize) -> &Shown<'a> {
        let beside = || &self.includes[place - self.matches.len()];
        self.matches.get(place).unwrap_or_else(beside)
    }

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
    let mut entries = Vec::new();
    for (place, source) in sources.into_iter().enumerate() {
        let shown = |candidate| Shown { region: source.region, source: place, candidate };
        merged.repeated += source.checked.repeated;
        entries.extend(source.checked.matches.into_iter().map(shown));
        merged.includes.extend(source.checked.includes.into_iter().map(shown));
        merged.patients.extend(source.checked.patients.into_iter().map(shown));
    }
    // Facts are looked for in the order of the directory, so that it decides what nothing else does.
    entries.sort_by(by_place);
    merged.includes.sort_by(by_place);
    merged.patients.sort_by(by_place);
    let matches = entries.len();
    entries.append(&mut merged.includes);
    let found = fold::find(&entries, matches, dedup);
    merged.includes = entries.split_off(matches);
    merged.matches = entries;
    in_order(&mut merged, found, descending);
    merged
}

fn by_place(a: &Shown<'_>, b: &Shown<'_>) -> Ordering {
    let place = |shown: &Shown<'_>| shown.source;
    let (left, right) = (&a.candidate.key, &b.candidate.key);
    place(a)
        .cmp(&place(b))
        .then_with(|| left.resource_type.cmp(&right.resource_type))
        .then_with(|| left.id.cmp(&right.id))
}

/// Puts the matches into the order of the answer, and the places of what was found with them.
fn in_order(merged: &mut Merged<'_>, found: Found, descending: bool) {
    let mut order: Vec<usize> = (0..merged.matches.len()).collect();
    order.sort_by(|a, b| {
        let (left, right) = (&merged.matches[*a].candidate, &merged.matches[*b].candidate);
        by_date(left.key.date, right.key.date, descending).then(a.cmp(b))
    });
    let mut now: Vec<usize> = (0..order.len() + merged.includes.len()).collect();
    for (place, before) in order.iter().enumerate() {
        now[*before] = place;
    }
    merged.findings = found.findings;
    for finding in &mut merged.findings {
        (finding.first, finding.second) = (now[finding.first], now[finding.second]);
    }
    merged.findings.sort_by_key(|f| (!f.what.is_warning(), f.first, f.second));
    merged.groups = found.groups;
    for (place, _) in merged.groups.iter_mut().flatten() {
        *place = now[*place];
    }
    merged.groups.sort_by_key(|group| group[0].0);
    let mut places: Vec<_> = std::mem::take(&mut merged.matches).into_iter().map(Some).collect();
    let moved = |before: usize| places[before].take().expect("each place stands in the order once");
    merged.matches = order.into_iter().map(moved).collect();
    merged.folded = vec![false; merged.matches.len()];
    for finding in merged.findings.iter().filter(|finding| finding.what == What::Folded) {
        merged.folded[finding.second] = true;
    }
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
