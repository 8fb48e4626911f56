//! count: `GET /consumer/FHIR/R4/DocumentReference/_count`, the older way to ask how many.

use axum::extract::State;
use http::StatusCode;
use service::answer::Answer;

use crate::Locator;
use crate::body::Query;
use crate::bundle;
use crate::caller::Consumer;
use crate::error::LocatorError;

pub(crate) async fn count(
    State(locator): State<Locator>,
    Consumer(caller): Consumer,
    Query(parameters): Query,
) -> Result<Answer, LocatorError> {
    let filter = parameters.for_count(&caller.rights)?;
    let total = locator.registry().count(filter).await?;
    Ok(Answer::resource(StatusCode::OK, bundle::count(None, total)))
}
