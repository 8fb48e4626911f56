//! Resources within resources, and what refers to them.

use super::issues;

#[test]
fn references_within_a_resource_lead_to_what_it_contains() {
    let own = r#"{"resourceType":"Organization","id":"o","name":"O"}"#;
    for (text, expected) in [
        (r##""managingOrganization":{"reference":"#o"},"contained":[OWN]"##, ""),
        (r#""contained":[OWN],"managingOrganization":{"reference":"\u0023o"}"#, ""),
        (
            r##""managingOrganization":{"reference":"#nope"}"##,
            "Patient.managingOrganization.reference invariant",
        ),
        (
            r##""managingOrganization":{"reference":"#nope"},"contained":[OWN]"##,
            "Patient.managingOrganization.reference invariant|Patient.contained[0] invariant",
        ),
        (
            r##""generalPractitioner":[{"reference":"#o"},{"reference":"#O"}],"contained":[OWN]"##,
            "Patient.generalPractitioner[1].reference invariant",
        ),
        (r##""link":[{"type":"refer","other":{"reference":"#"}}]"##, ""),
        // A uri or a canonical may be what refers to it.
        (r##""contained":[OWN],"extension":[{"url":"a","valueUri":"#o"}]"##, ""),
        (r##""contained":[OWN],"extension":[{"url":"a","valueCanonical":"#o"}]"##, ""),
        (
            r##""contained":[OWN],"extension":[{"url":"a","valueString":"#o"}]"##,
            "Patient.contained[0] invariant",
        ),
        // One contained resource may refer to another, and to the container.
        (
            r##""contained":[OWN,{"resourceType":"Group","id":"g","type":"person","actual":true,"managingEntity":{"reference":"#o"},"member":[{"entity":{"reference":"#"}}]}]"##,
            "",
        ),
        (
            r##""contained":[OWN,{"resourceType":"Group","id":"g","type":"person","actual":true,"managingEntity":{"reference":"#x"},"member":[{"entity":{"reference":"#"}}]}]"##,
            "Patient.contained[1].managingEntity.reference invariant|Patient.contained[0] invariant",
        ),
        (
            r##""contained":[OWN,OWN],"managingOrganization":{"reference":"#o"}"##,
            "Patient.contained[1].id duplicate",
        ),
    ] {
        let text = format!(r#"{{"resourceType":"Patient",{}}}"#, text.replace("OWN", own));
        assert_eq!(issues(&text).join("|"), expected, "{text}");
    }
}

#[test]
fn a_contained_resource_has_an_id_and_no_life_of_its_own() {
    for (contained, expected) in [
        (r#""id":"o""#, ""),
        (r#""id":"o","meta":{"profile":["http://a"],"source":"urn:b"}"#, ""),
        (r#""id":"o","meta":{"versionId":"1"}"#, "Patient.contained[0].meta.versionId invariant"),
        (
            r#""meta":{"lastUpdated":"2020-01-01T00:00:00Z"},"id":"o""#,
            "Patient.contained[0].meta.lastUpdated invariant",
        ),
        (
            r#""id":"o","meta":{"security":[{"code":"R"}],"versionId":"1"}"#,
            "Patient.contained[0].meta.versionId invariant|Patient.contained[0].meta.security invariant",
        ),
        (
            r#""id":"o","contained":[{"resourceType":"Basic","id":"b","code":{"text":"a"}}]"#,
            "Patient.contained[0].contained invariant",
        ),
    ] {
        let text = format!(
            r##"{{"resourceType":"Patient","managingOrganization":{{"reference":"#o"}},"contained":[{{"resourceType":"Organization","name":"O",{contained}}}]}}"##
        );
        let found = issues(&text).join("|");
        assert!(found.starts_with(expected), "{text}: {found}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{text}: {found}");
    }
}

#[test]
fn each_entry_of_a_bundle_is_a_container_of_its_own() {
    let text = r##"{"resourceType":"Bundle","type":"collection","entry":[
        {"resource":{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"O"}],"managingOrganization":{"reference":"#o"}}},
        {"resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}}]}"##;
    assert_eq!(issues(text), ["Bundle.entry[1].resource.managingOrganization.reference invariant"]);
    // Parameters may speak of a resource that is elsewhere.
    let text = r##"{"resourceType":"Parameters","parameter":[{"name":"a","valueReference":{"reference":"#o"}}]}"##;
    assert_eq!(issues(text), [""; 0]);
}

#[test]
fn references_within_a_resource_are_bounded() {
    let references: Vec<_> = (0..20_000).map(|i| format!("{{\"reference\":\"#{i}\"}}")).collect();
    let text =
        format!(r#"{{"resourceType":"Patient","generalPractitioner":[{}]}}"#, references.join(","));
    let found = issues(&text);
    assert!(found[0].ends_with("too-costly"), "{}", found[0]);
}
