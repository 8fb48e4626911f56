//! history of a resource, a type or the record: `GET [base]/[type]/[id]/_history`,
//! `GET [base]/[type]/_history`, `GET [base]/_history`. <https://hl7.org/fhir/R4/http.html#history>
//!
//! A walk over the pages shows every version that there was at its start exactly once, whatever is
//! written meanwhile: what is new comes before the first page. The total is told on the first page:
//! of a resource always, else if the page holds everything or it is asked for, as counting costs.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use fhir::instant::{Interval, format_instant};
use fhir::json::push_string;
use fhir::outcome::{Issue, IssueCode};
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;
use service::refusal::Refusal;
use url::form_urlencoded;

use super::preconditions::strict;
use crate::Hub;
use crate::address::{Id, Kind};
use crate::error::HubError;
use crate::search::cursor::Cursor;
use crate::search::parameters::{COUNT_DEFAULT, COUNT_MAX};
use crate::store::history::{History, Of, Past, Place};
use crate::store::write::Method;

type Pairs = Vec<(String, String)>;

/// The versions of a resource, newest first.
pub async fn instance(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    history(&hub, &caller, Of::Instance(resource_type, id), query.as_deref(), &headers).await
}

/// The versions of all resources of a type, newest first.
pub async fn of_type(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    history(&hub, &caller, Of::Type(resource_type), query.as_deref(), &headers).await
}

/// The versions of all resources, newest first.
pub async fn system(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    history(&hub, &caller, Of::System, query.as_deref(), &headers).await
}

