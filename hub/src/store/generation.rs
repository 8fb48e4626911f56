//! By which rules the index is made, and how far it is.
//!
//! An index is made anew when the rules change, while the record is in use: first it is emptied, then
//! all resources are walked in order of their keys. What the walk has still to reach is in no index,
//! and whoever writes it leaves it so; all else is kept up by its writers. So each resource is in the
//! index by one set of rules or not at all, whoever writes it and whenever.
//!
//! Whatever is prepared for the index carries the number of the generation that it was prepared for,
//! and is looked at again in the transaction that writes it.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, RwLock};

use fhir::definitions::SEARCH_TABLES;
use sha2::{Digest, Sha256};

use super::StoreError;
use super::vocabulary::Vocabulary;
use super::write::Batch;

/// Which rows are made of a resource: to be counted up when [`Index::of`](super::index::Index::of),
/// [`Effects`](super::effects::Effects) or what they rest on makes others of the same text. A test
/// says so when it is the table of parameters that has changed.
const VERSION: u32 = 3;

/// The rules of this program: their version, and a digest of the tables that they follow.
pub fn rules() -> &'static str {
    static RULES: LazyLock<String> = LazyLock::new(|| {
        let mut digest = Sha256::new();
        for table in SEARCH_TABLES {
            digest.update(table);
        }
        let mut rules = format!("{VERSION} ");
        for byte in &digest.finalize()[..8] {
            // Writing into a String cannot fail.
            let _ = write!(rules, "{byte:02x}");
        }
        rules
    });
    &RULES
}

/// Where the index is: what every write looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The number of its generation: 1, 2, 3, …
    pub generation: i64,
    /// The key up to which it is made; below 0, it is yet to be emptied.
    pub cursor: i64,
    /// The key up to which it is made by a walk. What has a later one is kept up by its writers.
    pub last: i64,
}

impl Standing {
    /// Whether everything is in the index that belongs there.
    pub fn is_whole(&self) -> bool {
        self.cursor >= self.last
    }

    /// Whether the rows of the generation before are gone.
    pub fn is_emptied(&self) -> bool {
        self.cursor >= 0
    }

    /// Whether a resource is in the index, as far as it belongs there.
    pub fn holds(&self, key: i64) -> bool {
        key <= self.cursor || key > self.last
    }

    /// How far it is, in per cent: 100 only if it is whole.
    pub fn percent(&self) -> u8 {
        if self.is_whole() {
            return 100;
        }
        let done = i128::from(self.cursor.max(0)) * 100 / i128::from(self.last.max(1));
        u8::try_from(done).unwrap_or(99).min(99)
    }

    /// Whether what was prepared for `generation` and rests on the index can be relied upon.
    pub fn serves(&self, generation: i64) -> Result<(), StoreError> {
        match (self.generation == generation, self.is_whole()) {
            (false, _) => Err(StoreError::Moved),
            (true, false) => Err(StoreError::Rebuilding { percent: self.percent() }),
            (true, true) => Ok(()),
        }
    }

    /// Whether a batch can be written as it was prepared, in these terms.
    pub fn takes(&self, batch: &Batch, terms: &Vocabulary) -> Result<(), StoreError> {
        let contents = batch.writes.iter().filter_map(|write| write.action.content());
        let mut prepared = contents.map(|content| content.index.generation);
        let searched = || batch.expected.iter().filter_map(|expected| expected.generation);
        let is_current = |generation: i64| generation == self.generation;
        let all = is_current(terms.generation())
            && prepared.all(is_current)
            && searched().all(|generation| is_current(generation) && self.is_whole());
        if all { Ok(()) } else { Err(StoreError::Moved) }
    }
}

/// The record's index: its rules, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Where it is.
    pub standing: Standing,
    /// By which rules: see [`rules`].
    pub rules: String,
    /// The search parameters of the record's own, as lines of `search-parameters.tsv`.
    pub added: String,
    /// Resources that were walked.
    pub done: i64,
}

impl Generation {
    /// Whether it is by the rules of this program.
    pub fn is_ours(&self) -> bool {
        self.rules == rules()
    }

    /// Whether it was made by a later version of this program, whose rules are not to be undone.
    pub fn is_later(&self) -> bool {
        let version = self.rules.split(' ').next().and_then(|version| version.parse().ok());
        version.is_some_and(|version: u32| version > VERSION)
    }

    /// What it becomes when it is begun anew, with these search parameters of the record's own.
    #[must_use]
    pub fn anew(&self, added: String) -> Self {
        let generation = self.standing.generation + 1;
        let standing = Standing { generation, cursor: -1, last: i64::MAX };
        Self { standing, rules: rules().to_owned(), added, done: 0 }
    }

