//! What became of a write, and how its caller is told.

use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode, OperationOutcome, Severity};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use service::answer::Answer;
use service::caller::Caller;
use service::journal::InStore;

use super::perform::Told;
use super::preconditions::Preference;
use crate::Hub;
use crate::error::HubError;
use crate::store::write::{Version, Written};

/// What became of one write: enough to tell it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    status: u16,
    /// `Type/id`
    name: String,
    /// The version that is current now, and since when.
    version: Option<(i64, i64)>,
    /// Its text; a deletion has none.
    #[serde(skip)]
    body: Option<Bytes>,
    /// Whether the store has audited it.
    #[serde(skip)]
    stored: bool,
}

impl Done {
    /// A write that took place.
    pub fn written(name: &str, told: Told, written: &Written) -> Self {
        let status = match told {
            Told::Ended => StatusCode::NO_CONTENT,
            Told::Proposed => StatusCode::ACCEPTED,
            Told::Stored if written.created => StatusCode::CREATED,
            Told::Stored => StatusCode::OK,
        };
        Self::new(status, name, written.version.as_ref(), true)
    }

    /// A resource that is left as it is.
    pub fn found(name: &str, version: &Version) -> Self {
        Self::new(StatusCode::OK, name, Some(version), false)
    }

    /// A deletion of nothing.
    pub fn nothing(resource_type: ResourceType) -> Self {
        Self::new(StatusCode::NO_CONTENT, resource_type.as_str(), None, false)
    }

    fn new(status: StatusCode, name: &str, version: Option<&Version>, stored: bool) -> Self {
        Self {
            status: status.as_u16(),
            name: name.to_owned(),
            version: version.map(|version| (version.version, version.updated)),
            body: version.and_then(|version| version.body.clone()),
            stored,
        }
    }

    /// The same as seen by an entry that asked for what another entry creates.
    #[must_use]
    pub fn seen_again(&self) -> Self {
        Self { status: StatusCode::OK.as_u16(), ..self.clone() }
    }

    /// Reads the text again that was not kept.
    pub async fn refill(&mut self, hub: &Hub, caller: &Caller) -> Result<(), HubError> {
        if let Some((number, _)) = self.version
            && let Some((resource_type, id)) = self.name.split_once('/')
            && let Ok(resource_type) = resource_type.parse()
        {
            let version = hub.view(caller)?.vread(hub, resource_type, id, number).await?;
            self.body = version.and_then(|version| version.body);
        }
        Ok(())
    }

    /// Leaves out of the text what is withheld from the caller.
    pub async fn withhold(&mut self, hub: &Hub, caller: &Caller) -> Result<(), HubError> {
        if let Some(body) = &mut self.body
            && let Some((resource_type, id)) = self.name.split_once('/')
            && let Ok(resource_type) = resource_type.parse()
        {
            hub.view(caller)?.withhold_of(hub, resource_type, id, body).await?;
        }
        Ok(())
    }

    /// `Type/id/_history/version` of what is there now.
    pub fn location(&self) -> Option<String> {
        let (number, _) = self.version.filter(|_| !self.deletes())?;
        Some(format!("{}/_history/{number}", self.name))
    }

    /// The current version and its time, microseconds since 1970.
    pub fn version(&self) -> Option<(i64, i64)> {
        self.version
    }

    /// The text, if there is one.
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// The status of its answer. One with a body cannot say that there is none.
    pub fn status(&self, preference: Preference) -> StatusCode {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        if status == StatusCode::NO_CONTENT && preference == Preference::Outcome {
            return StatusCode::OK;
        }
        status
    }

    /// Whether the store has audited it.
    pub fn is_stored(&self) -> bool {
        self.stored
    }

    /// What happened, in words.
    pub fn outcome(&self) -> OperationOutcome {
        let text = match (self.version, self.deletes()) {
            (Some((number, _)), false) => format!("{} is at version {number}.", self.name),
            (Some(_), true) => format!("{} is deleted.", self.name),
            (None, _) => "There was nothing to do.".to_owned(),
        };
        Issue::new(Severity::Information, IssueCode::Informational, text).into()
    }

    /// The answer to a request of its own.
    pub fn answer(self, base: &str, preference: Preference) -> Answer {
        let status = self.status(preference);
        let mut answer = match (preference, &self.body) {
            (Preference::Outcome, _) => Answer::resource(status, self.outcome().to_json()),
            (Preference::Representation, Some(body)) => Answer::resource(status, body.clone()),
            _ => Answer::empty(status),
        };
        if let Some((number, updated)) = self.version {
            answer = answer.versioned(number, updated);
        }
        if let Some(location) = self.location() {
            answer = answer.located(&format!("{base}/{location}"));
        }
        if self.stored { answer.noting(InStore) } else { answer }
    }

    fn deletes(&self) -> bool {
        self.status == StatusCode::NO_CONTENT.as_u16()
    }
}
