//! Who calls. A handler takes a [`Producer`] or a [`Consumer`] and cannot be reached without one:
//! the headers were there, and the organisation has rights.

use axum::extract::FromRequestParts;
use fhir::identifier::OdsCode;
use http::HeaderMap;
use http::request::Parts;
use service::correlation::REQUEST_ID;

use crate::Locator;
use crate::error::LocatorError;
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
        let organisation = headers
            .get(ORGANISATION)
            .and_then(|value| value.to_str().ok())
            .filter(|value| value.parse::<OdsCode>().is_ok())
            .ok_or(LocatorError::OrganisationHeader)?;
        // The NRL asks that it be there, not that it be a UUID.
        if headers.get(REQUEST_ID).is_none_or(http::HeaderValue::is_empty) {
            return Err(LocatorError::RequestIdHeader);
        }
        let rights = locator.permissions().of(role, organisation)?;
        Ok(Self { organisation: organisation.to_owned(), rights })
    }

    /// Whether the pointer with this id would be its own.
    pub(crate) fn produced(&self, id: &str) -> bool {
        crate::pointer::producer_of(id) == self.organisation
    }
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
