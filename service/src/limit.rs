//! How much one organisation may ask: so many requests a second, and so many at once before that counts.
//! Who asks for more is told when to come back, before its body is read.
//!
//! In open mode there is one caller, and no limit. What a gateway passes on was counted there: were it
//! counted here again, one organisation could have a region left alone that others need.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fhir::identifier::OdsCode;
use fhir::outcome::IssueCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::config::{ConfigError, SecurityMode};
use crate::refusal::Refusal;

/// Most organisations that are remembered at a time: those that asked within a moment.
const ORGANISATIONS_MAX: usize = 10_000;

/// `[limits]`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests of one organisation, a second.
    pub requests_per_s: u32,
    /// As many of them at once as it may have saved up.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_s: 1_000, burst: 2_000 }
    }
}

impl Limits {
    /// Checks what types cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value) in [("requests_per_s", self.requests_per_s), ("burst", self.burst)] {
            if !(1..=1_000_000).contains(&value) {
                let text = format!("limits.{key} must lie between 1 and 1000000");
                return Err(ConfigError::Refused(text));
            }
        }
        Ok(())
    }
}

/// What organisations have asked lately; clones share it.
#[derive(Debug, Clone)]
pub struct Limiter(Option<Arc<Buckets>>);

impl Limiter {
    /// A limiter that has seen nobody yet.
    pub fn new(limits: Limits, mode: SecurityMode) -> Self {
        let buckets = || Arc::new(Buckets::new(limits));
        Self((mode == SecurityMode::Enforced).then(buckets))
    }

    /// Lets a request of this caller pass, or says how long it has to wait.
    fn admit(&self, caller: &Caller) -> Result<(), Duration> {
        match &self.0 {
            Some(buckets) if caller.mandate.gateway.is_none() => {
                buckets.admit(&caller.organisation, Instant::now())
            }
            _ => Ok(()),
        }
    }
}

/// For each organisation, when all that it has asked would be done at its rate.
struct Buckets {
    every: Duration,
    ahead_max: Duration,
    done: Mutex<HashMap<OdsCode, Instant>>,
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Buckets {
    fn new(limits: Limits) -> Self {
        let every = Duration::from_secs(1) / limits.requests_per_s;
        Self { every, ahead_max: every * limits.burst, done: Mutex::default() }
    }

    fn admit(&self, organisation: &OdsCode, now: Instant) -> Result<(), Duration> {
        let mut all = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = all.get_mut(organisation) {
            let next = (*done).max(now) + self.every;
            let early = next.saturating_duration_since(now + self.ahead_max);
            if early.is_zero() {
                *done = next;
            }
            return if early.is_zero() { Ok(()) } else { Err(early) };
        }
        if all.len() >= ORGANISATIONS_MAX {
            // Whose requests would all be done is as one that never asked.
            all.retain(|_, done| *done > now);
        }
        if all.len() >= ORGANISATIONS_MAX {
            return Err(self.every);
        }
        all.insert(organisation.clone(), now + self.every);
        Ok(())
    }
}

/// Middleware, behind [`identify`](crate::caller::identify): refuses with 429 who asks too much.
pub async fn limit(State(limiter): State<Limiter>, request: Request, next: Next) -> Response {
    let admitted = request.extensions().get::<Caller>().map_or(Ok(()), |of| limiter.admit(of));
    match admitted {
        Ok(()) => next.run(request).await,
        Err(wait) => too_many(wait).into_response(),
    }
}

fn too_many(wait: Duration) -> Refusal {
    Refusal::error(
        StatusCode::TOO_MANY_REQUESTS,
        IssueCode::Throttled,
        "This organisation asks for more than it may in so short a time: wait as long as Retry-After \
         says, and ask less often.",
    )
    .retry_after_s(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::caller::mandate::Mandate;
    use crate::correlation::Correlation;

    const LIMITS: Limits = Limits { requests_per_s: 2, burst: 3 };

    fn ods(code: &str) -> OdsCode {
        code.parse().unwrap()
    }

    #[test]
    fn an_organisation_may_ask_a_few_times_at_once_and_then_at_its_rate() {
        let (buckets, start) = (Buckets::new(LIMITS), Instant::now());
        let at = |ms| buckets.admit(&ods("QWO"), start + Duration::from_millis(ms));
        let half = Err(Duration::from_millis(500));
        assert_eq!([at(0), at(0), at(0), at(0)], [Ok(()), Ok(()), Ok(()), half]);
        assert_eq!([at(499).is_err(), at(500).is_err(), at(500).is_err()], [true, false, true]);
        assert_eq!(buckets.admit(&ods("QHM"), start), Ok(()), "another's requests do not count");
        assert_eq!(
            [at(60_000), at(60_000), at(60_000), at(60_000)],
            [Ok(()), Ok(()), Ok(()), half]
        );
    }

    #[test]
    fn so_many_organisations_are_remembered_and_those_that_rest_are_forgotten() {
        let (buckets, start) = (Buckets::new(LIMITS), Instant::now());
        let code = |number: usize| ods(&format!("A{number}"));
        for number in 0..ORGANISATIONS_MAX {
            buckets.admit(&code(number), start).unwrap();
        }
        assert!(buckets.admit(&ods("QWO"), start).is_err());
        assert!(buckets.admit(&code(0), start).is_ok(), "who is known goes on");
        let later = start + Duration::from_secs(1);
        assert!(buckets.admit(&ods("QWO"), later).is_ok());
        assert_eq!(buckets.done.lock().unwrap().len(), 1);
    }

    #[test]
    fn open_mode_and_what_a_gateway_passes_on_know_no_limit() {
        let correlation = Correlation::of(&HeaderMap::new());
        let direct = Caller::own(Arc::new(ods("QWO")), correlation);
        let mandate = Mandate { gateway: Some(ods("QHM")), ..Mandate::unlimited() };
        let passed_on = Caller { mandate: Arc::new(mandate), ..direct.clone() };
        let refused = |mode, caller: &Caller| {
            let limiter = Limiter::new(LIMITS, mode);
            (0..10).filter(|_| limiter.admit(caller).is_err()).count()
        };
        assert_eq!(refused(SecurityMode::Open, &direct), 0);
        assert_eq!(refused(SecurityMode::Enforced, &passed_on), 0);
        assert_eq!(refused(SecurityMode::Enforced, &direct), 7);
    }
}
