//! The producer side of the locator's API. <https://digital.nhs.uk/developer/api-catalogue/national-record-locator-fhir>
//!
//! | it answers | that is | the sender |
//! |---|---|---|
//! | 2xx | done | settles |
//! | 400, 422 | a refusal of what was sent | parks it |
//! | 401 | a token that expired | tries once with a fresh one, then rests |
//! | 403, 408, 429, 502, 503, 504, … | trouble with everything | rests, as long as `Retry-After` says |
//! | 404 to a deletion | gone already | settles |
//! | 409 | a pointer that nobody heard of | looks for it and adopts it |
//! | 500 | trouble with one pointer, perhaps | tries again, then parks it |
//! | nothing | an unknown effect | rests, and looks before it posts again |

use std::time::Duration;

use fhir::bundle::Bundle;
use fhir::identifier::{NHS_NUMBER, OdsCode};
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use service::client::{read_body, retry_after};
use service::clock::Clock;
use service::token::{Access, AccessError, TokenError};
use thiserror::Error;
use uuid::Uuid;

use super::pointer::{TYPE, document_reference};

/// How long one call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const MEDIA: HeaderValue = HeaderValue::from_static("application/fhir+json;version=1");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why the locator did not do as it was asked. No patient data in any of them.
#[derive(Debug, Error)]
pub enum LocatorError {
    /// It was not reached, or did not answer: the effect is unknown.
    #[error("the locator was not reached")]
    Unreachable,
    /// There is no access token to ask it with: nothing was sent.
    #[error(transparent)]
    NoToken(#[from] TokenError),
    /// It failed or asks for patience.
    #[error("the locator answered {status}")]
    Failing {
        /// The status.
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It refuses: asking again as before is useless.
    #[error("the locator refuses with {status}: {diagnostics}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it said.
        diagnostics: String,
    },
    /// It holds what was to be created.
    #[error("the locator holds such a pointer already")]
    Duplicate,
    /// What it sent is not what its API promises.
    #[error("the locator's answer is not understood")]
    Invalid,
}

impl LocatorError {
    /// Whether it would be so for everything else that it might be asked.
    pub fn is_general(&self) -> bool {
        match self {
            Self::Unreachable | Self::NoToken(_) => true,
            Self::Failing { status, .. } => *status != StatusCode::INTERNAL_SERVER_ERROR,
            Self::Refused { .. } | Self::Duplicate | Self::Invalid => false,
        }
    }

    /// How long the locator asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failing { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// A pointer of the region's, as the locator holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// Its id.
    pub id: String,
    /// Whether it leads to this hub, by the URL that it has now.
    pub is_current: bool,
}

/// The locator, as this region's hub speaks to it.
#[derive(Debug, Clone)]
pub struct Locator {
    client: reqwest::Client,
    access: Access,
    clock: Clock,
    collection: String,
    region: OdsCode,
    base: String,
}

impl Locator {
    /// `url` is the part before `/producer`; `base` is the hub's own FHIR base.
    pub fn new(
        client: reqwest::Client,
        access: Access,
        clock: Clock,
        url: &str,
        region: OdsCode,
        base: &str,
    ) -> Self {
        let collection =
            format!("{}/producer/FHIR/R4/DocumentReference", url.trim_end_matches('/'));
        Self { client, access, clock, collection, region, base: base.to_owned() }
    }

    /// Creates the region's pointer for a number and gives its id.
    pub async fn create(&self, number: &str) -> Result<String, LocatorError> {
        let pointer = document_reference(&self.region, &self.base, number);
        let request = self.client.post(&self.collection).header(CONTENT_TYPE, MEDIA);
        let response = self.send(request.body(pointer.to_string())).await?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let id = location.and_then(|url| url.rsplit('/').next()).ok_or(LocatorError::Invalid)?;
        Ok(id.to_owned())
    }

    /// The region's pointers for a number.
    pub async fn find(&self, number: &str) -> Result<Vec<Pointer>, LocatorError> {
        let criteria =
            json!({"subject:identifier": format!("{NHS_NUMBER}|{number}"), "type": TYPE});
        let request = self.client.post(format!("{}/_search", self.collection));
        let request = request.header(CONTENT_TYPE, JSON).body(criteria.to_string());
        let response = self.send(request).await?;
        let body = read_body(response, ANSWER_BYTES_MAX, CALL_TIME_MAX).await;
        let body = body.map_err(|_| LocatorError::Unreachable)?;
        let bundle: Bundle<'_> =
            serde_json::from_slice(&body).map_err(|_| LocatorError::Invalid)?;
        if bundle.resource_type != "Bundle" || bundle.kind != "searchset" {
            return Err(LocatorError::Invalid);
        }
        let pointers = bundle.entry.iter().filter_map(|entry| entry.resource);
        Ok(pointers.filter_map(|text| self.read(text.get())).collect())
    }

    /// A pointer of a searchset; in place of one that it cannot read, the locator sends an outcome.
    fn read(&self, text: &str) -> Option<Pointer> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(rename = "resourceType")]
            resource_type: String,
            id: String,
            content: Vec<Content>,
        }
        #[derive(Deserialize)]
        struct Content {
            attachment: Attachment,
        }
        #[derive(Deserialize)]
        struct Attachment {
            url: String,
        }
        let document: Document = serde_json::from_str(text).ok()?;
        let is_current = document.content.iter().any(|c| c.attachment.url == self.base);
        let is_pointer = document.resource_type == "DocumentReference";
        is_pointer.then_some(Pointer { id: document.id, is_current })
    }

    /// Deletes a pointer; one that is gone already is as good as deleted.
    pub async fn delete(&self, pointer: &str) -> Result<(), LocatorError> {
        let request = self.client.delete(format!("{}/{pointer}", self.collection));
        match self.send(request).await {
            Ok(_) | Err(LocatorError::Failing { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, LocatorError> {
        let id = Uuid::new_v4().to_string();
        let request = request
            .timeout(CALL_TIME_MAX)
            .header("NHSD-End-User-Organisation-ODS", self.region.as_str())
            .header("X-Request-ID", &id)
            .header("X-Correlation-ID", &id)
            .header(ACCEPT, MEDIA);
        let response = self.access.send(request).await.map_err(|error| match error {
            AccessError::Token(error) => LocatorError::NoToken(error),
            AccessError::Http(_) => LocatorError::Unreachable,
        })?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::CONFLICT => Err(LocatorError::Duplicate),
            status @ (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) => {
                Err(refused(status, response).await)
            }
            // It may be mended without us: a proxy, a permission, a route.
            status => {
                let retry_after = retry_after(response.headers(), self.clock.now_micros());
                Err(LocatorError::Failing { status, retry_after })
            }
        }
    }
}

/// Keeps the machine-readable part of a refusal; its prose could quote what we sent.
async fn refused(status: StatusCode, response: reqwest::Response) -> LocatorError {
    let body = read_body(response, ANSWER_BYTES_MAX, CALL_TIME_MAX).await.unwrap_or_default();
    let outcome: Option<fhir::outcome::OperationOutcome> = serde_json::from_slice(&body).ok();
    let codings = outcome
        .into_iter()
        .flat_map(|outcome| outcome.issue)
        .filter_map(|issue| issue.details)
        .flat_map(|details| details.coding)
        .map(|coding| coding.code);
    LocatorError::Refused { status, diagnostics: codings.collect::<Vec<_>>().join(", ") }
}
