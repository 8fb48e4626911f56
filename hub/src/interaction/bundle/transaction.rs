//! transaction: all entries or none, in the specification's order: DELETE, POST, PUT and PATCH, GET.
//! <https://hl7.org/fhir/R4/http.html#trules>
//!
//! Where entries lead and what conditional references select is looked up first, and looked at again in
//! the store's own transaction: so it is the record before the transaction that counts, and no one can
//! change it in between. What the entries read is read afterwards.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;
use service::caller::scope::Rights;
use service::journal::{Detail, InStore};
use service::refusal::Refusal;

use super::ask::ask;
use super::entry::Job;
use super::incoming::Incoming;
use super::parsed::Parsed;
use super::prepared::{Prepared, fill, prepare};
use super::response::{Reply, response};
use super::roles::{links, roles};
use super::{blocking, within};
use crate::interaction::done::Done;
use crate::interaction::footing::{Footing, Patience};
use crate::interaction::perform::Beside;
use crate::interaction::permission;
use crate::interaction::preconditions::Preference;
use crate::store::StoreError;
use crate::{Hub, error::HubError, routes};

/// Writes every entry in one transaction of the store, then reads what entries ask for.
pub(super) async fn transaction(
    hub: Arc<Hub>,
    caller: Caller,
    headers: &HeaderMap,
    incoming: Incoming,
) -> Result<Answer, HubError> {
    let preference = Preference::of(headers);
    let beside = Beside::of(headers, &[b"transaction".to_vec(), incoming.text.to_vec()])?;
    let own = hub.clone();
    let parsed = blocking(move || Parsed::new(incoming, own.base())).await??;
    permitted(&caller, &parsed, &beside)?;
    hub.view(&caller)?;
    let parsed = Arc::new(parsed);
    let mut patience = Patience::default();
    let mut done = loop {
        match attempt(&hub, &caller, &parsed, &beside, preference).await {
            Err(error) if patience.bears(&error) => patience.pause().await,
            result => break result?,
        }
    };
    for done in done.iter_mut().flatten() {
        done.withhold(&hub, &caller).await?;
    }
    answer(hub, &caller, &parsed, &done, preference).await
}

async fn attempt(
    hub: &Arc<Hub>,
    caller: &Caller,
    parsed: &Arc<Parsed>,
    Beside { key, provenance }: &Beside,
    preference: Option<Preference>,
) -> Result<Vec<Option<Done>>, HubError> {
    if let Some(key) = key
        && let Some(kept) = key.kept(hub, caller).await?
    {
        return refilled(hub, caller, kept, preference).await;
    }
    let mut footing = Footing::new(hub, caller);
    let roles = roles(&mut footing, parsed).await?;
    let links = links(&mut footing, parsed, &roles).await?;
    let provenance = provenance.as_ref().map(|p| p.linked(&links, hub.base())).transpose()?;
    let (own, whose, all) = (hub.clone(), caller.clone(), parsed.clone());
    let prepared = blocking(move || prepare(&own, &whose, &all, roles, &links)).await??;
    let Prepared { mut writes, places, slots } = prepared;
    if writes.is_empty() {
        return Ok(fill(&slots, &[]));
    }
    if let Some(provenance) = provenance {
        let about = provenance.about(&mut footing, &writes).await;
        writes.extend(about.map_err(|error| named(error, &places))?);
    }
    let slots = Arc::new(slots);
    let once = key.as_ref().map(|key| {
        let slots = slots.clone();
        key.once(move |written| fill(&slots, written))
    });
    let written = hub.write(caller, "transaction", writes, footing.expected(), once).await;
    Ok(fill(&slots, &written.map_err(|error| named(error, &places))?))
}

/// Refuses the whole if the scopes do not allow one of its writes. What entries ask for is decided by
/// the routes that they ask.
fn permitted(caller: &Caller, parsed: &Parsed, beside: &Beside) -> Result<(), Refusal> {
    if beside.provenance.is_some() {
        caller.require("Provenance", Rights::CREATE)?;
    }
    for (place, job) in parsed.jobs.iter().enumerate() {
        if let Job::Write(intent) = job {
            permission::write(caller, intent).map_err(|refusal| within(place, "", refusal))?;
        }
    }
    Ok(())
}

/// What was done before, with the texts that are wanted now.
async fn refilled(
    hub: &Hub,
    caller: &Caller,
    mut kept: Vec<Option<Done>>,
    preference: Option<Preference>,
) -> Result<Vec<Option<Done>>, HubError> {
    if preference == Some(Preference::Representation) {
        for done in kept.iter_mut().flatten() {
            done.refill(hub, caller).await?;
        }
    }
    Ok(kept)
}

/// Names the entry that a refusal of the store is about.
pub(crate) fn named(error: HubError, places: &[usize]) -> HubError {
    let entry = match &error {
        HubError::Store(StoreError::Conflict { entry, .. }) => places.get(*entry).copied(),
        _ => None,
    };
    match entry {
        Some(place) => within(place, "", error).into(),
        None => error,
    }
}

/// Reads what entries ask for, now that everything is written, and answers.
async fn answer(
    hub: Arc<Hub>,
    caller: &Caller,
    parsed: &Parsed,
    done: &[Option<Done>],
    preference: Option<Preference>,
) -> Result<Answer, HubError> {
    let mut replies = Vec::with_capacity(done.len());
    let mut lines = Vec::new();
    let mut routes = None;
    for (job, done) in parsed.jobs.iter().zip(done) {
        replies.push(match (job, done) {
            (Job::Ask(asked), _) => {
                let routes = routes.get_or_insert_with(|| routes::interactions(hub.clone()));
                let reply = ask(routes.clone(), caller, asked).await;
                let reply = reply.unwrap_or_else(|refusal| Reply::refused(&refusal));
                lines.push(format!("{} {} {}", asked.method, asked.url, reply.status.as_u16()));
                reply
            }
            (Job::Write(_), Some(done)) => Reply::done(done, preference),
            (Job::Write(_), None) => Reply::default(),
        });
    }
    let answer = Answer::resource(StatusCode::OK, response("transaction-response", &replies));
    let stored = done.iter().flatten().any(Done::is_stored);
    // What was written is audited with it; what was read is so only here.
    Ok(if stored && lines.is_empty() {
        answer.noting(InStore)
    } else {
        answer.noting(Detail(lines.join("; ")))
    })
}
