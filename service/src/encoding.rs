//! gzip, in and out. <https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding>
//!
//! A body that comes compressed is bounded by what it unfolds to; an answer is compressed if the
//! client takes it and it is worth it. A request that says nothing of gzip pays for one look.

use std::io::{Read, Write};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fhir::outcome::IssueCode;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use http_body_util::BodyExt;

use crate::refusal::Refusal;

/// Answers shorter than this are sent as they are: they fit one packet anyway.
const COMPRESSED_BYTES_MIN: u64 = 1 << 10;
/// Longer ones are compressed where no other request waits for the thread.
const INLINE_BYTES_MAX: u64 = 64 << 10;

/// Whether a request's body is gzip; 415 for any other encoding.
pub fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(false) };
    let encoding = encoding.as_bytes().trim_ascii();
    let is = |name: &str| encoding.eq_ignore_ascii_case(name.as_bytes());
    if is("identity") {
        return Ok(false);
    }
    if (is("gzip") || is("x-gzip")) && headers.get_all(CONTENT_ENCODING).iter().count() == 1 {
        return Ok(true);
    }
    let text = "Send the body as it is, or with Content-Encoding: gzip.";
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Refusal::error(status, IssueCode::NotSupported, text)
        .with_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip")))
}

/// Unfolds a gzip body; `None` if that makes more than `bytes_max`.
pub async fn unzip(zipped: Bytes, bytes_max: usize) -> Result<Option<Bytes>, Refusal> {
    let work = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        let limit = bytes_max as u64 + 1;
        MultiGzDecoder::new(&*zipped).take(limit).read_to_end(&mut out).map(|_| out)
    });
    match work.await.map_err(|error| Refusal::internal(&error))? {
        Ok(out) => Ok((out.len() <= bytes_max).then(|| out.into())),
        Err(_) => {
            let text = "The body says Content-Encoding: gzip, but is not whole gzip data.";
            Err(Refusal::bad_request(IssueCode::Structure, text))
        }
    }
}

/// Middleware: compresses an answer for a client that takes gzip.
pub async fn compress(request: Request, next: Next) -> Response {
    let welcome = request.headers().get_all(ACCEPT_ENCODING).iter().any(|v| !v.is_empty())
        && takes_gzip(request.headers());
    let mut response = next.run(request).await;
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    if bytes < COMPRESSED_BYTES_MIN || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if !welcome {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is in memory already: its size is known.
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Refusal::internal(&error).into_response(),
    };
    let zipped = if bytes > INLINE_BYTES_MAX {
        tokio::task::spawn_blocking(move || zip(&body)).await
    } else {
        Ok(zip(&body))
    };
    match zipped {
        Ok(zipped) => {
            parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(zipped))
        }
        Err(error) => Refusal::internal(&error).into_response(),
    }
}

fn zip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory takes what is written")
}

/// Whether `Accept-Encoding` has room for gzip, and does not rather have the body as it is.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in lines.flat_map(|line| line.split(',')) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = parameters.split(';').find_map(|p| p.trim().strip_prefix("q="));
        let weight = weight.map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "*" => any = Some(weight),
            "identity" => identity = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && identity.is_none_or(|identity| gzip >= identity)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn takes(accept: &'static str) -> bool {
        takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn gzip_is_taken_by_those_who_say_so() {
        for accept in ["gzip", "br, gzip;q=0.5", "*", "GZIP, deflate", "identity;q=0.5, gzip"] {
            assert!(takes(accept), "{accept}");
        }
        for accept in ["", "br", "gzip;q=0", "*, gzip;q=0", "identity, gzip;q=0.1", "gzip;q=x"] {
            assert!(!takes(accept), "{accept}");
        }
    }

    #[tokio::test]
    async fn a_body_unfolds_to_what_it_was_and_no_further_than_allowed() {
        let text = "Müller ".repeat(1_000);
        let zipped = Bytes::from(zip(text.as_bytes()));
        assert_eq!(unzip(zipped.clone(), text.len()).await.unwrap().unwrap(), text);
        assert_eq!(unzip(zipped.clone(), text.len() - 1).await.unwrap(), None);
        let bomb = Bytes::from(zip(&vec![0; 64 << 20]));
        assert!(bomb.len() < 1 << 20);
        assert_eq!(unzip(bomb, 16 << 20).await.unwrap(), None);
        for broken in [zipped.slice(..zipped.len() - 9), Bytes::from_static(b"no gzip")] {
            assert_eq!(unzip(broken, 1 << 20).await.unwrap_err().status, StatusCode::BAD_REQUEST);
        }
    }
}
