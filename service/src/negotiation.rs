//! Content negotiation: we speak FHIR JSON, version 4.0, and say 406 to anyone who wants only
//! something else. <https://hl7.org/fhir/R4/http.html#mime-type>
//!
//! What is asked for is weighed as HTTP has it: the most exact range that a media type is in counts,
//! and `q=0` rules it out. `_format` overrides `Accept`; `_pretty=true` is a courtesy to people.
//!
//! Where an answer can be sent part by part ([`json_or_stream`]), it is for those who ask for that by
//! name, and rather than for FHIR JSON.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fhir::FHIR_JSON;
use fhir::json::pretty;
use fhir::outcome::IssueCode;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;

use crate::refusal::Refusal;

/// The names that FHIR JSON goes by.
pub(crate) const JSON: [&str; 3] = ["application/fhir+json", "application/json", "text/json"];

/// Middleware: refuses a request whose `_format` or `Accept` leaves no room for FHIR JSON.
pub async fn json_only(request: Request, next: Next) -> Response {
    negotiate(false, request, next).await
}

/// Middleware: as [`json_only`], but a Binary may be read as what it holds: its handler decides.
pub async fn json_or_binary(request: Request, next: Next) -> Response {
    let raw = reads_binary(request.method(), request.uri().path());
    negotiate(raw, request, next).await
}

/// Middleware: as [`json_only`], but the answer may be streamed: [`Streamed`] among the request's
/// extensions says that it is to be, and how.
pub async fn json_or_stream(mut request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    match Streamed::asked_for(request.headers(), query) {
        Some(streamed) => {
            request.extensions_mut().insert(streamed);
            next.run(request).await
        }
        None => negotiate(false, request, next).await,
    }
}

/// How an answer is sent part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streamed {
    /// Server-sent events, <https://html.spec.whatwg.org/multipage/server-sent-events.html>
    EventStream,
    /// One JSON value a line, <https://hl7.org/fhir/R4/nd-json.html>
    Ndjson,
}

impl Streamed {
    const ALL: [Self; 2] = [Self::EventStream, Self::Ndjson];

    /// Its media type.
    pub fn media(self) -> &'static str {
        self.names()[0]
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::EventStream => &["text/event-stream"],
            Self::Ndjson => {
                &["application/fhir+ndjson", "application/ndjson", "application/x-ndjson"]
            }
        }
    }

    /// Nobody who did not name it is sent a stream.
    fn asked_for(headers: &HeaderMap, query: &str) -> Option<Self> {
        if let Some(format) = format(query) {
            let format = spelled(format);
            return Self::ALL.into_iter().find(|stream| stream.names().contains(&&*format));
        }
        let mut best = (None, Welcome::of(headers, &JSON));
        for stream in Self::ALL {
            let welcome = Welcome::of(headers, stream.names());
            if welcome.exactness == EXACT && welcome.weight > 0.0 && welcome.exceeds(&best.1) {
                best = (Some(stream), welcome);
            }
        }
        best.0
    }
}

async fn negotiate(raw: bool, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let refused = acceptable(request.headers(), query).err();
    if let Some(refusal) = refused.filter(|_| !raw || format(query).is_some()) {
        return refusal.into_response();
    }
    let wants_pretty = query.split('&').any(|pair| pair == "_pretty=true");
    let response = next.run(request).await;
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|v| v == FHIR_JSON);
    if wants_pretty && is_json { prettified(response).await } else { response }
}

/// `…/Binary/[id]` or `…/Binary/[id]/_history/[vid]`
fn reads_binary(method: &Method, path: &str) -> bool {
    let Some((_, place)) = path.rsplit_once("/Binary/") else { return false };
    let parts: Vec<&str> = place.split('/').collect();
    (*method == Method::GET || *method == Method::HEAD)
        && matches!(parts[..], [id] | [id, "_history", _] if !id.starts_with(['_', '$']))
}

async fn prettified(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            if !body.is_empty() {
                parts.headers.remove(CONTENT_LENGTH);
            }
            Response::from_parts(parts, Body::from(pretty(&body)))
        }
        Err(error) => Refusal::internal(&error).into_response(),
    }
}

/// Whether the caller would rather have a Binary's content, of this media type, than the resource.
/// Whoever leaves no room for FHIR gets the content, whatever it is:
/// <https://hl7.org/fhir/R4/binary.html#rest>.
pub fn prefers_content(headers: &HeaderMap, query: &str, content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = Welcome::of(headers, &JSON);
    format(query).is_none()
        && (json.weight == 0.0 || Welcome::of(headers, &[&media]).exceeds(&json))
}

