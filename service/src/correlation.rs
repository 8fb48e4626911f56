//! Correlation: every request has an id, in and out, so that one question can be followed through
//! a gateway and its hubs.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// `X-Request-ID`
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `X-Correlation-ID`
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// `traceparent`, <https://www.w3.org/TR/trace-context/>
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The ids of one request; in the request's extensions once the layer has run.
#[derive(Debug, Clone)]
pub struct Correlation {
    /// The caller's request id if it was well formed, else one of ours.
    pub request_id: HeaderValue,
    /// The caller's correlation id, if it sent a well-formed one.
    pub correlation_id: Option<HeaderValue>,
    /// The caller's trace context, if it sent a well-formed one.
    pub traceparent: Option<HeaderValue>,
}

impl Correlation {
    /// Reads the ids of a request; whatever is malformed is replaced or dropped.
    pub fn of(headers: &HeaderMap) -> Self {
        let well_formed =
            |name: &HeaderName| headers.get(name).filter(|value| is_id(value)).cloned();
        Self {
            request_id: well_formed(&REQUEST_ID).unwrap_or_else(new_id),
            correlation_id: well_formed(&CORRELATION_ID),
            traceparent: headers.get(&TRACEPARENT).filter(|value| is_traceparent(value)).cloned(),
        }
    }

    /// The request id as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// Writes the ids into the headers of an outbound request.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request_id.clone());
        if let Some(id) = &self.correlation_id {
            headers.insert(CORRELATION_ID, id.clone());
        }
        if let Some(trace) = &self.traceparent {
            headers.insert(TRACEPARENT, trace.clone());
        }
    }
}

/// Middleware: puts the ids into the request's extensions and onto the answer.
pub async fn correlate(mut request: Request, next: Next) -> Response {
    let correlation = Correlation::of(request.headers());
    request.extensions_mut().insert(correlation.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, correlation.request_id);
    if let Some(id) = correlation.correlation_id {
        response.headers_mut().insert(CORRELATION_ID, id);
    }
    response
}

fn new_id() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).expect("a UUID is visible ASCII")
}

fn is_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(b))
}

fn is_traceparent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.len() == 55
        && bytes.iter().enumerate().all(|(i, b)| match i {
            2 | 35 | 52 => *b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(b),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_request_id_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("a b"));
        assert_eq!(Correlation::of(&headers).request_id().len(), 36);
        headers.insert(REQUEST_ID, HeaderValue::from_static("order-66"));
        assert_eq!(Correlation::of(&headers).request_id(), "order-66");
    }

    #[test]
    fn only_a_well_formed_trace_goes_on() {
        let mut headers = HeaderMap::new();
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert(TRACEPARENT, HeaderValue::from_static(good));
        assert!(Correlation::of(&headers).traceparent.is_some());
        headers.insert(TRACEPARENT, HeaderValue::from_static("00-nhs-01"));
        assert!(Correlation::of(&headers).traceparent.is_none());
    }
}
