//! The date that orders a type's resources in time.

use crate::definitions::{ParameterKind, ResourceType};

/// The parameters that name a type's clinical time, the first that a type has counts.
const CLINICAL: [&str; 17] = [
    "authoredon",
    "authored-on",
    "authored",
    "effective",
    "effective-time",
    "whenhandedover",
    "date",
    "recorded-date",
    "onset-date",
    "occurrence",
    "period",
    "created",
    "issued",
    "sent",
    "started",
    "recorded",
    "start-date",
];

/// The date parameter whose value orders a type's resources in time.
pub fn clinical_parameter(resource_type: ResourceType) -> Option<&'static str> {
    let is_date = |code: &&'static str| {
        resource_type.search_parameter(code).is_some_and(|p| p.kind == ParameterKind::Date)
    };
    CLINICAL.into_iter().find(is_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clinical_types_have_a_clinical_time() {
        for (name, code) in [
            ("Observation", "date"),
            ("MedicationRequest", "authoredon"),
            ("MedicationStatement", "effective"),
            ("Condition", "recorded-date"),
            ("Immunization", "date"),
            ("AllergyIntolerance", "date"),
        ] {
            let resource_type = name.parse::<ResourceType>().expect("an R4 type");
            assert_eq!(clinical_parameter(resource_type), Some(code), "{name}");
        }
    }
}
