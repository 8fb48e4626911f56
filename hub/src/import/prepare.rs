//! Texts -> what can be written: validated, taken apart for the index.

use std::sync::Arc;

use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use fhir::tree::Tree;
use service::refusal::Refusal;

use super::Record;
use super::source::{Item, Origin, Piece};
use crate::interaction::bundle::load::{Load, Ready};
use crate::interaction::content::{Basis, check, content, sound};
use crate::interaction::links::{Place, refuse_conditional_references, rewrite};
use crate::store::write::{Action, Write};

/// A resource ready to be written, or its type and why it is refused.
pub(super) type Judged = Result<Write, (Option<ResourceType>, Refusal)>;

/// What a piece has become.
pub(super) enum Prepared {
    /// Resources; each, or its type and why it is refused.
    Resources(Vec<(Origin, Judged)>),
    /// A transaction; ready, if nothing in the record can make it another.
    Transaction { origin: Origin, load: Load, ready: Option<Ready> },
    /// A transaction that would be written.
    Rehearsed(Vec<ResourceType>),
    /// A Bundle that is refused.
    Refused(Origin, Refusal),
}

/// Prepares a piece where no one else waits for it.
pub(super) async fn prepare(record: Arc<Record>, piece: Piece) -> Prepared {
    let (origin, text) = match piece {
        Piece::Transaction(origin, text) => (origin, text),
        Piece::Refused(origin, refusal) => return Prepared::Refused(origin, refusal),
        Piece::Resources(items) => {
            let own = record.clone();
            let all = move || items.into_iter().map(|item| resource(&own, item)).collect();
            return match tokio::task::spawn_blocking(all).await {
                Ok(resources) => Prepared::Resources(resources),
                // It was cancelled with the runtime, or is a defect that has been told.
                Err(_) => Prepared::Resources(Vec::new()),
            };
        }
    };
    let own = record.clone();
    let read = tokio::task::spawn_blocking(move || {
        let load = Load::read(text, own.base())?;
        let types = match &*own {
            Record::Rehearsal { .. } => {
                let terms = &own.terms();
                let basis = Basis { terms, now: own.now(), region: own.region() };
                Some(load.rehearse(basis)?)
            }
            Record::Open(..) => None,
        };
        Ok::<_, Refusal>((load, types))
    });
    match read.await.unwrap_or_else(|error| Err(Refusal::internal(&error))) {
        Err(refusal) => Prepared::Refused(origin, refusal),
        Ok((_, Some(types))) => Prepared::Rehearsed(types),
        Ok((load, None)) => {
            let ready = ready_early(&record, &load).await;
            Prepared::Transaction { origin, load, ready }
        }
    }
}

/// Prepares a transaction before its turn. One that rests on something, or is refused, is looked at
/// again when all before it is written.
async fn ready_early(record: &Record, load: &Load) -> Option<Ready> {
    let Record::Open(hub, _) = record else { return None };
    load.ready(hub).await.ok().filter(|ready| ready.expected.is_empty())
}

fn resource(record: &Record, item: Item) -> (Origin, Judged) {
    let written = write(record, &item);
    let judged = written.map_err(|refusal| (item.text.as_deref().ok().and_then(named), refusal));
    (item.origin, judged)
}

/// The type that a text names, however wrong the rest of it is.
fn named(text: &[u8]) -> Option<ResourceType> {
    Tree::parse(text).ok()?.text("resourceType")?.parse().ok()
}

fn write(record: &Record, item: &Item) -> Result<Write, Refusal> {
    let text = item.text.as_ref().map_err(Clone::clone)?;
    let within = item.origin.entry.map(|place| format!("Bundle.entry[{place}].resource"));
    let survey = sound(text, within.as_deref())?;
    let resource_type = survey.resource_type.ok_or_else(unknown_type)?;
    let at = within.as_deref().unwrap_or(resource_type.as_str());
    let id = survey.id.as_deref().ok_or_else(|| without_id(at))?.to_owned();
    let rewritten = match &item.links {
        Some(links) if !links.is_empty() => {
            let place = Place { start: 0, resource: text, base: record.base(), expression: at };
            let rewritten = rewrite(&place, &survey.references, links)?;
            check(&rewritten, resource_type, at)?;
            Some(rewritten)
        }
        _ => {
            refuse_conditional_references(text, &survey.references, at)?;
            None
        }
    };
    let text = rewritten.as_deref().unwrap_or(text);
    let basis = Basis { terms: &record.terms(), now: record.now(), region: record.region() };
    let hand = record.hand(resource_type);
    let content = content(text, (resource_type, &id), at, &hand.organisation, basis)?;
    let action = Action::Update { content, may_create: record.may_create() };
    Ok(Write { resource_type, id, action, if_match: None, hand })
}

fn unknown_type() -> Refusal {
    let text = "FHIR R4 has no resource type of this name.";
    Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at("resourceType"))
}

fn without_id(at: &str) -> Refusal {
    let text = "A resource to be imported needs its id: without one, it would be another resource \
                each time it is imported.";
    let issue = Issue::error(IssueCode::Required, text).at(format!("{at}.id"));
    Refusal::bad_request_issue(issue)
}
