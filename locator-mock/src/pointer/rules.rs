//! The business rules, in the order the NRL applies them. Faults add up; a missing field ends the
//! check at once, for nothing after it could be judged.

use fhir::identifier::{NHS_NUMBER, NhsNumber, ODS_CODE};

use super::codes::{NICIP, RECORD_TYPE, RELATIONS, SNOMED, category_display, pointer_type};
use super::content;
use super::setting::PracticeSettings;
use super::tree::Node;
use crate::error::{Fault, LocatorError};

const ASID: &str = "https://fhir.nhs.uk/Id/nhsSpineASID";
const CATEGORY_SYSTEM: &str = "https://fhir.nhs.uk/England/CodeSystem/England-NRLRecordCategory";

/// Checks a pointer that fits the model. `id` is the one it is to have.
pub(super) fn check(
    root: &Node,
    id: Option<&str>,
    settings: &PracticeSettings,
) -> Result<NhsNumber, LocatorError> {
    let mut faults = Vec::new();
    required_fields(root, id, &mut faults);
    if !faults.is_empty() {
        return Err(LocatorError::BusinessRules(faults));
    }
    let number = identifiers(root, &mut faults)?;
    relates_to(root, &mut faults);
    ssp(root, &mut faults);
    record_type(root, &mut faults);
    category(root, &mut faults);
    author(root, &mut faults);
    category_of_type(root, &mut faults);
    content::kinds(root, &mut faults);
    content::formats(root, &mut faults);
    content::extensions(root, &mut faults)?;
    settings.check(root, &mut faults);
    match number {
        Some(number) if faults.is_empty() => Ok(number),
        _ => Err(LocatorError::BusinessRules(faults)),
    }
}

fn required_fields(root: &Node, id: Option<&str>, faults: &mut Vec<Fault>) {
    for field in ["custodian", "id", "type", "status", "subject", "category", "author"] {
        let present = if field == "id" { id.is_some() } else { root.get(field).is_some() };
        if !present {
            let message = format!("The required field '{field}' is missing");
            faults.push(Fault::new(field, message));
        }
    }
}

fn identifiers(root: &Node, faults: &mut Vec<Fault>) -> Result<Option<NhsNumber>, LocatorError> {
    for (path, message) in [
        ("custodian.identifier", "Custodian must have an identifier"),
        ("subject.identifier", "Subject must have an identifier"),
    ] {
        if root.at(path).is_none() {
            return Err(LocatorError::rule(path, message));
        }
    }
    if root.text_at("custodian.identifier.system") != Some(ODS_CODE) {
        let message = format!(
            "Provided custodian identifier system is not the ODS system (expected: '{ODS_CODE}')"
        );
        faults.push(Fault::new("custodian.identifier.system", message));
    }
    if root.text_at("subject.identifier.system") != Some(NHS_NUMBER) {
        let message = format!(
            "Provided subject identifier system is not the NHS number system \
             (expected '{NHS_NUMBER}')"
        );
        faults.push(Fault::new("subject.identifier.system", message));
    }
    let value = root.text_at("subject.identifier.value").unwrap_or_default();
    let number = value.parse().ok();
    if number.is_none() {
        let message = "Provided subject identifier value is not a valid NHS number";
        faults.push(Fault::new("subject.identifier.value", message));
    }
    Ok(number)
}

fn relates_to(root: &Node, faults: &mut Vec<Fault>) {
    for (i, relation) in root.items_at("relatesTo").iter().enumerate() {
        let code = relation.text_at("code").unwrap_or_default();
        if !RELATIONS.contains(&code) {
            let message = format!("Invalid relatesTo code: {code}");
            faults.push(Fault::new(format!("relatesTo[{i}].code"), message));
        } else if code == "replaces" && relation.text_at("target.identifier.value").is_none() {
            let message = "relatesTo code 'replaces' must have a target identifier";
            faults.push(Fault::new(format!("relatesTo[{i}].target.identifier.value"), message));
        }
    }
}

/// A document behind the Spine Secure Proxy names the one system (ASID) that serves it.
fn ssp(root: &Node, faults: &mut Vec<Fault>) {
    let behind_proxy = root
        .items_at("content")
        .iter()
        .any(|content| content.text_at("attachment.url").is_some_and(|u| u.starts_with("ssp://")));
    let related = root.items_at("context.related");
    let asids: Vec<(usize, &str)> = related
        .iter()
        .enumerate()
        .filter(|(_, related)| related.text_at("identifier.system") == Some(ASID))
        .map(|(i, related)| (i, related.text_at("identifier.value").unwrap_or_default()))
        .collect();
    match asids.as_slice() {
        [] if behind_proxy => {
            let missing = if related.is_empty() { "context.related" } else { "ASID identifier" };
            let it =
                if related.is_empty() { "It must be provided and" } else { "context.related must" };
            let message = format!(
                "Missing {missing}. {it} contain a single valid ASID identifier when content \
                 contains an SSP URL"
            );
            faults.push(Fault::new("context.related", message));
        }
        [] => {}
        [(i, asid)] => {
            if asid.len() != 12 || !asid.bytes().all(|b| b.is_ascii_digit()) {
                let message = format!(
                    "Invalid ASID value '{asid}'. A single ASID consisting of 12 digits can be \
                     provided in the context.related field."
                );
                faults.push(Fault::new(format!("context.related[{i}].identifier.value"), message));
            }
        }
        _ => faults.push(Fault::new(
            "context.related",
            "Multiple ASID identifiers provided. Only a single valid ASID identifier can be \
             provided in the context.related.",
        )),
    }
}

