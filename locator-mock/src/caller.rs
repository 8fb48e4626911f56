//! Who calls. A handler takes a [`Producer`] or a [`Consumer`] and cannot be reached without one:
//! the headers were there, the access token was good where one is demanded, and the organisation has
//! rights. They are asked for in this order, as the API's proxy does.

use axum::extract::FromRequestParts;
use fhir::identifier::OdsCode;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use service::config::SecurityMode;
use service::correlation::REQUEST_ID;

use crate::Locator;
use crate::error::{LocatorError, TokenFault};
use crate::permission::{Rights, Role};

const ORGANISATION: &str = "nhsd-end-user-organisation-ods";

/// An organisation and its rights.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Its code, as it sent it.
    pub(crate) organisation: String,
    /// What it may do.
    pub(crate) rights: Rights,
}

impl Caller {
    fn of(locator: &Locator, role: Role, headers: &HeaderMap) -> Result<Self, LocatorError> {
        // The NRL asks that it be there, not that it be a UUID.
        if headers.get(REQUEST_ID).is_none_or(http::HeaderValue::is_empty) {
            return Err(LocatorError::RequestIdHeader);
        }
        let organisation = headers
            .get(ORGANISATION)
            .and_then(|value| value.to_str().ok())
            .filter(|value| value.parse::<OdsCode>().is_ok())
            .ok_or(LocatorError::OrganisationHeader)?;
        let rights = match locator.mode() {
            SecurityMode::Open => locator.permissions().open(),
            SecurityMode::Enforced => enforced(locator, role, headers, organisation)?,
        };
        Ok(Self { organisation: organisation.to_owned(), rights })
    }

    /// Whether the pointer with this id would be its own.
    pub(crate) fn produced(&self, id: &str) -> bool {
        crate::pointer::producer_of(id) == self.organisation
    }
}

/// The rights of an organisation within the application whose access token it sent.
fn enforced(
    locator: &Locator,
    role: Role,
    headers: &HeaderMap,
    organisation: &str,
) -> Result<Rights, LocatorError> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .ok_or(LocatorError::AccessToken(TokenFault::Missing))?
        .1;
    let application = locator.issuer().verify(token.trim(), locator.now_micros())?;
    let id = application.app_id.as_deref().ok_or(LocatorError::NoApplicationId)?;
    locator.permissions().of(role, id, &application.access_controls, organisation)
}

/// An organisation that publishes pointers.
#[derive(Debug)]
pub(crate) struct Producer(pub(crate) Caller);

/// An organisation that looks for pointers.
#[derive(Debug)]
pub(crate) struct Consumer(pub(crate) Caller);

impl FromRequestParts<Locator> for Producer {
    type Rejection = LocatorError;

    async fn from_request_parts(
        parts: &mut Parts,
        locator: &Locator,
    ) -> Result<Self, LocatorError> {
        Caller::of(locator, Role::Producer, &parts.headers).map(Self)
    }
}

impl FromRequestParts<Locator> for Consumer {
    type Rejection = LocatorError;

    async fn from_request_parts(
        parts: &mut Parts,
        locator: &Locator,
    ) -> Result<Self, LocatorError> {
        Caller::of(locator, Role::Consumer, &parts.headers).map(Self)
    }
}
