//! From a body to what is stored: validated, taken apart for the index, ready for its version.

use std::borrow::Cow;

use fhir::definitions::ResourceType;
use fhir::identifier::{OdsCode, PatientNumber};
use fhir::outcome::{Issue, IssueCode, OperationOutcome};
use fhir::subset::is_subsetted;
use fhir::tree::Tree;
use fhir::validate::{Malformed, Survey, ValidationIssue, validate};
use http::StatusCode;
use service::refusal::Refusal;

use super::links::refuse_conditional_references;
use crate::Hub;
use crate::custody::Custodian;
use crate::custody::task::{TASK, asks};
use crate::store::draft::{Claim, Draft};
use crate::store::index::Index;
use crate::store::vocabulary::Vocabulary;
use crate::store::write::Content;

/// Validates a text that must be a resource of this type, and that a write can rest on alone. `at` is
/// where it stands, for errors. Its id, if it has one.
pub fn check(
    text: &[u8],
    resource_type: ResourceType,
    at: &str,
) -> Result<Option<String>, Refusal> {
    let survey = sound(text, Some(at))?;
    if survey.resource_type != Some(resource_type) {
        return Err(other_type(survey.resource_type, resource_type));
    }
    refuse_conditional_references(text, &survey.references, at)?;
    Ok(survey.id.map(Cow::into_owned))
}

/// Validates a text that must be a resource; of which type is the caller's to judge. `at` is where it
/// stands, if it does not stand alone.
pub fn sound<'t>(text: &'t [u8], at: Option<&str>) -> Result<Survey<'t>, Refusal> {
    let mut survey = validate(text).map_err(|malformed| unreadable(&malformed))?;
    let issues = std::mem::take(&mut survey.issues);
    match at {
        Some(at) => refuse_issues(&within(at, issues))?,
        None => refuse_issues(&issues)?,
    }
    Ok(survey)
}

/// The resource must be of the type that the URL names.
pub fn other_type(found: Option<ResourceType>, wanted: ResourceType) -> Refusal {
    let found = found.map_or("no resource that R4 knows", ResourceType::as_str);
    let text = format!(
        "The URL is for {wanted}, but the body is {found}: send it to the URL of its type."
    );
    Refusal::bad_request_issue(Issue::error(IssueCode::Invalid, text).at("resourceType"))
}

/// The body must say which resource it is, and say the same as the URL.
pub fn same_id(found: Option<&str>, wanted: &str, at: &str) -> Result<(), Refusal> {
    if found == Some(wanted) {
        return Ok(());
    }
    let text = "The id in the body must be there and be the id in the URL.";
    let issue = Issue::error(IssueCode::Invalid, text).at(format!("{at}.id"));
    Err(Refusal::bad_request_issue(issue))
}

/// Issues of a resource as issues of the place where it stands.
fn within(at: &str, issues: Vec<ValidationIssue>) -> Vec<ValidationIssue> {
    let moved = |issue: ValidationIssue| {
        let rest = issue.expression.split_once('.');
        let expression = rest.map_or_else(|| at.to_owned(), |(_, rest)| format!("{at}.{rest}"));
        ValidationIssue { expression, ..issue }
    };
    issues.into_iter().map(moved).collect()
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

/// Prepares a valid resource to be stored under `id`. `at` is where it stands, for errors; `custodian` is
/// whose it is expected to be.
pub fn prepare(
    text: &[u8],
    (resource_type, id): (ResourceType, &str),
    at: &str,
    custodian: &Custodian,
    hub: &Hub,
) -> Result<Content, Refusal> {
    let (terms, now, region) = (&hub.store.terms(), hub.clock.now_micros(), &hub.config.region.ods);
    content(text, (resource_type, id), at, custodian, Basis { terms, now, region })
}

/// What a resource is prepared by.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The terms of the index.
    pub terms: &'a Vocabulary,
    /// The time, microseconds since 1970.
    pub now: i64,
    /// The region's own organisation.
    pub region: &'a OdsCode,
}

/// [`prepare`] by these.
pub fn content(
    text: &[u8],
    (resource_type, id): (ResourceType, &str),
    at: &str,
    custodian: &Custodian,
    Basis { terms, now, region }: Basis<'_>,
) -> Result<Content, Refusal> {
    let failed = |error: serde_json::Error| Refusal::internal(&error);
    let draft = Draft::new(text, id).map_err(failed)?;
    let is_tagged = *custodian != Custodian::default() || !draft.claims().is_empty();
    // What it is found by is what is stored of it.
    let tagged = is_tagged.then(|| draft.render(1, 0, custodian));
    let tree = Tree::parse(tagged.as_deref().unwrap_or(text)).map_err(failed)?;
    patient_numbers(resource_type, &tree, at)?;
    if is_subsetted(&tree) {
        return Err(subsetted(at));
    }
    let index = Index::of(resource_type, id, &tree, terms, now);
    let claim = |claim: &Claim| (claim.place, claimed(&claim.code, region));
    let claims = draft.claims().iter().map(claim).collect();
    let asks = resource_type == TASK && asks(&tree);
    Ok(Content { draft, index, custodian: custodian.clone(), claims, asks })
}

/// Whom a client's tag names. What is no organisation's code is no one's.
fn claimed(code: &str, region: &OdsCode) -> Custodian {
    match code.parse() {
        Ok(code) => Custodian::of(&code, region),
        Err(_) => Custodian::stored("-"),
    }
}

/// To store a part in place of the whole would lose the rest.
fn subsetted(at: &str) -> Refusal {
    let text = "This is only a part of a resource, as a search with _summary or _elements gives it \
                (tag SUBSETTED): read the whole, change that and send it.";
    let issue = Issue::error(IssueCode::BusinessRule, text).at(format!("{at}.meta.tag"));
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, issue)
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
