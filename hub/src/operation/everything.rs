//! `$everything`: `GET` or `POST [base]/Patient/[id]/$everything`, and the same of an Encounter.
//! <https://hl7.org/fhir/R4/operation-patient-everything.html>
//!
//! A search over all types: what is in the compartment, and what that refers to; each once, page by
//! page. Of other Patients nothing is shown.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use fhir::definitions::ResourceType;
use fhir::instant::{Interval, OPEN_HIGH, OPEN_LOW};
use fhir::outcome::{Issue, IssueCode};
use http::{HeaderMap, StatusCode};
use service::answer::Answer;
use service::caller::Caller;
use service::parameters::Input;
use service::refusal::Refusal;

use crate::Hub;
use crate::address::Id;
use crate::error::HubError;
use crate::interaction::search::{Pairs, resume};
use crate::search::condition::Condition;
use crate::search::page;
use crate::search::parameters::{COUNT_MAX, Place, Search, compartment, parse};

/// Of a Patient.
pub async fn patient(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Id(id): Id,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let pairs = Input::read(query.as_deref(), &headers, body).await?.pairs;
    everything(&hub, &caller, ResourceType::PATIENT, &id, pairs).await
}

/// Of an Encounter.
pub async fn encounter(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Id(id): Id,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let pairs = Input::read(query.as_deref(), &headers, body).await?.pairs;
    everything(&hub, &caller, ResourceType::ENCOUNTER, &id, pairs).await
}

async fn everything(
    hub: &Hub,
    caller: &Caller,
    owner: ResourceType,
    id: &str,
    pairs: Pairs,
) -> Result<Answer, HubError> {
    let version = hub.view(caller)?.read(hub, owner, id).await?;
    let version = version.ok_or(HubError::NotFound { resource_type: owner })?;
    version.body.ok_or(HubError::Deleted { resource_type: owner })?;
    let path = format!("{owner}/{id}/$everything");
    let (pairs, resume) = resume(hub, caller, &path, pairs)?;
    let search = search(hub, owner, id, path, pairs)?;
    let bundle = page::run(hub, caller, &search, resume).await?;
    Ok(Answer::resource(StatusCode::OK, bundle))
}

fn search(
    hub: &Hub,
    owner: ResourceType,
    id: &str,
    path: String,
    pairs: Pairs,
) -> Result<Search, Refusal> {
    let terms = &*hub.store.terms();
    let patient = terms.resource_type(ResourceType::PATIENT);
    let of_patient = owner == ResourceType::PATIENT;
    let ids = Condition::Ids { types: vec![terms.resource_type(owner)], ids: vec![id.to_owned()] };
    let all: Vec<ResourceType> = ResourceType::all().collect();
    let members = compartment(owner, id, &all, terms);
    let core = Condition::Any(members.into_iter().chain([ids]).collect());
    let beyond = Condition::ReferredFrom {
        source: Box::new(core.clone()),
        except: of_patient.then_some(patient),
    };
    let compartment = Some(Condition::Any(vec![core, beyond]));
    let (mut types, mut asked) = (all, vec![("_count".to_owned(), COUNT_MAX.to_string())]);
    let (mut low, mut high) = (OPEN_LOW, OPEN_HIGH);
    for (name, value) in &pairs {
        match name.as_str() {
            "_type" => types = listed(value)?,
            "_since" => asked.push(("_lastUpdated".into(), format!("ge{value}"))),
            "start" => low = interval(name, value)?.low,
            "end" => high = interval(name, value)?.high,
            "_count" | "_format" | "_pretty" | "_elements" | "_summary" | "_total" => {
                asked.push((name.clone(), value.clone()));
            }
            _ => return Err(wrong(name, "is not known for $everything")),
        }
    }
    let place = Place { path, types, compartment };
    let mut search = parse(place, &asked, true, terms, hub.base())?;
    if (low, high) != (OPEN_LOW, OPEN_HIGH) {
        search.matching.conditions.push(Condition::Within(Interval { low, high }));
    }
    search.executed = pairs;
    Ok(search)
}

fn listed(value: &str) -> Result<Vec<ResourceType>, Refusal> {
    let types = value.split(',').map(|name| name.trim().parse()).collect::<Result<Vec<_>, _>>();
    types.map_err(|_| wrong("_type", "must be a list of FHIR R4 resource types"))
}

fn interval(name: &str, value: &str) -> Result<Interval, Refusal> {
    Interval::parse(value).ok_or_else(|| wrong(name, "must be a date, such as 2020-05-17"))
}

fn wrong(name: &str, must: &str) -> Refusal {
    let text = format!("The parameter {name} {must}.");
    Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at(name))
}
