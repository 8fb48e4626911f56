//! FHIRPath Patch: first HL7's published cases, re-expressed in JSON; then primitives, choices and paths.

use super::super::*;
use super::told;

/// `type path | further parts`, where a further part is JSON.
fn operation(short: &str) -> String {
    let (action, rest) = short.split_once(' ').unwrap();
    let (path, parts) = rest.split_once(" | ").unwrap_or((rest, ""));
    let parts = if parts.is_empty() { String::new() } else { format!(",{parts}") };
    format!(
        r#"{{"name":"operation","part":[{{"name":"type","valueCode":"{action}"}},{{"name":"path","valueString":"{path}"}}{parts}]}}"#
    )
}

fn patch(text: &str, operations: &[&str]) -> String {
    let parameters: Vec<_> = operations.iter().map(|short| operation(short)).collect();
    let parameters =
        format!(r#"{{"resourceType":"Parameters","parameter":[{}]}}"#, parameters.join(","));
    let tree = crate::tree::Tree::parse(text.as_bytes()).unwrap();
    let resource_type = tree.text("resourceType").unwrap().parse().unwrap();
    told(apply_fhirpath(text.as_bytes(), resource_type, parameters.as_bytes()))
}

/// A Patient's members before, operations, and its members after.
fn patient(before: &str, operations: &[&str]) -> String {
    let with = |members: &str| {
        let comma = if members.is_empty() { "" } else { "," };
        format!(r#"{{"resourceType":"Patient"{comma}{members}}}"#)
    };
    let told = patch(&with(before), operations);
    let members =
        told.strip_prefix(r#"{"resourceType":"Patient""#).and_then(|t| t.strip_suffix('}'));
    members.map_or_else(|| told.clone(), |m| m.trim_start_matches(',').to_owned())
}

fn name(text: &str, value: &str) -> String {
    format!(r#"{{"name":"name","valueString":"{text}"}},{{"name":"value",{value}}}"#)
}

#[test]
fn the_published_cases_of_elements_come_out_as_published() {
    let contact = r#""contact":[{"name":{"text":"a name"},"gender":"male"}]"#;
    let add =
        |path: &str, element: &str, value: &str| format!("add {path} | {}", name(element, value));
    for (before, operation, after) in [
        (r#""birthDate":"1920-01-01""#, r#"replace Patient.birthDate | {"name":"value","valueDate":"1930-01-01"}"#.to_owned(), r#""birthDate":"1930-01-01""#),
        (r#""birthDate":"1920-01-01""#, "delete Patient.birthDate".to_owned(), ""),
        ("", add("Patient", "birthDate", r#""valueDate":"1930-01-01""#), r#""birthDate":"1930-01-01""#),
        (contact, r#"replace Patient.contact[0].gender | {"name":"value","valueCode":"female"}"#.to_owned(), r#""contact":[{"name":{"text":"a name"},"gender":"female"}]"#),
        (contact, r#"replace Patient.contact[0].name.text | {"name":"value","valueString":"the name"}"#.to_owned(), r#""contact":[{"name":{"text":"the name"},"gender":"male"}]"#),
        (contact, "delete Patient.contact[0].gender".to_owned(), r#""contact":[{"name":{"text":"a name"}}]"#),
        (contact, "delete Patient.contact[0].name.text".to_owned(), r#""contact":[{"gender":"male"}]"#),
        (r#""contact":[{"name":{"text":"a name"}}]"#, add("Patient.contact[0]", "gender", r#""valueCode":"male""#), contact),
        ("", add("Patient", "maritalStatus", r#""valueCodeableConcept":{"text":"married"}"#), r#""maritalStatus":{"text":"married"}"#),
        (r#""maritalStatus":{"id":"1","text":"married"}"#, r#"replace Patient.maritalStatus | {"name":"value","valueCodeableConcept":{"id":"2","text":"not married"}}"#.to_owned(), r#""maritalStatus":{"id":"2","text":"not married"}"#),
        (r#""maritalStatus":{"text":"married"}"#, "delete Patient.maritalStatus".to_owned(), ""),
        ("", add("Patient", "contact", r#""part":[{"name":"name","valueHumanName":{"text":"a name"}}]"#), r#""contact":[{"name":{"text":"a name"}}]"#),
        (contact, "delete Patient.contact[0]".to_owned(), ""),
        ("", add("Patient", "identifier", r#""valueIdentifier":{"value":"value 3"}"#), r#""identifier":[{"value":"value 3"}]"#),
        (r#""identifier":[{"use":"official","value":"123"}]"#, add("Patient.identifier.where(use = 'official').period", "end", r#""valueDate":"2021-12-01""#), "NotFound 0"),
        (r#""text":{"status":"generated","div":"<div>a</div>"}"#, r#"replace Patient.text.div | {"name":"value","valueString":"<div>b</div>"}"#.to_owned(), r#""text":{"status":"generated","div":"<div>b</div>"}"#),
    ] {
        assert_eq!(patient(before, &[&operation]), after, "{operation}");
    }
    assert_eq!(patient(contact, &[]), contact);
}

#[test]
fn the_published_cases_of_lists_come_out_as_published() {
    let list = |values: &str| {
        let items = values.chars().map(|value| format!(r#"{{"value":"{value}"}}"#));
        format!(r#""identifier":[{}]"#, items.collect::<Vec<_>>().join(","))
    };
    let insert = |index: usize| {
        format!(
            r#"insert Patient.identifier | {{"name":"index","valueInteger":{index}}},{{"name":"value","valueIdentifier":{{"value":"3"}}}}"#
        )
    };
    let shift = |from: usize, to: usize| {
        format!(
            r#"move Patient.identifier | {{"name":"source","valueInteger":{from}}},{{"name":"destination","valueInteger":{to}}}"#
        )
    };
    let delete = |index: usize| format!("delete Patient.identifier[{index}]");
    let replace = |index: usize, value: usize| {
        format!(
            r#"replace Patient.identifier[{index}].value | {{"name":"value","valueString":"{value}"}}"#
        )
    };
    for (before, operations, after) in [
        ("12", vec![replace(0, 2), replace(1, 1)], "21"),
        ("12", vec![insert(2)], "123"),
        ("12", vec![insert(1)], "132"),
        ("12", vec![insert(0)], "312"),
        ("123", vec![delete(0)], "23"),
        ("123", vec![delete(1)], "13"),
        ("123", vec![delete(2)], "12"),
        ("1234", vec![shift(3, 1)], "1423"),
        ("1234", vec![shift(3, 0)], "4123"),
        ("1234", vec![shift(3, 2)], "1243"),
        ("1234", vec![shift(0, 3)], "2341"),
        ("1234", vec![shift(1, 0), shift(2, 1)], "2314"),
        ("1234", vec![shift(3, 0), shift(3, 1), shift(3, 2)], "4321"),
    ] {
        let operations: Vec<_> = operations.iter().map(String::as_str).collect();
        assert_eq!(patient(&list(before), &operations), list(after), "{operations:?}");
    }
    for (operation, expected) in [
        (insert(3), "NotFound 0"),
        (shift(2, 0), "NotFound 0"),
        (shift(0, 2), "NotFound 0"),
        ("delete Patient.identifier".to_owned(), "Ambiguous 0"),
    ] {
        assert_eq!(patient(&list("12"), &[&operation]), expected, "{operation}");
    }
    assert_eq!(patient("", &[&insert(0)]), list("3"));
}

#[test]
fn a_primitive_and_what_is_beside_it_change_together() {
    let given =
        |given: &str, beside: &str| format!(r#""name":[{{"given":{given},"_given":{beside}}}]"#);
    let before = given(r#"["a","b",null]"#, r#"[null,{"id":"y"},{"id":"z"}]"#);
    let value = r#"{"name":"value","valueString":"c"}"#;
    let extended = r#"{"name":"value","valueString":"c","_valueString":{"id":"w"}}"#;
    let url = |url: &str| {
        format!(r#"{{"name":"url","valueUri":"{url}"}},{{"name":"value","valueDecimal":1.00}}"#)
    };
    for (operation, after) in [
        ("delete Patient.name.given[0]".to_owned(), given(r#"["b",null]"#, r#"[{"id":"y"},{"id":"z"}]"#)),
        ("delete Patient.name.given[2]".to_owned(), given(r#"["a","b"]"#, r#"[null,{"id":"y"}]"#)),
        ("delete Patient.name.given.where($this = 'b')".to_owned(), given(r#"["a",null]"#, r#"[null,{"id":"z"}]"#)),
        (format!("replace Patient.name.given[1] | {value}"), given(r#"["a","c",null]"#, r#"[null,null,{"id":"z"}]"#)),
        (format!("replace Patient.name.given[2] | {extended}"), given(r#"["a","b","c"]"#, r#"[null,{"id":"y"},{"id":"w"}]"#)),
        (format!("add Patient.name[0] | {}", name("given", r#""valueString":"c""#)), given(r#"["a","b",null,"c"]"#, r#"[null,{"id":"y"},{"id":"z"},null]"#)),
        (format!(r#"insert Patient.name[0].given | {{"name":"index","valueInteger":0}},{value}"#), given(r#"["c","a","b",null]"#, r#"[null,null,{"id":"y"},{"id":"z"}]"#)),
        (r#"move Patient.name[0].given | {"name":"source","valueInteger":2},{"name":"destination","valueInteger":0}"#.to_owned(), given(r#"[null,"a","b"]"#, r#"[{"id":"z"},null,{"id":"y"}]"#)),
        ("delete Patient.name.given[1].id".to_owned(), given(r#"["a","b",null]"#, r#"[null,null,{"id":"z"}]"#)),
        (
            format!("add Patient.name.given[0] | {}", name("extension", &format!(r#""part":[{}]"#, url("u")))),
            given(r#"["a","b",null]"#, r#"[{"extension":[{"url":"u","valueDecimal":1.00}]},{"id":"y"},{"id":"z"}]"#),
        ),
    ] {
        assert_eq!(patient(&before, &[&operation]), after, "{operation}");
    }
    let birth = r#""_birthDate":{"extension":[{"url":"t","valueDateTime":"2000"}]},"birthDate":"2000-01-01","active":true"#;
    assert_eq!(patient(birth, &["delete Patient.birthDate"]), r#""active":true"#);
    assert_eq!(
        patient(birth, &["delete Patient.birthDate.extension('t')"]),
        r#""birthDate":"2000-01-01","active":true"#
    );
    let longer = r#"replace Patient.birthDate.extension('t').value | {"name":"value","valueTime":"12:00:00"}"#;
    assert_eq!(
        patient(birth, &[longer]),
        birth.replace(r#""valueDateTime":"2000""#, r#""valueTime":"12:00:00""#)
    );
}

#[test]
fn a_choice_has_one_form_and_another_takes_its_place() {
    let before = r#"{"resourceType":"Observation","valueString":"a","_valueString":{"id":"i"},"status":"final"}"#;
    let quantity = r#""valueQuantity":{"value":1.00}"#;
    let after = r#"{"resourceType":"Observation","valueQuantity":{"value":1.00},"status":"final"}"#;
    for (before, operation, after) in [
        (before, format!(r#"replace Observation.value | {{"name":"value",{quantity}}}"#), after),
        (before, format!("add Observation | {}", name("value", quantity)), "Occupied 0"),
        (after, format!("add Observation | {}", name("valueString", r#""valueString":"b""#)), "Occupied 0"),
        (after, r#"replace (Observation.value as Quantity).value | {"name":"value","valueDecimal":2.50}"#.to_owned(), r#"{"resourceType":"Observation","valueQuantity":{"value":2.50},"status":"final"}"#),
        (after, "delete Observation.value.ofType(Quantity)".to_owned(), r#"{"resourceType":"Observation","status":"final"}"#),
        (after, "delete Observation.value.ofType(string)".to_owned(), after),
        (r#"{"resourceType":"Observation"}"#, format!("add Observation | {}", name("value", quantity)), r#"{"resourceType":"Observation","valueQuantity":{"value":1.00}}"#),
        (after, r#"replace Observation.value | {"name":"value","valueAddress":{"text":"x"}}"#.to_owned(), "Malformed 0"),
        (after, format!("add Observation | {}", name("code", quantity)), "Malformed 0"),
        (after, format!("add Observation | {}", name("issued", r#""valueBoolean":true"#)), "Malformed 0"),
    ] {
        assert_eq!(patch(before, &[&operation]), after, "{operation}");
    }
}

#[test]
fn paths_find_what_they_say() {
    let names = r#""name":[{"use":"official","family":"x","period":{"start":"2000-01-01"}},{"use":"usual","given":["a","b"]}],"multipleBirthInteger":2,"active":true"#;
    let official = r#"{"use":"official","family":"x","period":{"start":"2000-01-01"}},"#;
    let usual = r#",{"use":"usual","given":["a","b"]}"#;
    for (path, gone) in [
        ("Patient.name.where(use = 'official' and family != 'y')", official),
        ("name.where(use = 'usual' or use = 'old')", usual),
        ("Patient.name.first()", official),
        ("Patient.name.last()", usual),
        ("Patient.name.where(given.exists())", usual),
        ("Patient.name.where(given.exists($this = 'b'))", usual),
        ("Patient.name.where(given.empty())", official),
        ("Patient.name.where(given.exists().not())", official),
        ("Patient.name.where((use = 'usual').not())", official),
        ("Patient.name.where(period.start = @2000-01-01)", official),
        (
            "Patient.name.where(use = 'usual' and %resource.active = true and %resource.multipleBirth = 2.0)",
            usual,
        ),
        ("Patient.name.where((((use)) = 'usual') and %resource.active)", usual),
        ("Patient.name.where(period.start = @2000)", ""),
        ("Patient.name.where(use = 'it\\\\'s')", ""),
        ("Patient.name[2]", ""),
        ("Patient.photo", ""),
    ] {
        let operation = format!("delete {path}");
        assert_eq!(
            patient(names, &[&operation]),
            names.replace(gone, if gone.is_empty() { " " } else { "" }).replace(' ', ""),
            "{path}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_path_is_told_apart() {
    for (operation, expected) in [
        ("delete Observation.code", "Malformed 1"),
        ("delete Patient.nmae", "Malformed 1"),
        ("delete Patient.name.where(", "Malformed 1"),
        ("delete Patient.name[a]", "Malformed 1"),
        ("delete Patient.name.exists()", "Malformed 1"),
        ("delete Patient", "Malformed 1"),
        ("delete 'a'", "Malformed 1"),
        ("delete ", "Malformed 1"),
        ("delete Patient.name.resolve()", "NotSupported 1"),
        ("delete Patient.name|Patient.photo", "NotSupported 1"),
        ("delete Patient.name.where(use ~ 'a')", "NotSupported 1"),
        ("delete Patient.name.where(use is code)", "NotSupported 1"),
        ("delete Patient.id", "Protected 1"),
        ("delete Patient.meta", "Protected 1"),
        ("replace Patient.photo", "Malformed 1"),
        (r#"replace Patient.gender | {"name":"value","valueCode":"male"}"#, "NotFound 1"),
        (
            r#"replace Patient.name | {"name":"value","valueHumanName":{}},{"name":"value","valueHumanName":{}}"#,
            "Malformed 1",
        ),
        ("upsert Patient.name", "Malformed 1"),
    ] {
        let patient =
            r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},"name":[{"text":"a"}]}"#;
        assert_eq!(patch(patient, &["delete Patient.photo", operation]), expected, "{operation}");
    }
    let nested = format!("delete Patient.name.where({}use{})", "(".repeat(400), ")".repeat(400));
    assert_eq!(patient("", &[&nested]), "Malformed 0");
}
