//! Links within a transaction: an entry's fullUrl becomes `Type/id` wherever a link to it may stand:
//! references, uri values, narrative; and so does a conditional reference. A relative reference is first
//! read against the base of its own entry's fullUrl. Nothing else in the text is touched.
//! <https://hl7.org/fhir/R4/http.html#trules>

use std::borrow::Cow;
use std::collections::HashMap;

use fhir::outcome::{Issue, IssueCode};
use fhir::reference::Reference;
use fhir::validate::{Found, FoundKind};
use http::StatusCode;
use service::refusal::Refusal;

/// What each fullUrl and each conditional reference becomes, as it is written in the text:
/// `urn:uuid:…` or `https://…/Type/id` or `Type?criteria` -> `Type/id`.
pub type Links = HashMap<String, String>;

/// One resource of a transaction's text.
#[derive(Debug)]
pub struct Place<'a> {
    /// Where in the text it begins.
    pub start: usize,
    /// Its own text.
    pub resource: &'a [u8],
    /// What its relative references are relative to.
    pub base: &'a str,
    /// Its expression, for errors.
    pub expression: &'a str,
}

/// Rewrites one resource by the links found in the whole text.
pub fn rewrite(place: &Place<'_>, found: &[Found], links: &Links) -> Result<Vec<u8>, Refusal> {
    let Place { start, resource, .. } = *place;
    let first = found.partition_point(|span| span.start < start);
    let last = found.partition_point(|span| span.start < start + resource.len());
    let mut out = Vec::with_capacity(resource.len());
    let mut copied = 0;
    for span in &found[first..last] {
        let (from, to) = (span.start - start, span.end - start);
        let value = String::from_utf8_lossy(&resource[from..to]);
        let replacement = match span.kind {
            FoundKind::Narrative => Some(narrative(&value, links)),
            FoundKind::Uri => links.get(key(&value).as_ref()).cloned(),
            FoundKind::Reference => match target(&value, place.base, links) {
                Some(link) => Some(link.clone()),
                None => {
                    resolvable(&value, place, from)?;
                    None
                }
            },
        };
        if let Some(replacement) = replacement {
            out.extend_from_slice(&resource[copied..from]);
            out.extend_from_slice(replacement.as_bytes());
            copied = to;
        }
    }
    out.extend_from_slice(&resource[copied..]);
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
pub fn base(full_url: &str) -> Option<&str> {
    let mut parts = full_url.rsplitn(3, '/');
    let (_id, _type, base) = (parts.next()?, parts.next()?, parts.next()?);
    full_url.starts_with("http").then_some(base)
}

/// What a reference becomes, if it is to an entry of the transaction.
fn target<'a>(value: &str, base: &str, links: &'a Links) -> Option<&'a String> {
    let absolute = || match Reference::parse(value) {
        Reference::Relative { resource_type, id, .. } => {
            links.get(&format!("{base}/{resource_type}/{id}"))
        }
        Reference::Absolute(url) => links.get(url.split_once("/_history/")?.0),
        _ => None,
    };
    links.get(key(value).as_ref()).or_else(absolute)
}

/// The type and criteria of a conditional reference, as it stands in a text.
pub fn conditional(value: &str) -> Option<(String, String)> {
    // Most references have neither.
    if !value.contains('?') {
        return None;
    }
    let unescaped = serde_json::from_str::<Cow<'_, str>>(&format!("\"{value}\"")).ok()?;
    match Reference::parse(&unescaped) {
        Reference::Conditional { resource_type, query } => {
            Some((resource_type.to_owned(), query.to_owned()))
        }
        _ => None,
    }
}

/// Refuses conditional references, which only a transaction could resolve. A urn:uuid may name
/// something outside this record; it stays as it is.
pub fn refuse_conditional_references(
    text: &[u8],
    found: &[Found],
    at: &str,
) -> Result<(), Refusal> {
    for span in found.iter().filter(|span| span.kind == FoundKind::Reference) {
        let value = String::from_utf8_lossy(&text[span.start..span.end]);
        if conditional(&value).is_some() {
            let at = format!("{at}.{}", element(text, span.start));
            return Err(unresolved("a conditional reference", at));
        }
    }
    Ok(())
}

fn resolvable(value: &str, place: &Place<'_>, from: usize) -> Result<(), Refusal> {
    let at = || format!("{}.{}", place.expression, element(place.resource, from));
    if conditional(value).is_some() {
        return Err(unresolved("a conditional reference", at()));
    }
    if key(value).starts_with("urn:uuid:") {
        let what = "a urn:uuid that is the fullUrl of no entry with a resource";
        return Err(unresolved(what, at()));
    }
    Ok(())
}

