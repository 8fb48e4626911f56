//! Outbound HTTP: one client a service, with deadlines, size caps and no redirects.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use thiserror::Error;

use crate::names::Names;

/// How long a connection may take to open.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// How often an HTTP/2 connection over TLS is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(10);
/// How long it may take to say so.
const PING_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a connection over TLS is kept that nobody uses: a handshake costs more than a ping.
const IDLE_TLS_MAX: Duration = Duration::from_secs(90);
/// How long one without TLS is: less than [`serve`](crate::serve) keeps it, lest a request meet its end.
const IDLE_MAX: Duration = Duration::from_secs(8);

/// Builds the client. Redirects are never followed: only configured endpoints are ever dialled.
/// Every request made with it sets its own deadline.
pub fn build() -> Result<reqwest::Client, reqwest::Error> {
    builder().build()
}

/// The same over TLS as it is configured: with our certificate, and trusting whom we are told to. Its
/// connections are kept warm. It refuses http URLs.
pub(crate) fn build_over(tls: rustls::ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .pool_idle_timeout(IDLE_TLS_MAX)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIME_MAX)
        .http2_keep_alive_while_idle(true)
        .build()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that makes clients")]
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIME_MAX)
        .dns_resolver(Arc::new(Names::default()))
        .tcp_nodelay(true)
        .pool_max_idle_per_host(256)
        .pool_idle_timeout(IDLE_MAX)
}

/// How long an answer asks to be left alone (`Retry-After`, in seconds or as a date); at most an hour.
pub fn retry_after(headers: &HeaderMap, now_micros: i64) -> Option<Duration> {
    const MAX_S: u64 = 3_600;
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
            u64::try_from(date - now_micros.div_euclid(1_000_000)).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds.min(MAX_S)))
}

/// The innermost cause of an error: the outer ones of a request's name its URL.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

/// Why a body could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is larger than allowed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// Nothing arrived for too long.
    #[error("the body stalled")]
    Stalled,
    /// It ended early or was cut.
    #[error("the body was cut short")]
    Cut(#[source] reqwest::Error),
}

/// Reads a response body of at most `bytes_max`, giving up when nothing arrives for `idle`.
/// The overall deadline is the caller's.
pub async fn read_body(
    mut response: reqwest::Response,
    bytes_max: usize,
    idle: Duration,
) -> Result<Bytes, ReadError> {
    let declared = response.content_length().unwrap_or_default();
    if declared > bytes_max as u64 {
        return Err(ReadError::TooLarge(bytes_max));
    }
    let mut body = BytesMut::with_capacity(declared as usize);
    loop {
        let chunk = tokio::time::timeout(idle, response.chunk())
            .await
            .map_err(|_elapsed| ReadError::Stalled)?
            .map_err(ReadError::Cut)?;
        let Some(chunk) = chunk else {
            return Ok(body.freeze());
        };
        if body.len() + chunk.len() > bytes_max {
            return Err(ReadError::TooLarge(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: jiff::Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            ("86400", Some(3_600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now.as_microsecond()), expected, "{text}");
        }
    }
}
