//! Where strings that may have to be rewritten are.

use super::super::{FoundKind, validate};
use FoundKind::{Narrative, Reference, Uri};

/// What was found in a text, as it is written there.
fn found(text: &str) -> Vec<(FoundKind, &str)> {
    let survey = validate(text.as_bytes()).unwrap();
    let found = survey.references.iter();
    found.map(|f| (f.kind, &text[f.start..f.end])).collect()
}

#[test]
fn references_and_urns_are_found_where_they_stand() {
    let text = r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1",
        "resource":{"id":"a","resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"urn:uuid:1"}]},
        "subject":{"reference":"urn:uuid:1"},"performer":[{"reference":"Practitioner/1"}],
        "identifier":[{"system":"urn:oid:1.2","value":"urn:uuid:1"}],
        "text":{"status":"generated","div":"<div><a href=\"urn:uuid:1\">x</a></div>"}}}]}"#;
    assert_eq!(
        found(text),
        [
            (Uri, "urn:uuid:1"),
            (Reference, "urn:uuid:1"),
            (Reference, "Practitioner/1"),
            (Uri, "urn:oid:1.2"),
            (Narrative, r#"<div><a href=\"urn:uuid:1\">x</a></div>"#),
        ]
    );
}

#[test]
fn escapes_in_values_names_and_arrays_do_not_hide_them() {
    for (text, expected) in [
        (
            r#"{"resourceType":"Patient","managingOrganization" : {"reference" : "Organization\/1" , "display":"\u00e9"}}"#,
            (Reference, r"Organization\/1"),
        ),
        (
            r#"{"resourceType":"Patient","managingOrganization":{"\u0072eference": "Organization\/1"}}"#,
            (Reference, r"Organization\/1"),
        ),
        (
            r#"{"resourceType":"Patient","m\u0061nagingOrganization":{"reference":"Organization/1"}}"#,
            (Reference, "Organization/1"),
        ),
        (
            r#"{"resourceType":"PlanDefinition","status":"draft","action":[{"trigger":[{"type":"periodic"}],"documentation":[{"type":"citation","url":"urn\u003ax"}]}]}"#,
            (Uri, r"urn\u003ax"),
        ),
        (
            r#"{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"display":"a"},"instantiatesUri":["http:\/\/a", "urn:a\/b"]}"#,
            (Uri, r"urn:a\/b"),
        ),
        (
            r#"{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"display":"a"},"\u0069nstantiatesUri":["b","urn:a\/b"]}"#,
            (Uri, r"urn:a\/b"),
        ),
    ] {
        assert!(validate(text.as_bytes()).unwrap().issues.is_empty(), "{text}");
        assert_eq!(found(text), [expected], "{text}");
    }
}

#[test]
fn the_id_is_the_resources_own() {
    let id = |text: &str| {
        let survey = validate(text.as_bytes()).unwrap();
        survey.id.map(std::borrow::Cow::into_owned)
    };
    let text = r#"{"resourceType":"Patient","name":[{"id":"n"}],"contained":[{"resourceType":"Patient","id":"c"}],"id":"a\u0062"}"#;
    assert_eq!(id(text).as_deref(), Some("ab"));
    assert_eq!(
        id(r#"{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"c"}]}"#),
        None
    );
}
