//! Which entries are one fact, by their names.

use std::collections::HashMap;
use std::hash::Hash;

use super::Shown;
use super::names::names;
use super::rules::Rule;

/// Places by fact: whatever shares a name, directly or through others, is one.
pub(super) struct Facts {
    by_name: HashMap<String, usize>,
    /// For each place the first place of its fact, if it has a name.
    pub(super) of: Vec<Option<usize>>,
}

impl Facts {
    pub(super) fn of(entries: &[Shown<'_>]) -> Self {
        let sources = entries.iter().any(|entry| entry.candidate.key.source.is_some());
        let mut facts = Self { by_name: HashMap::new(), of: vec![None; entries.len()] };
        for (place, entry) in entries.iter().enumerate() {
            let rule = Rule::of(&entry.candidate.key.resource_type);
            for name in names(entry, rule, sources) {
                let known = *facts.by_name.entry(name).or_insert(place);
                facts.join(known, place);
            }
        }
        for place in 0..entries.len() {
            if facts.of[place].is_some() {
                facts.of[place] = Some(facts.root(place));
            }
        }
        facts
    }

    /// A place of the fact with that name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        let (first, second) = (a.min(b), a.max(b));
        self.of[first] = Some(first);
        self.of[second] = Some(first);
    }

    fn root(&self, mut place: usize) -> usize {
        while let Some(before) = self.of[place].filter(|before| *before != place) {
            place = before;
        }
        place
    }

    /// The facts that stand in several places, in the order of their first ones.
    pub(super) fn groups(&self) -> Vec<Vec<usize>> {
        in_order(self.of.iter().enumerate().filter_map(|(place, fact)| Some(((*fact)?, place))))
    }
}

/// Groups places by a key: those that have company, in the order of their first ones.
pub(super) fn in_order<K: Hash + Eq>(pairs: impl Iterator<Item = (K, usize)>) -> Vec<Vec<usize>> {
    let mut numbers = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (key, place) in pairs {
        let number = *numbers.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[number].push(place);
    }
    groups.retain(|places| places.len() > 1);
    groups
}
