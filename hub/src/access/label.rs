//! Security labels (`meta.security`) as classes: bits of a number, so that a row is compared with a
//! caller's clearance at once. <https://hl7.org/fhir/R4/security-labels.html>
//!
//! | label | what it does |
//! |---|---|
//! | confidentiality U, L, M, N | nothing |
//! | confidentiality R, on a Patient | its place is withheld: see [`super::place`] |
//! | confidentiality R, on anything else | hides |
//! | confidentiality V | hides |
//! | sensitivity ([`SENSITIVITY`]) | hides |
//! | HTEST, integrity (v3-ObservationValue) | nothing |
//! | any other | hides, and no role is cleared for it |
//!
//! Labels of resources within a resource count as its own: it is as confidential as what it holds.

use fhir::tree::Tree;

const CONFIDENTIALITY: [&str; 2] = [
    "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "http://hl7.org/fhir/v3/Confidentiality",
];
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
/// Systems whose codes in `meta.security` say nothing about who may see a resource.
const HARMLESS: [&str; 2] = [
    "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "http://terminology.hl7.org/CodeSystem/v3-ActReason",
];

/// The sensitivity codes of v3-ActCode that are known; each is a class of its own, in this order.
/// <https://terminology.hl7.org/ValueSet-v3-InformationSensitivityPolicy.html>
pub const SENSITIVITY: [&str; 19] = [
    "BH", "COGN", "DVD", "EMOTDIS", "ETH", "GDIS", "HIV", "MH", "MST", "OPIOIDUD", "PSY",
    "PSYTHPN", "SCA", "SDV", "SEX", "STD", "SUD", "TBOO", "VIO",
];

/// Restricted.
pub const R: i64 = 1;
/// Very restricted.
pub const V: i64 = 1 << 1;
const SENSITIVITY_FROM: usize = 2;
/// A label that is not understood.
pub const UNKNOWN: i64 = 1 << 40;
/// On a Patient: where the patient is to be found is withheld. It hides nothing.
pub const PLACE: i64 = 1 << 41;
/// Every class that hides.
pub const HIDING: i64 = (1 << 41) - 1;

/// The class that a role can be cleared for, by its code.
pub fn class(code: &str) -> Option<i64> {
    match code {
        "R" => Some(R),
        "V" => Some(V),
        code => {
            let place = SENSITIVITY.iter().position(|known| *known == code)?;
            Some(1 << (SENSITIVITY_FROM + place))
        }
    }
}

/// The class of a label; 0 for one that does nothing.
pub fn of(coding: &Tree<'_>) -> i64 {
    let (system, code) = (coding.text("system").unwrap_or_default(), coding.text("code"));
    match code {
        Some(code) if CONFIDENTIALITY.contains(&system) => match code {
            "U" | "L" | "M" | "N" => 0,
            "R" => R,
            "V" => V,
            _ => UNKNOWN,
        },
        Some(code) if system == ACT_CODE && SENSITIVITY.contains(&code) => {
            class(code).unwrap_or(UNKNOWN)
        }
        Some(_) if HARMLESS.contains(&system) => 0,
        _ => UNKNOWN,
    }
}

/// The classes of a resource, with those of all it holds.
pub fn classes(resource: &Tree<'_>) -> i64 {
    let own = own(resource);
    let is_patient = resource.text("resourceType") == Some("Patient");
    let own = if is_patient && own & R != 0 { own & !R | PLACE } else { own };
    let within: i64 = nested(resource).into_iter().fold(0, |all, inner| all | deep(inner));
    own | within
}

fn own(resource: &Tree<'_>) -> i64 {
    let security = resource.get("meta").and_then(|meta| meta.get("security"));
    security.map_or(&[][..], Tree::items).iter().fold(0, |all, coding| all | of(coding))
}

fn deep(resource: &Tree<'_>) -> i64 {
    nested(resource).into_iter().fold(own(resource), |all, inner| all | deep(inner))
}

/// The resources that a resource holds.
pub fn nested<'t, 'a>(resource: &'t Tree<'a>) -> Vec<&'t Tree<'a>> {
    let list = |name| resource.get(name).map_or(&[][..], Tree::items);
    let mut all: Vec<&Tree<'a>> = list("contained").iter().collect();
    all.extend(list("entry").iter().filter_map(|entry| entry.get("resource")));
    let mut parameters: Vec<&Tree<'a>> = list("parameter").iter().collect();
    while let Some(parameter) = parameters.pop() {
        all.extend(parameter.get("resource"));
        parameters.extend(parameter.get("part").map_or(&[][..], Tree::items));
    }
    all
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn read(text: &str) -> i64 {
        classes(&Tree::parse(text.as_bytes()).unwrap())
    }

    fn labelled(of_type: &str, system: &str, code: &str) -> String {
        format!(
            r#"{{"resourceType":"{of_type}","meta":{{"security":[{{"system":"{system}","code":"{code}"}}]}}}}"#
        )
    }

    #[test]
    fn only_labels_that_say_so_hide_and_what_is_not_understood_does() {
        for (system, code, expected) in [
            (CONFIDENTIALITY[0], "N", 0),
            (CONFIDENTIALITY[0], "U", 0),
            (CONFIDENTIALITY[0], "R", R),
            (CONFIDENTIALITY[1], "V", V),
            (CONFIDENTIALITY[0], "X", UNKNOWN),
            (ACT_CODE, "HIV", class("HIV").unwrap()),
            (ACT_CODE, "NODSCLCD", UNKNOWN),
            (HARMLESS[1], "HTEST", 0),
            ("urn:own", "R", UNKNOWN),
        ] {
            assert_eq!(read(&labelled("Observation", system, code)), expected, "{system} {code}");
        }
        assert_eq!(read(r#"{"meta":{"security":[{"display":"secret"}]}}"#), UNKNOWN);
        assert_eq!(read(r#"{"meta":{}}"#), 0);
    }

    #[test]
    fn a_restricted_patient_is_there_but_nowhere_to_be_found() {
        let patient = labelled("Patient", CONFIDENTIALITY[0], "R");
        assert_eq!(read(&patient), PLACE);
        assert_eq!(PLACE & HIDING, 0);
        let holder = format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{patient}}}]}}"#);
        assert_eq!(read(&holder), R, "a copy hides what holds it");
    }

    #[test]
    fn what_holds_a_labelled_resource_is_as_confidential() {
        let inner = labelled("Observation", CONFIDENTIALITY[0], "V");
        for holder in [
            format!(r#"{{"contained":[{inner}]}}"#),
            format!(r#"{{"entry":[{{}},{{"resource":{{"contained":[{inner}]}}}}]}}"#),
            format!(r#"{{"parameter":[{{"part":[{{"resource":{inner}}}]}}]}}"#),
        ] {
            assert_eq!(read(&holder), V, "{holder}");
        }
    }

    #[test]
    fn each_class_has_a_bit_of_its_own() {
        let all = SENSITIVITY.iter().chain(&["R", "V"]).map(|code| class(code).unwrap());
        let bits = all.fold(0, |bits: i64, class| bits | class);
        assert_eq!(bits.count_ones() as usize, SENSITIVITY.len() + 2);
        assert_eq!(bits & (UNKNOWN | PLACE), 0);
        assert_eq!(class("N"), None);
    }
}
