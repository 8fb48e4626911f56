//! Resources that a walk puts into the index together: read and taken apart where no one waits, then
//! written if they are still what they were.

use super::effects::{index_of, targets};
use super::generation::Standing;
use super::index::Index;
use super::target::Target;
use super::vocabulary::Vocabulary;
use super::write::Version;

/// Text of the resources of one stretch, in bytes, unless the first alone has more.
pub const STRETCH_BYTES_MAX: usize = 2 << 20;

/// A resource as the walk met it.
#[derive(Debug)]
pub struct Met {
    /// Its key.
    pub key: i64,
    /// The number of its type.
    pub resource_type: i64,
    /// Its id.
    pub id: String,
    /// Its current version; a deletion, too.
    pub version: Version,
}

/// A resource taken apart.
#[derive(Debug)]
pub struct Walked {
    /// Its key.
    pub key: i64,
    /// The number of its type.
    pub resource_type: i64,
    /// The version that was taken apart.
    pub version: i64,
    /// Its index values; none of a deletion.
    pub index: Option<Index>,
}

/// Some resources one after the other, in order of their keys.
#[derive(Debug)]
pub struct Stretch {
    /// For which generation of the index.
    pub generation: i64,
    /// After which key it begins.
    pub from: i64,
    /// The last key it reaches.
    pub to: i64,
    /// All resources between.
    pub resources: Vec<Walked>,
}

impl Stretch {
    /// Takes apart what was met from where the index stands; up to the end, if that is all there is.
    pub fn of(standing: Standing, met: &[Met], is_all: bool, terms: &Vocabulary) -> Self {
        let reached = met.last().map_or(standing.last, |met| met.key);
        let walked = |met: &Met| Walked {
            key: met.key,
            resource_type: met.resource_type,
            version: met.version.version,
            index: terms
                .type_of(met.resource_type)
                .and_then(|of_type| index_of(Some(&met.version), of_type, &met.id, terms)),
        };
        Self {
            generation: terms.generation(),
            from: standing.cursor,
            to: if is_all { standing.last } else { reached },
            resources: met.iter().map(walked).collect(),
        }
    }

    /// Whether the index stands where the stretch begins.
    pub fn continues(&self, standing: Standing) -> bool {
        standing.generation == self.generation && standing.cursor == self.from
    }

    /// How far it reaches, and how many resources that is: it ends before the first that is no more
    /// what it was. `current` are the keys and versions that there are now between its ends, in order.
    pub fn reach(&self, current: &[(i64, i64)]) -> (i64, usize) {
        let mut walked = self.resources.iter().map(|walked| (walked.key, walked.version));
        for (count, now) in current.iter().enumerate() {
            let was = walked.next();
            if was != Some(*now) {
                let moved = was.map_or(now.0, |(key, _)| key.min(now.0));
                return (moved - 1, count);
            }
        }
        (self.to, current.len())
    }

    /// The resources that have index values.
    pub fn indexed(&self) -> impl Iterator<Item = (&Walked, &Index)> {
        self.resources.iter().filter_map(|walked| Some((walked, walked.index.as_ref()?)))
    }

    /// Everything that the index values refer to.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        self.indexed().flat_map(|(_, index)| targets(index))
    }

    /// The code systems of all tokens.
    pub fn systems(&self) -> impl Iterator<Item = &str> {
        let tokens = self.indexed().flat_map(|(_, index)| &index.tokens);
        tokens.map(|token| token.system.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(resources: &[(i64, i64)]) -> Stretch {
        let walked =
            |&(key, version): &(i64, i64)| Walked { key, resource_type: 1, version, index: None };
        let resources = resources.iter().map(walked).collect();
        Stretch { generation: 1, from: 0, to: 100, resources }
    }

    fn reach(was: &[(i64, i64)], now: &[(i64, i64)]) -> (i64, usize) {
        stretch(was).reach(now)
    }

    #[test]
    fn a_stretch_ends_before_the_first_that_moved() {
        let was = [(3, 1), (5, 2), (9, 1)];
        assert_eq!(reach(&was, &was), (100, 3));
        assert_eq!(reach(&was, &[(3, 1), (5, 3), (9, 1)]), (4, 1));
        assert_eq!(reach(&was, &[(2, 1), (3, 1), (5, 2), (9, 1)]), (1, 0));
        assert_eq!(reach(&was, &[(3, 1), (5, 2), (9, 1), (50, 1)]), (49, 3));
        assert_eq!(reach(&[], &[]), (100, 0));
    }
}
