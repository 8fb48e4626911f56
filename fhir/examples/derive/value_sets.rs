//! `ValueSet.compose` to the codes that it lists, for the value sets of required bindings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::{items, last_part, text};

const HEADER: &str = "\
# FHIR R4 4.0.1: the codes of the value sets of required bindings. Written by examples/derive.
# Set line:    name, below http://hl7.org/fhir/ValueSet/ unless elsewhere.
# System line: tab, code system, then its codes in order, or @ and the set that lists the same of that system.
# Left out:    sets that R4's own definitions do not list (media types, currencies, languages, UCUM, LOINC).
";

/// Codes by system; nothing if a part of the set is not listed in the definitions.
type Listed = BTreeMap<String, BTreeSet<String>>;

/// The table for the named sets, given as canonical URLs.
pub(crate) fn table(names: &BTreeSet<&str>, definitions: &[Value]) -> String {
    let of = |resource_type: &str| -> BTreeMap<&str, &Value> {
        let found = definitions.iter().filter(|d| text(d, "resourceType") == resource_type);
        found.map(|d| (text(d, "url"), d)).collect()
    };
    let (value_sets, systems) = (of("ValueSet"), of("CodeSystem"));
    let mut table = HEADER.to_owned();
    let mut known: BTreeMap<(String, BTreeSet<String>), &str> = BTreeMap::new();
    for name in names {
        let url = name.split('|').next().unwrap_or(name);
        let Some(listed) = value_sets.get(url).and_then(|set| listed(set, &systems)) else {
            continue;
        };
        let name = last_part(url);
        let _ = writeln!(table, "{name}");
        for (system, codes) in listed {
            let written = codes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            let first = known.entry((system.clone(), codes)).or_insert(name);
            let shared = format!("@{first}");
            let codes = if *first == name { &written } else { &shared };
            let _ = writeln!(table, "\t{system}\t{codes}");
        }
    }
    table
}

fn listed(value_set: &Value, systems: &BTreeMap<&str, &Value>) -> Option<Listed> {
    let compose = &value_set["compose"];
    if !items(compose, "exclude").is_empty() {
        return None;
    }
    let mut listed = Listed::new();
    for include in items(compose, "include") {
        let system = text(include, "system");
        let plain = include["filter"].is_null() && include["valueSet"].is_null();
        let concepts = match items(include, "concept") {
            [] => {
                let system = systems.get(system).filter(|s| text(s, "content") == "complete");
                items(system?, "concept")
            }
            concepts => concepts,
        };
        if !plain || concepts.is_empty() {
            return None;
        }
        collect(concepts, listed.entry(system.to_owned()).or_default());
    }
    Some(listed)
}

/// The codes of a hierarchy.
fn collect(concepts: &[Value], codes: &mut BTreeSet<String>) {
    for concept in concepts {
        let code = text(concept, "code");
        let plain = !code.contains(char::is_whitespace) && !code.starts_with('@');
        assert!(plain, "codes are separated by spaces, and @ names another set");
        codes.insert(code.to_owned());
        collect(items(concept, "concept"), codes);
    }
}
