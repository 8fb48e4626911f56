//! The directory of regions: the only endpoints that are ever dialled, found by organisation code.

use std::sync::Arc;

use fhir::identifier::OdsCode;
use serde::{Deserialize, Serialize};
use service::config::Nation;

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

/// All regions that are known here, in the order of the configuration.
#[derive(Debug)]
pub struct Directory {
    regions: Vec<Arc<Region>>,
    home: Option<usize>,
}

impl Directory {
    /// The directory of a gateway whose own region is `home`; a gateway without a hub of its own
    /// has no entry for it.
    pub fn new(regions: Vec<Region>, home: &OdsCode) -> Self {
        let regions: Vec<_> = regions.into_iter().map(Arc::new).collect();
        let home = regions.iter().position(|region| region.ods == *home);
        Self { regions, home }
    }

    /// The region of the gateway's own hub.
    pub fn home(&self) -> Option<&Arc<Region>> {
        self.home.map(|home| &self.regions[home])
    }

    /// The region of an organisation.
    pub fn find(&self, ods: &OdsCode) -> Option<&Arc<Region>> {
        self.regions.iter().find(|region| region.ods == *ods)
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
}
