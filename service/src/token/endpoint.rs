//! The token endpoint, asked once: client credentials with a signed assertion.
//! <https://www.rfc-editor.org/rfc/rfc6749#section-4.4>

use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use tokio::time::Instant;

use super::assertion;
use super::{Token, TokenConfig, TokenError};
use crate::client::{read_body, root_cause};
use crate::clock::Clock;

const CALL_TIME_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A token is not kept for longer, whatever the endpoint says.
const LIFE_S_MAX: u64 = 3_600;
/// What is before the assertion in the form; the assertion itself needs no escapes.
pub(super) const FORM: &str = "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3A\
                    oauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=";
/// A longer word of a refusal could be something of ours, sent back.
const WORD_MAX: usize = 64;
const SAID_MAX: usize = 300;

/// The endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    config: TokenConfig,
    client: reqwest::Client,
    clock: Clock,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Seconds,
}

/// The NHS sends the seconds as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
}

impl Endpoint {
    pub(super) fn new(config: &TokenConfig, client: &reqwest::Client, clock: &Clock) -> Self {
        Self { config: config.clone(), client: client.clone(), clock: clock.clone() }
    }

    /// A new token.
    pub(super) async fn ask(&self) -> Result<Token, TokenError> {
        let asked = Instant::now();
        let assertion = assertion::make(&self.config, self.clock.now_micros())?;
        let request = self
            .client
            .post(&self.config.url)
            .timeout(CALL_TIME_MAX)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(format!("{FORM}{assertion}"));
        let unreachable =
            |error: &dyn std::error::Error| TokenError::Unreachable(root_cause(error));
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = read_body(response, ANSWER_BYTES_MAX, CALL_TIME_MAX).await;
        let body = body.map_err(|error| unreachable(&error))?;
        if !status.is_success() {
            let refusal = serde_json::from_slice(&body).unwrap_or_default();
            return Err(TokenError::Refused { status: status.as_u16(), said: said(&refusal) });
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| TokenError::Invalid)?;
        granted.token(asked).ok_or(TokenError::Invalid)
    }
}

impl Granted {
    fn token(self, asked: Instant) -> Option<Token> {
        let seconds = match self.expires_in {
            Seconds::Number(seconds) => seconds,
            Seconds::Text(text) => text.parse().ok()?,
        };
        let mut header = HeaderValue::try_from(format!("Bearer {}", self.access_token)).ok()?;
        header.set_sensitive(true);
        let life = Duration::from_secs(seconds.clamp(1, LIFE_S_MAX));
        (!self.access_token.is_empty()).then(|| Token::new(header, asked, life))
    }
}

/// What an endpoint says against us, without what might be ours.
fn said(refusal: &Refusal) -> String {
    let words =
        refusal.error.split_whitespace().chain(refusal.error_description.split_whitespace());
    let words = words.map(|word| if word.len() > WORD_MAX { "…" } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(SAID_MAX).collect();
    if text.is_empty() { "it does not say why".into() } else { text }
}
