//! What two resources have in common that may be the same fact. Likeness is no identity: it links,
//! and it never folds. What has no code, no date or no dose is like nothing.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use fhir::instant::Interval;
use fhir::reference::Reference;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Shown;
use super::content;
use super::key::{self, Key, Subject, descend};
use super::names::organisation;
use super::rules::{Part, Rule};

const SNOMED: &str = "http://snomed.info/sct";
/// The dictionary's codes are SNOMED CT's own.
const DICTIONARY: &str = "https://dmd.nhs.uk";
const LOINC: &str = "http://loinc.org";

#[derive(Default, Deserialize)]
struct Concept<'a> {
    #[serde(borrow, default)]
    coding: Vec<Coding<'a>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Coding<'a> {
    #[serde(borrow, default)]
    system: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    code: Option<Cow<'a, str>>,
}

impl Coding<'_> {
    fn system(&self) -> &str {
        match self.system.as_deref().unwrap_or_default() {
            DICTIONARY => SNOMED,
            system => system,
        }
    }
}

#[derive(Default, Deserialize)]
struct Period<'a> {
    #[serde(borrow, default)]
    start: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    end: Option<Cow<'a, str>>,
}

/// The products of an answer by the place where they are referred to: source and id.
pub type Products = HashMap<(usize, String), String>;

/// The Medications among the entries, with their codes.
pub fn products<'s>(entries: impl Iterator<Item = &'s Shown<'s>>) -> Products {
    let coded = |entry: &Shown<'_>| {
        let key = &entry.candidate.key;
        let medication = key.resource_type == "Medication";
        let codes = key.member("code").filter(|_| medication).and_then(codes)?;
        Some(((entry.source, key.id.to_string()), codes))
    };
    entries.filter_map(coded).collect()
}

/// When the date begins that is among these parts, if one is: what is alike has this in common.
/// Nothing if the resource has no such date, and is like nothing.
pub fn day(entry: &Shown<'_>, parts: &[Part]) -> Option<Option<i64>> {
    let names = parts.iter().find_map(|part| match part {
        Part::Date(names) => Some(*names),
        _ => None,
    });
    let Some(names) = names else { return Some(None) };
    let raw = names.iter().find_map(|name| entry.candidate.key.member(name))?;
    Some(Some(key::moment(raw)?))
}

/// What stands for everything that is like a resource; nothing if it is like nothing.
pub fn likeness(
    entry: &Shown<'_>,
    rule: &Rule,
    parts: &[Part],
    products: &Products,
) -> Option<String> {
    let mut likeness = String::from(rule.resource_type);
    for part in parts {
        likeness.push('\n');
        likeness.push_str(&said(entry, *part, products)?);
    }
    Some(likeness)
}

fn said(entry: &Shown<'_>, part: Part, products: &Products) -> Option<String> {
    let key = &entry.candidate.key;
    let first = |names: &[&str]| names.iter().find_map(|name| key.member(name));
    match part {
        Part::Code(names) => codes(first(names)?),
        Part::Substance => substance(key),
        Part::Product => product(entry, products),
        Part::Date(names) => moment(first(names)?),
        Part::Start(name) => {
            let period: Period<'_> = serde_json::from_str(key.member(name)?.get()).ok()?;
            interval(period.start.as_deref()?)
        }
        Part::Logical(name) => organisation(key.member(name)?),
        Part::Same(names) => Some(all(key, names)?).filter(|said| !said.is_empty()),
        Part::Also(names) => all(key, names),
        Part::Attachment => attachments(key),
    }
}

/// The codes that a CodeableConcept or a Coding is known by, or those of each of several; nothing
/// if one has none. SNOMED CT counts before LOINC, and LOINC before all others.
pub fn codes(raw: &RawValue) -> Option<String> {
    let concepts = descend(raw, &[]);
    let each: Option<BTreeSet<_>> = concepts.into_iter().map(codes_of_one).collect();
    let each = each.filter(|each| !each.is_empty())?;
    Some(each.into_iter().collect::<Vec<_>>().join(" and "))
}

fn codes_of_one(raw: &RawValue) -> Option<String> {
    let mut codings = serde_json::from_str::<Concept<'_>>(raw.get()).ok()?.coding;
    if codings.is_empty() {
        codings.push(serde_json::from_str(raw.get()).ok()?);
    }
    codings.retain(|coding| coding.code.as_ref().is_some_and(|code| !code.is_empty()));
    for system in [SNOMED, LOINC] {
        if codings.iter().any(|coding| coding.system() == system) {
            codings.retain(|coding| coding.system() == system);
            break;
        }
    }
    let code = |c: &Coding<'_>| format!("{}|{}", c.system(), c.code.as_deref().unwrap_or_default());
    let distinct: BTreeSet<_> = codings.iter().map(code).collect();
    let joined = distinct.into_iter().collect::<Vec<_>>().join(",");
    (!joined.is_empty()).then_some(joined)
}

