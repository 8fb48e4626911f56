//! search: `GET [base]/[type]?…`, `POST [base]/[type]/_search`, the same in a compartment
//! (`[base]/Patient/[id]/[type]`) and over all types (`[base]?_type=…`).
//! <https://hl7.org/fhir/R4/http.html#search>
//!
//! Asked with `Prefer: entry-links`, each match carries `link[relation=after]`. Sent beside the
//! parameters of the same search, its `_after` takes the walk up right behind that match: who merges
//! many records need not take a whole page of each.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawPathParams, RawQuery, State};
use fhir::definitions::{Compartment, ResourceType};
use fhir::outcome::{Issue, IssueCode};
use fhir::reference::is_id;
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::body::form;
use service::caller::Caller;
use service::journal::Detail;
use service::refusal::Refusal;
use url::form_urlencoded;

use super::footing::Patience;
use super::permission;
use super::preconditions::{entry_links, strict};
use crate::Hub;
use crate::error::HubError;
use crate::search::cursor::bound_to;
use crate::search::page::{self, Resume};
use crate::search::parameters::{Place, Search, compartment, parse};

/// The decoded parameters of a search.
pub type Pairs = Vec<(String, String)>;

/// By GET.
pub async fn get(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    path: RawPathParams,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, HubError> {
    let pairs = decode(query.unwrap_or_default().as_bytes());
    let place = place(&hub, &path, &pairs)?;
    search(&hub, &caller, place, pairs, &headers).await
}

/// By POST: parameters of the URL and of the form count alike.
pub async fn post(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    path: RawPathParams,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let form = form(&headers, body).await?;
    let mut pairs = decode(query.unwrap_or_default().as_bytes());
    pairs.extend(decode(&form));
    let place = place(&hub, &path, &pairs)?;
    let answer = search(&hub, &caller, place, pairs, &headers).await?;
    Ok(answer.noting(Detail(String::from_utf8_lossy(&form).into_owned())))
}

async fn search(
    hub: &Hub,
    caller: &Caller,
    place: Place,
    pairs: Pairs,
    headers: &HeaderMap,
) -> Result<Answer, HubError> {
    let (mut pairs, resume) = resume(hub, caller, &place.path, pairs)?;
    permission::search(caller, &pairs)?;
    let after = after(&mut pairs)?;
    // The types of a search over all types are in what was asked.
    let types = if place.path.is_empty() { types(&pairs)? } else { place.types };
    let place = Place { types, ..place };
    let mut patience = Patience::default();
    loop {
        let terms = hub.store.terms();
        let mut search = parse(place.clone(), &pairs, strict(headers), &terms, hub.base())?;
        search.entry_links = entry_links(headers);
        let resume = match &after {
            Some(text) => Some(taken_up(hub, caller, &search, text)?),
            None => resume.clone(),
        };
        match Box::pin(page::run(hub, caller, &search, resume)).await {
            // The index is made by other rules now: they decide what was asked.
            Err(error) if patience.bears(&error) => patience.pause().await,
            bundle => return Ok(Answer::resource(StatusCode::OK, bundle?)),
        }
    }
}

/// What was asked in the first place, and where to take it up again.
pub fn resume(
    hub: &Hub,
    caller: &Caller,
    path: &str,
    pairs: Pairs,
) -> Result<(Pairs, Option<Resume>), Refusal> {
    let Some((_, text)) = pairs.iter().find(|(name, _)| name == "_cursor") else {
        return Ok((pairs, None));
    };
    let cursor = hub.seal.open(text, &caller.organisation, hub.clock.now_micros())?;
    if pairs.len() > 1 || cursor.path != path {
        return Err(not_alone());
    }
    Ok((cursor.query, Some(cursor.resume)))
}

/// The link of an entry beside the parameters of a search.
fn after(pairs: &mut Pairs) -> Result<Option<String>, Refusal> {
    let mut after = None;
    for (_, text) in pairs.extract_if(.., |(name, _)| name == "_after") {
        if after.replace(text).is_some() {
            let text = "A search is taken up after one entry: give _after once.";
            let issue = Issue::error(IssueCode::Invalid, text).at("_after");
            return Err(Refusal::bad_request_issue(issue));
        }
    }
    Ok(after)
}

/// Where the link of an entry takes a search up again.
fn taken_up(hub: &Hub, caller: &Caller, search: &Search, text: &str) -> Result<Resume, Refusal> {
    let bound_to = bound_to(search, &caller.organisation);
    let after = hub.seal.open_after(text, &bound_to, hub.clock.now_micros())?;
    Ok(Resume { walk: Some(after.walk), included: None, generation: after.generation })
}

/// What the URL says is searched.
fn place(hub: &Hub, path: &RawPathParams, pairs: &Pairs) -> Result<Place, Refusal> {
    let named = |name| path.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    located(hub, [named("type"), named("id"), named("member")], pairs)
}

/// What a path below the base says is searched: `Observation`, `Patient/a/Observation`, or nothing.
pub fn below(hub: &Hub, path: &str, pairs: &Pairs) -> Result<Place, Refusal> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let named = [parts.next(), parts.next(), parts.next()];
    match parts.next() {
        None => located(hub, named, pairs),
        Some(_) => Err(Refusal::no_such_url()),
    }
}

