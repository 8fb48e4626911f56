//! What a request carries: a pointer, the parameters of a search, or a pointer's id.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::Locator;
use crate::error::{Fault, LocatorError, Source};
use crate::parameters::Parameters;
use crate::pointer::Candidate;

/// Largest body; a pointer has a few kilobytes.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

impl FromRequest<Locator> for Candidate {
    type Rejection = LocatorError;

    async fn from_request(request: Request, _: &Locator) -> Result<Self, LocatorError> {
        let (parts, body) = request.into_parts();
        Self::parse(&read(parts.headers, body).await?)
    }
}

/// The parameters of a search by GET.
#[derive(Debug)]
pub(crate) struct Query(pub(crate) Parameters);

impl FromRequestParts<Locator> for Query {
    type Rejection = LocatorError;

    async fn from_request_parts(parts: &mut Parts, _: &Locator) -> Result<Self, LocatorError> {
        Parameters::from_query(&parts.uri).map(Self)
    }
}

/// The parameters of a search by POST: a JSON object, as the NRL takes them.
#[derive(Debug)]
pub(crate) struct Form(pub(crate) Parameters);

impl FromRequest<Locator> for Form {
    type Rejection = LocatorError;

    async fn from_request(request: Request, _: &Locator) -> Result<Self, LocatorError> {
        let (parts, body) = request.into_parts();
        Parameters::from_body(&read(parts.headers, body).await?).map(Self)
    }
}

/// The id at the end of a URL.
#[derive(Debug)]
pub(crate) struct PointerId(pub(crate) String);

impl FromRequestParts<Locator> for PointerId {
    type Rejection = LocatorError;

    async fn from_request_parts(
        parts: &mut Parts,
        locator: &Locator,
    ) -> Result<Self, LocatorError> {
        let id = Path::<String>::from_request_parts(parts, locator).await;
        id.map(|Path(id)| Self(id)).map_err(|_| LocatorError::Malformed {
            source: Source::Path,
            faults: vec![Fault::new("id", "Input should be a valid string")],
        })
    }
}

async fn read(mut headers: HeaderMap, body: Body) -> Result<Bytes, LocatorError> {
    // The API takes nothing but JSON, and does not insist that it be called so.
    let json = HeaderValue::from_static("application/json");
    headers.entry(CONTENT_TYPE).or_insert(json);
    let body = service::body::json(&headers, body, BODY_BYTES_MAX).await;
    let body = body.map_err(LocatorError::Body)?;
    if body.is_empty() {
        return Err(LocatorError::BodyRequired);
    }
    Ok(body)
}
