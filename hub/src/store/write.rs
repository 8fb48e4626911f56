//! What a write is and what it does to a resource: pure decisions, no SQL.

use std::collections::BTreeSet;

use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::tree::Tree;
use service::caller::mandate::Asker;

use super::draft::Draft;
use super::index::Index;
use super::query::Query;
use super::vocabulary::Vocabulary;
use crate::custody::{Custodian, Hand, permit};

/// Everything one HTTP interaction writes: all of it or nothing.
#[derive(Debug)]
pub struct Batch {
    /// The writes, in the order in which they take effect.
    pub writes: Vec<Write>,
    /// What the writes rest on: looked at again in their own transaction.
    pub expected: Vec<Expected>,
    /// The key under which its answer is kept, if the caller gave one.
    pub once: Option<Once>,
    /// The audit entry, as JSON; the versions written are added to it.
    pub audit: AuditEntry,
}

impl Batch {
    /// Whether it takes content away for good.
    pub fn erases(&self) -> bool {
        self.writes.iter().any(|write| matches!(write.action, Action::Erase))
    }
}

/// What a search found before a write was prepared. If it finds anything else when the write's turn
/// has come, nothing is written and the caller decides again: so no condition is ever raced.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The search; its first column is the key.
    pub query: Query,
    /// The keys it found.
    pub keys: Vec<i64>,
    /// The generation of the index in which they were found; none if it looked at no index.
    pub generation: Option<i64>,
}

impl Expected {
    /// Whether the search finds the same again.
    pub fn holds(&self, keys: &[i64]) -> bool {
        keys == self.keys
    }
}

/// A batch that is written once, however often it is sent: its answer is kept under the caller's key,
/// in the batch's own transaction.
pub struct Once {
    /// The key; it is the organisation's own.
    pub key: String,
    /// A digest of what was asked, so that the key stands for nothing else.
    pub digest: Vec<u8>,
    /// Writes the answer from what the batch did.
    pub answer: Answer,
}

/// See [`Once::answer`].
pub type Answer = Box<dyn Fn(&[Written]) -> Vec<u8> + Send + Sync>;

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The digest of what was asked.
    pub digest: Vec<u8>,
    /// The answer.
    pub answer: Vec<u8>,
}

/// How long an answer is kept, in microseconds: a day.
pub const KEPT_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// Who wrote, in which request. <https://hl7.org/fhir/R4/auditevent.html>
#[derive(Debug, Clone, serde::Serialize)]
pub struct AuditEntry {
    /// The request's id.
    pub request: String,
    /// The caller.
    #[serde(flatten)]
    pub asker: Box<Asker>,
    /// The interaction: create, update, delete, transaction.
    pub interaction: &'static str,
    /// The versions written: `Type/id/_history/version`.
    pub entity: Vec<String>,
    /// The ids of the patients in whose compartments the new versions are.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub patients: BTreeSet<String>,
    /// Why, if someone had to say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl AuditEntry {
    /// An entry about what is to be written.
    pub fn of(request: &str, asker: Asker, interaction: &'static str, writes: &[Write]) -> Self {
        let own = writes.iter().filter(|write| write.resource_type == ResourceType::PATIENT);
        let contents = writes.iter().filter_map(|write| write.action.content());
        let others = contents.flat_map(|content| &content.index.patients);
        let patients = own.map(|write| &write.id).chain(others).cloned().collect();
        let (request, entity) = (request.to_owned(), Vec::with_capacity(writes.len()));
        Self { request, asker: Box::new(asker), interaction, entity, patients, reason: None }
    }
}

/// One resource to be written.
#[derive(Debug, Clone)]
pub struct Write {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id: the client's, or one the interaction chose.
    pub id: String,
    /// What is to be done.
    pub action: Action,
    /// Only if this is the current version.
    pub if_match: Option<i64>,
    /// By whose hand.
    pub hand: Hand,
}

impl Write {
    /// `Type/id`
    pub fn name(&self) -> String {
        format!("{}/{}", self.resource_type, self.id)
    }

    /// Reads what it will be found by anew, in other terms.
    pub fn index_by(&mut self, terms: &Vocabulary) {
        let (Action::Create(content) | Action::Update { content, .. }) = &mut self.action else {
            return;
        };
        // The version and its time are in no index; by the time it counts which identifiers are in use,
        // and which of two Consents is newer, and those are the same in all terms.
        let text = content.draft.render(1, 0, &content.custodian);
        let tree = Tree::parse(&text).expect("a draft is a resource that was read");
        let unique = std::mem::take(&mut content.index.unique);
        let policy = std::mem::take(&mut content.index.policy);
        let index = Index::of(self.resource_type, &self.id, &tree, terms, 0);
        content.index = Index { unique, policy, ..index };
    }
}

/// What a write does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Stores a resource under an id that was never used.
    Create(Content),
    /// Stores the next version; creates the resource if there is none and `may_create`.
    Update {
        /// What is stored.
        content: Content,
        /// Whether an id never used before is accepted.
        may_create: bool,
    },
    /// Ends the resource; its versions stay.
    Delete,
    /// Ends the resource, whether it has ended or not, and takes the content of all its versions away.
    Erase,
}

