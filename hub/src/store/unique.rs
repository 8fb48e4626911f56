//! Single and only: an identifier of a national system belongs to one current Patient.
//!
//! It counts while it is not `old`, had not ended when it was written, and the Patient is not
//! replaced by another.

use fhir::definitions::ResourceType;
use fhir::identifier::PatientNumber;
use fhir::instant::Interval;
use fhir::tree::Tree;

/// An identifier that at most one current resource of a type may carry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UniqueIdentifier {
    /// The system, in its one canonical spelling.
    pub system: &'static str,
    /// The value.
    pub value: String,
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
        .filter_map(national)
        .collect();
    unique.sort_unstable();
    unique.dedup();
    unique
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

fn national(identifier: &Tree<'_>) -> Option<UniqueIdentifier> {
    let (system, value) = (identifier.text("system")?, identifier.text("value")?);
    let number = PatientNumber::parse(system, value).ok()?;
    Some(UniqueIdentifier { system: number.system(), value: number.value().to_owned() })
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
    fn a_replaced_patient_holds_no_number() {
        let replaced = r#"{"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9434765919"}],"link":[{"type":"replaced-by"}]}"#;
        assert_eq!(unique(replaced), 0);
    }
}
