//! `$validate`: `POST [base]/[type]/$validate`, `POST [base]/[type]/[id]/$validate`.
//! <https://hl7.org/fhir/R4/resource-operation-validate.html>
//!
//! Says what a write of the resource would be told, and stores nothing. The answer to a question
//! that can be understood is 200, whatever it says; its outcome lists every issue.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode, OperationOutcome, Severity};
use fhir::validate::{ValidationIssue, validate as survey};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use service::answer::Answer;
use service::body::{RESOURCE_BYTES_MAX, json};
use service::caller::Caller;
use service::refusal::Refusal;
use url::form_urlencoded;

use crate::Hub;
use crate::address::{Id, Kind};
use crate::custody::Custodian;
use crate::error::HubError;
use crate::interaction::content::{prepare, unreadable};
use crate::interaction::links::refuse_conditional_references;

/// Validates a resource of a type.
pub async fn of_type(
    State(hub): State<Arc<Hub>>,
    _caller: Caller,
    Kind(resource_type): Kind,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let text = json(&headers, body, RESOURCE_BYTES_MAX).await?;
    let asked = Asked::parse(&text, resource_type, &query.unwrap_or_default())?;
    let issues = asked.issues(&hub, resource_type, None)?;
    Ok(answer(issues))
}

/// Validates what is to become the next version of a resource, or its end.
pub async fn instance(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    Id(id): Id,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    let text = json(&headers, body, RESOURCE_BYTES_MAX).await?;
    let asked = Asked::parse(&text, resource_type, &query.unwrap_or_default())?;
    let mut issues = asked.issues(&hub, resource_type, Some(&id))?;
    let current = hub.view(&caller)?.read(&hub, resource_type, &id).await?;
    let absent = current.is_none_or(|version| version.body.is_none());
    if absent && (asked.mode == Mode::Delete || !hub.config.client_ids()) {
        let text = format!("There is no {resource_type} with this id in the record.");
        issues.push(Issue::error(IssueCode::NotFound, text));
    }
    Ok(answer(issues))
}

/// What the resource is validated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing in particular.
    Any,
    Create,
    Update,
    Delete,
}

/// A question, understood.
#[derive(Debug)]
struct Asked {
    mode: Mode,
    has_profile: bool,
    resource: Option<Bytes>,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow, default)]
    parameter: Vec<Parameter<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameter<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value_code: Option<Cow<'a, str>>,
}

impl Asked {
    /// Reads the body: Parameters, or the resource as it is. Parameters are themselves the resource
    /// where that is what the URL is about, unless they say that it is another.
    fn parse(text: &Bytes, resource_type: ResourceType, query: &str) -> Result<Self, Refusal> {
        let mut asked = Self { mode: Mode::Any, has_profile: false, resource: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            asked.parameter(&name, Some(&value))?;
        }
        let found = survey(text).map_err(|malformed| unreadable(&malformed))?;
        if found.resource_type != Some(ResourceType::PARAMETERS) {
            return Ok(Self { resource: Some(text.clone()), ..asked });
        }
        let parameters: Parameters<'_> = serde_json::from_slice(text).map_err(|_| {
            let text = "The Parameters cannot be read: each needs a name, and a value or resource.";
            Refusal::bad_request_issue(Issue::error(IssueCode::Structure, text).at("Parameters"))
        })?;
        for parameter in &parameters.parameter {
            match (&*parameter.name, parameter.resource) {
                ("resource", Some(resource)) => {
                    asked.resource = Some(text.slice_ref(resource.get().as_bytes()));
                }
                (name, _) => asked.parameter(name, parameter.value_code.as_deref())?,
            }
        }
        if resource_type == ResourceType::PARAMETERS && asked.resource.is_none() {
            asked.resource = Some(text.clone());
        }
        Ok(asked)
    }

    fn parameter(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        match (name, value) {
            ("mode", Some("create")) => self.mode = Mode::Create,
            ("mode", Some("update")) => self.mode = Mode::Update,
            ("mode", Some("delete")) => self.mode = Mode::Delete,
            ("mode", _) => {
                let text = "The mode must be create, update or delete.";
                let issue = Issue::error(IssueCode::NotSupported, text).at("mode");
                return Err(Refusal::bad_request_issue(issue));
            }
            ("profile", _) => self.has_profile = true,
            _ => {}
        }
        Ok(())
    }

    /// Everything that a write would be refused for.
    fn issues(
        &self,
        hub: &Hub,
        resource_type: ResourceType,
        id: Option<&str>,
    ) -> Result<Vec<Issue>, Refusal> {
        let mut issues = Vec::new();
        if self.has_profile {
            let text = "Profiles are not validated against here: only what FHIR R4 itself says of \
                        the resource was looked at.";
            issues.push(Issue::new(Severity::Warning, IssueCode::NotSupported, text).at("profile"));
        }
        let Some(text) = &self.resource else {
            if self.mode == Mode::Delete {
                return Ok(issues);
            }
            let text = "Send the resource to be validated, as it is or as the parameter resource.";
            let issue = Issue::error(IssueCode::Required, text).at("resource");
            return Err(Refusal::bad_request_issue(issue));
        };
        let found = survey(text).map_err(|malformed| unreadable(&malformed))?;
        issues.extend(found.issues.iter().map(error));
        if found.resource_type.is_some_and(|found| found != resource_type) {
            let text =
                format!("The URL is for {resource_type}, and the resource is of another type.");
            issues.push(Issue::error(IssueCode::Invalid, text).at("resourceType"));
        }
        let named = id.is_some() || self.mode == Mode::Update;
        if named && (found.id.is_none() || id.is_some_and(|id| found.id.as_deref() != Some(id))) {
            let text = "The id must be there, and be the id in the URL.";
            let at = format!("{resource_type}.id");
            issues.push(Issue::error(IssueCode::Invalid, text).at(at));
        }
        if found.issues.is_empty() && found.resource_type == Some(resource_type) {
            let id = found.id.as_deref().unwrap_or("new");
            let at = resource_type.as_str();
            let refused =
                refuse_conditional_references(text, &found.references, at).and_then(|()| {
                    let own = &Custodian::default();
                    prepare(text, (resource_type, id), at, own, hub).map(drop)
                });
            issues.extend(refused.err().into_iter().flat_map(|refusal| refusal.outcome.issue));
        }
        Ok(issues)
    }
}

fn error(found: &ValidationIssue) -> Issue {
    Issue::error(found.code, found.message.clone()).at(found.expression.clone())
}

fn answer(mut issue: Vec<Issue>) -> Answer {
    if !issue.iter().any(|issue| issue.severity == Severity::Error) {
        let text = "The resource is valid.";
        issue.push(Issue::new(Severity::Information, IssueCode::Informational, text));
    }
    Answer::resource(StatusCode::OK, OperationOutcome { issue }.to_json())
}
