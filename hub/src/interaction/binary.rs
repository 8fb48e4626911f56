//! Binary: what is not FHIR, kept within FHIR. It may come and go as itself.
//! <https://hl7.org/fhir/R4/binary.html#rest>
//!
//! Content that someone once stored is never run by a browser that reads it: it goes out as a
//! download, of the type it was stored as and no other, in a sandbox.

use std::borrow::Cow;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::json::push_string;
use fhir::outcome::{Issue, IssueCode};
use http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use service::answer::Answer;
use service::body::{RESOURCE_BYTES_MAX, any, is_json, json};
use service::negotiation::prefers_content;
use service::refusal::Refusal;

/// Says what the access to a Binary follows from.
const SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");

/// Reads the body of a create or an update: a resource, or a Binary's content to be wrapped as one.
pub async fn body(
    resource_type: ResourceType,
    id: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, Refusal> {
    if resource_type != ResourceType::BINARY || is_json(headers) {
        return json(headers, body, RESOURCE_BYTES_MAX).await;
    }
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.trim();
    if !media.contains('/') || media.starts_with("application/fhir+") {
        let text = "Send a Binary as application/fhir+json, or its content under its own \
                    Content-Type.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Refusal::error(status, IssueCode::NotSupported, text));
    }
    let context = security_context(headers)?;
    let content = any(headers, body, RESOURCE_BYTES_MAX).await?;
    Ok(wrapped(id, media, context, &content).into())
}

fn security_context(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(context) = headers.get(SECURITY_CONTEXT) else { return Ok(None) };
    context.to_str().map(Some).map_err(|_| {
        let text = "X-Security-Context must be a reference, such as Patient/id.";
        let issue = Issue::error(IssueCode::Value, text).at("X-Security-Context");
        Refusal::bad_request_issue(issue)
    })
}

fn wrapped(id: Option<&str>, media: &str, context: Option<&str>, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() / 3 * 4 + 512);
    out.extend_from_slice(br#"{"resourceType":"Binary""#);
    if let Some(id) = id {
        out.extend_from_slice(br#","id":"#);
        push_string(&mut out, id);
    }
    out.extend_from_slice(br#","contentType":"#);
    push_string(&mut out, media);
    if let Some(context) = context {
        out.extend_from_slice(br#","securityContext":{"reference":"#);
        push_string(&mut out, context);
        out.push(b'}');
    }
    if !content.is_empty() {
        out.extend_from_slice(br#","data":""#);
        out.extend_from_slice(STANDARD.encode(content).as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
    out
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binary<'a> {
    #[serde(borrow)]
    content_type: Cow<'a, str>,
    #[serde(borrow, default)]
    security_context: Option<SecurityContext<'a>>,
    #[serde(borrow, default)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
struct SecurityContext<'a> {
    #[serde(borrow, default)]
    reference: Option<Cow<'a, str>>,
}

/// A Binary as the caller would rather have it: the resource, or its content.
pub(super) fn answer(headers: &HeaderMap, query: &str, body: Bytes) -> Answer {
    let content = content(headers, query, &body);
    let answer = content.unwrap_or_else(|| Answer::resource(StatusCode::OK, body));
    answer.with(VARY, HeaderValue::from_static("Accept"))
}

/// The content, if that is wanted and can be told; else the resource says all there is to say.
fn content(headers: &HeaderMap, query: &str, body: &[u8]) -> Option<Answer> {
    let binary: Binary<'_> = serde_json::from_slice(body).ok()?;
    if !prefers_content(headers, query, &binary.content_type) {
        return None;
    }
    let data: String = binary.data.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let data = STANDARD.decode(data).ok()?;
    let media = HeaderValue::from_str(&binary.content_type).ok()?;
    let sandbox = HeaderValue::from_static("sandbox; default-src 'none'");
    let answer = Answer::content(media, data)
        .with(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .with(CONTENT_SECURITY_POLICY, sandbox)
        .with(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    let context = binary.security_context.and_then(|context| context.reference);
    Some(match context.and_then(|context| HeaderValue::from_str(&context).ok()) {
        Some(context) => answer.with(SECURITY_CONTEXT, context),
        None => answer,
    })
}