/// Whether a CodeableConcept has one of these SNOMED CT codes.
pub fn has_snomed(raw: &RawValue, wanted: &[&str]) -> bool {
    let concept: Concept<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let wanted = |code: &str| wanted.contains(&code);
    concept.coding.iter().any(|c| c.system() == SNOMED && c.code.as_deref().is_some_and(wanted))
}

/// The code of a CodeableConcept of a fixed list, or a code.
pub fn code_of(raw: &RawValue) -> Option<String> {
    if raw.get().starts_with('"') {
        return serde_json::from_str(raw.get()).ok();
    }
    let concept: Concept<'_> = serde_json::from_str(raw.get()).ok()?;
    Some(concept.coding.into_iter().find_map(|coding| coding.code)?.into_owned())
}

fn substance(key: &Key<'_>) -> Option<String> {
    let own = key.member("code").and_then(known_by);
    let of_reaction = || {
        let substances = descend(key.member("reaction")?, &["substance"]);
        let [one] = substances[..] else {
            return None;
        };
        known_by(one)
    };
    own.or_else(of_reaction)
}

/// The codes of a CodeableConcept, or its text.
fn known_by(raw: &RawValue) -> Option<String> {
    let text = || {
        let concept: Concept<'_> = serde_json::from_str(raw.get()).ok()?;
        let words: Vec<_> =
            concept.text.as_deref()?.split_whitespace().map(fhir::fold::fold).collect();
        Some(words.join(" ")).filter(|text| !text.is_empty())
    };
    codes(raw).or_else(text)
}

/// The codes of a product: on the spot, contained, or of a Medication that came along.
pub fn product(entry: &Shown<'_>, products: &Products) -> Option<String> {
    let key = &entry.candidate.key;
    if let Some(concept) = key.member("medicationCodeableConcept") {
        return codes(concept);
    }
    let subject: Subject<'_> =
        serde_json::from_str(key.member("medicationReference")?.get()).ok()?;
    match Reference::parse(subject.reference.as_deref()?) {
        Reference::Relative { resource_type: "Medication", id, .. } => {
            products.get(&(entry.source, id.to_owned())).cloned()
        }
        Reference::Contained(id) => {
            let contained = descend(key.member("contained")?, &[]);
            let named = |raw: &&RawValue| {
                descend(raw, &["id"]).iter().any(|known| known.get().trim_matches('"') == id)
            };
            codes(descend(contained.into_iter().find(named)?, &["code"]).first()?)
        }
        _ => None,
    }
}

/// A date, as precise as it is given: its first and its last microsecond.
fn moment(raw: &RawValue) -> Option<String> {
    if raw.get().starts_with('"') {
        return interval(&serde_json::from_str::<String>(raw.get()).ok()?);
    }
    let period: Period<'_> = serde_json::from_str(raw.get()).ok()?;
    let end = period.end.as_deref().map_or(Some(String::new()), interval)?;
    Some(format!("{} to {end}", interval(period.start.as_deref()?)?))
}

fn interval(text: &str) -> Option<String> {
    let Interval { low, high } = Interval::parse(text)?;
    Some(format!("{low}-{high}"))
}

fn all(key: &Key<'_>, names: &[&str]) -> Option<String> {
    let mut said = String::new();
    for name in names {
        if let Some(raw) = key.member(name) {
            said.push_str(name);
            said.push('=');
            said.push_str(&comparable(raw)?);
            said.push(';');
        }
    }
    Some(said)
}

/// A value in a form that is equal for all who say the same: of concepts the codes, of all else
/// the content.
pub fn comparable(raw: &RawValue) -> Option<String> {
    let coded = raw.get().contains("\"coding\"").then(|| codes_of_list(raw)).flatten();
    coded.or_else(|| content::canonical_value(raw))
}

/// The codes, if these are concepts and nothing else.
fn codes_of_list(raw: &RawValue) -> Option<String> {
    let only_concepts = descend(raw, &[]).into_iter().all(|concept| {
        let members: HashMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(concept.get()).unwrap_or_default();
        members.contains_key("coding")
            && members.keys().all(|name| matches!(&**name, "coding" | "text" | "id"))
    });
    only_concepts.then(|| codes(raw)).flatten()
}

fn attachments(key: &Key<'_>) -> Option<String> {
    let attachments = descend(key.member("content")?, &["attachment"]);
    let one = |raw: &RawValue| {
        let hash = descend(raw, &["hash"]);
        let size = descend(raw, &["size"]);
        Some(format!("{}/{}", hash.first()?.get(), size.first()?.get()))
    };
    let each: Option<Vec<_>> = attachments.into_iter().map(one).collect();
    Some(each?.join(",")).filter(|all| !all.is_empty())
}
