//! create: `POST /producer/FHIR/R4/DocumentReference`. The server gives the pointer its id.

use axum::extract::State;
use service::answer::Answer;
use uuid::Uuid;

use super::publish;
use crate::Locator;
use crate::caller::Producer;
use crate::error::LocatorError;
use crate::pointer::Candidate;

pub(crate) async fn create(
    State(locator): State<Locator>,
    Producer(caller): Producer,
    candidate: Candidate,
) -> Result<Answer, LocatorError> {
    let id = format!("{}-{}", caller.organisation, Uuid::new_v4());
    let checked = candidate.check(Some(id), locator.practice_settings())?;
    publish(&locator, caller, checked).await
}
