//! What a write is and what it does to a resource: pure decisions, no SQL.

use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::tree::Tree;

use super::draft::Draft;
use super::index::Index;
use super::query::Query;
use super::vocabulary::Vocabulary;

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
    /// The caller's organisation.
    pub organisation: String,
    /// The interaction: create, update, delete, transaction.
    pub interaction: &'static str,
    /// The versions written: `Type/id/_history/version`.
    pub entity: Vec<String>,
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
}

impl Write {
    /// Reads what it will be found by anew, in other terms.
    pub fn index_by(&mut self, terms: &Vocabulary) {
        let (Action::Create(content) | Action::Update { content, .. }) = &mut self.action else {
            return;
        };
        // The version and its time are in no index; by the time it counts which identifiers are in use,
        // and which of two Consents is newer, and those are the same in all terms.
        let text = content.draft.render(1, 0);
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
}

impl Action {
    /// What it stores, if anything.
    pub fn content(&self) -> Option<&Content> {
        match self {
            Self::Create(content) | Self::Update { content, .. } => Some(content),
            Self::Delete => None,
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
}

/// What becomes of a resource.
#[derive(Debug)]
pub enum Decision {
    /// A new version is stored.
    Store(Version),
    /// There is nothing to do: the current version says the same already.
    Nothing,
}

/// Decides a write against the current version.
pub fn decide(write: &Write, current: Option<&Version>, now: i64) -> Result<Decision, Conflict> {
    if let Some(wanted) = write.if_match {
        let found = current.filter(|v| v.method != Method::Delete).map(|v| v.version);
        if found != Some(wanted) {
            return Err(Conflict::VersionMismatch { current: found });
        }
    }
    let version = current.map_or(1, |v| v.version + 1);
    // To the millisecond, as it is shown, and always later than the version before.
    let updated = current.map_or(now, |v| now.max(v.updated + 1_000)) / 1_000 * 1_000;
    let store = |method, content: &Content| {
        let body = Some(content.draft.render(version, updated));
        Ok(Decision::Store(Version { version, updated, method, body }))
    };
    match (&write.action, current) {
        (Action::Create(_), Some(_)) => Err(Conflict::IdTaken),
        (Action::Create(content), None) => store(Method::Create, content),
        (Action::Update { may_create: false, .. }, None) => Err(Conflict::NotFound),
        (Action::Update { content, .. }, Some(Version { body: Some(body), .. }))
            if content.draft.says_the_same_as(body) =>
        {
            Ok(Decision::Nothing)
        }
        (Action::Update { content, .. }, _) => store(Method::Update, content),
        (Action::Delete, None | Some(Version { method: Method::Delete, .. })) => {
            Ok(Decision::Nothing)
        }
        (Action::Delete, Some(_)) => {
            Ok(Decision::Store(Version { version, updated, method: Method::Delete, body: None }))
        }
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