async fn history(
    hub: &Hub,
    caller: &Caller,
    of: Of,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Answer, HubError> {
    let pairs: Pairs =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let (pairs, after) = resume(hub, caller, &of, pairs)?;
    let asked = Asked::parse(&pairs, strict(headers))?;
    let view = hub.view(caller)?;
    view.can_be_told(hub).await?;
    let history = History { of, since: asked.since, at: asked.at, after, view };
    let mut found = Vec::new();
    if asked.count > 0 {
        found = hub.store.history(&history, asked.count + 1).await?;
    }
    let more = found.len() > asked.count;
    found.truncate(asked.count);
    history.view.withhold_in_past(hub, &mut found).await?;
    if let (true, Of::Instance(resource_type, id)) = (found.is_empty(), &history.of) {
        let known = history.view.read(hub, *resource_type, id).await?;
        known.ok_or(HubError::NotFound { resource_type: *resource_type })?;
    }
    let counted = asked.total || asked.count == 0 || matches!(history.of, Of::Instance(..));
    let total = match (after, more) {
        (None, false) if asked.count > 0 => Some(found.len() as u64),
        (None, _) if counted => Some(hub.store.count_history(&history).await?),
        _ => None,
    };
    let path = path(&history.of);
    let next = found.last().filter(|_| more).map(|last| {
        let made = hub.clock.now_micros();
        let cursor = Cursor { path: path.clone(), query: pairs, resume: last.place, made };
        let sealed = hub.seal.seal(&cursor, &caller.organisation);
        format!("{}/{path}?_cursor={sealed}", hub.base())
    });
    let own = asked.link(hub.base(), &path);
    Ok(Answer::resource(StatusCode::OK, bundle(hub.base(), &own, next.as_deref(), &found, total)))
}

/// The URL of a history, relative to the base; a cursor is bound to it.
fn path(of: &Of) -> String {
    match of {
        Of::Instance(resource_type, id) => format!("{resource_type}/{id}/_history"),
        Of::Type(resource_type) => format!("{resource_type}/_history"),
        Of::System => "_history".into(),
    }
}

/// What was asked in the first place, and where the page before ended.
fn resume(
    hub: &Hub,
    caller: &Caller,
    of: &Of,
    pairs: Pairs,
) -> Result<(Pairs, Option<Place>), Refusal> {
    let Some((_, text)) = pairs.iter().find(|(name, _)| name == "_cursor") else {
        return Ok((pairs, None));
    };
    let cursor: Cursor<Place> =
        hub.seal.open(text, &caller.organisation, hub.clock.now_micros())?;
    if pairs.len() > 1 || cursor.path != path(of) {
        let text = "A page link is used as it was given: with its own URL, and without more \
                    parameters.";
        return Err(Refusal::bad_request_issue(
            Issue::error(IssueCode::Invalid, text).at("_cursor"),
        ));
    }
    Ok((cursor.query, Some(cursor.resume)))
}

/// The parameters of a history.
#[derive(Debug)]
struct Asked {
    count: usize,
    total: bool,
    since: Option<i64>,
    at: Option<Interval>,
    executed: Pairs,
}

impl Asked {
    fn parse(pairs: &Pairs, strict: bool) -> Result<Self, Refusal> {
        let mut asked = Self {
            count: COUNT_DEFAULT,
            total: false,
            since: None,
            at: None,
            executed: Vec::new(),
        };
        for (name, value) in pairs {
            if asked.take(name, value)? {
                asked.executed.push((name.clone(), value.clone()));
            } else if strict && !matches!(name.as_str(), "_format" | "_pretty") {
                return Err(refused(name, "is not known for a history", IssueCode::NotSupported));
            }
        }
        Ok(asked)
    }

    /// Whether the parameter is known and asks for something.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, Refusal> {
        let bad = |must: &str| Err(refused(name, must, IssueCode::Value));
        match name {
            "_count" => match value.parse::<u64>() {
                Ok(count) => {
                    self.count = usize::try_from(count).map_or(COUNT_MAX, |c| c.min(COUNT_MAX));
                }
                Err(_) => return bad("must be a whole number, 0 or more"),
            },
            "_since" => match moment(value) {
                Some(interval) => self.since = self.since.max(Some(interval.low)),
                None => return bad("must be an instant, such as 2020-05-17T09:30:00Z"),
            },
            "_at" if self.at.is_some() => return bad("may be given once"),
            "_at" => match moment(value) {
                Some(interval) => self.at = Some(interval),
                None => {
                    return bad("must be a date or time, such as 2020-05 or 2020-05-17T09:30:00Z");
                }
            },
            "_total" => match value {
                "accurate" | "estimate" => self.total = true,
                "none" => self.total = false,
                _ => return bad("must be none, estimate or accurate"),
            },
            "_summary" if value == "count" => self.count = 0,
            "_list" | "_summary" | "_elements" | "_sort" => {
                return Err(refused(name, "cannot be used in a history", IssueCode::NotSupported));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What was executed, as a URL.
    fn link(&self, base: &str, path: &str) -> String {
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.executed).finish();
        if query.is_empty() { format!("{base}/{path}") } else { format!("{base}/{path}?{query}") }
    }
}

/// A date or time; a raw `+` of its zone is a space once the query is decoded.
fn moment(value: &str) -> Option<Interval> {
    Interval::parse(&value.replace(' ', "+"))
}

fn refused(name: &str, why: &str, code: IssueCode) -> Refusal {
    let text = format!("The parameter {name} {why}.");
    Refusal::bad_request_issue(Issue::error(code, text).at(name))
}

fn bundle(
    base: &str,
    own: &str,
    next: Option<&str>,
    found: &[Past],
    total: Option<u64>,
) -> Vec<u8> {
    let bytes =
        found.iter().map(|past| past.version.body.as_ref().map_or(0, bytes::Bytes::len) + 320);
    let mut out = Vec::with_capacity(512 + bytes.sum::<usize>());
    out.extend_from_slice(br#"{"resourceType":"Bundle","type":"history","#);
    if let Some(total) = total {
        out.extend_from_slice(format!(r#""total":{total},"#).as_bytes());
    }
    out.extend_from_slice(br#""link":[{"relation":"self","url":"#);
    push_string(&mut out, own);
    if let Some(next) = next {
        out.extend_from_slice(br#"},{"relation":"next","url":"#);
        push_string(&mut out, next);
    }
    out.extend_from_slice(b"}]");
    for (place, past) in found.iter().enumerate() {
        out.extend_from_slice(if place == 0 { br#","entry":["# } else { b"," });
        entry(&mut out, base, past);
    }
    out.extend_from_slice(if found.is_empty() { b"}" } else { b"]}" });
    out
}

fn entry(out: &mut Vec<u8>, base: &str, past: &Past) {
    let Past { resource_type, id, version, .. } = past;
    out.extend_from_slice(br#"{"fullUrl":"#);
    push_string(out, &format!("{base}/{resource_type}/{id}"));
    if let Some(body) = &version.body {
        out.extend_from_slice(br#","resource":"#);
        out.extend_from_slice(body);
    }
    let url = match version.method {
        Method::Create => resource_type.to_string(),
        Method::Update | Method::Delete => format!("{resource_type}/{id}"),
    };
    let status = match version.method {
        Method::Create => "201",
        Method::Update if version.version == 1 => "201",
        Method::Update => "200",
        Method::Delete => "204",
    };
    let (verb, number) = (version.method.verb(), version.version);
    let updated = format_instant(version.updated);
    let tail = format!(
        r#","request":{{"method":"{verb}","url":"{url}"}},"response":{{"status":"{status}","etag":"W/\"{number}\"","lastModified":"{updated}"}}}}"#
    );
    out.extend_from_slice(tail.as_bytes());
}
