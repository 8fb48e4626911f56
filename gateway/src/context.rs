//! What a request brings beside its question: who asks, by when, and how it may be handled. A
//! handler cannot be reached by a request that has already been through a gateway.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::header::VIA;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use service::caller::Caller;
use service::refusal::Refusal;
use tokio::time::Instant;

use crate::Gateway;
use crate::config::DEADLINE_MS_MAX;
use crate::error::GatewayError;
use crate::question::Handling;

/// `X-Request-Timeout-Ms`: how long the caller will wait.
pub const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");
/// `Prefer`, <https://hl7.org/fhir/R4/search.html#errors>
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The name under which gateways know each other's requests.
const PSEUDONYM: &str = "shared-record-gateway";
/// Time kept back from the regions so that the answer can leave by the deadline.
const ANSWER_TIME: Duration = Duration::from_millis(100);

/// The request that is being answered.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who asks.
    pub caller: Caller,
    /// When the answer has to be ready.
    pub deadline: Instant,
    /// What happens to parameters that cannot be executed.
    pub handling: Handling,
}

impl Context {
    /// When the last region has to be done.
    pub fn region_deadline(&self) -> Instant {
        self.deadline.checked_sub(ANSWER_TIME).unwrap_or(self.deadline)
    }

    /// The headers of a request to a region, sent now, with one more preference than the caller's.
    pub fn headers(&self, preference: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        self.caller.correlation.write(&mut headers);
        let left = self.region_deadline().saturating_duration_since(Instant::now());
        headers.insert(TIMEOUT_MS, HeaderValue::from(left.as_millis() as u64));
        headers.insert(VIA, HeaderValue::from_static("1.1 shared-record-gateway"));
        let strict = (self.handling == Handling::Strict).then_some("handling=strict");
        for preference in strict.into_iter().chain(preference) {
            headers.append(PREFER, HeaderValue::from_static(preference));
        }
        headers
    }

    fn of(headers: &HeaderMap, caller: Caller, default_ms: u64) -> Result<Self, GatewayError> {
        if went_through_a_gateway(headers) {
            return Err(GatewayError::AlreadyFederated);
        }
        let budget = Duration::from_millis(deadline_ms(headers, default_ms)?);
        Ok(Self { caller, deadline: Instant::now() + budget, handling: handling(headers) })
    }
}

impl FromRequestParts<Gateway> for Context {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, gateway).await?;
        let default_ms = gateway.federation().deadline_ms;
        Ok(Self::of(&parts.headers, caller, default_ms)?)
    }
}

fn words(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    let words = values.flat_map(|value| value.split([',', ';', ' ']));
    words.map(|word| word.trim().to_ascii_lowercase()).collect::<Vec<_>>().into_iter()
}

fn went_through_a_gateway(headers: &HeaderMap) -> bool {
    words(headers, &VIA).any(|word| word == PSEUDONYM)
}

fn handling(headers: &HeaderMap) -> Handling {
    if words(headers, &PREFER).any(|word| word == "handling=strict") {
        Handling::Strict
    } else {
        Handling::Lenient
    }
}

fn deadline_ms(headers: &HeaderMap, default_ms: u64) -> Result<u64, GatewayError> {
    let Some(value) = headers.get(TIMEOUT_MS) else {
        return Ok(default_ms);
    };
    let asked: Option<u64> = value.to_str().ok().and_then(|text| text.parse().ok());
    match asked {
        Some(ms) if ms > 0 => Ok(ms.min(DEADLINE_MS_MAX)),
        _ => Err(GatewayError::BadDeadline),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_request_that_was_federated_is_known_by_its_via() {
        for via in ["1.1 shared-record-gateway", "1.0 a, 1.1 Shared-Record-Gateway (x)"] {
            assert!(went_through_a_gateway(&headers(VIA, via)), "{via}");
        }
        assert!(!went_through_a_gateway(&headers(VIA, "1.1 nginx")));
    }

    #[test]
    fn a_caller_may_set_its_own_deadline_within_bounds() {
        let ms = |value| deadline_ms(&headers(TIMEOUT_MS, value), 8_000).ok();
        assert_eq!((ms("300"), ms("90000")), (Some(300), Some(25_000)));
        assert_eq!((ms("0"), ms("soon"), ms("-1")), (None, None, None));
        assert_eq!(deadline_ms(&HeaderMap::new(), 8_000).ok(), Some(8_000));
    }

    #[test]
    fn strict_handling_is_a_preference() {
        let strict = headers(PREFER, "return=minimal; handling=strict");
        assert_eq!(handling(&strict), Handling::Strict);
        assert_eq!(handling(&HeaderMap::new()), Handling::Lenient);
    }
}
