//! The codes the NRL puts into `issue.details.coding`, and the outcomes of what succeeded.

use fhir::outcome::{Coding, Details, Issue, IssueCode, OperationOutcome, Severity};

/// System of the codes of refusals.
const ERROR: &str = "https://fhir.nhs.uk/CodeSystem/Spine-ErrorOrWarningCode";
/// System of the codes of what succeeded.
const RESPONSE: &str = "https://fhir.nhs.uk/ValueSet/NRL-ResponseCode";

/// A Spine error code: (code, display).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spine(&'static str, &'static str);

impl Spine {
    pub(crate) const HEADER: Self =
        Self("MISSING_OR_INVALID_HEADER", "There is a required header missing or invalid");
    pub(crate) const PRECONDITION: Self = Self("PRECONDITION_FAILED", "Precondition failed");
    pub(crate) const NOT_WELL_FORMED: Self =
        Self("MESSAGE_NOT_WELL_FORMED", "Message not well formed");
    pub(crate) const BAD_REQUEST: Self = Self("BAD_REQUEST", "Bad request");
    pub(crate) const PARAMETER: Self = Self("INVALID_PARAMETER", "Invalid parameter");
    pub(crate) const NHS_NUMBER: Self = Self("INVALID_NHS_NUMBER", "Invalid NHS number");
    pub(crate) const IDENTIFIER: Self =
        Self("INVALID_IDENTIFIER_VALUE", "Invalid identifier value");
    pub(crate) const CODE_SYSTEM: Self = Self("INVALID_CODE_SYSTEM", "Invalid code system");
    pub(crate) const ACCESS: Self =
        Self("ACCESS DENIED", "Access has been denied to process this request");
    /// The same, as the API's proxy spells it.
    pub(crate) const PROXY_ACCESS: Self =
        Self("ACCESS_DENIED", "Access has been denied to process this request");
    pub(crate) const AUTHOR: Self = Self("AUTHOR_CREDENTIALS_ERROR", "Author credentials error");
    pub(crate) const NO_RECORD: Self = Self("NO_RECORD_FOUND", "No record found");
    pub(crate) const DUPLICATE: Self =
        Self("DUPLICATE_REJECTED", "Create would lead to creation of a duplicate resource");
    pub(crate) const UNPROCESSABLE: Self = Self("UNPROCESSABLE_ENTITY", "Unprocessable Entity");
    pub(crate) const INTERNAL: Self =
        Self("INTERNAL_SERVER_ERROR", "Unexpected internal server error");
    pub(crate) const FAILURE: Self =
        Self("FAILURE_TO_PROCESS_MESSAGE", "Failure to process message");

    /// The code as it stands in an issue.
    pub(crate) fn details(self) -> Details {
        details(ERROR, self.0, self.1)
    }
}

/// What succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    /// A pointer was created.
    Created,
    /// A pointer was created and those it replaces were deleted.
    Superseded,
    /// A pointer was updated.
    Updated,
    /// A pointer was deleted.
    Deleted,
    /// There was no pointer to delete.
    Absent,
}

impl Success {
    /// The OperationOutcome that says so, as JSON text.
    pub(crate) fn to_json(self) -> Vec<u8> {
        let deleted = ("RESOURCE_DELETED", "Resource deleted");
        let ((code, display), diagnostics) = match self {
            Self::Created => {
                (("RESOURCE_CREATED", "Resource created"), "The document has been created")
            }
            Self::Superseded => (
                ("RESOURCE_SUPERSEDED", "Resource created and resource(s) deleted"),
                "The document has been superseded by a new version",
            ),
            Self::Updated => {
                (("RESOURCE_UPDATED", "Resource updated"), "The DocumentReference has been updated")
            }
            Self::Deleted => (deleted, "The requested DocumentReference has been deleted"),
            Self::Absent => (deleted, "The requested DocumentReference could not be found"),
        };
        let issue = Issue::new(Severity::Information, IssueCode::Informational, diagnostics);
        OperationOutcome::from(issue.with_details(details(RESPONSE, code, display))).to_json()
    }
}

/// What a search says in place of a stored pointer that can no longer be read.
pub(crate) fn unreadable() -> Vec<u8> {
    let text = "An error occurred whilst parsing the document reference search results";
    let issue = Issue::error(IssueCode::Exception, text);
    OperationOutcome::from(issue.with_details(Spine::INTERNAL.details())).to_json()
}

fn details(system: &str, code: &str, display: &str) -> Details {
    let coding = Coding {
        system: system.to_owned(),
        code: code.to_owned(),
        display: Some(display.to_owned()),
    };
    Details { coding: vec![coding], text: None }
}
