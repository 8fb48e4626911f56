//! "update as create": `PUT /producer/FHIR/R4/DocumentReference`. The pointer keeps the id it was
//! sent with; an id that is taken is refused, so that this only ever creates.

use axum::extract::State;
use service::answer::Answer;

use super::publish;
use crate::Locator;
use crate::caller::Producer;
use crate::error::LocatorError;
use crate::pointer::Candidate;

pub(crate) async fn upsert(
    State(locator): State<Locator>,
    Producer(caller): Producer,
    candidate: Candidate,
) -> Result<Answer, LocatorError> {
    let id = candidate.id().map(str::to_owned);
    let checked = candidate.check(id, locator.practice_settings())?;
    if !caller.produced(&checked.id) {
        return Err(LocatorError::foreign_id());
    }
    publish(&locator, caller, checked).await
}
