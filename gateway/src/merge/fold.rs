//! Facts that reached us more than once. Two entries are the same fact only if their sources say
//! so: same type, same identifier in a system whose values are unique in the world. Then equal
//! content may be folded; different content is a conflict, and both are shown.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Shown;
use super::content::canonical;
use super::key::{Identifier, identifiers};
use crate::question::Dedup;

const UUID: &str = "https://tools.ietf.org/html/rfc4122";
const URI: &str = "urn:ietf:rfc:3986";
const CROSS_CARE_SETTING: &str = "https://fhir.nhs.uk/Id/cross-care-setting-identifier";

/// What was found about two entries; places in the order of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The same fact, the same content, both shown.
    Duplicate(usize, usize),
    /// The same fact, the same content: the first is shown and stands for the second.
    Folded(usize, usize),
    /// The same fact, different content, both shown.
    Conflict(usize, usize),
}

/// Looks for facts that stand in `entries` more than once; the first place always comes before the
/// second.
pub fn find(entries: &[Shown<'_>], dedup: Dedup) -> Vec<Finding> {
    if dedup == Dedup::Off || entries.len() < 2 {
        return Vec::new();
    }
    let mut facts = Facts::default();
    for (place, entry) in entries.iter().enumerate() {
        facts.add(names(entry), place);
    }
    facts
        .places
        .iter()
        .filter(|places| places.len() > 1)
        .flat_map(|places| compare(entries, places, dedup))
        .collect()
}

/// Places by fact. An entry joins the fact of the first of its names that is known.
#[derive(Default)]
struct Facts {
    by_name: HashMap<String, usize>,
    places: Vec<Vec<usize>>,
}

impl Facts {
    fn add(&mut self, names: Vec<String>, place: usize) {
        if names.is_empty() {
            return;
        }
        let known = names.iter().find_map(|name| self.by_name.get(name).copied());
        let fact = known.unwrap_or_else(|| {
            self.places.push(Vec::new());
            self.places.len() - 1
        });
        self.places[fact].push(place);
        for name in names {
            self.by_name.entry(name).or_insert(fact);
        }
    }
}

/// What tells a fact from all others, for each name that it has: hashes of name and content.
pub fn prints(entry: &Shown<'_>) -> Vec<u64> {
    let names = names(entry);
    if names.is_empty() {
        return Vec::new();
    }
    let Some(content) = canonical(entry.candidate.resource) else { return Vec::new() };
    let print = |name: String| {
        let mut hasher = DefaultHasher::new();
        (name, &content).hash(&mut hasher);
        hasher.finish()
    };
    names.into_iter().map(print).collect()
}

/// The names by which a resource is known everywhere.
fn names(entry: &Shown<'_>) -> Vec<String> {
    let key = &entry.candidate.key;
    let name = |identifier: Identifier<'_>| {
        let (system, value) = worldwide(&identifier)?;
        Some(format!("{}|{system}|{value}", key.resource_type))
    };
    let carried = identifiers(key.identifier);
    carried.into_iter().filter_map(name).collect()
}

/// System and value of an identifier that is unique in the world; UUIDs and OIDs are the same in
/// any case.
pub(super) fn worldwide<'i>(identifier: &'i Identifier<'_>) -> Option<(&'i str, String)> {
    let system = identifier.system.as_deref()?;
    let value = identifier.value.as_deref()?.to_ascii_lowercase();
    let unique = match system {
        UUID | CROSS_CARE_SETTING => !value.is_empty(),
        URI => value.starts_with("urn:uuid:") || value.starts_with("urn:oid:"),
        _ => false,
    };
    unique.then_some((system, value))
}

/// Compares each entry of a fact with the different contents seen before it.
fn compare(entries: &[Shown<'_>], places: &[usize], dedup: Dedup) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut contents: Vec<(usize, Option<Vec<u8>>)> = Vec::new();
    for &place in places {
        let content = canonical(entries[place].candidate.resource);
        let same = contents.iter().find(|(_, seen)| content.is_some() && *seen == content);
        match (same, contents.first()) {
            (Some((first, _)), _) if dedup == Dedup::Fold => {
                findings.push(Finding::Folded(*first, place));
            }
            (Some((first, _)), _) => findings.push(Finding::Duplicate(*first, place)),
            (None, first) => {
                if let Some((first, _)) = first {
                    findings.push(Finding::Conflict(*first, place));
                }
                contents.push((place, content));
            }
        }
    }
    findings
}
