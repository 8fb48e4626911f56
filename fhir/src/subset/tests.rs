#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::outcome::IssueCode;
use crate::validate::validate;

const META: &str = r#""meta":{"versionId":"1","tag":[@]}"#;

/// A part of a resource, in which `@` stands for the tag.
fn of(text: &str, subset: &Subset) -> String {
    let tree = Tree::parse(text.as_bytes()).unwrap();
    let resource_type = tree.text("resourceType").unwrap().parse().unwrap();
    let part = apply(text.as_bytes(), resource_type, subset);
    assert_eq!(apply(&part, resource_type, subset), part, "a part of it is itself");
    String::from_utf8(part).unwrap().replace(TAG, "@")
}

fn elements(value: &str) -> Subset {
    Subset::Elements(parse_elements(value))
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},
"text":{"status":"generated","div":"<div>a</div>"}, "active" : true,"name":[ {"family":"x"} ],"_birthDate":{"id":"b"},
"birthDate":"2000","deceasedBoolean":false,"extension":[{"url":"u","valueDecimal":1.00}],"maritalStatus":{"text":"m"},
"photo":[{"data":"YQ=="}],"modifierExtension":[{"url":"m","valueBoolean":true}]}"#;

#[test]
fn the_elements_asked_for_come_with_those_that_matter_anyway() {
    let always = r#""active":true,"#;
    let deceased = r#""deceasedBoolean":false,"#;
    let modifier = r#""modifierExtension":[{"url":"m","valueBoolean":true}]"#;
    for (items, name, middle, after) in [
        ("name", r#""name":[ {"family":"x"} ],"#, "", ""),
        ("Patient.name.family, nothing", r#""name":[ {"family":"x"} ],"#, "", ""),
        ("Observation.code,birthDate", r#""_birthDate":{"id":"b"},"birthDate":"2000","#, "", ""),
        ("deceased", "", "", ""),
        ("extension", "", r#""extension":[{"url":"u","valueDecimal":1.00}],"#, ""),
        ("maritalStatus,status", "", "", r#""maritalStatus":{"text":"m"},"#),
    ] {
        let head = format!(r#"{{"resourceType":"Patient","id":"p",{META},"#);
        let expected = format!("{head}{always}{name}{deceased}{middle}{after}{modifier}}}");
        assert_eq!(of(PATIENT, &elements(items)), expected, "{items}");
    }
}

#[test]
fn elements_of_another_type_leave_a_resource_whole() {
    for items in ["Observation.code", ""] {
        assert_eq!(of(PATIENT, &elements(items)), PATIENT, "{items}");
    }
}

#[test]
fn a_summary_is_what_it_says() {
    let observation = r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"text":{"status":"empty","div":"<div>a</div>"},"valueQuantity":{"value":1.00,"extension":[{"url":"u","valueCode":"a"}]},"note":[{"text":"n"}],"component":[{"id":"i","code":{"text":"d"},"interpretation":[{"text":"h"}]},{"id":"j"}]}"#;
    for (text, subset, expected) in [
        (
            PATIENT,
            Subset::Text,
            r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1","tag":[@]},"text":{"status":"generated","div":"<div>a</div>"}}"#,
        ),
        (
            PATIENT,
            Subset::True,
            r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1","tag":[@]},"active":true,"name":[{"family":"x"}],"_birthDate":{"id":"b"},"birthDate":"2000","deceasedBoolean":false,"modifierExtension":[{"url":"m","valueBoolean":true}]}"#,
        ),
        (
            observation,
            Subset::Text,
            r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"text":{"status":"empty","div":"<div>a</div>"},"meta":{"tag":[@]}}"#,
        ),
        (
            observation,
            Subset::True,
            r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"valueQuantity":{"value":1.00},"component":[{"code":{"text":"d"}}],"meta":{"tag":[@]}}"#,
        ),
        (
            r#"{"resourceType":"Basic","code":{"text":"c"},"language":"en","text":{"status":"empty"}}"#,
            Subset::Data,
            r#"{"resourceType":"Basic","code":{"text":"c"},"language":"en","meta":{"tag":[@]}}"#,
        ),
    ] {
        assert_eq!(of(text, &subset), expected);
    }
}

#[test]
fn the_tag_joins_others_and_is_given_once() {
    for (meta, expected) in [
        (r#"{"tag":[]}"#, r#"{"tag":[@]}"#),
        (r"{ }", r#"{"tag":[@]}"#),
        (r#"{"tag":[{"code":"a"} ],"source":"s"}"#, r#"{"tag":[{"code":"a"},@],"source":"s"}"#),
        (
            r#"{"tag" : [{"code":"SUBSETTED","system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue"}]}"#,
            r#"{"tag" : [{"code":"SUBSETTED","system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue"}]}"#,
        ),
        (r#"{"tag":[{"code":"SUBSETTED"}]}"#, r#"{"tag":[{"code":"SUBSETTED"},@]}"#),
    ] {
        let text = format!(r#"{{"resourceType":"Patient","meta":{meta}}}"#);
        let expected = format!(r#"{{"resourceType":"Patient","meta":{expected}}}"#);
        let part = of(&text, &Subset::Data);
        assert_eq!(part, expected);
        assert!(is_subsetted(&Tree::parse(part.replace('@', TAG).as_bytes()).unwrap()));
    }
    assert!(!is_subsetted(&Tree::parse(PATIENT.as_bytes()).unwrap()));
}

#[test]
fn what_is_no_object_comes_back_as_it_is() {
    for text in ["", "[]", "{\"a\":", "{} x"] {
        assert_eq!(apply(text.as_bytes(), ResourceType::PATIENT, &Subset::True), text.as_bytes());
    }
}

/// Reads the shared examples, and passes without them.
#[test]
fn every_part_of_a_published_example_is_well_formed() {
    let folder =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join("hl7-examples");
    let Ok(entries) = std::fs::read_dir(folder) else {
        let _ = writeln!(std::io::stderr(), "skipped: there is no shared data here");
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let tree = Tree::parse(&text).unwrap();
        let resource_type = tree.text("resourceType").unwrap().parse().unwrap();
        let sound = validate(&text).unwrap().issues.is_empty();
        for subset in [Subset::True, Subset::Text, Subset::Data, elements("identifier")] {
            let part = apply(&text, resource_type, &subset);
            assert!(is_subsetted(&Tree::parse(&part).unwrap()));
            // What was left out may be what an invariant asks for: that is what the tag is for.
            let mut issues = validate(&part).unwrap().issues;
            issues.retain(|issue| issue.code != IssueCode::Invariant);
            assert!(!sound || issues.is_empty(), "{} {subset:?} {issues:?}", path.display());
        }
    }
}
