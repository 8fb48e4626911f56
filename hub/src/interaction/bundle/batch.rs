//! batch: each entry on its own, whatever becomes of the others.

use std::sync::Arc;

use axum::Router;
use fhir::outcome::IssueCode;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;
use service::journal::Detail;
use service::refusal::Refusal;

use super::ask::ask;
use super::entry::Job;
use super::incoming::{Entry, Incoming};
use super::response::{Reply, response};
use super::{at, within};
use crate::interaction::content::check;
use crate::interaction::perform::{Beside, accomplish};
use crate::interaction::preconditions::Preference;
use crate::{Hub, error::HubError, routes};

/// Entries that are worked on at once.
const AT_ONCE: usize = 8;

/// Does what each entry asks for, in no order.
pub(super) async fn batch(
    hub: Arc<Hub>,
    caller: Caller,
    headers: &HeaderMap,
    incoming: Incoming,
) -> Result<Answer, HubError> {
    for header in ["Idempotency-Key", "X-Provenance"] {
        if headers.contains_key(header) {
            let text = "This header stands beside one write: send the Bundle as a transaction.";
            return Err(at(header, IssueCode::NotSupported, text).into());
        }
    }
    let preference = Preference::of(headers);
    let routes = routes::interactions(hub.clone());
    let replies = stream::iter(incoming.entries)
        .map(|entry| {
            let (hub, caller, routes) = (hub.clone(), caller.clone(), routes.clone());
            // A task of its own: entries use all cores, and one that panics fails alone.
            tokio::spawn(async move {
                let line = format!("{} {}", entry.request.method, entry.request.url);
                let reply = one(&hub, &caller, routes, &entry, preference).await;
                let reply = reply
                    .unwrap_or_else(|refusal| Reply::refused(&within(entry.place, "", refusal)));
                (format!("{line} {}", reply.status.as_u16()), reply)
            })
        })
        .buffered(AT_ONCE)
        .map(|joined| {
            joined.unwrap_or_else(|error| {
                ("lost 500".to_owned(), Reply::refused(&Refusal::internal(&error)))
            })
        });
    let (lines, replies): (Vec<String>, Vec<Reply>) = replies.unzip().await;
    let answer = Answer::resource(StatusCode::OK, response("batch-response", &replies));
    Ok(answer.noting(Detail(lines.join("; "))))
}

async fn one(
    hub: &Hub,
    caller: &Caller,
    routes: Router,
    entry: &Entry,
    preference: Option<Preference>,
) -> Result<Reply, Refusal> {
    match entry.job(hub.base())? {
        Job::Ask(asked) => ask(routes, caller, &asked).await,
        Job::Write(intent) => {
            if let Some((carried, text)) = intent.carries() {
                check(text, carried, &intent.at)?;
            }
            let done = accomplish(hub, caller, &intent, &Beside::default()).await?;
            Ok(Reply::done(&done, preference))
        }
    }
}
