//! search: `GET /producer/FHIR/R4/DocumentReference` and `POST …/_search`, among a producer's own
//! pointers.

use axum::extract::State;
use http::StatusCode;
use service::answer::Answer;

use crate::Locator;
use crate::body::{Form, Query};
use crate::caller::{Caller, Producer};
use crate::error::LocatorError;
use crate::parameters::Parameters;

pub(crate) async fn search(
    State(locator): State<Locator>,
    Producer(caller): Producer,
    Query(parameters): Query,
) -> Result<Answer, LocatorError> {
    run(&locator, &caller, &parameters).await
}

pub(crate) async fn search_by_post(
    State(locator): State<Locator>,
    Producer(caller): Producer,
    Form(parameters): Form,
) -> Result<Answer, LocatorError> {
    run(&locator, &caller, &parameters).await
}

async fn run(
    locator: &Locator,
    caller: &Caller,
    parameters: &Parameters,
) -> Result<Answer, LocatorError> {
    let search = parameters.for_producer(&caller.rights, &caller.organisation)?;
    let bundle = locator.matches(search.filter, None).await?;
    Ok(Answer::resource(StatusCode::OK, bundle))
}