/// Whether JSON may be sent; `_format` overrides `Accept`.
fn acceptable(headers: &HeaderMap, query: &str) -> Result<(), Refusal> {
    if let Some(format) = format(query) {
        return if is_json_format(format) { Ok(()) } else { Err(not_acceptable("_format")) };
    }
    let welcome = Welcome::of(headers, &JSON).weight > 0.0;
    if welcome { Ok(()) } else { Err(not_acceptable("Accept")) }
}

fn format(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("_format="))
}

fn is_json_format(format: &str) -> bool {
    let text = spelled(format);
    text == "json" || Range::parse(&text).is_some_and(|range| range.weight_of(&JSON).1 == EXACT)
}

/// A `_format` as it is meant, in lower case.
fn spelled(format: &str) -> String {
    let mut text = format.to_ascii_lowercase();
    // A raw `+` in a query is a space once decoded; all spellings are in use.
    let spellings = [
        ("%2b", "+"),
        ("%20", "+"),
        (" ", "+"),
        ("%2f", "/"),
        ("%3b", ";"),
        ("%3d", "="),
        ("%22", "\""),
    ];
    for (spelling, meant) in spellings {
        text = text.replace(spelling, meant);
    }
    text.replace(";+", ";")
}

/// How exactly a range names a media type: by name, by its first half, or as anything.
const EXACT: u8 = 3;
const HALF: u8 = 2;
const ANYTHING: u8 = 1;

/// How welcome a media type is.
#[derive(Debug, PartialEq)]
struct Welcome {
    weight: f32,
    exactness: u8,
}

impl Welcome {
    /// Of a media type with these names, by the most exact range of `Accept` that it is in.
    fn of(headers: &HeaderMap, names: &[&str]) -> Self {
        let mut welcome = Self { weight: 0.0, exactness: 0 };
        let mut lines = headers.get_all(ACCEPT).iter().peekable();
        if lines.peek().is_none() {
            return Self { weight: 1.0, ..welcome };
        }
        let lines = lines.filter_map(|value| value.to_str().ok());
        for range in lines.flat_map(|line| line.split(',')).filter_map(Range::parse) {
            let (weight, exactness) = range.weight_of(names);
            if exactness > welcome.exactness {
                welcome = Self { weight, exactness };
            } else if exactness == welcome.exactness {
                welcome.weight = welcome.weight.max(weight);
            }
        }
        welcome
    }

    fn exceeds(&self, other: &Self) -> bool {
        self.weight > other.weight
            || self.weight >= other.weight && self.exactness > other.exactness
    }
}

/// One media range of an `Accept` header.
struct Range {
    media: String,
    weight: f32,
    /// Whether it is of FHIR R4, or of no FHIR version in particular.
    is_r4: bool,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let media = parts.next().filter(|media| media.contains('/'))?;
        let mut range = Self { media, weight: 1.0, is_r4: true };
        for parameter in parts {
            match parameter.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("q", weight)) => range.weight = weight.parse().unwrap_or(0.0),
                Some(("fhirversion", version)) => {
                    range.is_r4 = matches!(version.trim_matches('"'), "4.0" | "4.0.0" | "4.0.1");
                }
                _ => {}
            }
        }
        Some(range)
    }

    /// Its weight for a media type with these names, and how exactly it means it.
    fn weight_of(&self, names: &[&str]) -> (f32, u8) {
        let half = names[0].split('/').next().unwrap_or_default();
        let exactness = match self.media.split_once('/') {
            _ if !self.is_r4 => 0,
            Some(("*", "*")) => ANYTHING,
            Some((first, "*")) if first == half => HALF,
            _ if names.contains(&self.media.as_str()) => EXACT,
            _ => 0,
        };
        (if exactness > 0 { self.weight } else { 0.0 }, exactness)
    }
}

