//! A refusal: an HTTP status and the OperationOutcome that says why.

use axum::response::{IntoResponse, Response};
use fhir::FHIR_JSON;
use fhir::outcome::{Issue, IssueCode, OperationOutcome};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

/// What a caller is told instead of an answer.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// Why, for people and programs.
    pub outcome: OperationOutcome,
    /// The Bundle entry at fault, for a transaction to name.
    pub entry: Option<usize>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with one issue.
    pub fn new(status: StatusCode, issue: Issue) -> Self {
        Self { status, outcome: issue.into(), entry: None, headers: Vec::new() }
    }

    /// A refusal with one error.
    pub fn error(status: StatusCode, code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self::new(status, Issue::error(code, diagnostics))
    }

    /// 400 with one error.
    pub fn bad_request(code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, code, diagnostics)
    }

    /// 400 with an issue that names what is at fault.
    pub fn bad_request_issue(issue: Issue) -> Self {
        Self::new(StatusCode::BAD_REQUEST, issue)
    }

    /// 404 for a URL that no route serves.
    pub fn no_such_url() -> Self {
        Self::error(
            StatusCode::NOT_FOUND,
            IssueCode::NotFound,
            "There is nothing at this URL. The FHIR base ends in /FHIR/R4; its metadata lists what \
             can be asked.",
        )
    }

    /// 405 with the methods that the URL does take.
    ///
    /// # Panics
    /// If a method is not a word of ASCII letters.
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::error(
            StatusCode::METHOD_NOT_ALLOWED,
            IssueCode::NotSupported,
            format!("This URL takes {allow} only."),
        )
        .with_header(ALLOW, HeaderValue::from_str(allow).expect("methods are ASCII words"))
    }

    /// 500, logged once here with its cause; the caller learns nothing of it.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(cause = %cause, "request failed");
        Self::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            IssueCode::Exception,
            "The service failed to answer. If this was a write, read before you repeat it; report the \
             X-Request-ID if it happens again.",
        )
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Tells the caller when to come back.
    #[must_use]
    pub fn retry_after_s(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.outcome.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}
