//! delete: `DELETE /producer/FHIR/R4/DocumentReference/{id}`. Deleting what is not there succeeds.

use axum::extract::State;
use http::StatusCode;
use service::answer::Answer;

use crate::Locator;
use crate::body::PointerId;
use crate::caller::Producer;
use crate::error::{Deed, LocatorError};
use crate::outcome::Success;

pub(crate) async fn delete(
    State(locator): State<Locator>,
    Producer(caller): Producer,
    PointerId(id): PointerId,
) -> Result<Answer, LocatorError> {
    if !caller.produced(&id) {
        return Err(LocatorError::BelongsToAnother(Deed::Delete));
    }
    let deleted = locator.registry().write(move |writer| Ok(writer.delete(&id)?)).await?;
    let success = if deleted { Success::Deleted } else { Success::Absent };
    Ok(Answer::resource(StatusCode::OK, success.to_json()))
}
