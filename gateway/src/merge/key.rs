//! What the merge has to know of a resource, borrowed from its text in one pass: who it is, whose
//! it is, when it was. Nothing else is read, and nothing is copied.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use fhir::definitions::ResourceType;
use fhir::identifier::PatientNumber;
use fhir::instant::{Interval, OPEN_LOW};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::rules;
use crate::kind::{Kind, Path, Pick, owners};

/// What is read of the resources of one search.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'p> {
    /// Where they say whose they are.
    pub subjects: &'p [Path],
    /// Where their dates stand; none for `meta.lastUpdated`.
    pub dates: &'p [Path],
    /// Which of several dates counts.
    pub pick: Pick,
    /// The members by which they are told apart; none if nobody wants to know.
    pub members: &'static [&'static str],
}

/// As many of the members by which it is told apart as a resource usually has.
const MEMBERS_USUAL: usize = 8;

/// What was read of one resource.
#[derive(Debug, Default)]
pub struct Key<'a> {
    /// `resourceType`
    pub resource_type: Cow<'a, str>,
    /// `id`
    pub id: Cow<'a, str>,
    /// `meta.lastUpdated`
    pub last_updated: Option<Cow<'a, str>>,
    /// `meta.source`
    pub source: Option<Cow<'a, str>>,
    /// `meta.tag`
    pub tag: Option<&'a RawValue>,
    /// The members by which it is told apart, those that there are.
    pub members: Vec<(&'static str, &'a RawValue)>,
    /// `identifier`, one or many.
    pub identifier: Option<&'a RawValue>,
    /// Whose it is, by each path.
    pub subjects: Vec<Subject<'a>>,
    /// The date by which it is ordered, in microseconds since 1970.
    pub date: Option<i64>,
}

/// A reference to the one a resource is about.
#[derive(Debug, Default, Deserialize)]
pub struct Subject<'a> {
    /// The literal reference.
    #[serde(borrow, default)]
    pub reference: Option<Cow<'a, str>>,
    /// The logical one.
    #[serde(borrow, default)]
    pub identifier: Option<Identifier<'a>>,
}

/// An identifier of a resource.
#[derive(Debug, Default, Deserialize)]
pub struct Identifier<'a> {
    /// Its system.
    #[serde(borrow, default)]
    pub system: Option<Cow<'a, str>>,
    /// Its value.
    #[serde(borrow, default)]
    pub value: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "use")]
    usage: Option<Cow<'a, str>>,
    /// Who gave it.
    #[serde(borrow, default)]
    pub assigner: Option<&'a RawValue>,
    /// What else is known of it.
    #[serde(borrow, default)]
    pub extension: Option<&'a RawValue>,
}

impl Identifier<'_> {
    /// The patient number that it is, if it is one.
    pub fn number(&self) -> Option<PatientNumber> {
        PatientNumber::parse(self.system.as_deref()?, self.value.as_deref()?).ok()
    }

    /// Whether it is no longer in use.
    pub fn is_old(&self) -> bool {
        self.usage.as_deref() == Some("old")
    }
}

impl<'a> Key<'a> {
    /// The text of a member by which it is told apart.
    pub fn member(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(known, _)| *known == name).map(|(_, raw)| *raw)
    }

    /// When its server last changed it, in microseconds since 1970.
    pub fn updated(&self) -> Option<i64> {
        self.last_updated.as_deref().and_then(low)
    }
}

impl Reading<'static> {
    /// What is read of Patients when only their identifiers matter.
    pub fn of_patients() -> Self {
        Self { subjects: &[], dates: &[], pick: Pick::First, members: &[] }
    }

    /// What is read of a resource of any type; `told_apart`: also what tells it from others.
    pub fn of(resource_type: ResourceType, told_apart: bool) -> Self {
        let kind = Kind::of(resource_type);
        let (dates, pick) = kind.map_or((&[][..], Pick::First), Kind::newest_first);
        let members = if told_apart { rules::members(resource_type) } else { &[] };
        Self { subjects: owners(resource_type), dates, pick, members }
    }
}

/// The type of a resource; in most texts it stands first.
pub fn type_of(resource: &[u8]) -> Option<ResourceType> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "resourceType")]
        resource_type: Cow<'a, str>,
    }
    let first = resource.strip_prefix(br#"{"resourceType":""#);
    let first = first.and_then(|rest| rest.split(|byte| *byte == b'"').next());
    if let Some(name) = first.and_then(|name| std::str::from_utf8(name).ok()) {
        return name.parse().ok();
    }
    serde_json::from_slice::<Typed<'_>>(resource).ok()?.resource_type.parse().ok()
}

