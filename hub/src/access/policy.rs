//! What a resource's own text says of who may see it: its labels, whom it is about beside those that
//! the index knows, and, of a Consent, its rules. Pure; made with the index values, and stored with them.

use std::collections::BTreeSet;

use fhir::definitions::ResourceType;
use fhir::tree::Tree;

use super::consent::{Consent, compile};
use super::label;
use crate::store::index::Index;
use crate::store::target::Target;
use crate::store::vocabulary::Vocabulary;

/// See the module.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Classes of labels.
    pub classes: i64,
    /// Ids of Patients that it is about, whom no search parameter leads to: in what it holds.
    pub concerns: Vec<String>,
    /// The rules of a Consent.
    pub consent: Option<Consent>,
}

/// Members in which references stand that no search parameter reads.
const HOLDERS: [&str; 6] =
    ["contained", "entry", "parameter", "extension", "modifierExtension", "securityContext"];

impl Policy {
    /// Reads a resource; `index` are its index values, `at` when it was written.
    pub fn of(
        resource_type: ResourceType,
        resource: &Tree<'_>,
        index: &Index,
        terms: &Vocabulary,
        at: i64,
    ) -> Self {
        let patient = |reference: &str| patient(terms.own(reference));
        let mut concerns = BTreeSet::new();
        for holder in HOLDERS.iter().filter_map(|name| resource.get(name)) {
            walk(holder, &patient, &mut concerns);
        }
        let known = patients(index);
        let concerns = concerns.into_iter().filter(|id| !known.contains(id.as_str())).collect();
        let is_consent = resource_type.as_str() == "Consent";
        let consent = is_consent.then(|| compile(resource, at, patient)).flatten();
        Self { classes: label::classes(resource), concerns, consent }
    }

    /// Everything that its rows refer to.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let consent = self.consent.iter().map(|consent| &consent.patient);
        let ids = self.concerns.iter().chain(consent);
        ids.map(|id| Target::resource(ResourceType::PATIENT, id.clone()))
    }
}

/// Ids of all Patients that a resource is about.
pub fn about(index: &Index) -> BTreeSet<&str> {
    let mut all = patients(index);
    all.extend(index.policy.concerns.iter().map(String::as_str));
    all
}

fn patients(index: &Index) -> BTreeSet<&str> {
    let of_patient = |target: &&Target| target.resource_type() == Some(ResourceType::PATIENT);
    let referred = index.references.iter().map(|(_, target)| target).filter(of_patient);
    let referred = referred.map(|target| target.id.as_str());
    referred.chain(index.patients.iter().map(String::as_str)).collect()
}

/// The id of the Patient that a reference within this record is to.
fn patient(reference: &str) -> Option<String> {
    let target = Target::parse(reference)?;
    (target.resource_type() == Some(ResourceType::PATIENT)).then_some(target.id)
}

/// Notes every Patient that is referred to, or that is there itself.
fn walk(tree: &Tree<'_>, patient: &impl Fn(&str) -> Option<String>, found: &mut BTreeSet<String>) {
    match tree {
        Tree::Array(items) => items.iter().for_each(|item| walk(item, patient, found)),
        Tree::Object(members) => {
            found.extend(tree.text("reference").and_then(patient));
            if tree.text("resourceType") == Some("Patient") {
                found.extend(tree.text("id").map(str::to_owned));
            }
            for (_, value) in members {
                walk(value, patient, found);
            }
        }
        _ => {}
    }
}