impl Action {
    /// What it stores, if anything.
    pub fn content(&self) -> Option<&Content> {
        match self {
            Self::Create(content) | Self::Update { content, .. } => Some(content),
            Self::Delete | Self::Erase => None,
        }
    }
}

/// A resource's text and what it is found by.
#[derive(Debug, Clone)]
pub struct Content {
    /// The text, waiting for its version.
    pub draft: Draft,
    /// Its index values.
    pub index: Index,
    /// Whose it is in them: of what is created, the custodian; of what is there, whose it is expected
    /// to be.
    pub custodian: Custodian,
    /// Whose the client says that it is, and in which of its tags.
    pub claims: Vec<(usize, Custodian)>,
    /// Whether it is a Task that asks for something of ours.
    pub asks: bool,
}

/// How a version came to be; the number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By POST.
    Create = 0,
    /// By PUT.
    Update = 1,
    /// By DELETE; the version has no content.
    Delete = 2,
}

impl Method {
    /// From its stored number.
    pub fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Create,
            2 => Self::Delete,
            _ => Self::Update,
        }
    }

    /// The HTTP verb, as a history Bundle names it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Create => "POST",
            Self::Update => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A version of a resource as it is stored.
#[derive(Debug, Clone)]
pub struct Version {
    /// 1, 2, 3, … without gaps.
    pub version: i64,
    /// Microseconds since 1970; never falls from one version to the next.
    pub updated: i64,
    /// How it came to be.
    pub method: Method,
    /// The text as served; `None` for a deletion.
    pub body: Option<Bytes>,
}

/// A current version, a deletion too, and whose the resource is.
#[derive(Debug, Clone)]
pub struct Held {
    /// The version.
    pub version: Version,
    /// The custodian.
    pub custodian: Custodian,
}

/// Why a write was refused by the state of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// `If-Match` names another version than the current one, or there is none.
    VersionMismatch {
        /// The current version.
        current: Option<i64>,
    },
    /// The id was used before.
    IdTaken,
    /// There is no such resource, and this caller may not choose ids.
    NotFound,
    /// A unique identifier belongs to another current resource.
    DuplicateIdentifier {
        /// The id of that resource; empty if the caller may not know of it.
        holder: String,
    },
    /// The resource is another organisation's.
    NotCustodian {
        /// `Type/id/_history/version`
        current: String,
    },
    /// A tag names another custodian than there is.
    OtherCustodian {
        /// The tag's expression.
        tag: String,
    },
    /// A Task that asks for something of ours: only its operations change it.
    ByOperation,
    /// A security label of another organisation's resource would go.
    LabelGone {
        /// The labels' expression.
        labels: String,
    },
}

/// What becomes of a resource.
#[derive(Debug)]
pub enum Decision {
    /// A new version is stored.
    Store(Held),
    /// There is nothing to do: the current version says the same already.
    Nothing,
}

/// Decides a write against the current version.
pub fn decide(write: &Write, held: Option<&Held>, now: i64) -> Result<Decision, Conflict> {
    permit(write, held)?;
    let current = held.map(|held| &held.version);
    if let Some(wanted) = write.if_match {
        let found = current.filter(|v| v.method != Method::Delete).map(|v| v.version);
        if found != Some(wanted) {
            return Err(Conflict::VersionMismatch { current: found });
        }
    }
    let version = current.map_or(1, |v| v.version + 1);
    // To the millisecond, as it is shown, and always later than the version before.
    let updated = current.map_or(now, |v| now.max(v.updated + 1_000)) / 1_000 * 1_000;
    let custodian = write.hand.custodian(held, write.action.content());
    let store = |method, content: Option<&Content>| {
        let body = content.map(|content| content.draft.render(version, updated, &custodian));
        let version = Version { version, updated, method, body };
        Ok(Decision::Store(Held { version, custodian: custodian.clone() }))
    };
    match (&write.action, current) {
        (Action::Create(_), Some(_)) => Err(Conflict::IdTaken),
        (Action::Create(content), None) => store(Method::Create, Some(content)),
        (Action::Update { may_create: false, .. } | Action::Erase, None) => Err(Conflict::NotFound),
        (Action::Update { content, .. }, Some(Version { body: Some(body), .. }))
            if content.draft.says_the_same_as(body, &custodian) =>
        {
            Ok(Decision::Nothing)
        }
        (Action::Update { content, .. }, _) => store(Method::Update, Some(content)),
        (Action::Delete, None | Some(Version { method: Method::Delete, .. })) => {
            Ok(Decision::Nothing)
        }
        (Action::Delete | Action::Erase, Some(_)) => store(Method::Delete, None),
    }
}

/// What a write did.
#[derive(Debug, Clone)]
pub struct Written {
    /// The version that is now current; `None` if there is none.
    pub version: Option<Version>,
    /// Whether the resource did not exist (or was deleted) before.
    pub created: bool,
    /// Whether a version was stored: not if the current one says the same already.
    pub stored: bool,
}
