//! One remote hub: a search, by the page or whole, or one read passed through. Whatever goes wrong
//! on the way ends as a [`Failure`](crate::outcome::Failure).
//!
//! | room | what lives there |
//! |---|---|
//! | [`question`] | a search as a hub takes it |
//! | [`search`](mod@search) | a page of what matches, or all of it, until the region's deadline |
//! | [`answer`] | a hub's pages, taken apart; a region that fails after some contributes nothing |
//! | [`everything`](mod@everything) | a patient's whole record |
//! | [`read`](mod@read) | one resource, passed through |
//! | [`gate`], [`breaker`], [`limit`] | how much a region is asked, and when it is left alone |
//! | [`flight`] | questions under way, shared by those who ask the same |

pub mod answer;
pub mod breaker;
pub mod everything;
pub mod flight;
pub mod gate;
pub mod limit;
pub mod question;
pub mod read;
pub mod search;

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use service::caller::mint::Mint;
use service::client::{ReadError, root_cause};
use service::clock::Clock;
use service::tls::peer::Thumbprint;

use crate::context::Context;
use crate::directory::Region;
use crate::outcome::RegionStatus;
use gate::Gate;

/// Most bytes that one region may contribute to one answer.
pub const REGION_BYTES_MAX: usize = 16 << 20;
/// Longest silence within a body.
const IDLE_MAX: Duration = Duration::from_secs(2);
const FHIR: HeaderValue = HeaderValue::from_static(fhir::FHIR_JSON);

/// A region's hub as it is asked.
#[derive(Debug, Clone)]
pub struct Hub<'a> {
    /// Its entry in the directory.
    pub region: &'a Region,
    /// What dials it.
    pub client: reqwest::Client,
    /// What stands before it.
    pub gate: Arc<Gate>,
    /// What time it is.
    pub clock: &'a Clock,
    /// How it knows who asks; nothing in open mode.
    pub proof: Option<Proof<'a>>,
}

/// What a token for a hub is made with.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// Who makes it.
    pub mint: &'a Mint,
    /// Of the certificate that it is sent with.
    pub thumbprint: Thumbprint,
}

impl Hub<'_> {
    /// Sends a request, with one more preference than the caller's; once more, after a moment, if it
    /// cannot have reached the region.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        context: &Context,
        preference: Option<&'static str>,
    ) -> Result<reqwest::Response, RegionStatus> {
        let second = request.try_clone();
        let error = match request.headers(self.headers(context, preference)?).send().await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        match second.filter(|_| error.is_connect() && self.gate.may_retry()) {
            None => Err(not_sent(&error)),
            Some(second) => {
                tokio::time::sleep(pause()).await;
                let sent = second.headers(self.headers(context, preference)?).send().await;
                sent.map_err(|error| not_sent(&error))
            }
        }
    }

    /// The headers of one request, sent now: a token is good for one.
    fn headers(
        &self,
        context: &Context,
        preference: Option<&'static str>,
    ) -> Result<HeaderMap, RegionStatus> {
        let mut headers = context.headers(preference);
        if let Some(Proof { mint, thumbprint }) = self.proof {
            let bearer = mint.bearer(&context.caller, self.region.base(), thumbprint);
            let bearer = bearer.map_err(|_| {
                tracing::error!("a token for a region could not be signed");
                RegionStatus::Unreachable
            })?;
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(headers)
    }
}

/// 5 to 36 ms, so that those who failed together do not come back together.
fn pause() -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    Duration::from_millis(5 + u64::from(random % 32))
}

fn not_sent(error: &reqwest::Error) -> RegionStatus {
    tracing::debug!(cause = root_cause(error), "a region could not be asked");
    if error.is_timeout() && !error.is_connect() {
        RegionStatus::Timeout
    } else {
        RegionStatus::Unreachable
    }
}

fn not_read(error: &ReadError) -> RegionStatus {
    match error {
        ReadError::TooLarge(_) => RegionStatus::TooLarge,
        ReadError::Stalled => RegionStatus::Timeout,
        ReadError::Cut(_) => RegionStatus::Invalid,
    }
}

/// Whether a body says that it is JSON, in any of the spellings in use.
pub fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.and_then(|text| text.split(';').next()).unwrap_or_default();
    matches!(
        media.trim().to_ascii_lowercase().as_str(),
        "application/fhir+json" | "application/json" | "text/json" | "application/json+fhir"
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::TcpListener;

    use axum::Router;
    use http::HeaderMap;
    use service::caller::Caller;
    use service::config::Nation;
    use service::correlation::Correlation;
    use tokio::time::Instant;

    use super::*;
    use crate::config::Federation;
    use crate::question::Handling;

    fn region(url: String) -> Region {
        let ods = "A1".parse().unwrap();
        Region { ods, name: "North".into(), nation: Nation::England, url }
    }

    fn context() -> Context {
        let organisation = Arc::new("A1".parse().unwrap());
        let caller = Caller::own(organisation, Correlation::of(&HeaderMap::new()));
        let deadline = Instant::now() + Duration::from_secs(8);
        Context { caller, deadline, handling: Handling::Lenient }
    }

    #[tokio::test]
    async fn a_connection_that_was_refused_is_tried_once_more() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let region = region(format!("http://{address}"));
        let gate = Arc::new(Gate::new(&region.ods, &Federation::default()));
        let client = service::client::build().unwrap();
        let (dialler, clock) = (client.clone(), &Clock::System);
        let hub = Hub { region: &region, client: dialler, gate: gate.clone(), clock, proof: None };
        let before = gate.savings();
        let context = context();
        let sent = hub.send(client.get(region.base()), &context, None);
        // The region is back by the second attempt, and not before.
        let back = async {
            while gate.savings() == before {
                tokio::task::yield_now().await;
            }
            let listener = TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tokio::spawn(async move { axum::serve(listener, Router::new()).await.unwrap() });
        };
        let (sent, ()) = tokio::join!(sent, back);
        assert_eq!(sent.unwrap().status(), http::StatusCode::NOT_FOUND);
    }
}
