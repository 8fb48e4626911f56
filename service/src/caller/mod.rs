//! Who asks. [`identify`] runs before every route that touches the record; a handler takes the
//! [`Caller`] it found, and cannot be reached without one.
//!
//! | room | what lives there |
//! |---|---|
//! | here | the organisation: of open mode, or of certificate and token |
//! | [`mandate`] | what else a token says: for whom, why, with which scopes |
//! | [`scope`] | SMART scopes, and what routes ask of them |
//! | [`bearer`] | a token, verified |
//! | [`keys`] | the public keys of those who issue tokens |
//! | [`seen`] | tokens that are good for one request, remembered |
//! | [`mint`] | tokens that a gateway makes for hubs |
//!
//! In enforced mode the certificate says which organisation is connected, and the token what is asked
//! in whose name. A token is bound to the certificate that it comes over. What headers say of a
//! caller is not looked at.

pub mod bearer;
pub mod keys;
pub mod mandate;
pub mod mint;
pub mod scope;
pub mod seen;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fhir::identifier::OdsCode;
use fhir::outcome::IssueCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::clock::Clock;
use crate::config::{ConfigError, Region, Security, SecurityMode, Server};
use crate::correlation::Correlation;
use crate::journal::Unidentified;
use crate::refusal::Refusal;
use crate::serve::Shutdown;
use crate::tls::peer::Peer;
use bearer::{Bearer, Denied};
use mandate::{Mandate, Purpose};
use scope::Rights;

/// Why a record is asked for, where a caller says it beside the token, which decides.
const PURPOSE: HeaderName = HeaderName::from_static("x-purpose-of-use");
/// How often the issuers' keys are looked at.
const KEYS_EVERY: Duration = Duration::from_secs(30);

/// How callers are told apart here; clones share what they remember.
#[derive(Debug, Clone)]
pub struct Gatekeeper(Arc<Gate>);

#[derive(Debug)]
enum Gate {
    Open { own: Arc<OdsCode>, mandate: Arc<Mandate> },
    Enforced(Bearer),
}

impl Gatekeeper {
    /// A gatekeeper for a region's own service. Tokens must be made for its public URL.
    pub fn open(
        security: &Security,
        server: &Server,
        region: &Region,
        clock: &Clock,
    ) -> Result<Self, ConfigError> {
        let gate = match security.mode {
            SecurityMode::Open => Gate::Open {
                own: Arc::new(region.ods.clone()),
                mandate: Arc::new(Mandate::unlimited()),
            },
            SecurityMode::Enforced => {
                Gate::Enforced(Bearer::open(&security.issuers, server.base(), clock)?)
            }
        };
        Ok(Self(Arc::new(gate)))
    }

    /// Keeps up with the issuers' keys until `shutdown`.
    pub async fn keep(&self, shutdown: Shutdown) {
        if let Gate::Enforced(bearer) = &*self.0 {
            bearer.keep(KEYS_EVERY, shutdown).await;
        }
    }

    fn identify(&self, request: &Request) -> Result<Caller, Denied> {
        let correlation = request.extensions().get::<Correlation>().cloned();
        let correlation = correlation.unwrap_or_else(|| Correlation::of(request.headers()));
        let (organisation, mandate) = match &*self.0 {
            Gate::Open { own, mandate } => (own.clone(), mandate.clone()),
            Gate::Enforced(bearer) => {
                let peer = request.extensions().get::<Peer>().ok_or(Denied::NoCertificate)?;
                let (organisation, mandate) = bearer.verify(token(request.headers())?, peer)?;
                same_purpose(request.headers(), mandate.purpose)?;
                (Arc::new(organisation), Arc::new(mandate))
            }
        };
        Ok(Caller { organisation, mandate, correlation })
    }
}

/// The one bearer token of a request. <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
fn token(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (one, more) = (all.next().ok_or(Denied::NoToken)?, all.next());
    let text = one.to_str().ok().filter(|_| more.is_none()).ok_or(Denied::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Denied::Malformed)?;
    if scheme.eq_ignore_ascii_case("Bearer") { Ok(token.trim()) } else { Err(Denied::Malformed) }
}