fn record_type(root: &Node, faults: &mut Vec<Fault>) {
    let part = |name: &str| root.text_at(&format!("type.coding[0].{name}")).unwrap_or_default();
    let (system, code) = (part("system"), part("code"));
    if ![SNOMED, NICIP, RECORD_TYPE].contains(&system) {
        let message = format!(
            "Invalid type system: {system} Type system must be either '{SNOMED}', '{NICIP}' or \
             '{RECORD_TYPE}'"
        );
        return faults.push(Fault::new("type.coding[0].system", message));
    }
    let Some(known) = pointer_type(system, code) else {
        let message = format!(
            "Invalid type code: {code} Type must be a member of the England-NRLRecordType value \
             set ({RECORD_TYPE})"
        );
        return faults.push(Fault::new("type.coding[0].code", message));
    };
    if part("display") != known.display {
        let display = known.display;
        let message = format!("type code '{code}' must have a display value of '{display}'");
        faults.push(Fault::new("type.coding[0].display", message));
    }
}

fn category(root: &Node, faults: &mut Vec<Fault>) {
    let given = root.items_at("category").len();
    if given > 1 {
        let message =
            format!("Invalid category length: {given} Category must only contain a single value");
        return faults.push(Fault::new("category", message));
    }
    let part =
        |name: &str| root.text_at(&format!("category[0].coding[0].{name}")).unwrap_or_default();
    let (system, code) = (part("system"), part("code"));
    if system != SNOMED {
        let message =
            format!("Invalid category system: {system} Category system must be '{SNOMED}'");
        return faults.push(Fault::new("category[0].coding[0].system", message));
    }
    let Some(display) = category_display(code) else {
        let message = format!(
            "Invalid category code: {code} Category must be a member of the \
             England-NRLRecordCategory value set ({CATEGORY_SYSTEM})"
        );
        return faults.push(Fault::new("category[0].coding[0].code", message));
    };
    if part("display") != display {
        let message = format!("category code '{code}' must have a display value of '{display}'");
        faults.push(Fault::new("category[0].coding[0].display", message));
    }
}

fn author(root: &Node, faults: &mut Vec<Fault>) {
    let given = root.items_at("author").len();
    if given > 1 {
        let message =
            format!("Invalid author length: {given} Author must only contain a single value");
        return faults.push(Fault::new("author", message));
    }
    if root.at("author[0].identifier").is_none() {
        return faults.push(Fault::new("author[0].identifier", "Author must have an identifier"));
    }
    let part =
        |name: &str| root.text_at(&format!("author[0].identifier.{name}")).unwrap_or_default();
    let (system, value) = (part("system"), part("value"));
    if system != ODS_CODE {
        let message =
            format!("Invalid author system: '{system}' Author system must be '{ODS_CODE}'");
        return faults.push(Fault::new("author[0].identifier.system", message));
    }
    let message = if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric()) {
        format!("Invalid author value: '{value}' Author value must be alphanumeric")
    } else if value.len() > 12 {
        format!("Invalid author value: '{value}' Author value must be less than 13 characters")
    } else {
        return;
    };
    faults.push(Fault::new("author[0].identifier.value", message));
}

/// Each type goes with one category; judged only where both are known.
fn category_of_type(root: &Node, faults: &mut Vec<Fault>) {
    let part = |path: &str| root.text_at(path).unwrap_or_default();
    let (system, code) = (part("type.coding[0].system"), part("type.coding[0].code"));
    let (category_system, category) =
        (part("category[0].coding[0].system"), part("category[0].coding[0].code"));
    let Some(known) = pointer_type(system, code) else { return };
    let judged = category_system == SNOMED && category_display(category).is_some();
    if judged && category != known.category {
        let message = format!(
            "The Category code of the provided document '{SNOMED}|{category}' must match the \
             allowed category for pointer type '{system}|{code}' with a category value of \
             '{SNOMED}|{}'",
            known.category
        );
        faults.push(Fault::new("category.coding[0].code", message));
    }
}
