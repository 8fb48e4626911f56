//! Facts that reached us more than once. Two entries are the same fact only if their sources say
//! so: see [`names`](super::names). Then equal content may be folded, an older copy is told from
//! the current one, and what contradicts is a conflict. Entries that are [`alike`](super::alike)
//! are linked, and never more than that. Everything but what was folded is shown.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use fhir::OWN_SYSTEM;
use serde::Deserialize;

use super::Shown;
use super::alike::{Products, comparable, day, likeness, products};
use super::content::{canonical, differences};
use super::contradictions;
use super::facts::{Facts, in_order};
use super::found::{Finding, Found, Group, Role, What};
use super::names::names;
use super::replaced::replaced;
use super::rules::{Copies, Rule};
use crate::question::Dedup;

/// Looks for facts that stand in `entries` more than once; the first `foldable` of them may be
/// folded.
pub fn find(entries: &[Shown<'_>], foldable: usize, dedup: Dedup) -> Found {
    let mut found = Found::default();
    if dedup == Dedup::Off || entries.len() < 2 {
        return found;
    }
    let facts = Facts::of(entries);
    let replaced = replaced(entries, &facts);
    for &(current, old) in &replaced {
        found.tell(Finding::new(What::Older, current, old));
    }
    let survey = Survey { entries, replaced: replaced.iter().copied().collect(), foldable, dedup };
    for places in facts.groups() {
        survey.compare(places, &mut found);
    }
    for (current, old) in replaced {
        if facts.of[current].is_none() || facts.of[current] != facts.of[old] {
            found.groups.push(vec![(current, Role::Source), (old, Role::Historical)]);
        }
    }
    if entries.iter().any(|entry| entry.source != entries[0].source) {
        let products = products(entries.iter());
        survey.link(&facts, &products, &mut found);
        contradictions::of_products(entries, &products, &mut found);
    }
    contradictions::of_allergies(entries, &mut found);
    found
}

/// What tells a fact from all others, for each name that it has: hashes of name and content.
pub fn prints(entry: &Shown<'_>) -> Vec<u64> {
    let names = names(entry, Rule::of(&entry.candidate.key.resource_type), true);
    if names.is_empty() {
        return Vec::new();
    }
    let Some(content) = canonical(entry.candidate.resource) else { return Vec::new() };
    let print = |name: String| {
        let mut hasher = DefaultHasher::new();
        (name, &content).hash(&mut hasher);
        hasher.finish()
    };
    names.into_iter().map(print).collect()
}

struct Survey<'m, 'a> {
    entries: &'m [Shown<'a>],
    /// The current one and the one it replaces, where a source says so.
    replaced: HashSet<(usize, usize)>,
    foldable: usize,
    dedup: Dedup,
}

impl Survey<'_, '_> {
    /// Compares each copy of a fact with the different contents seen before it.
    fn compare(&self, mut places: Vec<usize>, found: &mut Found) {
        places.sort_by_cached_key(|place| self.rank(*place));
        let mut contents: Vec<(usize, Option<Vec<u8>>)> = Vec::new();
        let mut group: Group = Vec::with_capacity(places.len());
        for place in places {
            let content = canonical(self.entries[place].candidate.resource);
            let same = contents.iter().find(|(_, seen)| content.is_some() && *seen == content);
            let role = match (same, contents.first()) {
                (Some((first, _)), _) => {
                    found.tell(Finding::new(self.repeated(*first, place), *first, place));
                    Role::Alternate
                }
                (None, Some((first, _))) => {
                    let role = self.differ(*first, place, found);
                    contents.push((place, content));
                    role
                }
                (None, None) => {
                    contents.push((place, content));
                    Role::Source
                }
            };
            group.push((place, role));
        }
        found.groups.push(group);
    }

    /// What a copy with equal content is. A Patient stays: others refer to it.
    fn repeated(&self, first: usize, second: usize) -> What {
        let may = first < self.foldable && second < self.foldable;
        let described = self.entries[first].candidate.key.resource_type == "Patient";
        if self.dedup == Dedup::Fold && may && !described { What::Folded } else { What::Duplicate }
    }

    /// Tells how two copies of one fact differ; what the second is to the first.
    fn differ(&self, first: usize, second: usize, found: &mut Found) -> Role {
        if self.replaced.contains(&(first, second)) {
            return Role::Historical;
        }
        let (a, b) = (&self.entries[first], &self.entries[second]);
        let rule = Rule::of(&a.candidate.key.resource_type);
        let all = differences(a.candidate.resource, b.candidate.resource);
        let mut fields = all.clone();
        fields.retain(|name| rule.is_none_or(|rule| rule.fields.contains(&name.as_str())));
        if rule.is_some_and(|rule| rule.copies == Copies::Descriptions) {
            if !fields.is_empty() {
                found.tell(Finding { what: What::Described, first, second, fields });
            }
            return Role::Alternate;
        }
        let order = newer(a, b);
        if fields.is_empty() && order.is_none() {
            fields = all;
        }
        let (what, first, second) = match (order, fields.is_empty()) {
            (None, _) => (What::Conflict, first, second),
            (Some(true), true) => (What::Older, first, second),
            (Some(false), true) => (What::Older, second, first),
            (Some(true), false) => (What::NewerConflict, first, second),
            (Some(false), false) => (What::NewerConflict, second, first),
        };
        found.tell(Finding { what, first, second, fields });
        if order == Some(true) { Role::Historical } else { Role::Alternate }
    }

