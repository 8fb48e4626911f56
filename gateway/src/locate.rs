//! Which regions hold something: the National Record Locator's consumer API, asked for the
//! pointers of the type under which hubs register. Requests for the same patient that are under
//! way at the same time share one call.
//! <https://digital.nhs.uk/developer/api-catalogue/national-record-locator-fhir/v3/consumer>

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use fhir::bundle::Bundle;
use fhir::identifier::{NHS_NUMBER, NhsNumber, ODS_CODE, OdsCode};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use moka::future::Cache;
use serde::Deserialize;
use service::client::{read_body, retry_after, root_cause};
use service::clock::Clock;
use service::correlation::{CORRELATION_ID, Correlation, REQUEST_ID};
use service::token::{Access, AccessError, TokenError};
use thiserror::Error;
use tokio::time::{timeout, timeout_at};
use uuid::Uuid;

use crate::config::{self, DEADLINE_MS_MAX};
use crate::context::Context;
use crate::region::is_json;

/// The type of the pointers under which a region's record is registered: "Clinical summary".
const POINTER_TYPE: &str = "http://snomed.info/sct|887181000000106";
const ORGANISATION: HeaderName = HeaderName::from_static("nhsd-end-user-organisation-ods");
const MEDIA: HeaderValue = HeaderValue::from_static("application/fhir+json;version=1");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ANSWER_BYTES_MAX: usize = 4 << 20;
const IDLE_MAX: Duration = Duration::from_secs(2);
/// Lookups kept at most while they may be used again.
const LOOKUPS_MAX: u64 = 10_000;

/// The locator.
#[derive(Debug, Clone)]
pub struct Locator {
    client: reqwest::Client,
    access: Access,
    clock: Clock,
    search_url: String,
    deadline: Duration,
    lookups: Cache<(OdsCode, NhsNumber), Arc<Pointers>>,
}

/// What the locator said about a patient.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pointers {
    /// The organisations that hold a record, each once, in order.
    pub custodians: Vec<OdsCode>,
    /// Pointers that could not be read.
    pub unreadable: usize,
}

/// Why the locator said nothing. No variant holds a URL or a number.
#[derive(Debug, Error)]
pub enum LocatorError {
    /// It could not be reached, or broke off.
    #[error("the locator could not be reached: {0}")]
    Unreachable(String),
    /// There is no access token to ask it with.
    #[error(transparent)]
    NoToken(TokenError),
    /// It took too long.
    #[error("the locator did not answer in time")]
    TimedOut,
    /// It answered with a status other than 200.
    #[error("the locator answered {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It answered with something other than the whole searchset.
    #[error("the locator's answer is not a whole searchset")]
    NotASearchset,
}

impl LocatorError {
    /// When it is worth asking again, in seconds: what the locator asks for, as far as a caller is
    /// likely to wait.
    pub fn retry_after_s(&self) -> u64 {
        const DEFAULT_S: u64 = 5;
        let asked = match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        };
        asked.map_or(DEFAULT_S, |asked| asked.as_secs().clamp(1, DEADLINE_MS_MAX / 1_000))
    }
}

impl Locator {
    /// The locator of a configuration.
    pub fn new(config: &config::Locator, client: reqwest::Client, clock: &Clock) -> Self {
        let base = config.url.trim_end_matches('/');
        let lookups = Cache::builder()
            .max_capacity(LOOKUPS_MAX)
            .time_to_live(Duration::from_millis(config.reuse_ms))
            .build();
        Self {
            access: Access::new(config.token.as_ref(), &client, clock),
            clock: clock.clone(),
            client,
            search_url: format!("{base}/consumer/FHIR/R4/DocumentReference/_search"),
            deadline: Duration::from_millis(config.deadline_ms),
            lookups,
        }
    }

    /// Which organisations hold a record for an NHS number, as far as the caller may know.
    pub async fn locate(
        &self,
        number: NhsNumber,
        context: &Context,
    ) -> Result<Arc<Pointers>, Arc<LocatorError>> {
        let organisation = (*context.caller.organisation).clone();
        let key = (organisation.clone(), number);
        let lookup = async {
            // Not the first caller's deadline: others may be waiting for the same lookup.
            let asked = self.ask(number, &organisation, &context.caller.correlation);
            let asked = timeout(self.deadline, asked).await;
            let pointers = asked.unwrap_or(Err(LocatorError::TimedOut))?;
            Ok(Arc::new(pointers))
        };
        let shared = self.lookups.try_get_with(key, lookup);
        match timeout_at(context.region_deadline(), shared).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Arc::new(LocatorError::TimedOut)),
        }
    }

    async fn ask(
        &self,
        number: NhsNumber,
        organisation: &OdsCode,
        correlation: &Correlation,
    ) -> Result<Pointers, LocatorError> {
        let criteria = serde_json::json!({
            "subject:identifier": format!("{NHS_NUMBER}|{}", number.as_str()),
            "type": POINTER_TYPE,
        });
        let request = self
            .client
            .post(&self.search_url)
            .header(ACCEPT, MEDIA)
            .header(CONTENT_TYPE, JSON)
            .header(ORGANISATION, organisation.as_str())
            .header(REQUEST_ID, request_id(correlation))
            .header(CORRELATION_ID, correlation.request_id.clone())
            .body(criteria.to_string());
        let response = self.access.send(request).await.map_err(|error| match error {
            AccessError::Token(error) => LocatorError::NoToken(error),
            AccessError::Http(error) => unreachable(&error),
        })?;
        let status = response.status();
        if status != http::StatusCode::OK {
            let retry_after = retry_after(response.headers(), self.clock.now_micros());
            return Err(LocatorError::Status { status: status.as_u16(), retry_after });
        }
        if !is_json(response.headers()) {
            return Err(LocatorError::NotASearchset);
        }
        let body = read_body(response, ANSWER_BYTES_MAX, IDLE_MAX);
        read(&body.await.map_err(|e| unreachable(&e))?, number)
    }
}

