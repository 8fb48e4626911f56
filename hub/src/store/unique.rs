//! Single and only: an identifier of a national system belongs to one current Patient.
//!
//! It counts while it is not `old`, had not ended when it was written, and the Patient is not
//! replaced by another. With it comes what the locator makes of it, so that a change of that is noted
//! like a change of the identifier.

use fhir::definitions::ResourceType;
use fhir::identifier::PatientNumber;
use fhir::instant::Interval;
use fhir::tree::Tree;

const VERIFICATION_STATUS: &str =
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus";
/// How the code systems of England and of Wales begin, and the one that came before them.
const VERIFICATION_SYSTEMS: &str =
    "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatus";

/// An identifier that at most one current resource of a type may carry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UniqueIdentifier {
    /// The system, in its one canonical spelling.
    pub system: &'static str,
    /// The value.
    pub value: String,
    /// Whether it is said to be present and verified.
    pub verified: bool,
    /// Whether the patient has died.
    pub deceased: bool,
}

/// The unique identifiers of a resource written `at` (microseconds since 1970).
pub fn identifiers(resource_type: ResourceType, tree: &Tree<'_>, at: i64) -> Vec<UniqueIdentifier> {
    if resource_type != ResourceType::PATIENT || is_replaced(tree) {
        return Vec::new();
    }
    let identifiers = tree.get("identifier").map_or(&[][..], Tree::items);
    let mut unique: Vec<UniqueIdentifier> = identifiers
        .iter()
        .filter(|identifier| counts(identifier, at))
        .filter_map(|identifier| national(identifier, is_deceased(tree)))
        .collect();
    unique.sort_unstable();
    unique.dedup_by(|next, kept| {
        let same = (next.system, &next.value) == (kept.system, &kept.value);
        kept.verified |= same && next.verified;
        same
    });
    unique
}

fn is_deceased(tree: &Tree<'_>) -> bool {
    let said = tree.get("deceasedBoolean").is_some_and(|value| matches!(value, Tree::Bool(true)));
    said || tree.get("deceasedDateTime").is_some()
}

fn is_replaced(tree: &Tree<'_>) -> bool {
    let links = tree.get("link").map_or(&[][..], Tree::items);
    links.iter().any(|link| link.text("type") == Some("replaced-by"))
}

fn counts(identifier: &Tree<'_>, at: i64) -> bool {
    let end = identifier.get("period").and_then(|period| Interval::parse(period.text("end")?));
    let ended = end.is_some_and(|end| end.high <= at);
    !ended && identifier.text("use") != Some("old")
}

/// <https://simplifier.net/hl7fhirukcorer4/extension-ukcore-nhsnumberverificationstatus>
fn is_verified(identifier: &Tree<'_>) -> bool {
    let extensions = identifier.get("extension").map_or(&[][..], Tree::items).iter();
    let statuses = extensions.filter(|e| e.text("url") == Some(VERIFICATION_STATUS));
    let concepts = statuses.filter_map(|status| status.get("valueCodeableConcept"));
    let mut codings = concepts.flat_map(|c| c.get("coding").map_or(&[][..], Tree::items));
    codings.any(|coding| {
        let system = coding.text("system").unwrap_or_default();
        system.starts_with(VERIFICATION_SYSTEMS) && coding.text("code") == Some("01")
    })
}

fn national(identifier: &Tree<'_>, deceased: bool) -> Option<UniqueIdentifier> {
    let (system, value) = (identifier.text("system")?, identifier.text("value")?);
    let number = PatientNumber::parse(system, value).ok()?;
    let (system, value) = (number.system(), number.value().to_owned());
    Some(UniqueIdentifier { system, value, verified: is_verified(identifier), deceased })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn unique(patient: &str) -> usize {
        let tree = Tree::parse(patient.as_bytes()).unwrap();
        let at = Interval::parse("2026").unwrap().low;
        identifiers(ResourceType::PATIENT, &tree, at).len()
    }

    #[test]
    fn only_a_number_in_use_counts() {
        let with = |more: &str| {
            unique(&format!(
                r#"{{"identifier":[{{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9434765919"{more}}}]}}"#
            ))
        };
        assert_eq!(with(""), 1);
        assert_eq!(with(r#","use":"old""#), 0);
        assert_eq!(with(r#","period":{"end":"2020"}"#), 0);
        assert_eq!(with(r#","period":{"end":"2099"}"#), 1);
        assert_eq!(unique(r#"{"identifier":[{"system":"urn:mrn","value":"9434765919"}]}"#), 0);
    }

    #[test]
    fn a_number_is_verified_by_code_01_and_nothing_else() {
        let with = |system: &str, code: &str| {
            let patient = format!(
                r#"{{"deceasedBoolean":false,"identifier":[{{"extension":[{{"url":"{VERIFICATION_STATUS}","valueCodeableConcept":{{"coding":[{{"system":"{system}","code":"{code}"}}]}}}}],"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9434765919"}},{{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"943 476 5919"}}]}}"#
            );
            let tree = Tree::parse(patient.as_bytes()).unwrap();
            let found = identifiers(ResourceType::PATIENT, &tree, 0);
            assert!(!found[0].deceased);
            found[0].verified
        };
        assert!(with(&format!("{VERIFICATION_SYSTEMS}England"), "01"));
        assert!(with(&format!("{VERIFICATION_SYSTEMS}Wales"), "01"));
        assert!(!with(&format!("{VERIFICATION_SYSTEMS}England"), "02"));
        assert!(!with("urn:other", "01"));
    }

    #[test]
    fn a_replaced_patient_holds_no_number() {
        let replaced = r#"{"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9434765919"}],"link":[{"type":"replaced-by"}]}"#;
        assert_eq!(unique(replaced), 0);
    }
}
