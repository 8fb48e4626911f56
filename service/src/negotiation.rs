//! Content negotiation: we speak FHIR JSON, version 4.0, and say 406 to anyone who wants only
//! something else. <https://hl7.org/fhir/R4/http.html#mime-type>

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fhir::outcome::IssueCode;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};

use crate::refusal::Refusal;

/// Middleware: refuses a request whose `_format` or `Accept` leaves no room for FHIR JSON.
pub async fn json_only(request: Request, next: Next) -> Response {
    match acceptable(request.headers(), request.uri().query().unwrap_or_default()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Whether JSON may be sent; `_format` overrides `Accept`.
fn acceptable(headers: &HeaderMap, query: &str) -> Result<(), Refusal> {
    if let Some(format) = query.split('&').find_map(|pair| pair.strip_prefix("_format=")) {
        return if is_json_format(format) { Ok(()) } else { Err(not_acceptable("_format")) };
    }
    let mut ranges = headers.get_all(ACCEPT).iter().peekable();
    if ranges.peek().is_none() {
        return Ok(());
    }
    let welcome = ranges
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(is_json_range);
    if welcome { Ok(()) } else { Err(not_acceptable("Accept")) }
}

fn is_json_format(format: &str) -> bool {
    // A raw `+` in a query is a space once decoded; both spellings are in use.
    let format =
        format.replace("%2B", "+").replace("%2b", "+").replace("%2F", "/").replace("%2f", "/");
    let format = format.replace("%20", "+").replace(' ', "+").to_ascii_lowercase();
    format == "json" || is_json_range(&format) && !format.starts_with('*')
}

/// One media range of an `Accept` header: JSON or a wildcard, not of another FHIR version, not
/// ruled out by `q=0`.
fn is_json_range(range: &str) -> bool {
    let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media = parts.next().unwrap_or_default();
    let known = matches!(
        media.as_str(),
        "*/*" | "application/*" | "application/json" | "application/fhir+json" | "text/json"
    );
    known
        && parts.all(|parameter| match parameter.split_once('=') {
            Some(("q", weight)) => weight.trim().parse::<f32>().is_ok_and(|q| q > 0.0),
            Some(("fhirversion" | "version", version)) => {
                matches!(version.trim_matches('"'), "4.0" | "4.0.1" | "1")
            }
            _ => true,
        })
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
            "application/fhir+xml",
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
        ] {
            assert!(acceptable(&png, query).is_ok(), "{query}");
        }
        for query in ["_format=xml", "_format=bogus", "_format="] {
            assert!(acceptable(&HeaderMap::new(), query).is_err(), "{query}");
        }
    }
}
