//! `POST /oauth2/token`: an application proves with a signed JWT who it is, and is given an access
//! token that the API then demands in enforced mode (application-restricted access).
//!
//! | refusal | status | `error` |
//! |---|---|---|
//! | `grant_type` missing | 400 | `invalid_request` |
//! | another `grant_type` | 400 | `unsupported_grant_type` |
//! | `client_assertion_type` or `client_assertion` missing or malformed | 400 | `invalid_request` |
//! | the assertion's header or claims: see `assertion` | 400, 401 | `invalid_request` |
//! | no public key registered; signature | 403, 401 | `public_key error` |
//! | the store failed | 500 | `server_error` |
//!
//! A refusal is `{"error": …, "error_description": …}`; the descriptions are the NHS's own.

mod access;
mod assertion;
mod keys;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::json;

pub(crate) use access::Issuer;

use crate::Locator;
use crate::registry::StoreError;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why no access token is given.
#[derive(Debug)]
struct TokenError {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl TokenError {
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    fn invalid(description: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    fn unproven(description: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request", description)
    }
}

impl From<StoreError> for TokenError {
    fn from(cause: StoreError) -> Self {
        tracing::error!(cause = %cause, "the store failed");
        let text = "The locator failed to answer. Try again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", text)
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "error_description": self.description});
        answer(self.status, body.to_string())
    }
}

/// The token endpoint.
pub(crate) fn routes() -> Router<Locator> {
    let other = async || {
        let text = "The token endpoint takes POST only.";
        TokenError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", text)
    };
    Router::new().route("/oauth2/token", post(issue).fallback(other))
}

async fn issue(State(locator): State<Locator>, request: Request) -> Result<Response, TokenError> {
    let (parts, body) = request.into_parts();
    let assertion = client_assertion(&parts.headers, body).await?;
    let (issuer, now_micros) = (locator.issuer(), locator.now_micros());
    let proven = issuer.check(&assertion, now_micros)?;
    let now_s = now_micros.div_euclid(1_000_000);
    if !locator.registry().remember(proven.digest, proven.expires_s, now_s).await? {
        return Err(TokenError::invalid("Non-unique jti claim in JWT"));
    }
    let token = issuer.issue(&proven, now_micros);
    let expires_in = issuer.expires_in_s();
    // In this order, and the seconds as text: so the endpoint that this one stands in for has it.
    let body = format!(
        r#"{{"access_token":"{token}","expires_in":"{expires_in}","token_type":"Bearer"}}"#
    );
    Ok(answer(StatusCode::OK, body))
}

/// The JWT in the form.
async fn client_assertion(headers: &HeaderMap, body: Body) -> Result<String, TokenError> {
    let form = service::body::form(headers, body).await.map_err(|refusal| {
        let issue = refusal.outcome.issue.into_iter().next();
        let text = issue.and_then(|issue| issue.diagnostics).unwrap_or_default();
        TokenError::new(refusal.status, "invalid_request", text)
    })?;
    let get = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(&form);
        let value = pairs.find(|(given, _)| given == name).map(|(_, value)| value.into_owned());
        value.filter(|value| !value.is_empty())
    };
    match get("grant_type").as_deref() {
        None => return Err(TokenError::invalid("grant_type is missing")),
        Some("client_credentials") => {}
        Some(_) => {
            let (status, text) = (StatusCode::BAD_REQUEST, "grant_type is invalid");
            return Err(TokenError::new(status, "unsupported_grant_type", text));
        }
    }
    if get("client_assertion_type").as_deref() != Some(ASSERTION_TYPE) {
        // The NHS leaves the second quote out.
        let text = format!("Missing or invalid client_assertion_type - must be '{ASSERTION_TYPE}");
        return Err(TokenError::invalid(&text));
    }
    get("client_assertion").ok_or_else(|| TokenError::invalid("Missing client_assertion"))
}

fn answer(status: StatusCode, body: String) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}