fn unresolved(what: &str, at: String) -> Refusal {
    let text = format!(
        "A reference here is {what}, which cannot be resolved: refer to the resource by its \
         type and id, or send it in the same transaction."
    );
    let issue = Issue::error(IssueCode::NotFound, text).at(at);
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, issue)
}

/// The element in which a byte of well-formed JSON text stands: `performer[1].reference`.
pub fn element(text: &[u8], offset: usize) -> String {
    // For each object the member read last, for each array how many items were before.
    enum Inside<'a> {
        Object(&'a [u8]),
        Array(usize),
    }
    let (mut path, mut string) = (Vec::new(), None);
    let mut escaped = false;
    for (at, byte) in text[..offset].iter().enumerate() {
        if let Some(start) = string {
            if *byte == b'"' && !escaped {
                string = None;
                let is_name = text[at + 1..].trim_ascii_start().starts_with(b":");
                if let (true, Some(Inside::Object(member))) = (is_name, path.last_mut()) {
                    *member = &text[start..at];
                }
            }
            escaped = *byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => string = Some(at + 1),
            b'{' => path.push(Inside::Object(b"")),
            b'[' => path.push(Inside::Array(0)),
            b'}' | b']' => drop(path.pop()),
            b',' => {
                if let Some(Inside::Array(before)) = path.last_mut() {
                    *before += 1;
                }
            }
            _ => {}
        }
    }
    let name = |inside: &Inside<'_>| match inside {
        Inside::Object(member) => format!(".{}", String::from_utf8_lossy(member)),
        Inside::Array(before) => format!("[{before}]"),
    };
    path.iter().map(name).collect::<String>().trim_start_matches('.').to_owned()
}

/// Replaces each known URN and URL in a narrative's text, which is JSON still: a backslash ends one.
fn narrative(text: &str, links: &Links) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = [rest.find("urn:"), rest.find("http")].into_iter().flatten().min() {
        let (before, url) = rest.split_at(at);
        let inside = |c: char| c.is_ascii_alphanumeric() || ":-._~/?#[]@!$()*+;=%".contains(c);
        let (url, after) = url.split_at(url.find(|c| !inside(c)).unwrap_or(url.len()));
        // A sentence may end where the link does.
        let whole = url.trim_end_matches(['.', ')', ';', '!', '?', ':']);
        out.push_str(before);
        match links.get(key(whole).as_ref()) {
            Some(link) => out.push_str(link),
            None => out.push_str(whole),
        }
        out.push_str(&url[whole.len()..]);
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
        let base = base("https://other/fhir/Observation/1").unwrap();
        let place = Place { start: 0, resource: text.as_bytes(), base, expression: "here" };
        let out = rewrite(&place, &found, &links)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn links_are_rewritten_and_plain_strings_are_not() {
        let text = format!(
            r#"{{"resourceType":"Observation","text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{URN}\">p</a> <a href=\"https://other/fhir/Patient/77\">https://other/fhir/Patient/77.</a></div>"}},"extension":[{{"url":"https://third/fhir/StructureDefinition/x","valueUri":"https://other/fhir/Patient/77"}}],"identifier":[{{"system":"urn:ietf:rfc:3986","value":"{URN}"}}],"status":"final","code":{{"text":"{URN}"}},"subject":{{"reference":"{URN}"}}}}"#
        );
        let out = rewritten(&text).unwrap();
        assert_eq!(out.matches("Patient/1").count(), 2, "{out}");
        assert_eq!(out.matches(URN).count(), 2, "{out}");
        assert_eq!(out.matches("Patient/2").count(), 3, "{out}");
        assert!(out.contains("https://third/fhir/StructureDefinition/x"), "{out}");
    }

    #[test]
    fn a_relative_link_is_read_against_its_own_entry() {
        for (link, expected) in [
            ("Patient/77", "\"Patient/2\""),
            ("https://other/fhir/Patient/77", "\"Patient/2\""),
            ("https://other/fhir/Patient/77/_history/3", "\"Patient/2\""),
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

    #[test]
    fn an_element_is_found_by_its_place() {
        let text = br#"{"a":{"b":"\"{"},"c":[{"d":1},{"e":["x","y,","here"]}]}"#;
        let offset = text.windows(4).position(|w| w == b"here").unwrap();
        assert_eq!(element(text, offset), "c[1].e[2]");
    }

    #[test]
    fn a_conditional_reference_is_read_with_its_escapes() {
        let found = conditional(r"Patient?identifier=s\u007Cv");
        assert_eq!(found, Some(("Patient".into(), "identifier=s|v".into())));
        assert_eq!(conditional("https://other/fhir/Patient?x=y"), None);
        assert_eq!(conditional("Patient/1"), None);
    }
}