impl Reading<'_> {
    /// Reads a resource. A member that is needed and stands twice, or is missing, is an error.
    pub fn read<'a>(&self, resource: &'a [u8]) -> serde_json::Result<Key<'a>> {
        let mut text = serde_json::Deserializer::from_slice(resource);
        let key = self.deserialize(&mut text)?;
        text.end()?;
        Ok(key)
    }

    /// Whether a member says whose or when it is.
    fn looks_at(&self, name: &str) -> bool {
        self.subjects.iter().chain(self.dates).any(|path| path[0] == name)
    }

    fn date_of(&self, found: &[Option<&RawValue>]) -> Option<i64> {
        let values = self.dates.iter().zip(found);
        let values = values.filter_map(|(path, raw)| Some(descend((*raw)?, &path[1..])));
        let moments = values.flatten().filter_map(moment);
        match self.pick {
            Pick::First => moments.min(),
            Pick::Last => moments.max(),
            Pick::Clinical => {
                let known = moments.filter(|moment| *moment != OPEN_LOW).min();
                known.map(|moment| moment - moment.rem_euclid(1_000))
            }
        }
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default, rename = "lastUpdated")]
    last_updated: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tag: Option<&'a RawValue>,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Key<'de>;

    fn deserialize<D: Deserializer<'de>>(self, resource: D) -> Result<Key<'de>, D::Error> {
        resource.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a FHIR resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Key<'de>, A::Error> {
        let mut key = Key::default();
        let mut meta = None;
        let mut subjects = vec![None; self.subjects.len()];
        let mut dates = vec![None; self.dates.len()];
        key.members.reserve(self.members.len().min(MEMBERS_USUAL));
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "resourceType" => key.resource_type = once(&key.resource_type, &mut members)?,
                "id" => key.id = once(&key.id, &mut members)?,
                "meta" => meta = Some(members.next_value::<Meta<'de>>()?),
                "identifier" => single(&mut key.identifier, members.next_value()?)?,
                name => {
                    let member = self.members.iter().find(|member| **member == name);
                    if member.is_none() && !self.looks_at(name) {
                        members.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let raw: &RawValue = members.next_value()?;
                    keep(&mut subjects, self.subjects, name, raw)?;
                    keep(&mut dates, self.dates, name, raw)?;
                    if let Some(member) = member {
                        distinct(&mut key.members, member, raw)?;
                    }
                }
            }
        }
        if key.resource_type.is_empty() || !fhir::reference::is_id(&key.id) {
            return Err(A::Error::custom("a resource without type or id"));
        }
        if let Some(meta) = meta {
            (key.last_updated, key.source, key.tag) = (meta.last_updated, meta.source, meta.tag);
        }
        for (path, raw) in self.subjects.iter().zip(subjects) {
            let found = raw.map_or_else(Vec::new, |raw| descend(raw, &path[1..]));
            key.subjects.extend(found.into_iter().filter_map(read_subject));
        }
        key.date = if self.dates.is_empty() { key.updated() } else { self.date_of(&dates) };
        Ok(key)
    }
}

fn once<'de, A: MapAccess<'de>>(
    before: &Cow<'de, str>,
    members: &mut A,
) -> Result<Cow<'de, str>, A::Error> {
    let Text(text) = members.next_value()?;
    if before.is_empty() { Ok(text) } else { Err(A::Error::custom("a member stands twice")) }
}

fn single<'de, E: serde::de::Error>(
    slot: &mut Option<&'de RawValue>,
    raw: &'de RawValue,
) -> Result<(), E> {
    match slot.replace(raw) {
        None => Ok(()),
        Some(_) => Err(E::custom("a member stands twice")),
    }
}

fn distinct<'de, E: serde::de::Error>(
    kept: &mut Vec<(&'static str, &'de RawValue)>,
    name: &'static str,
    raw: &'de RawValue,
) -> Result<(), E> {
    if kept.iter().any(|(known, _)| *known == name) {
        return Err(E::custom("a member stands twice"));
    }
    kept.push((name, raw));
    Ok(())
}

fn keep<'de, E: serde::de::Error>(
    slots: &mut [Option<&'de RawValue>],
    paths: &[Path],
    name: &str,
    raw: &'de RawValue,
) -> Result<(), E> {
    let fitting = slots.iter_mut().zip(paths).filter(|(_, path)| path[0] == name);
    for (slot, _) in fitting {
        single(slot, raw)?;
    }
    Ok(())
}

fn read_subject(raw: &RawValue) -> Option<Subject<'_>> {
    serde_json::from_str(raw.get()).ok()
}

/// The values at the end of a path; arrays are walked into.
pub(super) fn descend<'a>(raw: &'a RawValue, path: &[&str]) -> Vec<&'a RawValue> {
    if raw.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        return items.into_iter().flat_map(|item| descend(item, path)).collect();
    }
    let Some((name, rest)) = path.split_first() else {
        return vec![raw];
    };
    let members: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(raw.get()).unwrap_or_default();
    members.get(*name).map_or_else(Vec::new, |raw| descend(raw, rest))
}

/// A Period, or a Timing.
#[derive(Deserialize)]
struct Span<'a> {
    #[serde(borrow, default)]
    start: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    end: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    repeat: Option<&'a RawValue>,
}

