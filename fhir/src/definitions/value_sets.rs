//! The codes that required bindings allow. <https://hl7.org/fhir/R4/terminologies.html#required>

use std::collections::HashMap;

use super::{DEFINITIONS, lines};

/// A value set: what R4 lists of it, or else the form that its codes have.
#[derive(Debug)]
pub struct ValueSet {
    /// Its name, below `http://hl7.org/fhir/ValueSet/` unless it is elsewhere.
    pub name: &'static str,
    codes: Codes,
}

#[derive(Debug)]
enum Codes {
    /// By code system.
    Listed(Vec<System>),
    /// Too many to list, or another's to list; of this system, if it is known.
    Formed(Form, Option<&'static str>),
}

/// Whether a code has the form of its set.
type Form = fn(&str) -> bool;

/// Codes of one system, in order.
#[derive(Debug, Clone)]
struct System {
    url: &'static str,
    codes: Vec<&'static str>,
}

/// A [`ValueSet`] within the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueSetIndex(u16);

impl ValueSetIndex {
    /// The value set itself.
    pub fn definition(self) -> &'static ValueSet {
        &DEFINITIONS.value_sets.sets[usize::from(self.0)]
    }
}

/// Sets whose codes R4's definitions do not list.
const FORMED: [(&str, Form, Option<&str>); 3] = [
    ("all-languages", is_language, None),
    ("currencies", is_currency, Some("urn:iso:std:iso:4217")),
    ("mimetypes", is_media_type, Some("urn:ietf:bcp:13")),
];

impl ValueSet {
    /// Whether a code is one of the set, in whichever system: what a `code` element asks.
    pub fn has_code(&self, code: &str) -> bool {
        match &self.codes {
            Codes::Listed(systems) => systems.iter().any(|s| s.has(code)),
            Codes::Formed(is, _) => is(code),
        }
    }

    /// Whether a code of a system is one of the set.
    pub fn has(&self, system: &str, code: &str) -> bool {
        match &self.codes {
            Codes::Listed(systems) => systems.iter().any(|s| s.url == system && s.has(code)),
            Codes::Formed(is, _) => is(code),
        }
    }
}

impl ValueSet {
    /// The system of all its codes, if they are of one.
    pub fn only_system(&self) -> Option<&'static str> {
        match &self.codes {
            Codes::Listed(systems) => match systems.as_slice() {
                [one] => Some(one.url),
                _ => None,
            },
            Codes::Formed(_, system) => *system,
        }
    }
}

impl System {
    fn has(&self, code: &str) -> bool {
        self.codes.binary_search(&code).is_ok()
    }
}

/// `value-sets.tsv`.
pub(super) struct ValueSets {
    sets: Vec<ValueSet>,
    numbers: HashMap<&'static str, u16>,
}

impl ValueSets {
    pub(super) fn read(table: &'static str) -> Self {
        let mut listed: Vec<(&str, Vec<System>)> = Vec::new();
        for line in lines(table) {
            let Some(system) = line.strip_prefix('\t') else {
                listed.push((line, Vec::new()));
                continue;
            };
            let (url, codes) = system.split_once('\t').expect("a system has codes");
            let codes = match codes.strip_prefix('@') {
                Some(name) => shared(&listed, name, url),
                None => codes.split(' ').collect(),
            };
            let (_, systems) = listed.last_mut().expect("a set comes before its systems");
            systems.push(System { url, codes });
        }
        let listed = listed.into_iter().map(|(name, systems)| (name, Codes::Listed(systems)));
        let formed = FORMED.iter().map(|(name, is, of)| (*name, Codes::Formed(*is, *of)));
        let sets = listed.chain(formed).map(|(name, codes)| ValueSet { name, codes });
        let sets: Vec<_> = sets.collect();
        let numbers = sets.iter().zip(0..).map(|(set, number)| (set.name, number)).collect();
        Self { sets, numbers }
    }

    /// The set of that name, if its codes are known.
    pub(super) fn named(&self, name: &str) -> Option<ValueSetIndex> {
        self.numbers.get(name).copied().map(ValueSetIndex)
    }
}

/// The codes that an earlier set lists of the same system.
fn shared(listed: &[(&str, Vec<System>)], name: &str, url: &str) -> Vec<&'static str> {
    let set = listed.iter().find(|(known, _)| *known == name);
    let system = set.and_then(|(_, systems)| systems.iter().find(|s| s.url == url));
    system.expect("a shared list comes before those that share it").codes.clone()
}

/// BCP 47, as far as its form goes: `en`, `en-GB`, `x-private`.
fn is_language(code: &str) -> bool {
    let mut parts = code.split('-');
    let first = parts.next().unwrap_or_default();
    let private = matches!(first, "x" | "X" | "i" | "I") && code.len() > 2;
    (private || (2..=8).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic()))
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// ISO 4217, as far as its form goes.
fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())
}

/// A media type with or without parameters, or one of the short names that R4 gives its own (`json`).
fn is_media_type(code: &str) -> bool {
    let name = code.split(';').next().unwrap_or(code).trim_end();
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    match name.split_once('/') {
        Some((kind, rest)) => token(kind) && token(rest),
        None => token(name),
    }
}
