//! Headers that several interactions share.

use fhir::instant::parse_http_date;
use fhir::outcome::{Issue, IssueCode};
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};
use service::refusal::Refusal;

use crate::store::write::Version;

const SECOND: i64 = 1_000_000;
/// <https://hl7.org/fhir/R4/http.html#ccreate>
pub const IF_NONE_EXIST: &str = "If-None-Exist";

/// The version that `If-Match` names.
pub fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Refusal> {
    match headers.get(IF_MATCH) {
        None => Ok(None),
        Some(value) => value.to_str().ok().and_then(version).map(Some).ok_or_else(|| {
            let text = "If-Match must be the ETag of the version to be replaced, such as W/\"3\".";
            Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at("If-Match"))
        }),
    }
}

/// Whether the caller has this version already: `If-None-Match` names it or, where that is not sent,
/// it is not newer than `If-Modified-Since`, to the second. <https://hl7.org/fhir/R4/http.html#cread>
pub fn not_modified(headers: &HeaderMap, version: &Version) -> bool {
    if headers.contains_key(IF_NONE_MATCH) {
        let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        return lines
            .flat_map(|line| line.split(','))
            .any(|tag| tag.trim() == "*" || self::version(tag) == Some(version.version));
    }
    let since = headers.get(IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    // A date that is none asks for nothing, as HTTP has it.
    let since = since.and_then(parse_http_date);
    since.is_some_and(|since| version.updated.div_euclid(SECOND) <= since.div_euclid(SECOND))
}

/// `W/"3"`, `"3"` and `3` read alike.
pub fn version(tag: &str) -> Option<i64> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    tag.parse().ok().filter(|version| *version > 0)
}

/// What the caller wants back from a write. <https://hl7.org/fhir/R4/http.html#ops>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// Headers alone.
    Minimal,
    /// The resource.
    Representation,
    /// An OperationOutcome.
    Outcome,
}

impl Preference {
    /// What `Prefer` says, if it says anything of it.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let named = |(name, preference)| prefers(headers, name).then_some(preference);
        [
            ("return=minimal", Self::Minimal),
            ("return=representation", Self::Representation),
            ("return=OperationOutcome", Self::Outcome),
        ]
        .into_iter()
        .find_map(named)
    }
}

/// Whether unknown parameters are to be refused rather than left out.
pub fn strict(headers: &HeaderMap) -> bool {
    prefers(headers, "handling=strict")
}

/// Whether each match of a search is to say where the walk goes on after it.
pub fn entry_links(headers: &HeaderMap) -> bool {
    prefers(headers, "entry-links")
}

fn prefers(headers: &HeaderMap, preference: &str) -> bool {
    let prefer = HeaderName::from_static("prefer");
    let values = headers.get_all(prefer).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).any(|p| p.trim() == preference)
}

/// The criteria of `If-None-Exist`.
pub fn if_none_exist(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(IF_NONE_EXIST) else { return Ok(None) };
    let criteria = std::str::from_utf8(value.as_bytes()).map(str::to_owned);
    criteria.map(Some).map_err(|_| {
        let text = "The criteria must be those of a search, such as identifier=system|value.";
        Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at(IF_NONE_EXIST))
    })
}

/// Whether `If-None-Match: *` asks that there be nothing yet.
pub fn if_none_match(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(IF_NONE_MATCH).map(HeaderValue::as_bytes) {
        None => Ok(false),
        Some(b"*") => Ok(true),
        Some(_) => Err(only_any("If-None-Match")),
    }
}

/// A write may only ask that there be no version at all.
pub fn only_any(at: &str) -> Refusal {
    let text = "On a write this may only be *, for creating what is not there; to replace a known \
                version, name it as If-Match.";
    Refusal::bad_request_issue(Issue::error(IssueCode::NotSupported, text).at(at))
}

/// Refuses conditional headers that would be ignored: a client relies on them.
pub fn refuse(headers: &HeaderMap, names: &[&'static str]) -> Result<(), Refusal> {
    match names.iter().find(|name| headers.contains_key(**name)) {
        None => Ok(()),
        Some(name) => Err(meaningless(name)),
    }
}

/// A condition that this interaction does not know.
pub fn meaningless(at: &str) -> Refusal {
    let text = "This condition means nothing to this interaction: send the request without it.";
    Refusal::bad_request_issue(Issue::error(IssueCode::NotSupported, text).at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_tag_is_read_in_all_its_spellings() {
        for tag in ["W/\"3\"", "\"3\"", "3", " W/\"3\" "] {
            assert_eq!(version(tag), Some(3), "{tag}");
        }
        for bad in ["", "W/3x", "*", "-1", "0"] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }
}
