//! `GET [base]/AuditEvent?…`, `POST [base]/AuditEvent/_search` and `GET [base]/AuditEvent/[id]`: the trail,
//! newest first. No one can write an AuditEvent.
//!
//! | parameter | what it takes |
//! |---|---|
//! | `_id` | an id |
//! | `date` | when it was recorded, after eq, lt, gt, le, ge, sa or eb; may be repeated |
//! | `patient` | an id, or `Patient/` and an id |
//! | `agent:identifier` | the caller's ODS code, with or without its system |
//! | `_count` | entries on a page |
//!
//! Anything else is refused: a parameter that is passed over would show more than was asked for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use fhir::bundle::{SearchMode, SearchsetWriter};
use fhir::definitions::ResourceType;
use fhir::identifier::{ODS_CODE, OdsCode};
use fhir::instant::Interval;
use fhir::outcome::{Issue, IssueCode};
use fhir::reference::is_id;
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::body::form;
use service::caller::Caller;
use service::journal::Detail;
use service::refusal::Refusal;
use url::form_urlencoded;

use super::event::{event, id};
use crate::Hub;
use crate::address::Id;
use crate::error::HubError;
use crate::interaction::search::{Pairs, decode};
use crate::search::cursor::Cursor;
use crate::store::query::Query;
use crate::store::trail::Recorded;

/// The type of the trail's entries.
pub const AUDIT_EVENT: ResourceType = ResourceType::AUDIT_EVENT;
/// Entries on a page, unless asked otherwise.
const COUNT: usize = 50;
/// Most entries on a page.
const COUNT_MAX: usize = 500;

/// The lane and place of an id that no entry can have.
const NOWHERE: (i64, i64) = (0, 0);

/// Where a page ended: time, lane, place.
type Place = (i64, i64, i64);

/// Whether AuditEvents are searched by this parameter.
pub fn is_searched(code: &str) -> bool {
    ["_id", "date", "patient"].contains(&code)
}

/// Searches by GET.
pub async fn search(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Answer, HubError> {
    page(&hub, &caller, decode(query.unwrap_or_default().as_bytes())).await
}

/// Searches by POST: parameters of the URL and of the form count alike.
pub async fn search_by_form(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let form = form(&headers, body).await?;
    let mut pairs = decode(query.unwrap_or_default().as_bytes());
    pairs.extend(decode(&form));
    let answer = page(&hub, &caller, pairs).await?;
    Ok(answer.noting(Detail(String::from_utf8_lossy(&form).into_owned())))
}

/// Reads one.
pub async fn read(
    State(hub): State<Arc<Hub>>,
    _caller: Caller,
    Id(id): Id,
) -> Result<Answer, HubError> {
    let asked = Asked::of(&vec![("_id".to_owned(), id)])?;
    let found = hub.store.audit_entries(&asked.query(None)).await?;
    match shown(&hub, &found).await?.pop() {
        Some((_, text)) => {
            Ok(Answer::resource(StatusCode::OK, text).versioned(1, found[0].recorded))
        }
        None => Err(HubError::NotFound { resource_type: AUDIT_EVENT }),
    }
}

async fn page(hub: &Hub, caller: &Caller, pairs: Pairs) -> Result<Answer, HubError> {
    let (pairs, after) = resume(hub, caller, pairs)?;
    let asked = Asked::of(&pairs)?;
    let mut found = hub.store.audit_entries(&asked.query(after)).await?;
    let more = found.len() > asked.count;
    found.truncate(asked.count);
    let own = format!("{}/AuditEvent", hub.base());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    let separator = if query.is_empty() { "" } else { "?" };
    let mut links = vec![("self", format!("{own}{separator}{query}"))];
    if let Some(last) = found.last().filter(|_| more) {
        let resume: Place = (last.recorded, last.lane, last.seq);
        let path = "AuditEvent".to_owned();
        let cursor = Cursor { path, query: pairs, resume, made: hub.clock.now_micros() };
        let sealed = hub.seal.seal(&cursor, &caller.organisation);
        links.push(("next", format!("{own}?_cursor={sealed}")));
    }
    let events = shown(hub, &found).await?;
    let links: Vec<(&str, &str)> = links.iter().map(|(r, url)| (*r, url.as_str())).collect();
    let bytes = events.iter().map(|(_, text)| text.len() + 160).sum();
    let mut bundle = SearchsetWriter::new("", None, &links, bytes);
    for (id, text) in events {
        bundle.entry(&format!("{own}/{id}"), &[], text.as_bytes(), SearchMode::Match);
    }
    Ok(Answer::resource(StatusCode::OK, bundle.finish()))
}

/// What was asked in the first place, and where the page before ended.
fn resume(hub: &Hub, caller: &Caller, pairs: Pairs) -> Result<(Pairs, Option<Place>), Refusal> {
    let Some((_, text)) = pairs.iter().find(|(name, _)| name == "_cursor") else {
        return Ok((pairs, None));
    };
    let cursor: Cursor<Place> =
        hub.seal.open(text, &caller.organisation, hub.clock.now_micros())?;
    if pairs.len() > 1 || cursor.path != "AuditEvent" {
        let text =
            "A page link is used as it was given: at its own URL, and without more parameters.";
        return Err(refused("_cursor", IssueCode::Invalid, text));
    }
    Ok((cursor.query, Some(cursor.resume)))
}

/// Entries as AuditEvents, each with its id.
async fn shown(hub: &Hub, found: &[Recorded]) -> Result<Vec<(String, String)>, HubError> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Query::default();
    query.push("SELECT lane, seq, patient FROM audit_subject WHERE ");
    for (place, at) in found.iter().enumerate() {
        query.push(if place == 0 { "(lane = " } else { " OR (lane = " }).number(at.lane);
        query.push(" AND seq = ").number(at.seq).push(")");
    }
    let patients = hub.store.audit_patients(&query).await?;
    let own = hub.config.region.ods.as_str();
    let text = |at: &Recorded| {
        let of = patients.iter().filter(|(lane, seq, _)| (*lane, *seq) == (at.lane, at.seq));
        let of: Vec<String> = of.map(|(_, _, patient)| patient.clone()).collect();
        (id(at.lane, at.seq), event(at, &of, own).to_string())
    };
    Ok(found.iter().map(text).collect())
}

