//! update: `PUT /producer/FHIR/R4/DocumentReference/{id}`. What a pointer is about and whose it is
//! never changes; its date stays, and `meta.lastUpdated` is set.

use axum::extract::State;
use http::StatusCode;
use service::answer::Answer;

use crate::Locator;
use crate::body::PointerId;
use crate::caller::Producer;
use crate::error::{Deed, LocatorError};
use crate::outcome::Success;
use crate::pointer::{Candidate, Checked, Node, Pointer};
use crate::registry::StoreError;

const IMMUTABLE: [&str; 9] = [
    "masterIdentifier",
    "id",
    "identifier",
    "status",
    "type",
    "subject",
    "custodian",
    "relatesTo",
    "author",
];

pub(crate) async fn update(
    State(locator): State<Locator>,
    Producer(caller): Producer,
    PointerId(id): PointerId,
    candidate: Candidate,
) -> Result<Answer, LocatorError> {
    if candidate.id() != Some(&id) {
        let message = "The document id in the path does not match the document id in the body";
        return Err(LocatorError::rule("", message));
    }
    let checked = candidate.check(Some(id), locator.practice_settings())?;
    if !caller.produced(&checked.id) {
        return Err(LocatorError::BelongsToAnother(Deed::Update));
    }
    let now_micros = locator.now_micros();
    let write = locator.registry().write(move |writer| {
        let existing = writer.read(&checked.id)?.ok_or(LocatorError::NotFound)?;
        Ok(writer.update(&replacement(&existing, &checked, now_micros)?)?)
    });
    write.await?;
    Ok(Answer::resource(StatusCode::OK, Success::Updated.to_json()))
}

/// The new pointer, if it changes nothing that may not change.
fn replacement(
    existing: &Pointer,
    checked: &Checked,
    now_micros: i64,
) -> Result<Pointer, LocatorError> {
    let stored = Node::parse(existing.body.as_bytes());
    let stored = stored.map_err(|_| LocatorError::Store(StoreError::Unreadable))?;
    for field in IMMUTABLE {
        if stored.get(field) != checked.root().get(field) {
            let message = format!("The field '{field}' is immutable and cannot be updated");
            return Err(LocatorError::rule(field, message));
        }
    }
    let date = stored.text_at("date").unwrap_or_default();
    Ok(checked.updated(existing, date, now_micros))
}
