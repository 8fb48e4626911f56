//! One remote hub: a search drained page by page, or one read passed through. Whatever goes wrong
//! on the way ends as a [`Failure`](crate::outcome::Failure).
//!
//! | room | what lives there |
//! |---|---|
//! | [`question`] | a search as a hub takes it |
//! | [`search`](mod@search) | everything that matches, until the region's deadline |
//! | [`answer`] | a hub's pages, taken apart; a region that fails after some contributes nothing |
//! | [`read`](mod@read) | one resource, passed through |

pub mod answer;
pub mod question;
pub mod read;
pub mod search;

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use service::client::ReadError;

use crate::outcome::RegionStatus;

/// Most bytes that one region may contribute to one answer.
pub const REGION_BYTES_MAX: usize = 16 << 20;
/// Longest silence within a body.
const IDLE_MAX: Duration = Duration::from_secs(2);
const FHIR: HeaderValue = HeaderValue::from_static(fhir::FHIR_JSON);

fn not_sent(error: &reqwest::Error) -> RegionStatus {
    tracing::debug!(cause = root_cause(error), "a region could not be asked");
    if error.is_timeout() && !error.is_connect() {
        RegionStatus::Timeout
    } else {
        RegionStatus::Unreachable
    }
}

/// The innermost cause: the outer ones name the URL.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

fn not_read(error: &ReadError) -> RegionStatus {
    match error {
        ReadError::TooLarge(_) => RegionStatus::TooLarge,
        ReadError::Stalled => RegionStatus::Timeout,
        ReadError::Cut(_) => RegionStatus::Invalid,
    }
}

/// Whether a body says that it is JSON, in any of the spellings in use.
pub fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.and_then(|text| text.split(';').next()).unwrap_or_default();
    matches!(
        media.trim().to_ascii_lowercase().as_str(),
        "application/fhir+json" | "application/json" | "text/json" | "application/json+fhir"
    )
}
