//! What replaces what, where a source says so: `DocumentReference.relatesTo`,
//! `MedicationRequest.priorPrescription`, `ServiceRequest.replaces`.

use std::collections::HashMap;

use fhir::reference::Reference;
use serde_json::value::RawValue;

use super::Shown;
use super::facts::Facts;
use super::key::{Subject, descend};
use super::names::worldwide;
use super::rules::Rule;

/// Pairs of places: the current one, and the one it replaces.
pub(super) fn replaced(entries: &[Shown<'_>], facts: &Facts) -> Vec<(usize, usize)> {
    let named = |entry: &Shown<'_>| -> Vec<Named> {
        let key = &entry.candidate.key;
        let member = Rule::of(&key.resource_type).and_then(|rule| rule.replaces);
        let raw = member.and_then(|member| key.member(member));
        let targets = raw.map_or_else(Vec::new, targets);
        targets.into_iter().filter_map(|raw| Named::of(entry, raw)).collect()
    };
    let named: Vec<(usize, Vec<Named>)> =
        entries.iter().map(named).enumerate().filter(|(_, named)| !named.is_empty()).collect();
    if named.is_empty() {
        return Vec::new();
    }
    let places: HashMap<String, usize> =
        entries.iter().enumerate().map(|(place, entry)| (entry.canonical_url(), place)).collect();
    let mut pairs = Vec::new();
    for (current, olds) in named {
        let found = olds.iter().filter_map(|old| match old {
            Named::Url(url) => places.get(url).copied(),
            Named::Identifier(name) => facts.named(name),
        });
        pairs.extend(found.filter(|old| *old != current).map(|old| (current, old)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    // Two that claim to replace each other say nothing.
    let all = pairs.clone();
    pairs.retain(|(current, old)| all.binary_search(&(*old, *current)).is_err());
    pairs
}

enum Named {
    Url(String),
    Identifier(String),
}

impl Named {
    fn of(entry: &Shown<'_>, reference: &RawValue) -> Option<Self> {
        let subject: Subject<'_> = serde_json::from_str(reference.get()).ok()?;
        if let Some(reference) = subject.reference.as_deref() {
            return match Reference::parse(reference) {
                Reference::Relative { resource_type, id, .. } => {
                    Some(Self::Url(format!("{}/{resource_type}/{id}", entry.region.base())))
                }
                Reference::Absolute(url) => Some(Self::Url(url.to_owned())),
                _ => None,
            };
        }
        let identifier = subject.identifier?;
        let (system, value) = worldwide(&identifier)?;
        Some(Self::Identifier(format!("{}|{system}|{value}", entry.candidate.key.resource_type)))
    }
}

/// The references to what is replaced: those themselves, or the targets of relations that say so.
fn targets(raw: &RawValue) -> Vec<&RawValue> {
    let mut found = Vec::new();
    for item in descend(raw, &[]) {
        let relation = descend(item, &["code"]);
        if relation.is_empty() {
            found.push(item);
        } else if relation[0].get() == "\"replaces\"" {
            found.extend(descend(item, &["target"]));
        }
    }
    found
}
