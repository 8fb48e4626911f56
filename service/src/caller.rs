//! Who asks. [`identify`] runs before every route that touches the record; a handler takes the
//! [`Caller`] it found, and cannot be reached without one.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fhir::identifier::OdsCode;
use fhir::outcome::IssueCode;
use http::StatusCode;
use http::request::Parts;

use crate::config::{Region, SecurityMode};
use crate::correlation::Correlation;
use crate::refusal::Refusal;

/// How callers are told apart here.
#[derive(Debug, Clone)]
pub struct Gatekeeper {
    mode: SecurityMode,
    own: Arc<OdsCode>,
}

impl Gatekeeper {
    /// A gatekeeper for a region's own service.
    pub fn new(mode: SecurityMode, region: &Region) -> Self {
        Self { mode, own: Arc::new(region.ods.clone()) }
    }

    fn identify(&self, request: &Request) -> Option<Caller> {
        let correlation = request.extensions().get::<Correlation>().cloned();
        let correlation = correlation.unwrap_or_else(|| Correlation::of(request.headers()));
        match self.mode {
            SecurityMode::Open => Some(Caller { organisation: self.own.clone(), correlation }),
            SecurityMode::Enforced => None,
        }
    }
}

/// A verified caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The organisation on whose behalf the request is made.
    pub organisation: Arc<OdsCode>,
    /// The ids of the request.
    pub correlation: Correlation,
}

/// Middleware: finds out who asks, or refuses with 401.
pub async fn identify(
    State(gatekeeper): State<Gatekeeper>,
    mut request: Request,
    next: Next,
) -> Response {
    match gatekeeper.identify(&request) {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => unverified().into_response(),
    }
}

fn unverified() -> Refusal {
    let text = "The caller could not be verified: send a valid client certificate and token.";
    Refusal::error(StatusCode::UNAUTHORIZED, IssueCode::Login, text)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unverified)
    }
}
