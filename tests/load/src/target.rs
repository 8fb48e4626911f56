//! A FHIR server under load: one client with its connections kept alive, and its base URL.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, StatusCode, Url};

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// How targets are reached.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// Hosts that are not this machine may be loaded.
    pub(crate) remote: bool,
    /// HTTP/2 without asking, instead of HTTP/1.1.
    pub(crate) http2: bool,
    /// An answer takes at most this long.
    pub(crate) timeout: Duration,
    /// Headers on every request.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// A server under load.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    base: String,
    client: Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer if it has one of these statuses, else why not.
    pub(crate) fn expect(self, statuses: &[StatusCode]) -> Result<Self, String> {
        if statuses.contains(&self.status) {
            Ok(self)
        } else {
            Err(format!("status {}", self.status.as_u16()))
        }
    }

    /// Whether the body has this text in it.
    pub(crate) fn has(&self, text: &str) -> bool {
        memmem::find(&self.body, text.as_bytes()).is_some()
    }
}

impl Target {
    /// Checks the base URL and makes the client; nothing is sent yet.
    pub(crate) fn new(base: &str, reach: &Reach) -> Result<Self, String> {
        let base = base.trim_end_matches('/');
        let url = Url::parse(base).map_err(|_| format!("{base} is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{base} must begin with http:// or https://"));
        }
        if !reach.remote && !is_loopback(&url) {
            return Err(format!(
                "{base} is not on this machine; load on other people's servers needs \
                 --allow-remote"
            ));
        }
        let mut headers = reach.headers.iter().cloned().collect::<HeaderMap>();
        headers.insert(ACCEPT, FHIR_JSON);
        #[expect(clippy::disallowed_methods, reason = "a load tool tunes its client, not ours")]
        let client = Client::builder()
            .default_headers(headers)
            .timeout(reach.timeout)
            .pool_max_idle_per_host(usize::MAX)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .no_proxy();
        let client = if reach.http2 { client.http2_prior_knowledge() } else { client.http1_only() };
        let client = client.build().map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { base: base.to_owned(), client })
    }

    /// The base URL, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Asks for `path`, which is below the base.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, None).await
    }

    /// Sends a request and reads the whole answer. An error is a reason that can be counted.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, String> {
        let separator = if path.is_empty() { "" } else { "/" };
        let mut request = self.client.request(method, format!("{}{separator}{path}", self.base));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, FHIR_JSON).body(body);
        }
        let response = request.send().await.map_err(|error| reason(&error))?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.map(str::to_owned);
        let body = response.bytes().await.map_err(|error| reason(&error))?;
        Ok(Answer { status, location, body })
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn reason(error: &reqwest::Error) -> String {
    let reason = match error {
        error if error.is_timeout() => "no answer in time",
        error if error.is_connect() => "no connection",
        error if error.is_builder() => "not a request that can be sent",
        error if error.is_body() || error.is_decode() => "the answer broke off",
        _ => "the connection failed",
    };
    reason.to_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn reach(remote: bool) -> Reach {
        Reach { remote, http2: false, timeout: Duration::from_secs(1), headers: Vec::new() }
    }

    #[test]
    fn only_this_machine_is_loaded_unless_told_otherwise() {
        for base in ["http://localhost:1", "http://127.0.0.9/fhir/", "http://[::1]:8/FHIR/R4"] {
            assert!(Target::new(base, &reach(false)).is_ok(), "{base}");
        }
        for base in ["http://10.0.0.1", "https://example.org/fhir", "http://localhost.example.org"]
        {
            assert!(Target::new(base, &reach(false)).unwrap_err().contains("--allow-remote"));
            assert!(Target::new(base, &reach(true)).is_ok(), "{base}");
        }
    }

    #[test]
    fn a_base_that_is_no_url_is_refused() {
        for base in ["", "localhost", "file:///etc"] {
            assert!(Target::new(base, &reach(true)).is_err(), "{base}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_a_reason_not_a_panic() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let target = Target::new(&base, &reach(false)).unwrap();
        assert_eq!(target.get("Patient").await.unwrap_err(), "no connection");
    }
}