/// What was asked for.
#[derive(Debug, Default)]
struct Asked {
    /// Lane and place.
    id: Option<(i64, i64)>,
    patient: Option<String>,
    organisation: Option<OdsCode>,
    /// Comparisons of the time, and with what.
    dates: Vec<(&'static str, i64)>,
    count: usize,
}

impl Asked {
    fn of(pairs: &Pairs) -> Result<Self, Refusal> {
        let mut asked = Self { count: COUNT, ..Self::default() };
        for (name, value) in pairs {
            let wrong = |text: &str| refused(name, IssueCode::Value, text);
            let fresh = match name.as_str() {
                "_id" => asked.id.replace(place(value).unwrap_or(NOWHERE)).is_none(),
                "patient" => {
                    let id = value.strip_prefix("Patient/").unwrap_or(value);
                    if !is_id(id) {
                        return Err(wrong(
                            "patient must be a patient's id, or Patient/ and the id.",
                        ));
                    }
                    asked.patient.replace(id.to_owned()).is_none()
                }
                "agent:identifier" => {
                    let code = value.strip_prefix(ODS_CODE).and_then(|code| code.strip_prefix('|'));
                    let code = code.unwrap_or(value).parse();
                    let code = code.map_err(|_| wrong("agent:identifier must be an ODS code."))?;
                    asked.organisation.replace(code).is_none()
                }
                "date" => {
                    let text = "date must be a date or an instant, after eq, lt, gt, le, ge, sa \
                                or eb: ge2026-11-23.";
                    asked.dates.extend(comparisons(value).ok_or_else(|| wrong(text))?);
                    true
                }
                "_count" => {
                    let count = value.parse::<usize>();
                    let count = count.map_err(|_| wrong("_count must be a number."))?;
                    asked.count = count.clamp(1, COUNT_MAX);
                    true
                }
                "_format" | "_pretty" => true,
                _ => {
                    let text = "AuditEvents are searched by _id, date, patient and agent:identifier, \
                                and come newest first.";
                    return Err(refused(name, IssueCode::NotSupported, text));
                }
            };
            if !fresh {
                return Err(wrong("This parameter may be given once."));
            }
        }
        Ok(asked)
    }

    /// One more than a page has, after a place.
    fn query(&self, after: Option<Place>) -> Query {
        let mut query = Query::default();
        let entry = if let Some(patient) = &self.patient {
            query.push(
                "SELECT a.lane, a.seq, a.recorded, a.entry FROM audit_subject k JOIN audit a ",
            );
            query.push("ON a.lane = k.lane AND a.seq = k.seq WHERE k.patient = ").text(patient);
            "a.entry"
        } else {
            query.push("SELECT k.lane, k.seq, k.recorded, k.entry FROM audit k WHERE k.seq > 0");
            "k.entry"
        };
        if let Some((lane, seq)) = self.id {
            query.push(" AND k.lane = ").number(lane).push(" AND k.seq = ").number(seq);
        }
        for (comparison, micros) in &self.dates {
            query.push(" AND k.recorded ").push(comparison).push(" ").number(*micros);
        }
        if let Some(ods) = &self.organisation {
            // Within a text of the entry, the quotation marks would be escaped.
            query.push(" AND ").push(entry).push(" LIKE ");
            query.text(&format!("%\"organisation\":\"{}\"%", ods.as_str()));
        }
        if let Some((recorded, lane, seq)) = after {
            query.push(" AND (k.recorded, k.lane, k.seq) < (").number(recorded);
            query.push(", ").number(lane).push(", ").number(seq).push(")");
        }
        query.push(" ORDER BY k.recorded DESC, k.lane DESC, k.seq DESC LIMIT ");
        query.number(self.count as i64 + 1);
        query
    }
}

/// Lane and place of an id.
fn place(id: &str) -> Option<(i64, i64)> {
    let (lane, seq) = id.split_once('-')?;
    Some((lane.parse().ok()?, seq.parse().ok()?))
}

/// What the time is compared with.
fn comparisons(value: &str) -> Option<Vec<(&'static str, i64)>> {
    let (prefix, date) = match value.get(..2)? {
        prefix if prefix.bytes().all(|byte| byte.is_ascii_lowercase()) => (prefix, &value[2..]),
        _ => ("eq", value),
    };
    let Interval { low, high } = Interval::parse(date)?;
    Some(match prefix {
        "eq" => vec![(">=", low), ("<", high)],
        "ge" => vec![(">=", low)],
        "gt" | "sa" => vec![(">=", high)],
        "le" => vec![("<", high)],
        "lt" | "eb" => vec![("<", low)],
        _ => return None,
    })
}

fn refused(parameter: &str, code: IssueCode, text: &str) -> Refusal {
    Refusal::bad_request_issue(Issue::error(code, text).at(parameter))
}
