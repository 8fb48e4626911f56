//! Codes that a required binding asks for.

use super::issues;

#[test]
fn a_code_must_be_of_the_value_set_that_is_required() {
    for (text, expected) in [
        (r#"{"resourceType":"Patient","gender":"female"}"#, ""),
        (r#"{"resourceType":"Patient","gender":"Female"}"#, "Patient.gender code-invalid"),
        (r#"{"resourceType":"Patient","gender":"f\u0065male"}"#, ""),
        (r#"{"resourceType":"Patient","gender":"f"}"#, "Patient.gender code-invalid"),
        (r#"{"resourceType":"Patient","_gender":{"extension":[{"url":"a","valueCode":"f"}]}}"#, ""),
        (
            r#"{"resourceType":"Observation","status":"done","code":{"text":"a"}}"#,
            "Observation.status code-invalid",
        ),
        (
            r#"{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueQuantity":{"value":1,"comparator":"=<"}}"#,
            "Observation.value.comparator code-invalid",
        ),
        (
            r#"{"resourceType":"Patient","name":[{"use":"usual"},{"use":"casual"}]}"#,
            "Patient.name[1].use code-invalid",
        ),
        // Repeats, of two systems.
        (
            r#"{"resourceType":"Patient","extension":[{"url":"a","valueTiming":{"repeat":{"when":["ACM","MORN","LUNCH"]}}}]}"#,
            "Patient.extension[0].value.repeat.when[2] code-invalid",
        ),
        (
            r#"{"resourceType":"Patient","gender":"f","active":1}"#,
            "Patient.gender code-invalid|Patient.active value",
        ),
    ] {
        assert_eq!(issues(text).join("|"), expected, "{text}");
    }
}

#[test]
fn a_concept_must_have_a_coding_of_the_value_set_that_is_required() {
    const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    let right = format!(r#"{{"system":"{SYSTEM}","code":"active"}}"#);
    let wrong = "Condition.clinicalStatus code-invalid";
    for (concept, expected) in [
        (format!(r#"{{"coding":[{right}]}}"#), ""),
        (format!(r#"{{"coding":[{{"system":"urn:mine","code":"on"}},{right}]}}"#), ""),
        (format!(r#"{{"coding":[{{"system":"{SYSTEM}","code":"Active"}}]}}"#), wrong),
        (format!(r#"{{"coding":[{{"system":"{SYSTEM}"}}],"text":"active"}}"#), wrong),
        (r#"{"coding":[{"system":"urn:mine","code":"active"}]}"#.to_owned(), wrong),
        (r#"{"coding":[{"code":"active"}]}"#.to_owned(), wrong),
        (r#"{"text":"active"}"#.to_owned(), wrong),
    ] {
        let text = format!(
            r#"{{"resourceType":"Condition","clinicalStatus":{concept},"subject":{{"display":"a"}}}}"#
        );
        assert_eq!(issues(&text).join("|"), expected, "{text}");
    }
}

#[test]
fn what_r4_does_not_list_must_have_the_form_of_such_codes() {
    let language = |code: &str| format!(r#"{{"resourceType":"Patient","language":"{code}"}}"#);
    for code in ["en", "en-GB", "zh-Hans-CN", "x-klingon", "i-default", "cy", "sl-nedis"] {
        assert_eq!(issues(&language(code)), [""; 0], "{code}");
    }
    for code in ["en_GB", "e", "englishlanguage", "en-", "1n", "x"] {
        assert_eq!(issues(&language(code)), ["Patient.language code-invalid"], "{code}");
    }
    let photo = |kind: &str| {
        format!(
            r#"{{"resourceType":"Patient","photo":[{{"contentType":"{kind}","data":"YQ=="}}]}}"#
        )
    };
    for kind in ["image/png", "text/plain; charset=utf-8", "application/fhir+json", "json"] {
        assert_eq!(issues(&photo(kind)), [""; 0], "{kind}");
    }
    for kind in ["image/", "/png", "a/b/c", "text plain"] {
        assert_eq!(issues(&photo(kind)), ["Patient.photo[0].contentType code-invalid"], "{kind}");
    }
    let money = |currency: &str| {
        format!(
            r#"{{"resourceType":"Patient","extension":[{{"url":"a","valueMoney":{{"value":1,"currency":"{currency}"}}}}]}}"#
        )
    };
    assert_eq!(issues(&money("GBP")), [""; 0]);
    assert_eq!(issues(&money("gbp")), ["Patient.extension[0].value.currency code-invalid"]);
}

#[test]
fn every_required_binding_that_r4_can_list_is_checked() {
    use crate::definitions::{DataType, elements::types};
    let members = types().iter().flat_map(|t| &t.elements);
    let bound = members.filter(|element| element.value_set.is_some()).count();
    assert!(bound > 400, "{bound}");
    for (name, code) in
        [("all-types", "Patient"), ("all-types", "HumanName"), ("units-of-time", "wk")]
    {
        let mut members = types().iter().flat_map(|t| &t.elements);
        let set = members.find_map(|element| {
            let set = element.value_set?.definition();
            (set.name == name && !matches!(element.data_type, DataType::Resource)).then_some(set)
        });
        assert!(set.unwrap().has_code(code), "{name} {code}");
    }
}
