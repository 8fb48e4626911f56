//! From a body to what is stored: validated, taken apart for the index, ready for its version.

use fhir::definitions::ResourceType;
use fhir::identifier::PatientNumber;
use fhir::outcome::{Issue, IssueCode, OperationOutcome};
use fhir::tree::Tree;
use fhir::validate::{Malformed, Survey, ValidationIssue, validate};
use http::StatusCode;
use service::refusal::Refusal;

use crate::Hub;
use crate::store::draft::Draft;
use crate::store::index::Index;
use crate::store::write::Content;

/// Validates a body that must be a resource of this type.
pub fn survey(text: &[u8], resource_type: ResourceType) -> Result<Survey<'_>, Refusal> {
    let survey = validate(text).map_err(|malformed| unreadable(&malformed))?;
    refuse_issues(&survey.issues)?;
    match survey.resource_type {
        Some(found) if found == resource_type => Ok(survey),
        found => {
            let found = found.map_or("no resource that R4 knows", ResourceType::as_str);
            let text = format!(
                "The URL is for {resource_type}, but the body is {found}: send it to the URL of \
                 its type."
            );
            let issue = Issue::error(IssueCode::Invalid, text).at("resourceType");
            Err(Refusal::bad_request_issue(issue))
        }
    }
}

/// 400 for what is not JSON.
pub fn unreadable(malformed: &Malformed) -> Refusal {
    let text = format!("The body is not well-formed JSON: {malformed}");
    Refusal::bad_request(IssueCode::Structure, text)
}

/// 422 with every issue, if there is any.
pub fn refuse_issues(issues: &[ValidationIssue]) -> Result<(), Refusal> {
    if issues.is_empty() {
        return Ok(());
    }
    let issue = |found: &ValidationIssue| {
        Issue::error(found.code, found.message.clone()).at(found.expression.clone())
    };
    let issue: Vec<Issue> = issues.iter().map(issue).collect();
    let mut refusal = Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, issue[0].clone());
    refusal.outcome = OperationOutcome { issue };
    Err(refusal)
}

/// Prepares a valid resource to be stored under `id`. `at` is where it stands, for errors.
pub fn prepare(
    text: &[u8],
    resource_type: ResourceType,
    id: &str,
    at: &str,
    hub: &Hub,
) -> Result<Content, Refusal> {
    let failed = |error: serde_json::Error| Refusal::internal(&error);
    let tree = Tree::parse(text).map_err(failed)?;
    patient_numbers(resource_type, &tree, at)?;
    let now = hub.clock.now_micros();
    let index = Index::of(resource_type, id, &tree, hub.store.terms(), now);
    Ok(Content { draft: Draft::new(text, id).map_err(failed)?, index })
}

/// A Patient's national numbers must be numbers: a wrong one would be found under no one's name.
fn patient_numbers(resource_type: ResourceType, tree: &Tree<'_>, at: &str) -> Result<(), Refusal> {
    if resource_type != ResourceType::PATIENT {
        return Ok(());
    }
    let identifiers = tree.get("identifier").map_or(&[][..], Tree::items);
    let mut issues = Vec::new();
    for (place, identifier) in identifiers.iter().enumerate() {
        let (Some(system), Some(value)) = (identifier.text("system"), identifier.text("value"))
        else {
            continue;
        };
        if !PatientNumber::is_system(system) {
            continue;
        }
        if let Err(error) = PatientNumber::parse(system, value) {
            issues.push(ValidationIssue {
                expression: format!("{at}.identifier[{place}].value"),
                code: IssueCode::Value,
                message: format!("This is not a patient number of its system: {error}."),
            });
        }
    }
    refuse_issues(&issues)
}
