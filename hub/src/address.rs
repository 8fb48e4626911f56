//! What a URL names: a type, an id, a version; refused in FHIR's own terms if it names nothing.

use axum::extract::{FromRequestParts, RawPathParams};
use fhir::definitions::ResourceType;
use fhir::outcome::IssueCode;
use fhir::reference::is_id;
use http::StatusCode;
use http::request::Parts;
use service::refusal::Refusal;

/// `[type]`
#[derive(Debug, Clone, Copy)]
pub struct Kind(pub ResourceType);

/// `[id]`
#[derive(Debug, Clone)]
pub struct Id(pub String);

/// `[vid]`; what is no number of ours becomes 0, a version that never is.
#[derive(Debug, Clone, Copy)]
pub struct Vid(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for Kind {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let name = parameter(parts, state, "type").await?;
        name.parse().map(Self).map_err(|_| {
            let text = "FHIR R4 has no resource type of the name in this URL. Names are case-\
                        sensitive: Patient, Observation.";
            Refusal::error(StatusCode::NOT_FOUND, IssueCode::NotSupported, text)
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let id = parameter(parts, state, "id").await?;
        if is_id(&id) {
            return Ok(Self(id));
        }
        let text = "An id is 1 to 64 letters, digits, hyphens and dots.";
        Err(Refusal::bad_request(IssueCode::Value, text))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Vid {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Ok(Self(parameter(parts, state, "vid").await?.parse().unwrap_or_default()))
    }
}

async fn parameter<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Refusal> {
    let parameters = RawPathParams::from_request_parts(parts, state).await;
    let parameters = parameters.map_err(|_| Refusal::no_such_url())?;
    let found = parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(Refusal::no_such_url)
}
