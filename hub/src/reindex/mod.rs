//! `hub reindex`: the index made anew while the record is in use, by the search parameters that the
//! record then has. <https://hl7.org/fhir/R4/searchparameter.html>
//!
//! | room | what lives there |
//! |---|---|
//! | [`mod@take_up`] | SearchParameter resources -> what is searched by, or why not; pure |
//! | [`mod@walk`] | all resources into the index, a few at a time |
//! | [`admin`] | the routes of the admin listener |
//! | [`command`] | the command: asks the hub that serves the record, or does it itself |

pub mod admin;
pub mod command;
pub mod take_up;
pub mod walk;

use std::time::Duration;

use fhir::definitions::ResourceType;

use crate::Hub;
use crate::error::HubError;
use crate::store::query::Query;
use crate::store::{Store, StoreError};
use take_up::{TakenUp, take_up};

const SEARCH_PARAMETER: ResourceType = ResourceType::named("SearchParameter");
/// SearchParameters in a record.
const PARAMETERS_MAX: usize = 1_000;
/// How often it is tried to begin while writes go first, and how long is waited between.
const ATTEMPTS_MAX: usize = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// Begins the index of a record anew, by FHIR's search parameters and those that the record has now. If
/// that is under way already, it is left to go on.
///
/// # Errors
/// If the store fails, or writes leave no moment for it.
pub async fn begin(hub: &Hub) -> Result<TakenUp, HubError> {
    for _ in 0..ATTEMPTS_MAX {
        hub.store.refresh().await?;
        let taken_up = found(&hub.store).await?;
        let generation = hub.store.generation();
        if !generation.is_ours() {
            return Err(StoreError::Outdated.into());
        }
        if !generation.standing.is_whole() && generation.added == taken_up.table() {
            return Ok(taken_up);
        }
        match hub.store.begin_anew(taken_up.table()).await {
            Ok(()) => {
                taken_up.log();
                hub.begun.notify_one();
                return Ok(taken_up);
            }
            Err(StoreError::Moved | StoreError::Overloaded) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Overloaded.into())
}

/// Takes up the SearchParameters that the record has now.
async fn found(store: &Store) -> Result<TakenUp, StoreError> {
    let of_type = store.terms().resource_type(SEARCH_PARAMETER);
    let mut query = Query::default();
    query.push("SELECT r.key, r.type, d.id, r.body FROM resource r ");
    query.push("JOIN directory d ON d.key = r.key WHERE r.method < 2 AND r.type = ");
    query.number(of_type).push(" ORDER BY r.key LIMIT ").number(PARAMETERS_MAX as i64 + 1);
    let mut resources = store.resources(&query).await?;
    if resources.len() > PARAMETERS_MAX {
        tracing::warn!(PARAMETERS_MAX, "the record has more SearchParameters than are looked at");
        resources.truncate(PARAMETERS_MAX);
    }
    Ok(take_up(resources.iter().map(|found| (found.id.as_str(), &*found.body))))
}
