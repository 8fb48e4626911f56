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
//! | no such pointer, no such URL | 404 | not-found | `NO_RECORD_FOUND` |
//! | method | 405 | not-supported | `BAD_REQUEST` |
//! | id taken | 409 | conflict | `DUPLICATE_REJECTED` |
//! | business rules | 422 | business-rule | `UNPROCESSABLE_ENTITY` |
//! | the store failed | 500 | exception | `INTERNAL_SERVER_ERROR` |

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
    NotFound,
    NoSuchUrl,
    MethodNotAllowed(&'static str),
    Duplicate,
    BusinessRules(Vec<Fault>),
    Store(StoreError),
}

impl LocatorError {
    /// One business rule broken.
    pub(crate) fn rule(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::BusinessRules(vec![Fault::new(path, message)])
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
        }
    }

    /// What is said, and about what: one (sentence, expressions) for each issue.
    fn sentences(&self) -> Vec<(Option<String>, Vec<String>)> {
        let one = |text: &str| vec![(Some(text.to_owned()), Vec::new())];
        let about = |text: &str, path: &str| vec![(Some(text.to_owned()), vec![path.to_owned()])];
        match self {
            Self::OrganisationHeader => {
                one("The NHSD-End-User-Organisation-ODS header is missing or invalid")
            }
            Self::RequestIdHeader => one("The X-Request-Id header is missing or invalid"),
            Self::BodyRequired => one("Request body is required"),
            Self::Body(refusal) => {
                let issue = refusal.outcome.issue.first();
                vec![(issue.and_then(|issue| issue.diagnostics.clone()), Vec::new())]
            }
            Self::Malformed { source, faults } => {
                faults.iter().map(|fault| malformed(*source, fault)).collect()
            }
            Self::DuplicateKeys(paths) => vec![(Some(duplicate_keys(paths)), paths.clone())],
            Self::NhsNumber(fault) => about(number(*fault), "subject:identifier"),
            Self::SearchType(source) => {
                let text =
                    "The provided type does not match the allowed types for this organisation";
                about(&wrapped(*source, text), "type")
            }
            Self::SearchCategory(source) => {
                about(&wrapped(*source, "The provided category is not valid"), "category")
            }
            Self::NoPermission { organisation } => one(&format!(
                "Your organisation '{organisation}' does not have permission to access this \
                 resource. Contact the onboarding team."
            )),
            Self::TypeNotReadable => {
                one("The requested DocumentReference is not of a type that this organisation is \
                 allowed to access")
            }
            Self::TypeNotWritable => about(
                "The type of the provided DocumentReference is not in the list of allowed types \
                 for this organisation",
                "type.coding[0].code",
            ),
            Self::BelongsToAnother(deed) => one(belongs_to_another(*deed)),
            Self::NotFound => one("The requested DocumentReference could not be found"),
            Self::NoSuchUrl => one("There is nothing at this URL. Pointers are at \
                 /producer/FHIR/R4/DocumentReference and /consumer/FHIR/R4/DocumentReference."),
            Self::MethodNotAllowed(allow) => one(&format!("This URL takes {allow} only.")),
            Self::Duplicate => vec![(None, Vec::new())],
            Self::BusinessRules(faults) => faults.iter().map(business_rule).collect(),
            Self::Store(_) => one("The locator failed to answer. Try again."),
        }
    }
}

fn malformed(source: Source, fault: &Fault) -> (Option<String>, Vec<String>) {
    let what = match source {
        Source::Query => "Invalid query parameter",
        Source::Path => "Invalid path parameter",
        Source::Body => "Request body could not be parsed",
        Source::StabilityExtension => "Invalid content stability extension",
        Source::RetrievalExtension => "Invalid content retrieval extension",
    };
    let whole = fault.path.is_empty();
    let path = if whole { "DocumentReference" } else { &fault.path };
    (Some(format!("{what} ({path}: {})", fault.message)), vec![path.to_owned()])
}

fn business_rule(fault: &Fault) -> (Option<String>, Vec<String>) {
    let path = Some(&fault.path).filter(|path| !path.is_empty());
    (Some(fault.message.clone()), path.into_iter().cloned().collect())
}

fn duplicate_keys(paths: &[String]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for path in paths {
        let name = path.rsplit('.').next().unwrap_or(path);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    format!("Duplicate keys found in FHIR document: ['{}']", names.join("', '"))
}

fn number(fault: NumberFault) -> &'static str {
    match fault {
        NumberFault::Consumer => "A valid NHS number is required to search for document references",
        NumberFault::ProducerInvalid => "Invalid NHS number provided in the search parameters",
        NumberFault::ProducerMissing => "NHS number is missing from the search parameters",
        NumberFault::Count => "Invalid NHS number provided in the query parameters",
    }
}

/// GET wraps the sentence, POST does not.
fn wrapped(source: Source, text: &str) -> String {
    match source {
        Source::Query => format!("Invalid query parameter ({text})"),
        _ => text.to_owned(),
    }
}

fn belongs_to_another(deed: Deed) -> &'static str {
    match deed {
        Deed::Read => {
            "The requested DocumentReference cannot be read because it belongs to another \
             organisation"
        }
        Deed::Delete => {
            "The requested DocumentReference cannot be deleted because it belongs to another \
             organisation"
        }
        Deed::Update => {
            "The id of the provided DocumentReference does not include the expected ODS code for \
             this organisation"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_whole_names_the_resource() {
        let fault = Fault::new("", "Value error, The following fields are empty: content");
        let (text, paths) = malformed(Source::Body, &fault);
        let expected = "Request body could not be parsed (DocumentReference: Value error, The \
                        following fields are empty: content)";
        assert_eq!(text.as_deref(), Some(expected));
        assert_eq!(paths, ["DocumentReference"]);
    }

    #[test]
    fn a_name_given_twice_in_two_places_is_listed_once() {
        let paths = ["root.content[0].attachment.url".to_owned(), "root.url".to_owned()];
        let expected = "Duplicate keys found in FHIR document: ['url']";
        assert_eq!(duplicate_keys(&paths), expected);
    }
}
