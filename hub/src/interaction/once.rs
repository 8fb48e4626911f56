//! Idempotency-Key: a request that is sent again under its key is answered again, and not done again.
//!
//! The key is the organisation's own, stands for one request, and is kept for a day from when the
//! request was done: a request that was refused may be mended and sent again under its key.

use fhir::outcome::{Issue, IssueCode};
use http::{HeaderMap, HeaderValue, StatusCode};
use service::caller::Caller;
use service::refusal::Refusal;
use sha2::{Digest, Sha256};

use super::done::Done;
use crate::Hub;
use crate::error::HubError;
use crate::store::write::{Once, Written};

const HEADER: &str = "Idempotency-Key";
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// A caller's key and what it stands for.
#[derive(Debug, Clone)]
pub struct Key {
    key: String,
    digest: Vec<u8>,
}

impl Key {
    /// The key in the headers; `parts` are what makes the request another than any other.
    pub fn of(headers: &HeaderMap, parts: &[Vec<u8>]) -> Result<Option<Self>, Refusal> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let key = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
        let key = key.ok_or_else(|| {
            let text = format!("The key must be 1 to {KEY_BYTES_MAX} visible ASCII characters.");
            Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at(HEADER))
        })?;
        let mut digest = Sha256::new();
        let provenance = headers.get("X-Provenance").map(HeaderValue::as_bytes);
        for part in parts.iter().map(Vec::as_slice).chain(provenance) {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        Ok(Some(Self { key: key.to_owned(), digest: digest.finalize().to_vec() }))
    }

    /// What was done under the key before, entry by entry; 422 if it was something else.
    pub async fn kept(
        &self,
        hub: &Hub,
        caller: &Caller,
    ) -> Result<Option<Vec<Option<Done>>>, HubError> {
        let Some(kept) = hub.store.kept(caller.organisation.as_str(), &self.key).await? else {
            return Ok(None);
        };
        if kept.digest != self.digest {
            let text = "This key was used for another request: a new request needs a new key.";
            let issue = Issue::error(IssueCode::BusinessRule, text).at(HEADER);
            return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, issue).into());
        }
        let done = serde_json::from_slice(&kept.answer).map_err(|e| Refusal::internal(&e))?;
        Ok(Some(done))
    }

    /// Keeps what a batch does; `done` says it from what was written.
    pub fn once(
        &self,
        done: impl Fn(&[Written]) -> Vec<Option<Done>> + Send + Sync + 'static,
    ) -> Once {
        let answer = move |written: &[Written]| {
            serde_json::to_vec(&done(written)).expect("numbers and strings always serialise")
        };
        let (key, digest) = (self.key.clone(), self.digest.clone());
        Once { key, digest, answer: Box::new(answer) }
    }
}
