//! The producer side of the locator's API. <https://digital.nhs.uk/developer/api-catalogue/national-record-locator-fhir>

use std::time::Duration;

use fhir::bundle::Bundle;
use fhir::identifier::{NHS_NUMBER, OdsCode};
use http::StatusCode;
use http::header::LOCATION;
use serde::Deserialize;
use serde_json::json;
use service::client::read_body;
use service::token::{Access, AccessError, TokenError};
use thiserror::Error;
use uuid::Uuid;

use super::pointer::{TYPE, document_reference};

/// How long one call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

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
    #[error("the locator answered {0}")]
    Failing(StatusCode),
    /// It refuses: asking again as before is useless.
    #[error("the locator refuses with {status}: {diagnostics}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it said.
        diagnostics: String,
    },
    /// What it sent is not what its API promises.
    #[error("the locator's answer is not understood")]
    Invalid,
}

/// The locator, as this region's hub speaks to it.
#[derive(Debug, Clone)]
pub struct Locator {
    client: reqwest::Client,
    access: Access,
    collection: String,
    region: OdsCode,
    base: String,
}

impl Locator {
    /// `url` is the part before `/producer`; `base` is the hub's own FHIR base.
    pub fn new(
        client: reqwest::Client,
        access: Access,
        url: &str,
        region: OdsCode,
        base: &str,
    ) -> Self {
        let collection =
            format!("{}/producer/FHIR/R4/DocumentReference", url.trim_end_matches('/'));
        Self { client, access, collection, region, base: base.to_owned() }
    }

    /// Creates the region's pointer for a number and gives its id.
    pub async fn create(&self, number: &str) -> Result<String, LocatorError> {
        let pointer = document_reference(&self.region, &self.base, number);
        let request = self.client.post(&self.collection).json(&pointer);
        let response = self.send(request).await?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let id = location.and_then(|url| url.rsplit('/').next()).ok_or(LocatorError::Invalid)?;
        Ok(id.to_owned())
    }

    /// The ids of the region's pointers for a number.
    pub async fn find(&self, number: &str) -> Result<Vec<String>, LocatorError> {
        #[derive(Deserialize)]
        struct Pointer {
            id: String,
        }
        let criteria =
            json!({"subject:identifier": format!("{NHS_NUMBER}|{number}"), "type": TYPE});
        let request = self.client.post(format!("{}/_search", self.collection)).json(&criteria);
        let response = self.send(request).await?;
        let body = read_body(response, ANSWER_BYTES_MAX, CALL_TIME_MAX).await;
        let body = body.map_err(|_| LocatorError::Unreachable)?;
        let bundle: Bundle<'_> =
            serde_json::from_slice(&body).map_err(|_| LocatorError::Invalid)?;
        let pointers = bundle.entry.iter().filter_map(|entry| entry.resource);
        let ids = pointers.filter_map(|p| serde_json::from_str::<Pointer>(p.get()).ok());
        Ok(ids.map(|pointer| pointer.id).collect())
    }

    /// Deletes a pointer; one that is gone already is as good as deleted.
    pub async fn delete(&self, pointer: &str) -> Result<(), LocatorError> {
        let request = self.client.delete(format!("{}/{pointer}", self.collection));
        match self.send(request).await {
            Ok(_) | Err(LocatorError::Failing(StatusCode::NOT_FOUND)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, LocatorError> {
        let request = request
            .timeout(CALL_TIME_MAX)
            .header("NHSD-End-User-Organisation-ODS", self.region.as_str())
            .header("X-Request-ID", Uuid::new_v4().to_string())
            .header("Accept", "application/fhir+json;version=1");
        let response = self.access.send(request).await.map_err(|error| match error {
            AccessError::Token(error) => LocatorError::NoToken(error),
            AccessError::Http(_) => LocatorError::Unreachable,
        })?;
        let status = response.status();
        // Anything else may be mended without us: a proxy, a permission, a route.
        let refusals = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];
        if status.is_success() {
            Ok(response)
        } else if refusals.contains(&status) {
            Err(refused(status, response).await)
        } else {
            Err(LocatorError::Failing(status))
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
