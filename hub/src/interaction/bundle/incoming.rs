//! A Bundle as it comes in: taken apart, its resources still text.

use std::borrow::Cow;

use bytes::Bytes;
use fhir::outcome::IssueCode;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use service::refusal::Refusal;

use super::{at, expression};

/// Entries in one Bundle.
const ENTRIES_MAX: usize = 10_000;

/// A Bundle that asks for something.
#[derive(Debug)]
pub(super) struct Incoming {
    /// All of it.
    pub text: Bytes,
    /// `Bundle.type`
    pub kind: String,
    /// The entries, in their order.
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which one it is.
    pub place: usize,
    /// `fullUrl`
    pub full_url: Option<String>,
    /// Where in the Bundle's text the resource begins, and its own text.
    pub resource: Option<(usize, Bytes)>,
    /// `request`
    pub request: Request,
}

/// `Bundle.entry.request`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    #[serde(default)]
    pub method: String,
    #[serde(default)]
    pub url: String,
    #[serde(default)]
    pub if_match: Option<String>,
    #[serde(default)]
    pub if_none_match: Option<String>,
    #[serde(default)]
    pub if_modified_since: Option<String>,
    #[serde(default)]
    pub if_none_exist: Option<String>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "resourceType", borrow, default)]
    resource_type: Cow<'a, str>,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(borrow, default)]
    entry: Vec<RawEntry<'a>>,
}

#[derive(Deserialize)]
struct RawEntry<'a> {
    #[serde(rename = "fullUrl", default)]
    full_url: Option<String>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(default)]
    request: Option<Request>,
}

impl Incoming {
    /// Takes a Bundle apart.
    pub(super) fn read(text: Bytes) -> Result<Self, Refusal> {
        let raw: Raw<'_> = serde_json::from_slice(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let text = format!("The body is no Bundle in JSON (line {line}, column {column}).");
            Refusal::bad_request(IssueCode::Structure, text)
        })?;
        if raw.resource_type != "Bundle" {
            return Err(at("resourceType", IssueCode::Invalid, "Send a Bundle to the FHIR base."));
        }
        if raw.entry.len() > ENTRIES_MAX {
            let text = format!("A Bundle may have at most {ENTRIES_MAX} entries here.");
            return Err(Refusal::error(StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooCostly, text));
        }
        let entries = raw.entry.into_iter().enumerate();
        let entries = entries.map(|(place, entry)| entry.owned(place, &text));
        let (kind, entries) = (raw.kind, entries.collect::<Result<_, _>>()?);
        Ok(Self { text, kind, entries })
    }
}

impl RawEntry<'_> {
    fn owned(self, place: usize, text: &Bytes) -> Result<Entry, Refusal> {
        let request = self.request.ok_or_else(|| {
            let text = "Every entry of a batch or transaction needs a request.";
            at(format!("{}.request", expression(place)), IssueCode::Required, text)
        })?;
        let resource = self.resource.map(|resource| {
            let own = resource.get().as_bytes();
            (own.as_ptr().addr() - text.as_ptr().addr(), text.slice_ref(own))
        });
        Ok(Entry { place, full_url: self.full_url, resource, request })
    }
}
