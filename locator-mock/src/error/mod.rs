//! Everything the locator refuses, in one table.
//!
//! | refusal | status | issue | Spine code |
//! |---|---|---|---|
//! | organisation header missing or invalid | 400 | required | `PRECONDITION_FAILED` |
//! | `X-Request-ID` missing | 400 | invalid | `MISSING_OR_INVALID_HEADER` |
//! | no body | 400 | invalid | `BAD_REQUEST` |
//! | body of another media type, too large, too slow | 415, 413, 408 | as named | `BAD_REQUEST` |
//! | body does not fit the model; members given twice | 400 | invalid | `MESSAGE_NOT_WELL_FORMED` |
//! | query or path does not fit | 400 | invalid | `INVALID_PARAMETER` |
//! | a content extension of the wrong shape | 400 | invalid | `BAD_REQUEST` |
//! | NHS number of a search | 400 | invalid | `INVALID_NHS_NUMBER`, `_count`: `INVALID_IDENTIFIER_VALUE` |
//! | type or category of a search | 400 | code-invalid | `INVALID_CODE_SYSTEM` |
//! | no pointer type permitted; type of a read not permitted | 403 | forbidden | `ACCESS DENIED` |
//! | pointer or type of another organisation | 403 | forbidden | `AUTHOR_CREDENTIALS_ERROR` |
//! | access token missing, invalid or expired | 401 | forbidden | `ACCESS_DENIED` |
//! | application without an NRL id | 403 | required | `PRECONDITION_FAILED` |
//! | no such pointer, no such URL | 404 | not-found | `NO_RECORD_FOUND` |
//! | method | 405 | not-supported | `BAD_REQUEST` |
//! | id taken | 409 | conflict | `DUPLICATE_REJECTED` |
//! | business rules | 422 | business-rule | `UNPROCESSABLE_ENTITY` |
//! | the store failed | 500 | exception | `INTERNAL_SERVER_ERROR` |
//! | a scripted refusal | as scripted | exception | `FAILURE_TO_PROCESS_MESSAGE` |
//!
//! `words` has what each of them says. The token endpoint refuses as OAuth 2 does: see `token`.

mod words;

use axum::response::{IntoResponse, Response};
use fhir::outcome::{Issue, IssueCode, Severity};
use http::header::ALLOW;
use http::{HeaderValue, StatusCode};
use service::refusal::Refusal;

use crate::outcome::Spine;
use crate::registry::StoreError;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The element or parameter; empty for the whole.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Where something malformed was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Query,
    Path,
    Body,
    StabilityExtension,
    RetrievalExtension,
}

/// How the NHS number of a search fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberFault {
    Consumer,
    ProducerInvalid,
    ProducerMissing,
    Count,
}

/// What is wrong with an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenFault {
    Missing,
    Invalid,
    Expired,
}

/// What a producer wanted to do with a pointer that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Read,
    Delete,
    Update,
}

/// Why the locator refuses.
#[derive(Debug)]
pub(crate) enum LocatorError {
    OrganisationHeader,
    RequestIdHeader,
    BodyRequired,
    Body(Refusal),
    Malformed { source: Source, faults: Vec<Fault> },
    DuplicateKeys(Vec<String>),
    NhsNumber(NumberFault),
    SearchType(Source),
    SearchCategory(Source),
    NoPermission { organisation: String },
    TypeNotReadable,
    TypeNotWritable,
    BelongsToAnother(Deed),
    AccessToken(TokenFault),
    NoApplicationId,
    NotFound,
    NoSuchUrl,
    MethodNotAllowed(&'static str),
    Duplicate,
    BusinessRules(Vec<Fault>),
    Store(StoreError),
    Scripted(StatusCode),
}

impl LocatorError {
    /// One business rule broken.
    pub(crate) fn rule(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::BusinessRules(vec![Fault::new(path, message)])
    }

    /// A pointer whose id is not its producer's.
    pub(crate) fn foreign_id() -> Self {
        Self::rule(
            "",
            "The id of the provided DocumentReference does not include the expected ODS code for \
             this organisation",
        )
    }

