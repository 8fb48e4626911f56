//! read: `GET /producer/FHIR/R4/DocumentReference/{id}`. A producer reads its own pointers.

use axum::extract::State;
use http::StatusCode;
use service::answer::Answer;

use crate::Locator;
use crate::body::PointerId;
use crate::caller::Producer;
use crate::error::{Deed, LocatorError};

pub(crate) async fn read(
    State(locator): State<Locator>,
    Producer(caller): Producer,
    PointerId(id): PointerId,
) -> Result<Answer, LocatorError> {
    if !caller.produced(&id) {
        return Err(LocatorError::BelongsToAnother(Deed::Read));
    }
    let pointer = locator.registry().read(id).await?.ok_or(LocatorError::NotFound)?;
    Ok(Answer::resource(StatusCode::OK, pointer.body))
}
