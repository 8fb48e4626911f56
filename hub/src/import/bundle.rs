//! A Bundle file that carries resources: a collection, a batch, a searchset.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use fhir::outcome::{Issue, IssueCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use service::refusal::Refusal;

use crate::interaction::links::{self, key};

/// The types of Bundle whose resources are imported one by one; any other but a transaction is a
/// resource of its own.
pub(super) const CARRIERS: [&str; 3] = ["collection", "batch", "searchset"];
/// Entries in one Bundle.
const ENTRIES_MAX: usize = 100_000;

/// What each fullUrl becomes.
pub(super) type Links = links::Links;

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "resourceType", borrow)]
    resource_type: Cow<'a, str>,
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Carrier<'a> {
    #[serde(borrow, default)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "fullUrl", default)]
    full_url: Option<String>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(default)]
    search: Option<Search>,
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    mode: Option<String>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "resourceType", borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// `Bundle.type`, if the text is a Bundle that has one.
pub(super) fn kind(text: &[u8]) -> Option<String> {
    let head: Head<'_> = serde_json::from_slice(text).ok()?;
    let kind = head.kind.filter(|_| head.resource_type == "Bundle")?;
    Some(kind.into_owned())
}

/// The resources of a Bundle with the places of their entries, and what links to them become. What a
/// searchset says of the search itself is no resource.
#[expect(clippy::type_complexity, reason = "a list beside what holds for all of it")]
pub(super) fn resources(
    text: &Bytes,
) -> Result<(Vec<(usize, Result<Bytes, Refusal>)>, Arc<Links>), Refusal> {
    let carrier: Carrier<'_> = serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = format!("This is no Bundle in JSON (line {line}, column {column}).");
        Refusal::bad_request(IssueCode::Structure, text)
    })?;
    if carrier.entry.len() > ENTRIES_MAX {
        let text = format!("A Bundle may have at most {ENTRIES_MAX} entries here.");
        return Err(Refusal::bad_request(IssueCode::TooCostly, text));
    }
    let (mut resources, mut links) = (Vec::with_capacity(carrier.entry.len()), Links::new());
    for (place, entry) in carrier.entry.into_iter().enumerate() {
        let mode = entry.search.and_then(|search| search.mode);
        if mode.as_deref() == Some("outcome") {
            continue;
        }
        let Some(resource) = entry.resource else {
            resources.push((place, Err(without_resource(place))));
            continue;
        };
        if let (Some(url), Ok(named)) =
            (entry.full_url, serde_json::from_str::<Named<'_>>(resource.get()))
        {
            let name = format!("{}/{}", named.resource_type, named.id);
            links.insert(key(&url).into_owned(), name);
        }
        resources.push((place, Ok(text.slice_ref(resource.get().as_bytes()))));
    }
    Ok((resources, Arc::new(links)))
}

fn without_resource(place: usize) -> Refusal {
    let text = "Only entries with a resource can be imported; nothing else is done.";
    let issue = Issue::error(IssueCode::NotSupported, text);
    Refusal::bad_request_issue(issue.at(format!("Bundle.entry[{place}]")))
}
