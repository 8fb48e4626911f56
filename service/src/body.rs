//! Request bodies: FHIR JSON in, bounded in size and in time, compressed or not.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use fhir::outcome::IssueCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use crate::encoding::{is_gzip, unzip};
use crate::negotiation::JSON;
use crate::refusal::Refusal;

/// Largest single resource, in bytes.
pub const RESOURCE_BYTES_MAX: usize = 16 << 20;
/// Largest Bundle, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// Largest form of a POST `_search`, in bytes.
pub const FORM_BYTES_MAX: usize = 64 << 10;
/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Reads a JSON body of at most `bytes_max`.
pub async fn json(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    require_media(headers, &JSON)?;
    any(headers, body, bytes_max).await
}

/// Reads a body of any media type and of at most `bytes_max`.
pub async fn any(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    let zipped = is_gzip(headers)?;
    require_length(headers, bytes_max)?;
    let body = read(body, bytes_max, BODY_TIME_MAX).await?;
    if zipped {
        unzip(body, bytes_max).await?.ok_or_else(|| too_large(bytes_max))
    } else {
        Ok(body)
    }
}

/// Reads the form of a POST `_search`.
pub async fn form(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    require_media(headers, &["application/x-www-form-urlencoded"])?;
    any(headers, body, FORM_BYTES_MAX).await
}

/// Whether a body's media type is one of FHIR JSON's.
pub fn is_json(headers: &HeaderMap) -> bool {
    JSON.contains(&media(headers).0.as_str())
}

/// Refuses a body that says it is too large before any of it is read.
fn require_length(headers: &HeaderMap, bytes_max: usize) -> Result<(), Refusal> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    if declared > bytes_max as u64 { Err(too_large(bytes_max)) } else { Ok(()) }
}

fn require_media(headers: &HeaderMap, known: &[&str]) -> Result<(), Refusal> {
    let (media, utf8) = media(headers);
    if utf8 && known.contains(&media.as_str()) {
        return Ok(());
    }
    let text = format!("Send the body as Content-Type {} in UTF-8.", known[0]);
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Refusal::error(status, IssueCode::NotSupported, text))
}

/// The media type in lower case, and whether its text is UTF-8.
fn media(headers: &HeaderMap) -> (String, bool) {
    let declared = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut parts = declared.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media = parts.next().unwrap_or_default();
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        _ => true,
    });
    (media, utf8)
}

async fn read(body: Body, bytes_max: usize, time_max: Duration) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(time_max, collect(body, bytes_max)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Refusal::error(
            StatusCode::REQUEST_TIMEOUT,
            IssueCode::Timeout,
            format!("The body did not arrive within {} seconds.", time_max.as_secs()),
        )),
    }
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Refusal::bad_request(IssueCode::Incomplete, "The body ended before it was complete.")
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.as_ref().map_or(0, Bytes::len) + rest.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        match &first {
            None => first = Some(data),
            Some(_) => rest.extend_from_slice(&data),
        }
    }
    let first = first.unwrap_or_default();
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::error(
        StatusCode::PAYLOAD_TOO_LARGE,
        IssueCode::TooLong,
        format!("The body is larger than the {bytes_max} bytes allowed here: send less at a time."),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use axum::Router;
    use axum::extract::Request;
    use axum::response::{IntoResponse, Response};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::serve::{Shutdown, serve};

    const TIME_MAX: Duration = Duration::from_secs(1);
    const BETWEEN_DRIPS: Duration = Duration::from_millis(20);

    /// Answers with how long the body is, if it comes in time.
    async fn length(request: Request) -> Response {
        match read(request.into_body(), 1_000, TIME_MAX).await {
            Ok(body) => body.len().to_string().into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }

    /// The answer to a body of which a byte comes now and then, so many in all.
    async fn answer(declared: usize, drips: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(length);
        tokio::spawn(serve(listener, router, Shutdown::default(), TIME_MAX));
        let (mut answers, mut sent) = TcpStream::connect(address).await.unwrap().into_split();
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {declared}\r\n\r\n");
        sent.write_all(head.as_bytes()).await.unwrap();
        let drip = tokio::spawn(async move {
            for _ in 0..drips {
                // Whoever is told 408 may find the connection closed.
                if sent.write_all(b"x").await.is_err() {
                    break;
                }
                tokio::time::sleep(BETWEEN_DRIPS).await;
            }
            sent
        });
        let mut answer = [0; 4 << 10];
        let length = answers.read(&mut answer).await.unwrap();
        drip.abort();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_body_that_drips_is_told_408_however_steadily_it_comes() {
        let begun = tokio::time::Instant::now();
        let refused = answer(1_000, 1_000).await;
        assert!(refused.starts_with("HTTP/1.1 408 "), "{refused}");
        assert!(refused.contains("The body did not arrive within 1 seconds."), "{refused}");
        assert!((TIME_MAX..10 * TIME_MAX).contains(&begun.elapsed()));
    }

    #[tokio::test]
    async fn a_body_that_drips_is_read_if_it_comes_in_time() {
        let read = answer(5, 5).await;
        assert!(read.starts_with("HTTP/1.1 200 ") && read.ends_with("\r\n\r\n5"), "{read}");
    }
}
