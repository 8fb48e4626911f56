//! The directory of regions: the only endpoints that are ever dialled, found by organisation code.
//!
//! | room | what lives there |
//! |---|---|
//! | here | the regions, and what is known of each as long as the gateway runs |
//! | [`signed`] | the directory file: read, checked, signed |
//! | [`keeper`] | the file looked at again while the gateway serves |
//! | [`command`] | `gateway make-directory-key`, `gateway sign-directory` |
//!
//! Without a file the directory is what `[[regions]]` lists. With one it is what the file lists, and a
//! file that is not better than the one before changes nothing.

pub mod command;
pub mod keeper;
pub mod signed;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fhir::identifier::OdsCode;
use serde::{Deserialize, Serialize};
use service::config::Nation;

use crate::config::Federation;
use crate::health::RegionCounter;
use crate::region::gate::Gate;

/// One region that may be asked: an entry of `[[regions]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its organisation; also its name in `at/{region}`.
    pub ods: OdsCode,
    /// What people call it.
    pub name: String,
    /// The nation it belongs to.
    pub nation: Nation,
    /// Its hub's public URL.
    pub url: String,
}

impl Region {
    /// The hub's FHIR base, without a trailing slash.
    pub fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }
}

/// What is known of a region as long as the gateway runs, whatever becomes of its entry.
#[derive(Debug)]
pub struct Standing {
    /// What stands before its hub.
    pub gate: Arc<Gate>,
    /// How often it ended how.
    pub counter: RegionCounter,
}

/// All regions that are known here, in the order of the directory.
#[derive(Debug)]
pub struct Directory {
    regions: Vec<Arc<Region>>,
    standings: HashMap<OdsCode, Arc<Standing>>,
    home: Option<usize>,
}

impl Directory {
    /// The directory of a gateway whose own region is `home`; a gateway without a hub of its own
    /// has no entry for it.
    pub fn new(regions: Vec<Region>, home: &OdsCode, federation: &Federation) -> Self {
        let nothing = Self { regions: Vec::new(), standings: HashMap::new(), home: None };
        nothing.replaced_by(regions, &HashSet::new(), home, federation)
    }

    /// The directory that comes after this one. What is known of a region stays with its code; those
    /// that are `suspended` are not asked any more.
    #[must_use]
    pub fn replaced_by(
        &self,
        regions: Vec<Region>,
        suspended: &HashSet<OdsCode>,
        home: &OdsCode,
        federation: &Federation,
    ) -> Self {
        let mut standings = self.standings.clone();
        for Region { ods, .. } in &regions {
            let new = || {
                let gate = Arc::new(Gate::new(ods, federation));
                Arc::new(Standing { gate, counter: RegionCounter::default() })
            };
            let standing = standings.entry(ods.clone()).or_insert_with(new);
            standing.gate.suspend(suspended.contains(ods));
        }
        let regions: Vec<_> = regions.into_iter().map(Arc::new).collect();
        let home = regions.iter().position(|region| region.ods == *home);
        Self { regions, standings, home }
    }

    /// The region of the gateway's own hub.
    pub fn home(&self) -> Option<Arc<Region>> {
        self.home.map(|home| self.regions[home].clone())
    }

    /// The region of an organisation.
    pub fn find(&self, ods: &OdsCode) -> Option<Arc<Region>> {
        self.regions.iter().find(|region| region.ods == *ods).cloned()
    }

    /// A region's place, which decides between entries that are otherwise in order.
    pub fn place(&self, ods: &OdsCode) -> usize {
        let place = self.regions.iter().position(|region| region.ods == *ods);
        place.unwrap_or(self.regions.len())
    }

    /// All regions, in order.
    pub fn regions(&self) -> &[Arc<Region>] {
        &self.regions
    }

    /// What is known of a region that is, or was, in the directory.
    pub fn standing(&self, ods: &OdsCode) -> Option<&Arc<Standing>> {
        self.standings.get(ods)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_region_stays_with_its_code() {
        let region = |ods: &str| Region {
            ods: ods.parse().unwrap(),
            name: ods.into(),
            nation: Nation::England,
            url: format!("http://{ods}/FHIR/R4"),
        };
        let (federation, home) = (Federation::default(), "B2".parse().unwrap());
        let first = Directory::new(vec![region("A1"), region("B2")], &home, &federation);
        let next = |directory: &Directory, codes: &[&str]| {
            let regions = codes.iter().map(|ods| region(ods)).collect();
            directory.replaced_by(regions, &HashSet::new(), &home, &federation)
        };
        let second = next(&first, &["C3", "B2"]);
        let third = next(&second, &["B2", "A1"]);
        for ods in ["A1", "B2"] {
            let ods = ods.parse().unwrap();
            let (before, after) = (first.standing(&ods).unwrap(), third.standing(&ods).unwrap());
            assert!(Arc::ptr_eq(before, after), "{ods}");
        }
        let found = |directory: &Directory| directory.find(&"A1".parse().unwrap()).is_some();
        assert!(found(&first) && !found(&second) && found(&third));
        assert_eq!(third.place(&home), 0);
        assert_eq!(third.home().unwrap().ods, home);
    }
}
