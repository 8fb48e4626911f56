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
//! | `_summary` | `count`: how many there are, and none of them |
//!
//! Anything else is refused: a parameter that is passed over would show more than was asked for.
//!
//! An entry is found about a second after it was recorded. `AuditEvent?patient=Patient/[id]` is the
//! report of who has seen a patient's record, and who has written to it. It takes a scope that names
//! AuditEvent, and an organisation other than the region's own sees the events in which it is an agent.

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
    caller: Caller,
    Id(id): Id,
) -> Result<Answer, HubError> {
    let asked = Asked::of(&vec![("_id".to_owned(), id)])?.seen_by(&hub, &caller);
    let found = hub.store.audit_entries(&asked.query(&hub.config.region.ods, None)).await?;
    let Some(found) = found.first() else {
        return Err(HubError::NotFound { resource_type: AUDIT_EVENT });
    };
    let text = event(found, hub.config.region.ods.as_str()).to_string();
    Ok(Answer::resource(StatusCode::OK, text).versioned(1, found.recorded))
}

async fn page(hub: &Hub, caller: &Caller, pairs: Pairs) -> Result<Answer, HubError> {
    let (pairs, after) = resume(hub, caller, pairs)?;
    let asked = Asked::of(&pairs)?.seen_by(hub, caller);
    if asked.counts {
        return count(hub, &asked, &pairs).await;
    }
    let mut found = hub.store.audit_entries(&asked.query(&hub.config.region.ods, after)).await?;
    let more = found.len() > asked.count;
    found.truncate(asked.count);
    let own = format!("{}/AuditEvent", hub.base());
    let mut links = vec![("self", self_url(hub, &pairs))];
    if let Some(last) = found.last().filter(|_| more) {
        let resume: Place = (last.recorded, last.lane, last.seq);
        let path = "AuditEvent".to_owned();
        let cursor = Cursor { path, query: pairs, resume, made: hub.clock.now_micros() };
        let sealed = hub.seal.seal(&cursor, &caller.organisation);
        links.push(("next", format!("{own}?_cursor={sealed}")));
    }
    let ods = hub.config.region.ods.as_str();
    let shown = |at: &Recorded| (id(at.lane, at.seq), event(at, ods).to_string());
    let events: Vec<(String, String)> = found.iter().map(shown).collect();
    let links: Vec<(&str, &str)> = links.iter().map(|(r, url)| (*r, url.as_str())).collect();
    let bytes = events.iter().map(|(_, text)| text.len() + 160).sum();
    let mut bundle = SearchsetWriter::new("", None, &links, bytes);
    for (id, text) in events {
        bundle.entry(&format!("{own}/{id}"), &[], text.as_bytes(), SearchMode::Match);
    }
    Ok(Answer::resource(StatusCode::OK, bundle.finish()))
}

/// How many there are.
async fn count(hub: &Hub, asked: &Asked, pairs: &Pairs) -> Result<Answer, HubError> {
    let counted = hub.store.numbers(&asked.counting(&hub.config.region.ods)).await?;
    let total = counted.first().copied().unwrap_or_default().unsigned_abs();
    let own = self_url(hub, pairs);
    let bundle = SearchsetWriter::new("", Some(total), &[("self", &own)], 0);
    Ok(Answer::resource(StatusCode::OK, bundle.finish()))
}

fn self_url(hub: &Hub, pairs: &Pairs) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{}/AuditEvent{separator}{query}", hub.base())
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

/// What was asked for.
#[derive(Debug, Default)]
struct Asked {
    /// Lane and place.
    id: Option<(i64, i64)>,
    patient: Option<String>,
    organisation: Option<OdsCode>,
    /// Only events in which this organisation is an agent, whatever is asked.
    only: Option<OdsCode>,
    /// Comparisons of the time, and with what.
    dates: Vec<(&'static str, i64)>,
    count: usize,
    /// Only how many there are is asked.
    counts: bool,
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
                "_summary" if value == "count" => {
                    asked.counts = true;
                    true
                }
                "_format" | "_pretty" => true,
                _ => {
                    let text = "AuditEvents are searched by _id, date, patient and agent:identifier, \
                                and come newest first, or as a number with _summary=count.";
                    return Err(refused(name, IssueCode::NotSupported, text));
                }
            };
            if !fresh {
                return Err(wrong("This parameter may be given once."));
            }
        }
        Ok(asked)
    }

    /// Only what the caller may see: all of it is the region's own to see.
    fn seen_by(self, hub: &Hub, caller: &Caller) -> Self {
        let is_own = *caller.organisation == hub.config.region.ods;
        Self { only: (!is_own).then(|| (*caller.organisation).clone()), ..self }
    }

    /// One more than a page has, after a place. What is asked about leads the way, and the rest is looked
    /// up for each entry on it.
    fn query(&self, own: &OdsCode, after: Option<Place>) -> Query {
        let mut query = Query::default();
        query.push("SELECT a.lane, a.seq, a.recorded, a.entry, k.patients");
        self.found(&mut query, own);
        if let Some((recorded, lane, seq)) = after {
            query.push(" AND (s.recorded, s.lane, s.seq) < (").number(recorded);
            query.push(", ").number(lane).push(", ").number(seq).push(")");
        }
        query.push(" ORDER BY s.recorded DESC, s.lane DESC, s.seq DESC LIMIT ");
        query.number(self.count as i64 + 1);
        query
    }

    /// How many there are; costs as much.
    fn counting(&self, own: &OdsCode) -> Query {
        let mut query = Query::default();
        query.mark_long();
        query.push("SELECT count(*)");
        self.found(&mut query, own);
        query
    }

    /// ` FROM … WHERE …`
    fn found(&self, query: &mut Query, own: &OdsCode) {
        let patient = self.patient.iter().map(|id| format!("Patient/{id}"));
        let listed = |ods: &&OdsCode| *ods != own;
        let agents = self.organisation.iter().filter(listed).chain(&self.only);
        let mut about = patient.chain(agents.map(|ods| format!("agent/{}", ods.as_str())));
        let first = about.next();
        query.push(" FROM ");
        query.push(if first.is_some() { "audit_subject" } else { "audit_event" });
        query.push(" s JOIN audit_event k ON k.recorded = s.recorded AND k.lane = s.lane ");
        query.push("AND k.seq = s.seq JOIN audit a ON a.lane = s.lane AND a.seq = s.seq WHERE ");
        match first {
            Some(first) => query.push("s.about = ").text(&first),
            None => query.push("s.seq > 0"),
        };
        for about in about {
            query.push(" AND EXISTS (SELECT 1 FROM audit_subject o WHERE o.about = ").text(&about);
            query.push(" AND o.recorded = s.recorded AND o.lane = s.lane AND o.seq = s.seq)");
        }
        if let Some((lane, seq)) = self.id {
            query
                .push(" AND (s.recorded, s.lane, s.seq) = (SELECT i.recorded, i.lane, i.seq FROM ");
            query.push("audit i WHERE i.lane = ").number(lane).push(" AND i.seq = ").number(seq);
            query.push(")");
        }
        if self.organisation.as_ref() == Some(own) {
            // Within a text of the entry, the quotation marks would be escaped.
            query.push(" AND a.entry LIKE ").text(&format!("%\"{}\"%", own.as_str()));
        }
        for (comparison, micros) in &self.dates {
            query.push(" AND s.recorded ").push(comparison).push(" ").number(*micros);
        }
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
