#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const OBSERVATION: &[u8] = br##"{"resourceType":"Observation","id":"o1","meta":{"tag":[{"system":"s","code":"t"}]},
"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"BP"}],"text":"Blood pressure"},
"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2020-05","valueQuantity":{"value":1.00,"unit":"mmHg","system":"u","code":"mm[Hg]"},
"performer":[{"reference":"#org"},{"identifier":{"system":"ods","value":"QWO"}}],
"component":[{"code":{"coding":[{"code":"a"}]},"valueQuantity":{"value":8.4e1}},{"code":{"coding":[{"code":"b"}]},"valueString":"x"}]}"##;

fn parameter(resource_type: &str, code: &str) -> &'static SearchParameter {
    let resource_type: ResourceType = resource_type.parse().unwrap();
    resource_type.search_parameter(code).unwrap()
}

/// What a parameter finds, in short.
fn found(text: &[u8], code: &str) -> Vec<String> {
    let tree = Tree::parse(text).unwrap();
    let parameter = parameter(tree.text("resourceType").unwrap(), code);
    values(parameter, &tree).iter().map(short).collect()
}

fn short(value: &Value<'_>) -> String {
    let or = |text: Option<&str>| text.unwrap_or("-").to_owned();
    match value {
        Value::Coding { system, code, display } => {
            format!("{}|{} {}", or(*system), or(*code), or(*display))
        }
        Value::Code { system, code } => format!("{}|{code}", or(*system)),
        Value::Identifier(i) => format!("{}|{}", or(i.system), or(i.value)),
        Value::TypedIdentifier { system, code, value } => format!("{}|{code}|{value}", or(*system)),
        Value::ContactPoint { value, usage, .. } => format!("{value} {}", or(*usage)),
        Value::Reference(r) => match &r.identifier {
            Some(i) => format!("by {}|{}", or(i.system), or(i.value)),
            None => or(r.reference.as_deref()),
        },
        Value::Period(p) => format!("{}..{}", or(p.start), or(p.end)),
        Value::Quantity(q) => format!("{} {}", q.value, or(q.code)),
        Value::Date(t) | Value::Text(t) | Value::Canonical(t) => (*t).to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn an_observation_gives_its_values() {
    for (code, expected) in [
        ("_id", &["-|o1"][..]),
        ("_tag", &["s|t -"]),
        ("status", &["http://hl7.org/fhir/observation-status|final"]),
        ("code", &["http://loinc.org|85354-9 BP", "-|- Blood pressure"]),
        ("combo-code", &["http://loinc.org|85354-9 BP", "-|- Blood pressure", "-|a -", "-|b -"]),
        ("subject", &["Patient/p1"]),
        ("patient", &["Patient/p1"]),
        ("date", &["2020-05"]),
        ("value-quantity", &["1.00 mm[Hg]"]),
        ("combo-value-quantity", &["1.00 mm[Hg]", "8.4e1 -"]),
        ("performer", &["#org", "by ods|QWO"]),
        ("value-string", &[]),
        ("encounter", &[]),
    ] {
        assert_eq!(found(OBSERVATION, code), expected, "{code}");
    }
}

#[test]
fn composites_pair_values_of_one_element() {
    let tree = Tree::parse(OBSERVATION).unwrap();
    let pairs = composites(parameter("Observation", "combo-code-value-quantity"), &tree);
    let pairs: Vec<Vec<String>> =
        pairs.iter().map(|c| c.iter().map(|v| short(&v[0])).collect()).collect();
    assert_eq!(pairs, [["http://loinc.org|85354-9 BP", "1.00 mm[Hg]"], ["-|a -", "8.4e1 -"]]);
    assert!(values(parameter("Observation", "code-value-quantity"), &tree).is_empty());
}

#[test]
fn a_patient_gives_names_telecoms_and_whether_dead() {
    let text = br#"{"resourceType":"Patient","active":true,"gender":"female","birthDate":"1970-01-01",
        "name":[{"family":"Fam","given":["A",null,"B"],"text":"T"}],"deceasedDateTime":"2020-01-01",
        "telecom":[{"system":"phone","value":"1","use":"home"},{"system":"email","value":"e"}],
        "identifier":[{"system":"s","value":"v","type":{"coding":[{"system":"ts","code":"MR"}],"text":"record"}}],
        "address":[{"line":["1 Road"],"postalCode":"LS1"}]}"#;
    for (code, expected) in [
        ("name", &["Fam", "A", "B", "T"][..]),
        ("given", &["A", "B"]),
        ("phone", &["1 home"]),
        ("email", &["e -"]),
        ("telecom", &["1 home", "e -"]),
        ("active", &["-|true"]),
        ("gender", &["http://hl7.org/fhir/administrative-gender|female"]),
        ("deceased", &["-|true"]),
        ("death-date", &["2020-01-01"]),
        ("identifier", &["s|v", "-|- record", "ts|MR|v"]),
        ("address", &["1 Road", "LS1"]),
    ] {
        assert_eq!(found(text, code), expected, "{code}");
    }
    assert_eq!(found(br#"{"resourceType":"Patient"}"#, "deceased"), ["-|false"]);
    let alive = br#"{"resourceType":"Patient","deceasedBoolean":false}"#;
    assert_eq!(found(alive, "deceased"), ["-|false"]);
}

#[test]
fn a_reference_counts_only_for_the_type_it_may_refer_to() {
    for (subject, is_patient) in [
        (r#"{"reference":"Patient/1"}"#, true),
        (r#"{"reference":"https://x/FHIR/R4/Patient/1/_history/2"}"#, true),
        (r#"{"reference":"Group/1"}"#, false),
        (r#"{"reference":"urn:uuid:1","type":"Patient"}"#, true),
        (r#"{"reference":"urn:uuid:1"}"#, false),
        (r##"{"reference":"#p"}"##, true),
        (r##"{"reference":"#g"}"##, false),
        (r#"{"identifier":{"value":"9"}}"#, true),
        (r#"{"type":"Group","identifier":{"value":"9"}}"#, false),
    ] {
        let text = format!(
            r#"{{"resourceType":"Condition","subject":{subject},
            "contained":[{{"resourceType":"Patient","id":"p"}},{{"resourceType":"Group","id":"g"}}]}}"#
        );
        let found = found(text.as_bytes(), "patient");
        assert_eq!(found.len(), usize::from(is_patient), "{subject}");
    }
}

#[test]
fn the_rarer_forms_are_read() {
    let bundle =
        br#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Composition","id":"c"}},
        {"resource":{"resourceType":"Composition","id":"d"}}]}"#;
    assert_eq!(found(bundle, "composition"), ["Composition/c"]);
    let condition = br#"{"resourceType":"Condition","onsetPeriod":{"start":"2001"},"abatementAge":{"value":50,"code":"a"}}"#;
    assert_eq!(found(condition, "onset-date"), ["2001..-"]);
    assert_eq!(found(condition, "abatement-age"), ["50 a"]);
    let library = br#"{"resourceType":"Library","relatedArtifact":[{"type":"depends-on","resource":"http://a|1"},
        {"type":"successor","resource":"http://b"}]}"#;
    assert_eq!(found(library, "depends-on"), ["http://a|1"]);
    let sequence = br#"{"resourceType":"MolecularSequence","referenceSeq":{"chromosome":{"text":"x"}},"variant":[{"start":1,"end":2}]}"#;
    let tree = Tree::parse(sequence).unwrap();
    let found = composites(parameter("MolecularSequence", "chromosome-variant-coordinate"), &tree);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0][2], [Value::Number("2")]);
    let place = br#"{"resourceType":"Location","position":{"latitude":53.80,"longitude":-1.55}}"#;
    let tree = Tree::parse(place).unwrap();
    let near = values(parameter("Location", "near"), &tree);
    assert_eq!(near, [Value::Position { latitude: "53.80", longitude: "-1.55" }]);
}
