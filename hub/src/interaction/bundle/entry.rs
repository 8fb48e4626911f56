//! What an entry asks for.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use fhir::reference::is_id;
use http::{Method, StatusCode};
use serde::Deserialize;
use service::body::RESOURCE_BYTES_MAX;
use service::refusal::Refusal;

use super::incoming::{Entry, Request};
use super::{at, expression};
use crate::interaction::content::{other_type, same_id};
use crate::interaction::intent::{Deed, Intent, Language, Target};
use crate::interaction::patch::JSON_PATCH;
use crate::interaction::preconditions::{meaningless, only_any, version};

/// What an entry asks for.
#[derive(Debug)]
pub(super) enum Job {
    /// A write.
    Write(Intent),
    /// Something that the routes answer.
    Ask(Ask),
}

/// A request to the routes.
#[derive(Debug)]
pub(super) struct Ask {
    /// GET or HEAD; POST for an operation.
    pub method: Method,
    /// Path and query below the base.
    pub url: String,
    /// `If-None-Match`
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`, an instant.
    pub if_modified_since: Option<String>,
    /// What an operation is asked with.
    pub body: Option<Bytes>,
}

#[derive(Default, Deserialize)]
struct Head<'a> {
    #[serde(rename = "resourceType", borrow, default)]
    resource_type: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    /// Of a Binary.
    #[serde(rename = "contentType", borrow, default)]
    content_type: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Cow<'a, str>,
}

impl Entry {
    /// Reads what is asked for; `base` is our own, below which a url may be absolute.
    pub(super) fn job(&self, base: &str) -> Result<Job, Refusal> {
        let request = &self.request;
        let url = request.url.strip_prefix(base).unwrap_or(&request.url);
        let url = url.strip_prefix('/').unwrap_or(url);
        match request.method.as_str() {
            "GET" | "HEAD" => self.ask(url).map(Job::Ask),
            "POST" if url.contains('$') => self.ask(url).map(Job::Ask),
            "POST" => self.create(url).map(Job::Write),
            "PUT" => self.update(url).map(Job::Write),
            "PATCH" => self.patch(url).map(Job::Write),
            "DELETE" => self.delete(url).map(Job::Write),
            _ => {
                let text = "The method must be GET, HEAD, POST, PUT, PATCH or DELETE.";
                Err(self.bad("request.method", IssueCode::Value, text))
            }
        }
    }

    fn ask(&self, url: &str) -> Result<Ask, Refusal> {
        self.refuse(&["ifMatch", "ifNoneExist"])?;
        // A value may be a URL; what is asked may not.
        let path = url.split('?').next().unwrap_or_default();
        if url.is_empty() || path.contains("://") || path.split('/').any(|part| part == "..") {
            let text = "The url must be below the base: Type/id, or Type?parameters.";
            return Err(self.bad("request.url", IssueCode::Value, text));
        }
        Ok(Ask {
            method: self.request.method.parse().unwrap_or_default(),
            url: url.to_owned(),
            if_none_match: self.request.if_none_match.clone(),
            if_modified_since: self.request.if_modified_since.clone(),
            body: self.resource.as_ref().map(|(_, text)| text.clone()),
        })
    }

    fn create(&self, url: &str) -> Result<Intent, Refusal> {
        self.refuse(&["ifMatch", "ifNoneMatch"])?;
        let resource_type = self.resource_type(url)?;
        let (text, _) = self.content(resource_type)?;
        let deed = Deed::Create { text, if_none_exist: self.request.if_none_exist.clone() };
        self.intent(resource_type, deed)
    }

    fn update(&self, url: &str) -> Result<Intent, Refusal> {
        self.refuse(&["ifNoneExist"])?;
        let if_none_match = match self.request.if_none_match.as_deref() {
            None => false,
            Some("*") => true,
            Some(_) => return Err(only_any(&self.part("request.ifNoneMatch"))),
        };
        let (resource_type, target) = self.target(url)?;
        let (text, id) = self.content(resource_type)?;
        if let Target::Id(wanted) = &target {
            same_id(id.as_deref(), wanted, &self.part("resource"))?;
        }
        self.intent(resource_type, Deed::Update { target, text, id, if_none_match })
    }

    fn patch(&self, url: &str) -> Result<Intent, Refusal> {
        self.refuse(&["ifNoneMatch", "ifNoneExist"])?;
        let (resource_type, target) = self.target(url)?;
        let (text, head) = self.resource()?;
        let (language, text) = match &*head.resource_type {
            "Parameters" => (Language::FhirPath, text.clone()),
            "Binary" if head.content_type == JSON_PATCH => {
                let patch = STANDARD.decode(&*head.data).map_err(|_| {
                    self.bad("resource.data", IssueCode::Value, "The data must be base64.")
                })?;
                (Language::JsonPatch, patch.into())
            }
            _ => {
                let text = "A patch is Parameters (FHIRPath Patch), or a Binary whose contentType is \
                            application/json-patch+json.";
                return Err(self.bad("resource", IssueCode::Value, text));
            }
        };
        self.intent(resource_type, Deed::Patch { target, language, text })
    }

    fn delete(&self, url: &str) -> Result<Intent, Refusal> {
        self.refuse(&["ifNoneMatch", "ifNoneExist"])?;
        let (resource_type, target) = self.target(url)?;
        self.intent(resource_type, Deed::Delete { target })
    }

    fn intent(&self, resource_type: ResourceType, deed: Deed) -> Result<Intent, Refusal> {
        self.refuse(&["ifModifiedSince"])?;
        let if_match = self.request.if_match.as_deref().map(|tag| {
            let text = "ifMatch must be the ETag of a version, such as W/\"3\".";
            version(tag).ok_or_else(|| self.bad("request.ifMatch", IssueCode::Value, text))
        });
        Ok(Intent {
            resource_type,
            deed,
            if_match: if_match.transpose()?,
            at: self.part("resource"),
        })
    }

    /// `Type/id` or `Type?criteria`
    fn target(&self, url: &str) -> Result<(ResourceType, Target), Refusal> {
        if let Some((name, criteria)) = url.split_once('?') {
            return Ok((self.resource_type(name)?, Target::Criteria(criteria.to_owned())));
        }
        match url.split_once('/') {
            Some((name, id)) if is_id(id) => {
                Ok((self.resource_type(name)?, Target::Id(id.to_owned())))
            }
            _ => Err(self.bad_url()),
        }
    }

    fn resource_type(&self, name: &str) -> Result<ResourceType, Refusal> {
        name.parse().map_err(|_| self.bad_url())
    }

    /// The resource, which must be of this type, and the id in it.
    fn content(&self, resource_type: ResourceType) -> Result<(Bytes, Option<String>), Refusal> {
        let (text, head) = self.resource()?;
        if head.resource_type != resource_type.as_str() {
            let mut refusal = other_type(head.resource_type.parse().ok(), resource_type);
            refusal.outcome.issue[0].expression = vec![self.part("resource")];
            return Err(refusal);
        }
        Ok((text.clone(), head.id.map(Cow::into_owned)))
    }

    fn resource(&self) -> Result<(&Bytes, Head<'_>), Refusal> {
        let Some((_, text)) = &self.resource else {
            return Err(self.bad("resource", IssueCode::Required, "This entry needs a resource."));
        };
        if text.len() > RESOURCE_BYTES_MAX {
            let text = format!("A resource may have at most {RESOURCE_BYTES_MAX} bytes.");
            let issue = Issue::error(IssueCode::TooLong, text).at(self.part("resource"));
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, issue));
        }
        let head = serde_json::from_slice(text).map_err(|_| {
            let text = "The resource must be a JSON object with a resourceType.";
            self.bad("resource", IssueCode::Structure, text)
        })?;
        Ok((text, head))
    }

    /// Refuses conditions that would be ignored: a client relies on them.
    fn refuse(&self, conditions: &[&str]) -> Result<(), Refusal> {
        let Request { if_match, if_none_match, if_modified_since, if_none_exist, .. } =
            &self.request;
        let given = [
            ("ifMatch", if_match.is_some()),
            ("ifNoneMatch", if_none_match.is_some()),
            ("ifModifiedSince", if_modified_since.is_some()),
            ("ifNoneExist", if_none_exist.is_some()),
        ];
        match given.iter().find(|(name, given)| *given && conditions.contains(name)) {
            None => Ok(()),
            Some((name, _)) => Err(meaningless(&self.part(&format!("request.{name}")))),
        }
    }

    fn bad_url(&self) -> Refusal {
        let text = "The url must be Type for POST, and Type/id or Type?criteria for PUT, PATCH and \
                    DELETE, relative to the base.";
        self.bad("request.url", IssueCode::Value, text)
    }

    fn bad(&self, part: &str, code: IssueCode, text: &str) -> Refusal {
        at(self.part(part), code, text)
    }

    fn part(&self, part: &str) -> String {
        format!("{}.{part}", expression(self.place))
    }
}
