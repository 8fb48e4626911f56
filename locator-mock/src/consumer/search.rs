//! search: `GET /consumer/FHIR/R4/DocumentReference` and `POST …/_search`, with all matches or, by
//! `_summary=count`, their number.

use axum::extract::State;
use http::StatusCode;
use service::answer::Answer;

use crate::Locator;
use crate::body::{Form, Query};
use crate::bundle;
use crate::caller::{Caller, Consumer};
use crate::error::LocatorError;
use crate::parameters::Parameters;

pub(crate) async fn search(
    State(locator): State<Locator>,
    Consumer(caller): Consumer,
    Query(parameters): Query,
) -> Result<Answer, LocatorError> {
    run(&locator, &caller, &parameters).await
}

pub(crate) async fn search_by_post(
    State(locator): State<Locator>,
    Consumer(caller): Consumer,
    Form(parameters): Form,
) -> Result<Answer, LocatorError> {
    run(&locator, &caller, &parameters).await
}

async fn run(
    locator: &Locator,
    caller: &Caller,
    parameters: &Parameters,
) -> Result<Answer, LocatorError> {
    let mut search = parameters.for_consumer(&caller.rights)?;
    let link = locator.consumer_search(&search.link);
    if !search.count {
        let bundle = locator.matches(search.filter, Some(&link)).await?;
        return Ok(Answer::resource(StatusCode::OK, bundle));
    }
    if search.by_get {
        // The NRL counts by number and type alone here; a POST counts what it was asked.
        search.filter.custodian = None;
        search.filter.categories.clear();
    }
    let total = locator.registry().count(search.filter).await?;
    Ok(Answer::resource(StatusCode::OK, bundle::count(Some(&link), total)))
}
