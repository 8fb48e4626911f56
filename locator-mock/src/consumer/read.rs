//! read: `GET /consumer/FHIR/R4/DocumentReference/{id}`. A consumer reads any organisation's
//! pointers, of the types it may use.

use axum::extract::State;
use http::StatusCode;
use service::answer::Answer;

use crate::Locator;
use crate::body::PointerId;
use crate::caller::Consumer;
use crate::error::LocatorError;

pub(crate) async fn read(
    State(locator): State<Locator>,
    Consumer(caller): Consumer,
    PointerId(id): PointerId,
) -> Result<Answer, LocatorError> {
    let pointer = locator.registry().read(id).await?.ok_or(LocatorError::NotFound)?;
    if !caller.rights.permit(&pointer.kind) {
        return Err(LocatorError::TypeNotReadable);
    }
    Ok(Answer::resource(StatusCode::OK, pointer.body))
}