fn located(
    hub: &Hub,
    [of_type, id, member]: [Option<&str>; 3],
    pairs: &Pairs,
) -> Result<Place, Refusal> {
    match (of_type, id, member) {
        (None, ..) => Ok(Place { path: String::new(), types: types(pairs)?, compartment: None }),
        (Some(of_type), None, _) => Ok(Place::of_type(resource_type(of_type)?)),
        (Some(owner), Some(id), member) => in_compartment(hub, owner, id, member.unwrap_or("*")),
    }
}

fn in_compartment(hub: &Hub, owner: &str, id: &str, member: &str) -> Result<Place, Refusal> {
    let owner = resource_type(owner)?;
    let of = Compartment::of(owner).ok_or_else(Refusal::no_such_url)?;
    if !is_id(id) {
        let text = "An id is 1 to 64 letters, digits, hyphens and dots.";
        return Err(Refusal::bad_request(IssueCode::Value, text));
    }
    let types: Vec<ResourceType> = match member {
        "*" => ResourceType::all().filter(|t| !t.compartment(of).is_empty()).collect(),
        member => vec![resource_type(member)?],
    };
    let compartment = compartment(owner, id, &types, &hub.store.terms());
    Ok(Place { path: format!("{owner}/{id}/{member}"), types, compartment })
}

fn resource_type(name: &str) -> Result<ResourceType, Refusal> {
    name.parse().map_err(|_| {
        let text = "FHIR R4 has no resource type of the name in this URL. Names are case-\
                    sensitive: Patient, Observation.";
        Refusal::error(StatusCode::NOT_FOUND, IssueCode::NotSupported, text)
    })
}

/// The types of a search over all types.
fn types(pairs: &Pairs) -> Result<Vec<ResourceType>, Refusal> {
    let mut types: Option<Vec<ResourceType>> = None;
    for (_, value) in pairs.iter().filter(|(name, _)| name == "_type") {
        let named = value.split(',').map(str::parse).collect::<Result<Vec<ResourceType>, _>>();
        let named = named.map_err(|_| {
            let text = "_type must be a list of FHIR R4 resource types, such as Patient,Encounter.";
            Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at("_type"))
        })?;
        types = Some(match types {
            None => named,
            Some(types) => types.into_iter().filter(|t| named.contains(t)).collect(),
        });
    }
    Ok(types.unwrap_or_else(|| ResourceType::all().collect()))
}

/// Reads `a=b&c=d`.
pub fn decode(query: &[u8]) -> Pairs {
    form_urlencoded::parse(query).into_owned().collect()
}

fn not_alone() -> Refusal {
    let text = "A page link is used as it was given: at its own URL, and without more parameters.";
    Refusal::bad_request_issue(Issue::error(IssueCode::Invalid, text).at("_cursor"))
}