/// A header that says another purpose than the token is an attempt at more than it allows.
fn same_purpose(headers: &HeaderMap, purpose: Purpose) -> Result<(), Denied> {
    let same = |value: &HeaderValue| {
        value.to_str().is_ok_and(|said| said == purpose.claim() || said == purpose.code())
    };
    let all_same = headers.get_all(PURPOSE).iter().all(same);
    if all_same { Ok(()) } else { Err(Denied::OtherPurpose) }
}

/// A verified caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The organisation on whose behalf the request is made.
    pub organisation: Arc<OdsCode>,
    /// In whose name it asks, why, and what it may do.
    pub mandate: Arc<Mandate>,
    /// The ids of the request.
    pub correlation: Correlation,
}

impl Caller {
    /// The region itself, with all rights: open mode, and commands on the region's own machine.
    pub fn own(organisation: Arc<OdsCode>, correlation: Correlation) -> Self {
        Self { organisation, mandate: Arc::new(Mandate::unlimited()), correlation }
    }

    /// Whether the scopes grant these rights on a type; `*` is all types.
    pub fn may(&self, resource_type: &str, rights: Rights) -> bool {
        self.mandate.scopes.allow(resource_type, rights)
    }

    /// Refuses with 403 unless the scopes grant these rights on a type.
    pub fn require(&self, resource_type: &str, rights: Rights) -> Result<(), Refusal> {
        if self.may(resource_type, rights) {
            return Ok(());
        }
        Err(insufficient(resource_type, rights))
    }

    /// Refuses with 403 unless a scope that names the type grants these rights on it.
    pub fn require_named(&self, resource_type: &str, rights: Rights) -> Result<(), Refusal> {
        if self.mandate.scopes.name(resource_type, rights) {
            return Ok(());
        }
        Err(insufficient(resource_type, rights))
    }
}

/// The scopes do not grant these rights on a type.
fn insufficient(resource_type: &str, rights: Rights) -> Refusal {
    let text = format!(
        "The token's scopes do not allow this: it takes system/{resource_type}.{rights}, or \
         user/{resource_type}.{rights} in a user's name."
    );
    let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
    Refusal::error(StatusCode::FORBIDDEN, IssueCode::Forbidden, text)
        .with_header(WWW_AUTHENTICATE, challenge)
}

/// Middleware: finds out who asks, or refuses with 401 or 403. What it found is told to the layers
/// around it too: the journal has a line of either.
pub async fn identify(
    State(gatekeeper): State<Gatekeeper>,
    mut request: Request,
    next: Next,
) -> Response {
    match gatekeeper.identify(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            let mut response = next.run(request).await;
            response.extensions_mut().insert(caller);
            response
        }
        Err(denied) => {
            tracing::info!(cause = %denied, "a caller was refused");
            let correlation = request.extensions().get::<Correlation>().cloned();
            let correlation = correlation.unwrap_or_else(|| Correlation::of(request.headers()));
            let peer = request.extensions().get::<Peer>();
            let mut response = refused(denied).into_response();
            response.extensions_mut().insert(Unidentified {
                request: correlation.request_id().to_owned(),
                connected: peer.map(|peer| peer.organisation.as_str().to_owned()),
                cause: denied.to_string(),
            });
            response
        }
    }
}

fn refused(denied: Denied) -> Refusal {
    let forbidden = |text| Refusal::error(StatusCode::FORBIDDEN, IssueCode::Forbidden, text);
    match denied {
        Denied::OtherOrganisation => forbidden(
            "The token is about another organisation than the client certificate, whose gateway it \
             does not come from.",
        ),
        Denied::OtherPurpose => forbidden(
            "X-Purpose-Of-Use says another purpose than the token, which decides: leave the header \
             out, or get a token for that purpose.",
        ),
        Denied::TooMany => Refusal::error(
            StatusCode::TOO_MANY_REQUESTS,
            IssueCode::Throttled,
            "More tokens were sent than can be remembered: try again in a moment.",
        )
        .retry_after_s(5),
        Denied::NoCertificate | Denied::NoToken => unverified("Bearer"),
        _ => unverified("Bearer error=\"invalid_token\""),
    }
}

fn unverified(challenge: &'static str) -> Refusal {
    let text = "The caller could not be verified: send a valid client certificate and token.";
    Refusal::error(StatusCode::UNAUTHORIZED, IssueCode::Login, text)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unverified("Bearer"))
    }
}
