#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bindings;
mod contained;
mod faults;
mod invariants;
mod mutations;
mod narratives;
mod published;
mod spans;

use super::*;

/// The issues of a text as `expression code`.
fn issues(text: &str) -> Vec<String> {
    let survey = validate(text.as_bytes()).unwrap();
    let issues = survey.issues.iter();
    issues
        .map(|issue| {
            let code = serde_json::to_string(&issue.code).unwrap();
            format!("{} {}", issue.expression, code.trim_matches('"'))
        })
        .collect()
}

#[test]
fn a_body_that_is_no_json_object_is_malformed_and_says_where() {
    let deep = format!(r#"{{"resourceType":"Patient","name":{}"#, "[".repeat(1_000_000));
    let nested = format!(
        r#"{{"resourceType":"Patient","extension":{}"#,
        r#"[{"url":"a","extension":"#.repeat(40)
    );
    for (text, expected) in [
        ("", "The body is not JSON: EOF while parsing a value (line 1, column 1)."),
        ("[]", "A resource must be a JSON object (line 1, column 1)."),
        ("\"x\"", "A resource must be a JSON object (line 1, column 1)."),
        (
            "{\"resourceType\":\"Patient\",\n \"id\":\"1\",}",
            "The body is not JSON: trailing comma (line 2, column 11).",
        ),
        (
            "{\"resourceType\":\"Patient\"} x",
            "The body is not JSON: trailing characters (line 1, column 28).",
        ),
        (
            "{\"resourceType\":\"Bundle\",\n\"entry\":[{\"resource\":\n{\"resourceType\":\"Patient\",\"id\":\"\\ud800\"}}]}",
            "The body is not JSON: unexpected end of hex escape (line 3, column 39).",
        ),
        (&nested, "The JSON is nested more than 64 levels deep (line 1, column 784)."),
    ] {
        let malformed = validate(text.as_bytes()).unwrap_err();
        assert_eq!(malformed.to_string(), expected);
    }
    assert!(validate(deep.as_bytes()).is_err());
    assert!(validate(b"{\"id\":\"\xff\"}").unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn issues_are_listed_up_to_a_bound_and_then_counted() {
    let members: Vec<_> = (0..80).map(|i| format!("\"x{i}\":1")).collect();
    let text = format!("{{\"resourceType\":\"Patient\",{}}}", members.join(","));
    let survey = validate(text.as_bytes()).unwrap();
    assert_eq!(survey.issues.len(), ISSUES_MAX + 1);
    assert_eq!(survey.issues[ISSUES_MAX].message, "There are 30 more issues.");
}

#[test]
fn messages_never_hold_values() {
    let text = r#"{"resourceType":"Patient","id":"SECRET SECRET","birthDate":"SECRET","gender":" SECRET",
        "active":"SECRET","managingOrganization":{"reference":"Secret/1"},"SECRET name":1}"#;
    let survey = validate(text.as_bytes()).unwrap();
    assert_eq!(survey.issues.len(), 6);
    for issue in survey.issues {
        assert!(!issue.message.to_lowercase().contains("secret"), "{}", issue.message);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = validate(&bytes);
    }

    #[test]
    fn no_change_of_a_resource_makes_it_panic(
        at in 0..MUTABLE.len(),
        length in 0..20_usize,
        with in "[\\[\\]{}:,\"0-9a-z\\\\u_. -]{0,8}",
    ) {
        let mut bytes = MUTABLE.as_bytes().to_vec();
        bytes.splice(at..(at + length).min(MUTABLE.len()), with.bytes());
        if let Ok(survey) = validate(&bytes) {
            for found in survey.references {
                assert_eq!(bytes[found.start - 1], b'"');
                assert_eq!(bytes[found.end], b'"');
            }
        }
        let _ = crate::tree::Tree::parse(&bytes);
    }
}

const MUTABLE: &str = r##"{"resourceType":"Patient","id":"a","text":{"status":"generated","div":"<div>urn:x \u00e9<\/div>"},
"contained":[{"resourceType":"Organization","id":"o"}],"name":[{"given":["A",null],"_given":[null,{"id":"x"}]}],
"_birthDate":{"extension":[{"url":"urn:a","valueUri":"urn:\u0062"}]},"multipleBirthInteger":2,
"managingOrganization":{"reference":"#o","identifier":{"system":"urn:oid:1.2","value":"1.0"}},
"link":[{"other":{"reference":"Patient\/b"},"type":"refer"}]}"##;
