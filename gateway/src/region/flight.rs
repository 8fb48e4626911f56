//! Questions that are under way: who asks the same region the same thing, with the same rights, at
//! the same time, waits for the same answer. Nothing is kept: an answer that nobody waits for any
//! more is gone, and so is a question.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fhir::identifier::OdsCode;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use service::caller::mandate::Mandate;
use tokio::time::{Instant, timeout_at};

use super::answer::RegionAnswer;
use super::everything::everything;
use super::question::HubSearch;
use super::search::search as search_hub;
use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::outcome::{Failure, RegionStatus};
use crate::question::Handling;

/// How much earlier than one's own deadline a question may end that one waits for.
const EARLIER_MAX: Duration = Duration::from_millis(100);

/// What a region answered.
pub type Answer = Result<Arc<RegionAnswer>, Failure>;
type Under = BoxFuture<'static, Answer>;

/// What has to be equal for two questions to be one. All of a caller's rights that travel with a
/// question stand here.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    region: OdsCode,
    organisation: OdsCode,
    mandate: Arc<Mandate>,
    strict: bool,
    kind: &'static str,
    form: Bytes,
    everything: Option<Bytes>,
    whole: bool,
}

struct Flight {
    answer: WeakShared<Under>,
    deadline: Instant,
}

/// The questions that are under way.
#[derive(Default)]
pub struct Flights {
    under_way: Mutex<HashMap<Key, Flight>>,
}

impl fmt::Debug for Flights {
    /// How many there are; a question names a patient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &self.under_way().len()).finish()
    }
}

/// Asks a region, or waits for the answer to the same question.
pub async fn ask(
    gateway: &Gateway,
    region: &Arc<Region>,
    search: &HubSearch,
    context: &Context,
) -> Answer {
    let key = Key {
        region: region.ods.clone(),
        organisation: (*context.caller.organisation).clone(),
        mandate: context.caller.mandate.clone(),
        strict: context.handling == Handling::Strict,
        kind: search.kind,
        form: search.form.clone(),
        everything: search.everything.clone(),
        whole: search.whole,
    };
    let fly = || {
        let (gateway, region) = (gateway.clone(), region.clone());
        let (search, context) = (search.clone(), context.clone());
        async move {
            let hub = gateway.hub(&region);
            let answer = match &search.everything {
                None => search_hub(&hub, &search, &context).await,
                Some(query) => everything(&hub, &search, query, &context).await,
            };
            answer.map(Arc::new)
        }
        .boxed()
    };
    gateway.flights().join(key, context.region_deadline(), fly).await
}

impl Flights {
    async fn join(&self, key: Key, deadline: Instant, fly: impl FnOnce() -> Under) -> Answer {
        let shared = self.board(&key, deadline, fly);
        let mut seat = Seat { flights: self, key, answer: Some(shared) };
        let answer = seat.answer.as_mut().expect("it is taken when the seat is left");
        timeout_at(deadline, answer).await.unwrap_or_else(|_| Err(RegionStatus::Timeout.into()))
    }

    fn board(&self, key: &Key, deadline: Instant, fly: impl FnOnce() -> Under) -> Shared<Under> {
        let mut under_way = self.under_way();
        let flight = under_way.get(key).filter(|flight| flight.deadline + EARLIER_MAX >= deadline);
        if let Some(shared) = flight.and_then(|flight| flight.answer.upgrade()) {
            return shared;
        }
        let shared = fly().shared();
        let answer = shared.downgrade().expect("it has not been asked yet");
        under_way.insert(key.clone(), Flight { answer, deadline });
        shared
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits. The last one to leave ends the question.
struct Seat<'a> {
    flights: &'a Flights,
    key: Key,
    answer: Option<Shared<Under>>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        drop(self.answer.take());
        let mut under_way = self.flights.under_way();
        let over = |flight: &Flight| flight.answer.upgrade().is_none();
        if under_way.get(&self.key).is_some_and(over) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use service::caller::mandate::Purpose;

    use super::*;

    fn key(organisation: &str, form: &'static str) -> Key {
        Key {
            region: "A1".parse().unwrap(),
            organisation: organisation.parse().unwrap(),
            mandate: Arc::new(Mandate::unlimited()),
            strict: false,
            kind: "Observation",
            form: Bytes::from_static(form.as_bytes()),
            everything: None,
            whole: true,
        }
    }

    fn soon(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[tokio::test]
    async fn only_the_same_caller_with_the_same_question_shares_an_answer() {
        let flights = Flights::default();
        let deadline = soon(1_000);
        let never = || std::future::pending().boxed();
        let first = flights.board(&key("X", "a"), deadline, never);
        let same = flights.board(&key("X", "a"), deadline, never);
        assert!(first.ptr_eq(&same));
        let research = Mandate { purpose: Purpose::SecondaryUses, ..Mandate::unlimited() };
        for other in [
            key("Y", "a"),
            key("X", "b"),
            Key { strict: true, ..key("X", "a") },
            Key { mandate: Arc::new(research), ..key("X", "a") },
        ] {
            assert!(!first.ptr_eq(&flights.board(&other, deadline, never)));
        }
        let patient = flights.board(&key("X", "a"), soon(5_000), never);
        assert!(!first.ptr_eq(&patient), "who can wait longer does not depend on who cannot");
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_question_that_nobody_waits_for() {
        let flights = Flights::default();
        let held = Arc::new(());
        let token = held.clone();
        let fly = || {
            async move {
                std::future::pending::<()>().await;
                drop(token);
                Err(RegionStatus::Timeout.into())
            }
            .boxed()
        };
        let ended = flights.join(key("X", "a"), soon(10), fly).await;
        assert_eq!(ended.unwrap_err().status, RegionStatus::Timeout);
        assert_eq!((Arc::strong_count(&held), flights.under_way().len()), (1, 0));
    }
}
