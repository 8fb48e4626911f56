//! Rules about Bundles. <https://hl7.org/fhir/R4/bundle.html>

use std::collections::HashSet;

use super::{Broken, Judged};
use crate::definitions::ResourceType;
use crate::validate::facts::{Entry, Noted, Read};

pub(super) const JUDGED: [Judged; 2] = [
    Judged { of: &["Bundle"], asks: &["type", "identifier", "entry"], judge: bundle },
    Judged { of: &["Bundle.entry"], asks: &["fullUrl", "resource"], judge: entry },
];

const COMPOSITION: ResourceType = ResourceType::named("Composition");
const MESSAGE_HEADER: ResourceType = ResourceType::named("MessageHeader");

fn entry(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    if read.text("fullUrl").is_some_and(|url| url.contains("/_history/")) {
        let said = "A fullUrl names no version.";
        broken.push(Broken::new("bdl-8", said).at("fullUrl", None));
    }
}

fn bundle(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    // Without a type that R4 has, there is nothing to judge by.
    let Some(kind) = read.text("type") else { return };
    if read.has("total") && !matches!(kind, "searchset" | "history") {
        let said = "Only a searchset or a history has a total.";
        broken.push(Broken::new("bdl-1", said).at("total", None));
    }
    match kind {
        "document" => document(read, broken),
        "message" => first_is(read, MESSAGE_HEADER, "bdl-12", broken),
        _ => {}
    }
    let entries = || {
        read.noted("entry").filter_map(|(item, noted)| match noted {
            Noted::Entry(entry) => Some((item, &**entry)),
            _ => None,
        })
    };
    for (item, entry) in entries() {
        let found = of_kind(kind, entry);
        broken.extend(found.map(|broken| broken.at("entry", item)));
    }
    if !matches!(kind, "history" | "batch" | "transaction") {
        let mut known = HashSet::new();
        for (item, entry) in entries() {
            let version = entry.resource.as_ref().and_then(|(_, version)| version.as_deref());
            let Some(full_url) = entry.full_url.as_deref() else { continue };
            if !known.insert((full_url, version)) {
                let said = "Two entries of one fullUrl are of different versions.";
                broken.push(Broken::new("bdl-7", said).at("entry", item));
            }
        }
    }
}

/// What is wrong with an entry of a Bundle of this kind.
fn of_kind(kind: &str, entry: &Entry<'_>) -> impl Iterator<Item = Broken> + use<> {
    let requests = matches!(kind, "batch" | "transaction" | "history");
    let responses = matches!(kind, "batch-response" | "transaction-response" | "history");
    let rules = [
        (entry.search && kind != "searchset", "bdl-2", "Only a searchset's entry has a search."),
        (
            entry.request && !requests,
            "bdl-3",
            "Only an entry of a batch, a transaction or a history has a request.",
        ),
        (!entry.request && kind == "history", "bdl-3", "A history's entry has a request."),
        (
            entry.response && !responses,
            "bdl-4",
            "Only an entry of a response or a history has a response.",
        ),
        (
            !entry.response && responses,
            "bdl-4",
            "An entry of a response or a history has a response.",
        ),
    ];
    rules.into_iter().filter(|(broken, ..)| *broken).map(|(_, key, said)| Broken::new(key, said))
}

fn document(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    // A system and a value are noted of an identifier.
    if read.texts("identifier").count() < 2 {
        let said = "A document has an identifier with a system and a value.";
        broken.push(Broken::new("bdl-9", said).at("identifier", None));
    }
    if !read.has("timestamp") {
        let said = "A document has a timestamp.";
        broken.push(Broken::new("bdl-10", said).at("timestamp", None));
    }
    first_is(read, COMPOSITION, "bdl-11", broken);
}

fn first_is(
    read: &Read<'_, '_>,
    expected: ResourceType,
    key: &'static str,
    broken: &mut Vec<Broken>,
) {
    let first = read.noted("entry").next().map(|(_, noted)| noted);
    let found = match first {
        Some(Noted::Entry(entry)) => entry.resource.as_ref().map(|(found, _)| *found),
        _ => None,
    };
    if found != Some(expected) {
        let said = if expected == COMPOSITION {
            "A document's first entry is its Composition."
        } else {
            "A message's first entry is its MessageHeader."
        };
        broken.push(Broken::new(key, said).at("entry", Some(0)));
    }
}
