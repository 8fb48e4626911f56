//! What can be found about two entries, and the groups that they form.

use std::collections::HashSet;

/// What two entries are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The same fact, the same content, both shown.
    Duplicate,
    /// The same fact, the same content: the first is shown and stands for the second.
    Folded,
    /// The second is an older version of the first.
    Older,
    /// The same fact, different content; which is current is not known.
    Conflict,
    /// The same fact, in words that matter different; the first was changed later.
    NewerConflict,
    /// The same person, organisation or place, described differently.
    Described,
    /// They may be the same fact.
    Alike,
    /// They may be the same fact, and contradict each other.
    AlikeConflict,
    /// The first is an allergy, the second says that there is none.
    NoKnownAllergy,
    /// One product, active in two regions with different doses.
    OtherDose,
    /// One product, active in the first region and stopped in the second.
    Stopped,
}

impl What {
    /// Whether somebody has to compare the two before relying on either.
    pub fn is_warning(self) -> bool {
        !matches!(
            self,
            Self::Duplicate | Self::Folded | Self::Older | Self::Described | Self::Alike
        )
    }
}

/// What was found about two entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What they are to each other.
    pub what: What,
    /// The place of the one that counts first.
    pub first: usize,
    /// The place of the other one.
    pub second: usize,
    /// The members in which they differ, if that matters.
    pub fields: Vec<String>,
}

impl Finding {
    /// A finding without anything about members.
    pub fn new(what: What, first: usize, second: usize) -> Self {
        Self { what, first, second, fields: Vec::new() }
    }
}

/// What an entry is within a group. <https://hl7.org/fhir/R4/valueset-linkage-type.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that counts first.
    Source,
    /// Another account of the same.
    Alternate,
    /// An older version.
    Historical,
}

impl Role {
    /// The code in `Linkage.item.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Alternate => "alternate",
            Self::Historical => "historical",
        }
    }
}

/// Entries that are, or may be, one fact: places, the one that counts first before all others.
pub type Group = Vec<(usize, Role)>;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// About pairs of entries.
    pub findings: Vec<Finding>,
    /// The groups that they form.
    pub groups: Vec<Group>,
    /// The pairs about which something was found.
    told: HashSet<(usize, usize)>,
}

impl Found {
    /// Adds a finding, unless there is one about these two.
    pub(super) fn tell(&mut self, finding: Finding) {
        let pair = (finding.first.min(finding.second), finding.first.max(finding.second));
        if self.told.insert(pair) {
            self.findings.push(finding);
        }
    }
}