    /// The table.
    fn entry(&self) -> (StatusCode, IssueCode, Spine) {
        use StatusCode as S;
        match self {
            Self::OrganisationHeader => (S::BAD_REQUEST, IssueCode::Required, Spine::PRECONDITION),
            Self::RequestIdHeader => (S::BAD_REQUEST, IssueCode::Invalid, Spine::HEADER),
            Self::BodyRequired => (S::BAD_REQUEST, IssueCode::Invalid, Spine::BAD_REQUEST),
            Self::Body(refusal) => {
                let code = refusal.outcome.issue.first().map(|issue| issue.code);
                (refusal.status, code.unwrap_or(IssueCode::Invalid), Spine::BAD_REQUEST)
            }
            Self::Malformed { source, .. } => {
                let spine = match source {
                    Source::Query | Source::Path => Spine::PARAMETER,
                    Source::Body => Spine::NOT_WELL_FORMED,
                    Source::StabilityExtension | Source::RetrievalExtension => Spine::BAD_REQUEST,
                };
                (S::BAD_REQUEST, IssueCode::Invalid, spine)
            }
            Self::DuplicateKeys(_) => (S::BAD_REQUEST, IssueCode::Invalid, Spine::NOT_WELL_FORMED),
            Self::NhsNumber(NumberFault::Count) => {
                (S::BAD_REQUEST, IssueCode::Invalid, Spine::IDENTIFIER)
            }
            Self::NhsNumber(_) => (S::BAD_REQUEST, IssueCode::Invalid, Spine::NHS_NUMBER),
            Self::SearchType(_) | Self::SearchCategory(_) => {
                (S::BAD_REQUEST, IssueCode::CodeInvalid, Spine::CODE_SYSTEM)
            }
            Self::NoPermission { .. } | Self::TypeNotReadable => {
                (S::FORBIDDEN, IssueCode::Forbidden, Spine::ACCESS)
            }
            Self::TypeNotWritable | Self::BelongsToAnother(_) => {
                (S::FORBIDDEN, IssueCode::Forbidden, Spine::AUTHOR)
            }
            Self::AccessToken(_) => (S::UNAUTHORIZED, IssueCode::Forbidden, Spine::PROXY_ACCESS),
            Self::NoApplicationId => (S::FORBIDDEN, IssueCode::Required, Spine::PRECONDITION),
            Self::NotFound | Self::NoSuchUrl => {
                (S::NOT_FOUND, IssueCode::NotFound, Spine::NO_RECORD)
            }
            Self::MethodNotAllowed(_) => {
                (S::METHOD_NOT_ALLOWED, IssueCode::NotSupported, Spine::BAD_REQUEST)
            }
            Self::Duplicate => (S::CONFLICT, IssueCode::Conflict, Spine::DUPLICATE),
            Self::BusinessRules(_) => {
                (S::UNPROCESSABLE_ENTITY, IssueCode::BusinessRule, Spine::UNPROCESSABLE)
            }
            Self::Store(_) => (S::INTERNAL_SERVER_ERROR, IssueCode::Exception, Spine::INTERNAL),
            Self::Scripted(status) => (*status, IssueCode::Exception, Spine::FAILURE),
        }
    }
}

impl From<StoreError> for LocatorError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for LocatorError {
    fn into_response(self) -> Response {
        if let Self::Store(cause) = &self {
            tracing::error!(cause = %cause, "the store failed");
        }
        let (status, code, spine) = self.entry();
        let issues = self.sentences().into_iter().map(|(diagnostics, expression)| Issue {
            severity: Severity::Error,
            code,
            details: Some(spine.details()),
            diagnostics,
            expression,
        });
        let mut refusal = Refusal::error(status, code, "");
        refusal.outcome.issue = issues.collect();
        match self {
            Self::MethodNotAllowed(allow) => {
                refusal.with_header(ALLOW, HeaderValue::from_static(allow)).into_response()
            }
            _ => refusal.into_response(),
        }
    }
}
