//! Bundles: written by splicing resource bytes, read by borrowing them.
//! <https://hl7.org/fhir/R4/bundle.html>

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::push_string;
use crate::outcome::OperationOutcome;

/// Why an entry is in a searchset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// It matched the search.
    Match,
    /// It is referenced by a match and was asked for.
    Include,
    /// It is an OperationOutcome about the search itself.
    Outcome,
}

impl SearchMode {
    /// The code as it stands in `entry.search.mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Include => "include",
            Self::Outcome => "outcome",
        }
    }
}

/// Writes a searchset Bundle into one buffer; resource bytes are copied, never parsed.
#[derive(Debug)]
pub struct SearchsetWriter {
    out: Vec<u8>,
    first: bool,
}

impl SearchsetWriter {
    /// Opens the Bundle. `head` is further members as JSON text with a trailing comma
    /// (`"id":"…",` or nothing); `links` are (relation, url).
    pub fn new(head: &str, total: Option<u64>, links: &[(&str, &str)], capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity + 512);
        out.extend_from_slice(br#"{"resourceType":"Bundle","type":"searchset","#);
        out.extend_from_slice(head.as_bytes());
        if let Some(total) = total {
            out.extend_from_slice(format!(r#""total":{total},"#).as_bytes());
        }
        out.extend_from_slice(br#""link":["#);
        for (i, (relation, url)) in links.iter().enumerate() {
            out.extend_from_slice(if i == 0 { br#"{"relation":""# } else { br#",{"relation":""# });
            out.extend_from_slice(relation.as_bytes());
            out.extend_from_slice(br#"","url":"#);
            push_string(&mut out, url);
            out.push(b'}');
        }
        out.push(b']');
        Self { out, first: true }
    }

    /// Adds an entry. `links` are (relation, url) of the entry itself.
    pub fn entry(
        &mut self,
        full_url: &str,
        links: &[(&str, &str)],
        resource: &[u8],
        mode: SearchMode,
    ) {
        self.open_entry();
        push_entry(&mut self.out, full_url, links, resource, mode);
    }

    /// Adds an OperationOutcome about the search.
    pub fn outcome(&mut self, outcome: &OperationOutcome) {
        self.transient(&outcome.to_json(), SearchMode::Outcome);
    }

    /// Adds a resource that is stored nowhere, so that no URL leads to it.
    pub fn transient(&mut self, resource: &[u8], mode: SearchMode) {
        self.open_entry();
        push_transient(&mut self.out, resource, mode);
    }

    fn open_entry(&mut self) {
        self.out.extend_from_slice(if self.first { br#","entry":["# } else { b"," });
        self.first = false;
    }

    /// Closes the Bundle and hands over its text. An empty searchset has no `entry` member.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(if self.first { b"}" } else { b"]}" });
        self.out
    }
}

/// Writes one entry, for those who send entries without a Bundle around them.
pub fn push_entry(
    out: &mut Vec<u8>,
    full_url: &str,
    links: &[(&str, &str)],
    resource: &[u8],
    mode: SearchMode,
) {
    out.extend_from_slice(br#"{"fullUrl":"#);
    push_string(out, full_url);
    for (i, (relation, url)) in links.iter().enumerate() {
        let open: &[u8] = if i == 0 { br#","link":[{"relation":""# } else { br#",{"relation":""# };
        out.extend_from_slice(open);
        out.extend_from_slice(relation.as_bytes());
        out.extend_from_slice(br#"","url":"#);
        push_string(out, url);
        out.push(b'}');
    }
    if !links.is_empty() {
        out.push(b']');
    }
    out.extend_from_slice(br#","resource":"#);
    close_entry(out, resource, mode);
}

/// Writes one entry of a resource that is stored nowhere.
pub fn push_transient(out: &mut Vec<u8>, resource: &[u8], mode: SearchMode) {
    out.extend_from_slice(br#"{"resource":"#);
    close_entry(out, resource, mode);
}

fn close_entry(out: &mut Vec<u8>, resource: &[u8], mode: SearchMode) {
    out.extend_from_slice(resource);
    out.extend_from_slice(br#","search":{"mode":""#);
    out.extend_from_slice(mode.as_str().as_bytes());
    out.extend_from_slice(br#""}}"#);
}

/// A Bundle as a reader sees it: entries borrowed from its text.
#[derive(Debug, Deserialize)]
pub struct Bundle<'a> {
    /// `resourceType`; a reader checks that it is `Bundle`.
    #[serde(rename = "resourceType", borrow)]
    pub resource_type: Cow<'a, str>,
    /// `searchset`, `history`, `transaction-response`, …
    #[serde(rename = "type", borrow, default)]
    pub kind: Cow<'a, str>,
    /// `meta`, as sent.
    #[serde(borrow, default)]
    pub meta: Option<&'a RawValue>,
    /// Matches in all pages, if the server counted.
    #[serde(default)]
    pub total: Option<u64>,
    /// Links of the Bundle: self, next, …
    #[serde(borrow, default)]
    pub link: Vec<Link<'a>>,
    /// The entries.
    #[serde(borrow, default)]
    pub entry: Vec<Entry<'a>>,
}

impl Bundle<'_> {
    /// The URL of the link with this relation.
    pub fn link(&self, relation: &str) -> Option<&str> {
        self.link.iter().find(|l| l.relation == relation).map(|l| &*l.url)
    }
}

/// A link of a Bundle or of an entry.
#[derive(Debug, Deserialize)]
pub struct Link<'a> {
    /// `self`, `next`, …
    #[serde(borrow)]
    pub relation: Cow<'a, str>,
    /// Where it leads.
    #[serde(borrow)]
    pub url: Cow<'a, str>,
}

/// An entry of a Bundle; the resource stays text.
#[derive(Debug, Deserialize)]
pub struct Entry<'a> {
    /// `entry.fullUrl`.
    #[serde(rename = "fullUrl", borrow, default)]
    pub full_url: Option<Cow<'a, str>>,
    /// Links of the entry.
    #[serde(borrow, default)]
    pub link: Vec<Link<'a>>,
    /// `entry.resource`, as sent.
    #[serde(borrow, default)]
    pub resource: Option<&'a RawValue>,
    /// `entry.search`.
    #[serde(default)]
    pub search: Option<EntrySearch>,
}

impl Entry<'_> {
    /// The URL of the entry's link with this relation.
    pub fn link(&self, relation: &str) -> Option<&str> {
        self.link.iter().find(|l| l.relation == relation).map(|l| &*l.url)
    }
}

/// `Bundle.entry.search`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct EntrySearch {
    /// Why the entry is there.
    #[serde(default)]
    pub mode: Option<SearchMode>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let mut writer =
            SearchsetWriter::new("", Some(1), &[("self", "http://h/Patient?a=\"b\"")], 64);
        let canonical = [("canonical", "http://region/Patient/1")];
        writer.entry(
            "http://h/Patient/1",
            &canonical,
            br#"{"resourceType":"Patient","id":"1"}"#,
            SearchMode::Match,
        );
        let text = writer.finish();
        let bundle: Bundle<'_> = serde_json::from_slice(&text).unwrap();
        assert_eq!(bundle.total, Some(1));
        assert_eq!(bundle.link("self"), Some("http://h/Patient?a=\"b\""));
        assert_eq!(bundle.entry[0].link("canonical"), Some("http://region/Patient/1"));
        assert_eq!(bundle.entry[0].search.unwrap().mode, Some(SearchMode::Match));
        assert!(bundle.entry[0].resource.unwrap().get().contains("Patient"));
    }

    #[test]
    fn an_empty_searchset_has_no_entry_member() {
        let text = SearchsetWriter::new("", Some(0), &[("self", "x")], 0).finish();
        assert!(!String::from_utf8(text).unwrap().contains("entry"));
    }
}