/// The first microsecond of a date, dateTime, instant, Period or Timing; a Period without a start
/// has no beginning.
pub(super) fn moment(raw: &RawValue) -> Option<i64> {
    if let Ok(Text(text)) = serde_json::from_str(raw.get()) {
        return low(&text);
    }
    let span: Span<'_> = serde_json::from_str(raw.get()).ok()?;
    let bounds = span.repeat.map_or_else(Vec::new, |repeat| descend(repeat, &["boundsPeriod"]));
    let own = match (span.start, span.end) {
        (Some(start), _) => low(&start),
        (None, end) => end.and_then(|end| low(&end)).map(|_| OPEN_LOW),
    };
    let events = span.event.iter().filter_map(|event| low(event));
    events.chain(own).chain(bounds.into_iter().filter_map(moment)).min()
}

fn low(text: &str) -> Option<i64> {
    Interval::parse(text).map(|interval| interval.low)
}

/// The identifiers of a resource, whether the type has one or many of them.
pub fn identifiers(raw: Option<&RawValue>) -> Vec<Identifier<'_>> {
    let items = raw.map_or_else(Vec::new, |raw| descend(raw, &[]));
    let read = items.into_iter().map(|item| serde_json::from_str(item.get()));
    read.filter_map(Result::ok).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn read<'a>(kind: &str, text: &'a str) -> serde_json::Result<Key<'a>> {
        let kind = Kind::of(kind.parse().unwrap()).unwrap();
        let (dates, pick) = kind.newest_first();
        let reading = Reading { subjects: &kind.subjects, dates, pick, members: &[] };
        reading.read(text.as_bytes())
    }

    /// The date of an Observation that ends in this, by each way of choosing one.
    fn dates(end: &str) -> [Option<i64>; 3] {
        let text = format!(r#"{{"resourceType":"Observation","id":"a",{end}}}"#);
        let kind = Kind::of("Observation".parse().unwrap()).unwrap();
        let dates = kind.date("date").unwrap();
        [Pick::Clinical, Pick::First, Pick::Last].map(|pick| {
            let reading = Reading { subjects: &[], dates, pick, members: &[] };
            reading.read(text.as_bytes()).unwrap().date
        })
    }

    #[test]
    fn a_date_is_chosen_as_hubs_choose_it() {
        const DAY: i64 = 86_400_000_000;
        let day = Some(DAY);
        assert_eq!(
            dates(r#""effectivePeriod":{"end":"1970-01-02"}"#),
            [None, Some(OPEN_LOW), Some(OPEN_LOW)]
        );
        assert_eq!(dates(r#""effectivePeriod":{"start":"1970-01-02"}"#), [day; 3]);
        let timing = r#""effectiveTiming":{"event":["1970-01-03","1970-01-02"],
            "repeat":{"boundsPeriod":{"start":"1970-01-04"}}}"#;
        assert_eq!(dates(timing), [day; 3]);
        let exact = r#""effectiveInstant":"1970-01-02T00:00:00.000999Z""#;
        assert_eq!(dates(exact), [day, Some(DAY + 999), Some(DAY + 999)]);
        assert_eq!(dates(r#""effectiveDateTime":"soon""#), [None; 3]);
        assert_eq!(dates(r#""status":"final""#), [None; 3]);
    }

    #[test]
    fn a_resource_says_who_whose_and_when_it_is() {
        let key = read(
            "Observation",
            r#"{"resourceType":"Observation","id":"a","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},
            "identifier":[{"system":"s","value":"v"}],"component":[{"id":"x"}],
            "subject":{"reference":"Patient/1"},"effectivePeriod":{"start":"1970-01-02"}}"#,
        );
        let key = key.unwrap();
        assert_eq!(key.subjects[0].reference.as_deref(), Some("Patient/1"));
        assert_eq!(key.date, Some(86_400_000_000));
        assert_eq!(identifiers(key.identifier)[0].value.as_deref(), Some("v"));
    }

    #[test]
    fn paths_lead_through_arrays() {
        let key = read(
            "Appointment",
            r#"{"resourceType":"Appointment","id":"a","participant":[
            {"actor":{"reference":"Practitioner/9"}},{"actor":{"reference":"Patient/1"}},{}]}"#,
        );
        let key = key.unwrap();
        assert_eq!(key.subjects.len(), 2);
        assert_eq!(key.date, None);
    }

    #[test]
    fn a_member_that_stands_twice_is_not_believed() {
        for text in [
            r#"{"resourceType":"Observation","id":"a","id":"b"}"#,
            r#"{"resourceType":"Observation","id":"a","subject":{},"subject":{}}"#,
            r#"{"resourceType":"Observation"}"#,
            r#"{"id":"a"}"#,
            r#"{"resourceType":"Observation","id":"a/../b"}"#,
            "[]",
        ] {
            assert!(read("Observation", text).is_err(), "{text}");
        }
    }
}
