//! Links within a transaction: an entry's fullUrl becomes `Type/id` wherever a link to it may stand:
//! references, uri values, narrative. A relative reference is first read against the base of its own
//! entry's fullUrl. Nothing else in the text is touched.
//! <https://hl7.org/fhir/R4/http.html#trules>

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use fhir::outcome::{Issue, IssueCode};
use fhir::reference::Reference;
use fhir::validate::{Found, FoundKind};
use http::StatusCode;
use service::refusal::Refusal;

/// What each entry's fullUrl becomes: `urn:uuid:…` or `https://…/Type/id` -> `Type/id`.
pub type Links = HashMap<String, String>;

/// One resource of a transaction's text.
#[derive(Debug)]
pub struct Place<'a> {
    /// Where in the text it is.
    pub range: Range<usize>,
    /// Its entry's fullUrl.
    pub full_url: Option<&'a str>,
    /// Its expression, for errors.
    pub expression: &'a str,
}

/// Rewrites one resource by the links found in the whole text.
pub fn rewrite(
    text: &[u8],
    place: &Place<'_>,
    found: &[Found],
    links: &Links,
) -> Result<Vec<u8>, Refusal> {
    let range = place.range.clone();
    let base = place.full_url.and_then(base);
    let first = found.partition_point(|span| span.start < range.start);
    let last = found.partition_point(|span| span.start < range.end);
    let mut out = Vec::with_capacity(range.len());
    let mut copied = range.start;
    for span in &found[first..last] {
        let value = String::from_utf8_lossy(&text[span.start..span.end]);
        let replacement = match span.kind {
            FoundKind::Narrative => Some(narrative(&value, links)),
            FoundKind::Uri => links.get(key(&value).as_ref()).cloned(),
            FoundKind::Reference => match target(&value, base, links) {
                Some(link) => Some(link.clone()),
                None => {
                    resolvable(&value, place.expression)?;
                    None
                }
            },
        };
        if let Some(replacement) = replacement {
            out.extend_from_slice(&text[copied..span.start]);
            out.extend_from_slice(replacement.as_bytes());
            copied = span.end;
        }
    }
    out.extend_from_slice(&text[copied..range.end]);
    Ok(out)
}

/// A fullUrl as it is compared: URNs are the same in any case (RFC 8141).
pub fn key(full_url: &str) -> Cow<'_, str> {
    match full_url.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("urn:") => {
            Cow::Owned(full_url.to_ascii_lowercase())
        }
        _ => Cow::Borrowed(full_url),
    }
}

/// The base of a RESTful fullUrl: what stands before `Type/id`.
fn base(full_url: &str) -> Option<&str> {
    let mut parts = full_url.rsplitn(3, '/');
    let (_id, _type, base) = (parts.next()?, parts.next()?, parts.next()?);
    full_url.starts_with("http").then_some(base)
}

/// What a reference becomes, if it is to an entry of the transaction.
fn target<'a>(value: &str, base: Option<&str>, links: &'a Links) -> Option<&'a String> {
    let absolute = || match Reference::parse(value) {
        Reference::Relative { resource_type, id, .. } => {
            links.get(&format!("{}/{resource_type}/{id}", base?))
        }
        _ => None,
    };
    links.get(key(value).as_ref()).or_else(absolute)
}

/// Refuses conditional references, which only a transaction could resolve. A urn:uuid may name
/// something outside this record; it stays as it is.
pub fn refuse_conditional_references(text: &[u8], found: &[Found]) -> Result<(), Refusal> {
    for span in found.iter().filter(|span| span.kind == FoundKind::Reference) {
        let value = String::from_utf8_lossy(&text[span.start..span.end]);
        if matches!(Reference::parse(&value), Reference::Conditional { .. }) {
            return Err(unresolved("a conditional reference", "reference"));
        }
    }
    Ok(())
}

fn resolvable(value: &str, at: &str) -> Result<(), Refusal> {
    match Reference::parse(value) {
        Reference::Conditional { .. } => Err(unresolved("a conditional reference", at)),
        Reference::Absolute(url) if key(url).starts_with("urn:uuid:") => {
            Err(unresolved("a urn:uuid that is the fullUrl of no entry with a resource", at))
        }
        _ => Ok(()),
    }
}

fn unresolved(what: &str, at: &str) -> Refusal {
    let text = format!(
        "A reference here is {what}, which cannot be resolved: refer to the resource by its \
         type and id, or send it in the same transaction."
    );
    let issue = Issue::error(IssueCode::NotFound, text).at(at);
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, issue)
}

/// Replaces each known urn in a narrative's text.
fn narrative(text: &str, links: &Links) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("urn:") {
        let (before, urn) = rest.split_at(at);
        let end = urn.find(|c: char| !c.is_ascii_alphanumeric() && !":-.".contains(c));
        let (urn, after) = urn.split_at(end.unwrap_or(urn.len()));
        out.push_str(before);
        out.push_str(links.get(key(urn).as_ref()).map_or(urn, String::as_str));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use fhir::validate::validate;

    const URN: &str = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000001";

    fn rewritten(text: &str) -> Result<String, Refusal> {
        let links = Links::from([
            (URN.to_owned(), "Patient/1".to_owned()),
            ("https://other/fhir/Patient/77".to_owned(), "Patient/2".to_owned()),
        ]);
        let found = validate(text.as_bytes()).unwrap().references;
        let (range, full_url) = (0..text.len(), Some("https://other/fhir/Observation/1"));
        let place = Place { range, full_url, expression: "here" };
        let out = rewrite(text.as_bytes(), &place, &found, &links)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn links_are_rewritten_and_plain_strings_are_not() {
        let text = format!(
            r#"{{"resourceType":"Observation","text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{URN}\">p</a></div>"}},"identifier":[{{"system":"urn:ietf:rfc:3986","value":"{URN}"}}],"status":"final","code":{{"text":"{URN}"}},"subject":{{"reference":"{URN}"}}}}"#
        );
        let out = rewritten(&text).unwrap();
        assert_eq!(out.matches("Patient/1").count(), 2, "{out}");
        assert_eq!(out.matches(URN).count(), 2, "{out}");
    }

    #[test]
    fn a_relative_link_is_read_against_its_own_entry() {
        for (link, expected) in [
            ("Patient/77", "\"Patient/2\""),
            ("https://other/fhir/Patient/77", "\"Patient/2\""),
            ("Patient/78", "\"Patient/78\""),
            ("https://third/fhir/Patient/77", "\"https://third/fhir/Patient/77\""),
        ] {
            let text = format!(
                r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{link}"}}}}"#
            );
            assert!(rewritten(&text).unwrap().contains(expected), "{link}");
        }
    }

    #[test]
    fn a_link_to_nothing_is_refused() {
        for link in ["urn:uuid:6b1f3b2c-0000-4000-8000-000000000002", "Patient?identifier=a"] {
            let text = format!(
                r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{link}"}}}}"#
            );
            assert_eq!(rewritten(&text).unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
}
