//! Into the record, in the order of the files.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fhir::definitions::ResourceType;
use service::caller::Caller;
use service::program::ProgramError;

use super::prepare::Prepared;
use super::report::Report;
use super::source::Origin;
use crate::Hub;
use crate::error::HubError;
use crate::interaction::bundle::load::{Load, Ready, named};
use crate::interaction::footing::Patience;
use crate::store::StoreError;
use crate::store::write::{Expected, Write, Written};

/// How often a write is sent to a store that has no room for it, and how long is waited between.
const ATTEMPTS_MAX: usize = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Writes what is prepared. An error is one after which nothing more can be written.
pub(super) async fn write(
    hub: &Arc<Hub>,
    caller: &Caller,
    prepared: Prepared,
    report: &mut Report,
) -> Result<(), ProgramError> {
    match prepared {
        Prepared::Resources(resources) => {
            let (mut part, mut names) = (Vec::new(), HashSet::new());
            for (origin, result) in resources {
                match result {
                    Err((of_type, refusal)) => report.refused(&origin, of_type, &refusal)?,
                    Ok(write) => {
                        // A batch writes a resource once.
                        if !names.insert((write.resource_type, write.id.clone())) {
                            let before = std::mem::take(&mut part);
                            batch(hub, caller, before, report).await?;
                            names.clear();
                            names.insert((write.resource_type, write.id.clone()));
                        }
                        part.push((origin, write));
                    }
                }
            }
            batch(hub, caller, part, report).await
        }
        Prepared::Transaction { origin, load, ready } => {
            transaction(hub, caller, (origin, load), ready, report).await
        }
        Prepared::Refused(origin, refusal) => {
            report.refused(&origin, Some(ResourceType::BUNDLE), &refusal)
        }
        Prepared::Rehearsed(_) => Ok(()),
    }
}

/// Writes resources in one transaction of the store, or, if the record refuses that, in two halves:
/// what is refused in the end is one resource.
async fn batch(
    hub: &Hub,
    caller: &Caller,
    batch: Vec<(Origin, Write)>,
    report: &mut Report,
) -> Result<(), ProgramError> {
    let mut parts = vec![batch];
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let writes: Vec<Write> = part.iter().map(|(_, write)| write.clone()).collect();
        let types = part.iter().map(|(_, write)| write.resource_type);
        match send(hub, caller, writes, Vec::new()).await {
            Ok(written) => {
                types.zip(&written).for_each(|(t, written)| report.wrote(t, written));
            }
            // The index is made by other rules than they were prepared for.
            Err(HubError::Store(StoreError::Moved)) => {
                let terms = hub.store.terms();
                for (_, write) in &mut part {
                    write.index_by(&terms);
                }
                parts.push(part);
            }
            Err(error) if is_stopped(&error) => return Err(stopped(error)),
            Err(error) if part.len() == 1 => {
                let (origin, write) = &part[0];
                report.refused(origin, Some(write.resource_type), &error.into())?;
            }
            Err(_) => {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            }
        }
    }
    Ok(())
}

/// Writes a transaction; again from the beginning, if what it rests on has moved.
async fn transaction(
    hub: &Arc<Hub>,
    caller: &Caller,
    (origin, load): (Origin, Load),
    mut early: Option<Ready>,
    report: &mut Report,
) -> Result<(), ProgramError> {
    let mut patience = Patience::default();
    loop {
        let is_early = early.is_some();
        let result = match early.take() {
            Some(ready) => attempt(hub, caller, ready, report).await,
            None => match load.ready(hub).await {
                Ok(ready) => attempt(hub, caller, ready, report).await,
                Err(error) => Err(error),
            },
        };
        match result {
            Ok(()) => return Ok(()),
            Err(error) if is_stopped(&error) => return Err(stopped(error)),
            Err(error) if patience.bears(&error) => patience.pause().await,
            // What came before it may have changed what it is.
            Err(_) if is_early => {}
            Err(error) => {
                return report.refused(&origin, Some(ResourceType::BUNDLE), &error.into());
            }
        }
    }
}

async fn attempt(
    hub: &Hub,
    caller: &Caller,
    ready: Ready,
    report: &mut Report,
) -> Result<(), HubError> {
    let Ready { writes, expected, unchanged, places } = ready;
    let types: Vec<ResourceType> = writes.iter().map(|write| write.resource_type).collect();
    let written = if writes.is_empty() {
        Vec::new()
    } else {
        send(hub, caller, writes, expected).await.map_err(|e| named(e, &places))?
    };
    types.into_iter().zip(&written).for_each(|(t, written)| report.wrote(t, written));
    for resource_type in unchanged {
        report.unchanged(resource_type);
    }
    Ok(())
}

/// Sends writes to the store; again, while others leave no room for them.
async fn send(
    hub: &Hub,
    caller: &Caller,
    writes: Vec<Write>,
    expected: Vec<Expected>,
) -> Result<Vec<Written>, HubError> {
    for _ in 1..ATTEMPTS_MAX {
        let sent = hub.write(caller, "import", writes.clone(), expected.clone(), None).await;
        match sent {
            Err(HubError::Store(StoreError::Overloaded)) => tokio::time::sleep(PAUSE).await,
            sent => return sent,
        }
    }
    hub.write(caller, "import", writes, expected, None).await
}

/// Whether it is the store that cannot, rather than what it was given that may not.
fn is_stopped(error: &HubError) -> bool {
    use StoreError::{Full, Overloaded, TooSlow, Unavailable};
    matches!(error, HubError::Store(Full | Overloaded | TooSlow | Unavailable(_)))
}

fn stopped(error: HubError) -> ProgramError {
    let again = "what was imported stays; import the same again to go on";
    ProgramError::failed("importing", format!("{error}; {again}"))
}