    /// What each entry is like, by list of parts. To say it costs much, so it is said only of those
    /// that have the date in common with an entry of another region.
    fn likenesses(&self, products: &Products) -> Vec<((usize, String), usize)> {
        let mut lists = Vec::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let Some(rule) = Rule::of(&entry.candidate.key.resource_type) else { continue };
            for (number, parts) in rule.alike.iter().enumerate() {
                lists.extend(day(entry, parts).map(|day| (place, rule, number, day)));
            }
        }
        let common =
            |(_, rule, number, day): &(_, &Rule, _, _)| (rule.resource_type, *number, *day);
        let mut said = Vec::new();
        for group in in_order(lists.iter().map(common).zip(0..)) {
            let source = |at: &usize| self.entries[lists[*at].0].source;
            if group.iter().all(|at| source(at) == source(&group[0])) {
                continue;
            }
            said.extend(group.into_iter().filter_map(|at| {
                let (place, rule, number, _) = lists[at];
                let entry = &self.entries[place];
                Some(((number, likeness(entry, rule, rule.alike[number], products)?), place))
            }));
        }
        said
    }

    /// Links what is alike across regions and not known to be the same.
    fn link(&self, facts: &Facts, products: &Products, found: &mut Found) {
        for mut places in in_order(self.likenesses(products).into_iter()) {
            places.sort_by_cached_key(|place| self.rank(*place));
            let same_fact =
                |a: usize, b: usize| facts.of[a].is_some() && facts.of[a] == facts.of[b];
            let apart = |a: usize, b: usize| {
                self.entries[a].source != self.entries[b].source && !same_fact(a, b)
            };
            let mut linked = false;
            for (number, &place) in places.iter().enumerate().skip(1) {
                let Some(other) = places.iter().position(|other| apart(*other, place)) else {
                    continue;
                };
                linked = true;
                let (first, second) =
                    if other < number { (places[other], place) } else { (place, places[other]) };
                let fields = self.contradicting(first, second);
                let what = if fields.is_empty() { What::Alike } else { What::AlikeConflict };
                found.tell(Finding { what, first, second, fields });
            }
            if linked {
                let role = |number| if number == 0 { Role::Source } else { Role::Alternate };
                found.groups.push(places.iter().enumerate().map(|(n, p)| (*p, role(n))).collect());
            }
        }
    }

    /// The members of their rule in which two entries differ.
    fn contradicting(&self, first: usize, second: usize) -> Vec<String> {
        let (a, b) = (&self.entries[first].candidate.key, &self.entries[second].candidate.key);
        let fields = Rule::of(&a.resource_type).map_or(&[][..], |rule| rule.fields);
        let said = |raw: Option<_>| raw.map(comparable);
        let differs = |name: &&&str| said(a.member(name)) != said(b.member(name));
        fields.iter().filter(differs).map(ToString::to_string).collect()
    }

    /// Which copy counts first: the custodian's own, the newest, the first in the directory.
    fn rank(&self, place: usize) -> impl Ord + use<> {
        let entry = &self.entries[place];
        let own = custodian(entry).is_none_or(|ods| ods == entry.region.ods.as_str());
        (!own, Reverse(entry.candidate.key.updated()), place)
    }
}

/// Whether the first copy of a fact is newer than the second: the custodian's own is, and what a
/// server changed later. Nothing if that is not known.
fn newer(a: &Shown<'_>, b: &Shown<'_>) -> Option<bool> {
    let of_a = custodian(a).unwrap_or_else(|| a.region.ods.to_string());
    let of_b = custodian(b).unwrap_or_else(|| b.region.ods.to_string());
    if of_a == of_b && a.source != b.source {
        if a.region.ods.as_str() == of_a {
            return Some(true);
        }
        if b.region.ods.as_str() == of_b {
            return Some(false);
        }
    }
    let (a, b) = (a.candidate.key.updated()?, b.candidate.key.updated()?);
    (a != b).then_some(a > b)
}

/// The organisation that a copy says it belongs to, if it is not its region's own.
fn custodian(entry: &Shown<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Tag {
        #[serde(default)]
        system: String,
        #[serde(default)]
        code: String,
    }
    let tags: Vec<Tag> = serde_json::from_str(entry.candidate.key.tag?.get()).ok()?;
    let own = |tag: &Tag| tag.system.strip_prefix(OWN_SYSTEM) == Some("custodian");
    Some(tags.into_iter().find(own)?.code.to_ascii_uppercase())
}
