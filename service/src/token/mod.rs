//! Access tokens for another service's API: bought with a signed assertion, kept until they are about
//! to expire. <https://digital.nhs.uk/developer/guides-and-documentation/security-and-authorisation/application-restricted-restful-apis-signed-jwt-authentication>
//!
//! | room | what lives there |
//! |---|---|
//! | here | tokens: one kept, one flight for those who wait, sent along with a request |
//! | [`assertion`] | the key, and what is signed with it |
//! | [`endpoint`] | the endpoint, asked once |
//!
//! A token is renewed while the old one is still good, so that nobody waits for it. Whoever needs one
//! when there is none shares one call and its end, a failure included. No lock is held while anything
//! is awaited.

mod assertion;
mod endpoint;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use reqwest::{RequestBuilder, Response};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::ConfigError;
use endpoint::Endpoint;

/// How long an endpoint that gave no token is left alone.
const REST: Duration = Duration::from_secs(1);

/// `[locator.token]`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The token endpoint, to the letter as it names itself: it is the assertion's audience.
    pub url: String,
    /// The application's API key: who the assertion is from and about.
    #[serde(serialize_with = "hidden")]
    pub api_key: String,
    /// Under which `kid` the public key was registered.
    pub key_id: String,
    /// The private key: RSA, PEM. Read again for each token, so that it may be replaced.
    pub private_key_file: PathBuf,
}

impl std::fmt::Debug for TokenConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

fn hidden<S: serde::Serializer>(_: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("***")
}

impl TokenConfig {
    /// Checks what types cannot: the URL, and that the file holds a key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refused = |text: String| Err(ConfigError::Refused(text));
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") {
            return refused("locator.token.url must be an http or https URL".into());
        }
        for (key, value) in [("api_key", &self.api_key), ("key_id", &self.key_id)] {
            if value.is_empty() {
                return refused(format!("locator.token.{key} must not be empty"));
            }
        }
        match assertion::load(&self.private_key_file) {
            Ok(_) => Ok(()),
            Err(problem) => refused(format!("locator.token.private_key_file: {problem}")),
        }
    }
}

/// Why there is no token. No variant holds a key, an assertion or a token.
#[derive(Debug, Clone, Error)]
pub enum TokenError {
    /// The endpoint was not reached, or did not answer in time.
    #[error("the token endpoint could not be reached: {0}")]
    Unreachable(String),
    /// It gives none.
    #[error("the token endpoint answered {status}: {said}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its `error` and `error_description`.
        said: String,
    },
    /// What it answered is no token.
    #[error("the token endpoint's answer holds no token that can be used")]
    Invalid,
    /// The private key is no longer there, or no key.
    #[error("{0}")]
    Key(String),
}

/// Why a request got no response.
#[derive(Debug, Error)]
pub enum AccessError {
    /// There is no token to send along.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request failed.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// How requests are let in: with tokens, or by nothing.
#[derive(Debug, Clone, Default)]
pub struct Access(Option<Tokens>);

impl Access {
    /// Access as configured; without a configuration requests are sent as they are.
    pub fn new(config: Option<&TokenConfig>, client: &reqwest::Client, clock: &Clock) -> Self {
        Self(config.map(|config| Tokens::new(Endpoint::new(config, client, clock))))
    }

    /// Sends a request. If its token is refused (401), that token is dropped and the request is sent
    /// once more with a fresh one.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, AccessError> {
        let Some(tokens) = &self.0 else { return Ok(request.send().await?) };
        let again = request.try_clone();
        let token = tokens.token().await?;
        let response = request.header(AUTHORIZATION, token.header.clone()).send().await?;
        let Some(again) = again.filter(|_| response.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(response);
        };
        tokens.drop_refused(&token);
        let token = tokens.token().await?;
        Ok(again.header(AUTHORIZATION, token.header.clone()).send().await?)
    }
}

/// An access token.
#[derive(Debug)]
struct Token {
    /// `Bearer …`, marked as sensitive.
    header: HeaderValue,
    /// When a new one is to be had.
    renew: Instant,
    /// When it is no longer sent: a little before it expires.
    expires: Instant,
}

impl Token {
    fn new(header: HeaderValue, asked: Instant, life: Duration) -> Self {
        Self { header, renew: asked + life * 3 / 4, expires: asked + life * 9 / 10 }
    }
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Token>, TokenError>>>;

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    /// A call that is under way.
    flight: Option<Flight>,
    /// The last failure, until the endpoint may be asked again.
    failed: Option<(Instant, TokenError)>,
}

/// The one token of an application; clones share it.
#[derive(Debug, Clone)]
struct Tokens {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    state: Mutex<State>,
}

impl Tokens {
    fn new(endpoint: Endpoint) -> Self {
        Self { inner: Arc::new(Inner { endpoint, state: Mutex::default() }) }
    }

    /// A token that is good for now.
    async fn token(&self) -> Result<Arc<Token>, TokenError> {
        let flight = {
            let (now, mut state) = (Instant::now(), self.state());
            match state.token.clone().filter(|token| now < token.expires) {
                Some(token) if now < token.renew => return Ok(token),
                Some(token) => {
                    // It goes on by itself; this request does not wait for it.
                    let _ = self.flight(&mut state, now);
                    return Ok(token);
                }
                None => self.flight(&mut state, now)?,
            }
        };
        flight.await
    }

    /// Joins the call that is under way, or makes one.
    fn flight(&self, state: &mut State, now: Instant) -> Result<Flight, TokenError> {
        if let Some(flight) = &state.flight {
            return Ok(flight.clone());
        }
        if let Some((until, error)) = &state.failed
            && now < *until
        {
            return Err(error.clone());
        }
        let tokens = self.clone();
        // A task of its own: those who wait may go away.
        let asked = tokio::spawn(async move {
            let result = tokens.inner.endpoint.ask().await.map(Arc::new);
            tokens.landed(&result);
            result
        });
        let lost = |_| Err(TokenError::Unreachable("the call was given up".into()));
        let flight = async move { asked.await.unwrap_or_else(lost) }.boxed().shared();
        state.flight = Some(flight.clone());
        Ok(flight)
    }

    fn landed(&self, result: &Result<Arc<Token>, TokenError>) {
        let mut state = self.state();
        state.flight = None;
        match result {
            Ok(token) => (state.token, state.failed) = (Some(token.clone()), None),
            Err(error) => {
                tracing::warn!(cause = %error, "no access token was given");
                state.failed = Some((Instant::now() + REST, error.clone()));
            }
        }
    }

    /// Drops a token that was refused, unless it has been replaced meanwhile.
    fn drop_refused(&self, token: &Arc<Token>) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, token)) {
            state.token = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
