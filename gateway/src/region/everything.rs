//! Everything of a patient that one hub holds: its Patients are found by number, and each of them
//! is asked for by the hub's own id. Two exchanges, rather than one for each type of resource.
//! <https://hl7.org/fhir/R4/operation-patient-everything.html>

use bytes::Bytes;
use fhir::bundle::SearchMode;
use tokio::time::timeout_at;

use super::Hub;
use super::answer::RegionAnswer;
use super::question::HubSearch;
use super::search::{Allowance, From, add, fetch, follow};
use crate::context::Context;
use crate::merge::key::Reading;
use crate::outcome::{Failure, RegionStatus};

/// The operation, and the last step of its URL.
const OPERATION: &str = "$everything";
/// Most Patients of one hub that carry a number, now or formerly.
const PATIENTS_MAX: usize = 10;

/// Asks a region's hub for everything of the Patients that a search finds, until the region's
/// deadline.
pub async fn everything(
    hub: &Hub<'_>,
    search: &HubSearch,
    query: &Bytes,
    context: &Context,
) -> Result<RegionAnswer, Failure> {
    let deadline = context.region_deadline();
    let asking = async {
        let asked = timeout_at(deadline, ask(hub, search, query, context)).await;
        asked.unwrap_or_else(|_elapsed| Err(RegionStatus::Timeout.into()))
    };
    hub.gate.pass(deadline, asking, |_| false).await
}

async fn ask(
    hub: &Hub<'_>,
    search: &HubSearch,
    query: &Bytes,
    context: &Context,
) -> Result<RegionAnswer, Failure> {
    let (mut answer, mut allowance) = (RegionAnswer::default(), Allowance::default());
    let base = hub.region.base();
    let patients = HubSearch { parameters: Vec::new(), ..search.clone() };
    fetch(hub, &patients, &From::Start, context, &mut allowance, &mut answer).await?;
    follow(hub, &patients, base, context, &mut allowance, &mut answer).await?;
    let ids = patient_ids(&answer)?;
    // They say whose the rest is; whether they are part of it, the operation says.
    answer.entries.iter_mut().for_each(|entry| entry.mode = Some(SearchMode::Include));
    let operation = HubSearch { kind: OPERATION, ..search.clone() };
    for id in ids {
        let root = format!("{base}/Patient/{id}");
        let query = String::from_utf8_lossy(query);
        let first = hub.client.get(format!("{root}/{OPERATION}?{query}"));
        let (allowance, answer) = (&mut allowance, &mut answer);
        add(hub, &operation, first, &From::Start, context, allowance, answer).await?;
        follow(hub, &operation, &root, context, allowance, answer).await?;
    }
    Ok(answer)
}

fn patient_ids(answer: &RegionAnswer) -> Result<Vec<String>, RegionStatus> {
    let reading = Reading::of_patients();
    let mut ids = Vec::new();
    for entry in &answer.entries {
        let key = reading.read(&entry.resource).map_err(|_malformed| RegionStatus::Invalid)?;
        if key.resource_type != "Patient" {
            return Err(RegionStatus::Invalid);
        }
        ids.push(key.id.into_owned());
    }
    ids.sort();
    ids.dedup();
    if ids.len() > PATIENTS_MAX { Err(RegionStatus::TooLarge) } else { Ok(ids) }
}
