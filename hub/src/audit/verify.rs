//! What was done to the trail: every entry is looked at in its order, a page at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::chain::{Hash, Tip};
use crate::store::StoreError;
use crate::store::trail::{Stored, Trail};

/// Entries that are read at a time.
const PAGE: i64 = 1_024;

/// The first thing in a lane that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The lane.
    pub lane: i64,
    /// What is wrong.
    pub what: Wrong,
}

/// What is wrong with a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The entry of this place is not the one that was recorded there.
    Altered(i64),
    /// The entry of the first place is now at the second.
    Moved(i64, i64),
    /// There are no entries from the first place to the second, but there are after it.
    Missing(i64, i64),
    /// An entry is where none was ever recorded.
    Added(i64),
    /// The lane ends before the first place, but a witness says that it went on to the second.
    Truncated(i64, i64, String),
    /// The chain is whole, but somewhere after the first place and up to the second it is not the one
    /// that a witness saw.
    Rewritten(i64, i64, String),
}

/// What was seen of a lane before: its hash at a place, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The hash.
    pub hash: Hash,
    /// Who says so.
    pub witness: String,
}

/// What was seen before, by lane and place.
#[derive(Debug, Default)]
pub struct Marks(BTreeMap<i64, BTreeMap<i64, Mark>>);

impl Marks {
    /// Adds what someone saw. Of two who contradict each other, the chain agrees with one at most: the
    /// first is kept unless they agree, and the second given back.
    pub fn add(&mut self, Tip { lane, seq, hash }: Tip, witness: &str) -> Result<(), Mark> {
        let new = Mark { hash, witness: witness.to_owned() };
        let mark = self.0.entry(lane).or_default().entry(seq).or_insert_with(|| new.clone());
        if mark.hash == hash { Ok(()) } else { Err(new) }
    }
}

/// Looks at every lane that has entries or was seen to have them. `told` hears how many entries were
/// looked at; gives their number, and the first fault of each lane.
pub async fn verify(
    trail: &Trail,
    marks: &Marks,
    mut told: impl FnMut(u64),
) -> Result<(u64, Vec<Fault>), StoreError> {
    let mut lanes: BTreeSet<i64> = trail.lanes().await?.into_iter().collect();
    lanes.extend(marks.0.keys());
    let (none, mut count, mut faults) = (BTreeMap::new(), 0, Vec::new());
    for lane in lanes {
        let mut walk = Walk::new(lane, marks.0.get(&lane).unwrap_or(&none));
        let mut place = i64::MIN;
        let wrong = loop {
            let page = trail.after(lane, place, PAGE).await?;
            let Some(last) = page.last() else { break walk.end() };
            place = last.seq;
            count += page.len() as u64;
            told(count);
            if let Err(wrong) = walk.page(&page) {
                break Err(wrong);
            }
        };
        faults.extend(wrong.err().map(|what| Fault { lane, what }));
    }
    Ok((count, faults))
}

/// A walk along one lane.
struct Walk<'a> {
    tip: Tip,
    marks: &'a BTreeMap<i64, Mark>,
    /// The last place that a witness agreed with.
    agreed: i64,
}

impl<'a> Walk<'a> {
    fn new(lane: i64, marks: &'a BTreeMap<i64, Mark>) -> Self {
        Self { tip: Tip::start(lane), marks, agreed: 0 }
    }

    fn page(&mut self, page: &[Stored]) -> Result<(), Wrong> {
        page.iter().try_for_each(|stored| self.step(stored, page))
    }

    fn step(&mut self, stored: &Stored, page: &[Stored]) -> Result<(), Wrong> {
        let place = self.tip.seq + 1;
        if stored.seq < place {
            return Err(Wrong::Added(stored.seq));
        }
        if stored.seq > place {
            return Err(Wrong::Missing(place, stored.seq - 1));
        }
        let next = self.tip.after(stored.recorded, &stored.entry);
        if stored.hash != next.hash {
            return Err(self.gone(stored, page));
        }
        self.tip = next;
        match self.marks.get(&place) {
            Some(mark) if mark.hash != next.hash => {
                Err(Wrong::Rewritten(self.agreed, place, mark.witness.clone()))
            }
            Some(_) => {
                self.agreed = place;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether what was recorded here is near, at another place; its hash may have gone with it or not.
    fn gone(&self, stored: &Stored, page: &[Stored]) -> Wrong {
        let is_ours = |other: &&Stored| {
            let times = [stored.recorded, other.recorded];
            let hashes = times.map(|recorded| self.tip.after(recorded, &other.entry).hash);
            hashes.iter().any(|hash| stored.hash == *hash || other.hash == *hash)
        };
        match page.iter().filter(|other| other.seq > stored.seq).find(is_ours) {
            Some(other) => Wrong::Moved(stored.seq, other.seq),
            None => Wrong::Altered(stored.seq),
        }
    }

    fn end(&self) -> Result<(), Wrong> {
        match self.marks.last_key_value() {
            Some((place, mark)) if *place > self.tip.seq => {
                Err(Wrong::Truncated(self.tip.seq + 1, *place, mark.witness.clone()))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lane = self.lane;
        match &self.what {
            Wrong::Altered(place) => write!(
                f,
                "lane {lane}: entry {place} is not the one that was recorded there: it was altered, or one \
                 was taken away or put in at its place"
            ),
            Wrong::Moved(place, to) => {
                write!(f, "lane {lane}: entry {place} was moved: it is now at place {to}")
            }
            Wrong::Missing(first, last) if first == last => {
                write!(f, "lane {lane}: entry {first} is missing")
            }
            Wrong::Missing(first, last) => {
                write!(f, "lane {lane}: entries {first} to {last} are missing")
            }
            Wrong::Added(place) => {
                write!(f, "lane {lane}: entry {place} was never recorded: lanes begin at 1")
            }
            Wrong::Truncated(first, last, witness) => write!(
                f,
                "lane {lane}: the end was cut off: entries {first} to {last} are missing, as {witness} \
                 shows"
            ),
            Wrong::Rewritten(after, place, witness) => write!(
                f,
                "lane {lane}: an entry after {after} and up to {place} was replaced, and the chain made \
                 anew: {witness} saw another"
            ),
        }
    }
}