fn not_acceptable(at: &str) -> Refusal {
    let text = "This service answers in FHIR R4 JSON only: ask for application/fhir+json.";
    let mut refusal = Refusal::error(StatusCode::NOT_ACCEPTABLE, IssueCode::NotSupported, text);
    refusal.outcome.issue[0].expression.push(at.to_owned());
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn accepts(accept: &'static str) -> bool {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        acceptable(&headers, "").is_ok()
    }

    #[test]
    fn json_in_any_spelling_is_acceptable() {
        for accept in [
            "*/*",
            "application/json",
            "application/fhir+json; fhirVersion=4.0",
            "text/html, application/json;q=0.1",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/*;q=0.1",
            "application/fhir+json; fhirVersion=3.0, */*;q=0.1",
            "application/fhir+json;charset=utf-8; q=1.0",
            "APPLICATION/FHIR+JSON;fhirVersion=\"4.0\"",
        ] {
            assert!(accepts(accept), "{accept}");
        }
        assert!(acceptable(&HeaderMap::new(), "").is_ok());
    }

    #[test]
    fn anything_else_is_not() {
        for accept in [
            "image/png",
            "application/fhir+json; fhirVersion=3.0",
            "application/json;q=0",
            "application/json;q=0, */*",
            "application/*;q=0, */*",
            "application/fhir+xml",
            "text/*",
            "*/*;q=0",
            "bogus",
        ] {
            assert!(!accepts(accept), "{accept}");
        }
    }

    #[test]
    fn format_overrides_accept() {
        let png = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("image/png"))]);
        for query in [
            "_format=json",
            "a=b&_format=application/fhir+json",
            "_format=application%2Ffhir%2Bjson",
            "_format=application/fhir%20json",
            "_format=text/json",
            "_format=application/fhir+json;fhirVersion=4.0",
            "_format=application/fhir%2Bjson%3B%20fhirVersion%3D4.0",
        ] {
            assert!(acceptable(&png, query).is_ok(), "{query}");
        }
        for query in [
            "_format=xml",
            "_format=bogus",
            "_format=",
            "_format=*/*",
            "_format=application/fhir+json;fhirVersion=3.0",
        ] {
            assert!(acceptable(&HeaderMap::new(), query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_binary_is_read_as_its_content_by_whoever_would_rather_have_that() {
        let prefers = |accept: Option<&'static str>, query| {
            let headers = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept)));
            prefers_content(&headers.into_iter().collect(), query, "image/png; x=y")
        };
        for accept in [
            "image/png",
            "image/*",
            "application/pdf",
            "image/avif,image/png,*/*;q=0.8",
            "application/fhir+json;q=0.5, image/png",
        ] {
            assert!(prefers(Some(accept), ""), "{accept}");
        }
        for accept in
            ["*/*", "application/fhir+json", "text/html,*/*;q=0.8", "image/png;q=0.5, */*"]
        {
            assert!(!prefers(Some(accept), ""), "{accept}");
        }
        assert!(!prefers(None, ""));
        assert!(!prefers(Some("image/png"), "_format=json"));
    }

    #[test]
    fn a_stream_is_for_those_who_name_it() {
        let asked = |accept: Option<&'static str>, query| {
            let headers = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept)));
            Streamed::asked_for(&headers.into_iter().collect(), query)
        };
        let (events, lines) = (Some(Streamed::EventStream), Some(Streamed::Ndjson));
        for (accept, expected) in [
            ("text/event-stream", events),
            ("Text/Event-Stream, application/fhir+json;q=0.9", events),
            ("text/event-stream, */*", events),
            ("application/fhir+ndjson", lines),
            ("application/x-ndjson", lines),
            ("text/event-stream;q=0.5, application/fhir+ndjson", lines),
            ("application/fhir+json, text/event-stream", None),
            ("application/json, text/event-stream;q=0.5", None),
            ("text/event-stream;q=0", None),
            ("text/*", None),
            ("application/*", None),
            ("*/*", None),
            ("image/png", None),
        ] {
            assert_eq!(asked(Some(accept), ""), expected, "{accept}");
        }
        assert_eq!(asked(None, ""), None);
        assert_eq!(asked(None, "_format=text/event-stream"), events);
        assert_eq!(asked(None, "a=b&_format=application%2Ffhir%2Bndjson"), lines);
        assert_eq!(asked(Some("text/event-stream"), "_format=json"), None);
    }

    #[test]
    fn only_the_reads_of_a_binary_are_let_through() {
        for (path, expected) in [
            ("/FHIR/R4/Binary/a", true),
            ("/FHIR/R4/Binary/a/_history/1", true),
            ("/FHIR/R4/Binary/a/_history", false),
            ("/FHIR/R4/Binary/_history", false),
            ("/FHIR/R4/Binary/a/$meta", false),
            ("/FHIR/R4/Binary", false),
            ("/FHIR/R4/Patient/Binary", false),
        ] {
            assert_eq!(reads_binary(&Method::GET, path), expected, "{path}");
        }
        assert!(!reads_binary(&Method::PUT, "/FHIR/R4/Binary/a"));
    }
}