    /// The first of an empty record, which is whole.
    #[must_use]
    pub fn first() -> Self {
        let standing = Standing { generation: 1, cursor: 0, last: 0 };
        Self { standing, rules: rules().to_owned(), added: String::new(), done: 0 }
    }

    /// What it is when a record is opened: as it was found, or begun anew by the rules of this
    /// program.
    ///
    /// # Errors
    /// If it is by the rules of a later version.
    pub fn opened(self, is_empty: bool) -> Result<Self, StoreError> {
        if self.is_later() {
            return Err(StoreError::Outdated);
        }
        if self.is_ours() {
            return Ok(self);
        }
        if is_empty && self.added.is_empty() {
            let standing =
                Standing { generation: self.standing.generation + 1, cursor: 0, last: 0 };
            return Ok(Self { standing, ..Self::first() });
        }
        let added = self.added.clone();
        Ok(self.anew(added))
    }
}

/// What a process knows of the index.
#[derive(Debug, Clone)]
pub struct Known {
    /// The terms by which requests are understood, and resources indexed.
    pub terms: Arc<Vocabulary>,
    /// The index as it was seen last.
    pub generation: Arc<Generation>,
}

/// [`Known`], for all who share a store. Whoever begins something takes what is known once, and keeps
/// it: no lock is held meanwhile.
#[derive(Debug)]
pub struct Knowledge(RwLock<Known>);

impl Knowledge {
    /// What is known when a record is opened.
    pub fn new(terms: Vocabulary, generation: Generation) -> Self {
        Self(RwLock::new(Known { terms: Arc::new(terms), generation: Arc::new(generation) }))
    }

    /// The terms.
    pub fn terms(&self) -> Arc<Vocabulary> {
        self.0.read().expect("no holder of this lock panics").terms.clone()
    }

    /// The index as it was seen last.
    pub fn generation(&self) -> Arc<Generation> {
        self.0.read().expect("no holder of this lock panics").generation.clone()
    }

    /// Takes note of what was seen. Its terms must be known: see [`Vocabulary::fixed_terms`].
    pub fn learn(&self, seen: Generation) {
        let mut known = self.0.write().expect("no holder of this lock panics");
        let current = known.generation.standing.generation;
        if seen.standing.generation < current {
            return;
        }
        if seen.standing.generation > current && seen.is_ours() {
            known.terms = Arc::new(known.terms.successor(&seen));
        }
        known.generation = Arc::new(seen);
    }

    /// Whether what is searched in this generation will be answered, as far as this process knows.
    pub fn serves(&self, generation: i64) -> Result<(), StoreError> {
        let known = self.generation();
        if !known.is_ours() {
            return Err(StoreError::Outdated);
        }
        known.standing.serves(generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(cursor: i64, last: i64) -> Standing {
        Standing { generation: 1, cursor, last }
    }

    #[test]
    fn the_rules_are_counted_up_when_the_tables_change() {
        let text = "the tables have changed: count VERSION up, and put the new rules here";
        assert_eq!(rules(), "3 f6546d89bc35f3f0", "{text}");
    }

    #[test]
    fn what_a_walk_has_yet_to_reach_is_in_no_index() {
        let walked = standing(10, 20);
        let held: Vec<bool> = [1, 10, 11, 20, 21].map(|key| walked.holds(key)).into();
        assert_eq!(held, [true, true, false, false, true]);
        assert!(!standing(-1, i64::MAX).holds(1) && standing(20, 20).holds(15));
    }

    #[test]
    fn only_a_whole_index_is_all_there() {
        assert_eq!(standing(-1, i64::MAX).percent(), 0);
        assert_eq!(standing(999, 1_000).percent(), 99);
        assert_eq!((standing(0, 0).percent(), standing(5, 5).percent()), (100, 100));
    }

    #[test]
    fn an_index_by_other_rules_is_begun_anew_and_by_later_ones_left_alone() {
        let by = |rules: &str| Generation { rules: rules.into(), ..Generation::first() };
        let old = by("").opened(false).expect("an old record is opened");
        assert_eq!(old.standing, Standing { generation: 2, cursor: -1, last: i64::MAX });
        assert!(by("").opened(true).expect("an empty record is opened").standing.is_whole());
        assert_eq!(by(rules()).opened(false).expect("our own"), by(rules()));
        let later = format!("{} 0", VERSION + 1);
        assert!(matches!(by(&later).opened(false), Err(StoreError::Outdated)));
    }
}
