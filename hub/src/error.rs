//! Why the hub refuses, and what the caller is told. One table:
//!
//! | error | status | issue code |
//! |---|---|---|
//! | not found | 404 | not-found |
//! | deleted | 410 | deleted |
//! | version mismatch | 412 | conflict |
//! | id taken | 409 | conflict |
//! | client ids off | 405 | business-rule |
//! | duplicate identifier | 409 | duplicate |
//! | another's resource, tag or label; a Task of ours | 403 | forbidden |
//! | overloaded | 503 + Retry-After | throttled |
//! | index being rebuilt | 503 + Retry-After | transient |
//! | index of another version | 503 + Retry-After | transient |
//! | store full | 507 | no-store |
//! | store unavailable | 503 + Retry-After | transient |
//! | store failed | 500 | exception |
//! | refused | as the refusal says | as the refusal says |

use axum::response::{IntoResponse, Response};
use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode};
use http::StatusCode;
use service::refusal::Refusal;
use thiserror::Error;

use crate::custody::task::{AMENDMENT, SYSTEM};
use crate::store::StoreError;
use crate::store::write::Conflict;

/// When to ask again whether the index is whole, in seconds.
const REBUILDING_S: u64 = 10;

/// Why an interaction did not succeed.
#[derive(Debug, Error)]
pub enum HubError {
    /// No such resource or version.
    #[error("not found")]
    NotFound {
        /// The type asked for.
        resource_type: ResourceType,
    },
    /// The resource, or this version of it, is a deletion.
    #[error("deleted")]
    Deleted {
        /// The type asked for.
        resource_type: ResourceType,
    },
    /// The request itself is at fault.
    #[error("refused")]
    Refused(Box<Refusal>),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refusal> for HubError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<HubError> for Refusal {
    fn from(error: HubError) -> Self {
        match error {
            HubError::NotFound { resource_type } => {
                let text = format!("There is no such {resource_type} in this record.");
                Self::error(StatusCode::NOT_FOUND, IssueCode::NotFound, text)
            }
            HubError::Deleted { resource_type } => {
                let text = format!("This {resource_type} was deleted; its history remains.");
                Self::error(StatusCode::GONE, IssueCode::Deleted, text)
            }
            HubError::Refused(refusal) => *refusal,
            HubError::Store(error) => store(error),
        }
    }
}

fn store(error: StoreError) -> Refusal {
    match error {
        StoreError::Conflict { entry, conflict } => conflicting(entry, conflict),
        // Whoever rests on what has moved decides again; only one that never came to rest gets here.
        StoreError::Moved => Refusal::error(
            StatusCode::SERVICE_UNAVAILABLE,
            IssueCode::Throttled,
            "What this rests on has changed again and again meanwhile. Nothing was stored; try again \
             shortly.",
        )
        .retry_after_s(1),
        StoreError::Overloaded => Refusal::error(
            StatusCode::SERVICE_UNAVAILABLE,
            IssueCode::Throttled,
            "More writes are waiting than can be accepted. Nothing was stored; try again shortly.",
        )
        .retry_after_s(1),
        StoreError::Rebuilding { percent } => {
            let text = format!(
                "The record's index is being rebuilt, and {percent} % of it is done. Until it is \
                 whole nothing is searched, for the answer would leave something out; reading and \
                 writing by id go on. Try again later."
            );
            Refusal::error(StatusCode::SERVICE_UNAVAILABLE, IssueCode::Transient, text)
                .retry_after_s(REBUILDING_S)
        }
        StoreError::Outdated => {
            tracing::error!("the record's index is made by another version of this program");
            let text = "This server is of another version than the record's index, and cannot use \
                        it. Nothing was stored; ask another server of the record.";
            Refusal::error(StatusCode::SERVICE_UNAVAILABLE, IssueCode::Transient, text)
                .retry_after_s(REBUILDING_S)
        }
        StoreError::TooSlow => Refusal::error(
            StatusCode::BAD_REQUEST,
            IssueCode::TooCostly,
            "The search took too long and was stopped: narrow it, by patient, code or date.",
        ),
        StoreError::Full => {
            tracing::error!("the store has no space left");
            let text = "The record has no space left. Nothing was stored; reading still works.";
            Refusal::error(StatusCode::INSUFFICIENT_STORAGE, IssueCode::NoStore, text)
        }
        StoreError::Unavailable(cause) => {
            tracing::error!(cause, "the store is unavailable");
            Refusal::error(
                StatusCode::SERVICE_UNAVAILABLE,
                IssueCode::Transient,
                "The record cannot be reached at the moment. If this was a write, its outcome is \
                 not known: read before you repeat it.",
            )
            .retry_after_s(5)
        }
        StoreError::Failed(cause) => Refusal::internal(&cause),
    }
}

const UNKNOWN_ID: &str = "There is no resource with this id to update, and ids are chosen by the server \
                          here: create it with POST.";

fn conflicting(entry: usize, conflict: Conflict) -> Refusal {
    let mut at = None;
    let (status, code, text) = match conflict {
        Conflict::VersionMismatch { current } => {
            let text = match current {
                Some(version) => format!(
                    "If-Match names another version than the current one, which is {version}: \
                     read it, apply your change to it and send that."
                ),
                None => "If-Match names a version, but there is no current one.".into(),
            };
            (StatusCode::PRECONDITION_FAILED, IssueCode::Conflict, text)
        }
        Conflict::IdTaken => {
            (StatusCode::CONFLICT, IssueCode::Conflict, "The id is already in use.".into())
        }
        Conflict::NotFound => {
            (StatusCode::METHOD_NOT_ALLOWED, IssueCode::BusinessRule, UNKNOWN_ID.into())
        }
        Conflict::DuplicateIdentifier { holder } if holder.is_empty() => (
            StatusCode::CONFLICT,
            IssueCode::Duplicate,
            "A national identifier in this Patient already belongs to another Patient in the record, \
             and each patient is there once."
                .into(),
        ),
        Conflict::DuplicateIdentifier { holder } => (
            StatusCode::CONFLICT,
            IssueCode::Duplicate,
            format!(
                "A national identifier in this Patient already belongs to Patient/{holder}, and \
                 each patient is in the record once: update that Patient instead."
            ),
        ),
        Conflict::NotCustodian { current } => (
            StatusCode::FORBIDDEN,
            IssueCode::Forbidden,
            format!(
                "This belongs to another organisation, and only that may change it. Propose the change: \
                 POST a Task with the code {SYSTEM}|{AMENDMENT} whose focus is {current}."
            ),
        ),
        Conflict::ByOperation => (
            StatusCode::FORBIDDEN,
            IssueCode::Forbidden,
            format!(
                "A Task with a code of {SYSTEM} begins with POST [base]/Task, and is changed by its \
                 operations alone: $receive, $accept, $reject and $log-disagreement."
            ),
        ),
        Conflict::OtherCustodian { tag } => {
            at = Some(tag);
            let text = "This tag says to whom the resource belongs, which is the server's to say: \
                        leave it out, or send it as it was read.";
            (StatusCode::FORBIDDEN, IssueCode::Forbidden, text.into())
        }
        Conflict::LabelGone { labels } => {
            at = Some(labels);
            let text = "Only the organisation that the resource belongs to may take security labels \
                        away: send them as they were read.";
            (StatusCode::FORBIDDEN, IssueCode::Forbidden, text.into())
        }
    };
    let issue = Issue::error(code, text);
    let mut refusal = Refusal::new(status, at.into_iter().fold(issue, Issue::at));
    refusal.entry = Some(entry);
    refusal
}

impl IntoResponse for HubError {
    fn into_response(self) -> Response {
        Refusal::from(self).into_response()
    }
}
