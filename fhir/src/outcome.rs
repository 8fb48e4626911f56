//! OperationOutcome: what went wrong, said so that a person can act on it.
//! <https://hl7.org/fhir/R4/operationoutcome.html>

use serde::{Deserialize, Serialize};

/// How bad an issue is. <https://hl7.org/fhir/R4/valueset-issue-severity.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing more could be checked.
    Fatal,
    /// The interaction was refused.
    Error,
    /// The interaction succeeded; something needs attention.
    Warning,
    /// For information only.
    Information,
}

/// What kind of issue it is. <https://hl7.org/fhir/R4/valueset-issue-type.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the codes are the specification's own words")]
pub enum IssueCode {
    Invalid,
    Structure,
    Required,
    Value,
    Invariant,
    Security,
    Login,
    Unknown,
    Expired,
    Forbidden,
    Suppressed,
    Processing,
    NotSupported,
    Duplicate,
    MultipleMatches,
    NotFound,
    Deleted,
    TooLong,
    CodeInvalid,
    Extension,
    TooCostly,
    BusinessRule,
    Conflict,
    Transient,
    LockError,
    NoStore,
    Exception,
    Timeout,
    Incomplete,
    Throttled,
    Informational,
}

/// One code of a code system, as a region status or an NRL response carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// The code system's URL.
    pub system: String,
    /// The code.
    pub code: String,
    /// Its display, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// `OperationOutcome.issue.details`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Codes that a program can act on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coding: Vec<Coding>,
    /// The same for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// One issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: IssueCode,
    /// Codes and text beside the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// A sentence that a person can act on; no internals, no patient data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<String>,
    /// Elements or parameters at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expression: Vec<String>,
}

impl Issue {
    /// An issue with its sentence.
    pub fn new(severity: Severity, code: IssueCode, diagnostics: impl Into<String>) -> Self {
        let diagnostics = Some(diagnostics.into());
        Self { severity, code, details: None, diagnostics, expression: Vec::new() }
    }

    /// An error with its sentence.
    pub fn error(code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, diagnostics)
    }

    /// Names the element or parameter at fault.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression.push(expression.into());
        self
    }

    /// Adds codes a program can act on.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }
}

/// An OperationOutcome resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "resourceType")]
pub struct OperationOutcome {
    /// At least one issue.
    pub issue: Vec<Issue>,
}

impl OperationOutcome {
    /// The resource's JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and enums always serialise")
    }
}

impl From<Issue> for OperationOutcome {
    fn from(issue: Issue) -> Self {
        Self { issue: vec![issue] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_written_with_the_specifications_words() {
        let issue = Issue::error(IssueCode::TooCostly, "Ask for less.").at("Bundle.entry[3]");
        let text = String::from_utf8_lossy(&OperationOutcome::from(issue).to_json()).into_owned();
        assert_eq!(
            text,
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"too-costly","diagnostics":"Ask for less.","expression":["Bundle.entry[3]"]}]}"#
        );
    }
}