fn unreachable(cause: &dyn std::error::Error) -> LocatorError {
    LocatorError::Unreachable(root_cause(cause))
}

/// The locator wants a UUID; a caller's own request id goes along as the correlation id.
fn request_id(correlation: &Correlation) -> String {
    let id = correlation.request_id();
    match Uuid::try_parse(id) {
        Ok(_) => id.to_owned(),
        Err(_) => Uuid::new_v4().to_string(),
    }
}

#[derive(Deserialize)]
struct Pointer<'a> {
    #[serde(rename = "resourceType", borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow)]
    subject: Holder<'a>,
    #[serde(borrow)]
    custodian: Holder<'a>,
}

#[derive(Deserialize)]
struct Holder<'a> {
    #[serde(borrow)]
    identifier: Identifier<'a>,
}

#[derive(Deserialize)]
struct Identifier<'a> {
    #[serde(borrow)]
    system: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

/// Reads the searchset of pointers. One that cannot be read is counted: the others still stand.
fn read(body: &[u8], number: NhsNumber) -> Result<Pointers, LocatorError> {
    let bundle: Bundle<'_> =
        serde_json::from_slice(body).map_err(|_| LocatorError::NotASearchset)?;
    let counted = bundle.total.is_none_or(|total| total <= bundle.entry.len() as u64);
    let whole = bundle.link("next").is_none() && counted;
    if bundle.resource_type != "Bundle" || bundle.kind != "searchset" || !whole {
        return Err(LocatorError::NotASearchset);
    }
    let mut pointers = Pointers::default();
    for entry in &bundle.entry {
        let resource = entry.resource.map_or("", |resource| resource.get());
        match custodian(resource, number) {
            Some(custodian) => pointers.custodians.push(custodian),
            None => pointers.unreadable += 1,
        }
    }
    pointers.custodians.sort();
    pointers.custodians.dedup();
    Ok(pointers)
}

fn custodian(resource: &str, number: NhsNumber) -> Option<OdsCode> {
    let pointer: Pointer<'_> = serde_json::from_str(resource).ok()?;
    let (subject, custodian) = (&pointer.subject.identifier, &pointer.custodian.identifier);
    let theirs = subject.system == NHS_NUMBER && subject.value == number.as_str();
    let organisation = custodian.system == ODS_CODE;
    if pointer.resource_type != "DocumentReference" || !theirs || !organisation {
        return None;
    }
    custodian.value.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn pointer(number: &str, custodian: &str) -> String {
        format!(
            r#"{{"resource":{{"resourceType":"DocumentReference",
            "subject":{{"identifier":{{"system":"{NHS_NUMBER}","value":"{number}"}}}},
            "custodian":{{"identifier":{{"system":"{ODS_CODE}","value":"{custodian}"}}}}}}}}"#
        )
    }

    fn read_entries(entries: &[String]) -> Result<Pointers, LocatorError> {
        let body = format!(
            r#"{{"resourceType":"Bundle","type":"searchset","total":{},"entry":[{}]}}"#,
            entries.len(),
            entries.join(",")
        );
        read(body.as_bytes(), "9434765919".parse().unwrap())
    }

    #[test]
    fn what_the_locator_asks_for_is_passed_on_within_bounds() {
        let asked = |retry_after: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            LocatorError::Status { status: 429, retry_after }.retry_after_s()
        };
        assert_eq!((asked(Some(7)), asked(Some(0)), asked(Some(600))), (7, 1, 25));
        assert_eq!((asked(None), LocatorError::TimedOut.retry_after_s()), (5, 5));
    }

    #[test]
    fn one_bad_pointer_does_not_hide_the_others() {
        let entries = [
            pointer("9434765919", "qhm"),
            pointer("9434765919", "QWO"),
            pointer("9434765919", "QHM"),
            pointer("9434765919", "not a code"),
            pointer("9876543210", "S08"),
            r#"{"resource":{"resourceType":"OperationOutcome","issue":[]}}"#.to_owned(),
        ];
        let pointers = read_entries(&entries).unwrap();
        let codes: Vec<_> = pointers.custodians.iter().map(OdsCode::as_str).collect();
        assert_eq!((codes, pointers.unreadable), (vec!["QHM", "QWO"], 3));
    }

    #[test]
    fn a_locator_that_sends_less_than_it_counts_is_not_believed() {
        let number = "9434765919".parse().unwrap();
        for body in [
            r#"{"resourceType":"Bundle","type":"searchset","total":1}"#,
            r#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"x"}]}"#,
            r#"{"resourceType":"OperationOutcome","issue":[]}"#,
            "oops",
        ] {
            assert!(read(body.as_bytes(), number).is_err(), "{body}");
        }
    }
}
