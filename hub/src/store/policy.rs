//! What a write changes of who may see its resource. Pure.
//!
//! Labels are kept of each version, for ever; of a deletion, those of what was deleted. So are the
//! Patients whom a resource was once about. What else there was of the version before goes with it.

use std::collections::BTreeSet;

use fhir::definitions::ResourceType;

use super::effects::Numbers;
use super::index::Index;
use super::target::Target;
use crate::access::policy::about;

/// How the rows are made of a text: to be counted up when the same text makes others. They are then made
/// anew when a record is opened.
pub const VERSION: &str = "1";

/// A row of `concern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concern {
    /// The Patient's key.
    pub patient: i64,
    /// Whether only a version before was about the Patient.
    pub past: bool,
}

/// A row of `consent_rule`; its Consent is the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct RuleRow {
    pub lane: i64,
    pub patient: i64,
    pub made: i64,
    pub place: i64,
    /// Which alternative of its provision it is.
    pub part: i64,
    pub last: i64,
    pub permits: bool,
    pub actor: String,
    pub purposes: i64,
    pub period: (i64, i64),
    pub resource_type: i64,
    pub classes: i64,
    pub data_ms: (i64, i64),
}

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PolicyRows {
    /// Whether the version before has rows that go.
    pub forgets: bool,
    /// Classes of labels of the version.
    pub classes: i64,
    /// Whom it is about.
    pub concerns: Vec<Concern>,
    /// The rules of a Consent.
    pub rules: Vec<RuleRow>,
}

impl PolicyRows {
    /// What changes from one version to the next.
    pub fn between(old: Option<&Index>, new: Option<&Index>, numbers: &Numbers<'_>) -> Self {
        let forgets =
            old.is_some_and(|old| old.policy.consent.is_some() || !old.policy.concerns.is_empty());
        let classes = new.or(old).map_or(0, |index| index.policy.classes);
        let mut concerns = Vec::new();
        if let Some(new) = new {
            let patients = new.policy.concerns.iter().filter_map(|id| numbers.patient(id));
            concerns.extend(patients.map(|patient| Concern { patient, past: false }));
        }
        if let Some(old) = old {
            let still = new.map(about).unwrap_or_default();
            let gone = about(old).into_iter().filter(|id| !still.contains(id));
            let patients = gone.filter_map(|id| numbers.patient(id));
            concerns.extend(patients.map(|patient| Concern { patient, past: true }));
        }
        let rules = new.map(|new| rules(new, numbers)).unwrap_or_default();
        Self { forgets, classes, concerns, rules }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything that the rows of a resource refer to.
pub fn patients(index: &Index) -> BTreeSet<Target> {
    let about = about(index).into_iter().map(|id| Target::resource(ResourceType::PATIENT, id));
    about.chain(index.policy.targets()).collect()
}

fn rules(index: &Index, numbers: &Numbers<'_>) -> Vec<RuleRow> {
    let Some(consent) = &index.policy.consent else { return Vec::new() };
    let Some(patient) = numbers.patient(&consent.patient) else { return Vec::new() };
    let row = |(part, rule): (usize, &crate::access::consent::Rule)| RuleRow {
        lane: consent.lane,
        patient,
        made: consent.made,
        place: rule.place,
        part: i64::try_from(part).unwrap_or(i64::MAX),
        last: rule.last,
        permits: rule.permits,
        actor: rule.actor.clone(),
        purposes: rule.purposes,
        period: rule.period,
        resource_type: rule.resource_type.map_or(0, |t| numbers.terms.resource_type(t)),
        classes: rule.classes,
        data_ms: rule.data_ms,
    };
    consent.rules.iter().enumerate().map(row).collect()
}
