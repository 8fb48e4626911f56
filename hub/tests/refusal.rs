//! Bad input: a 4xx that a person can act on, and nothing stored.

use axum::body::Body;
use http::StatusCode;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    bad_bodies_are_refused_and_nothing_is_stored,
    bad_urls_are_refused_in_fhirs_terms,
    bad_searches_name_the_parameter,
    a_search_of_too_much_is_refused,
    an_oversize_body_is_refused,
);

/// A body sent to /Patient, the status it gets and the expression that is named.
const BAD_BODIES: [(&str, StatusCode, &str); 14] = [
    ("{", StatusCode::BAD_REQUEST, ""),
    ("", StatusCode::BAD_REQUEST, ""),
    ("[]", StatusCode::BAD_REQUEST, ""),
    (r#"{"resourceType":"Patient"} x"#, StatusCode::BAD_REQUEST, ""),
    (
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"}}"#,
        StatusCode::BAD_REQUEST,
        "resourceType",
    ),
    (r#"{"resourceType":"Bogus"}"#, StatusCode::UNPROCESSABLE_ENTITY, ""),
    (
        r#"{"resourceType":"Patient","birthDate":"2000-13-40"}"#,
        StatusCode::UNPROCESSABLE_ENTITY,
        "Patient.birthDate",
    ),
    (
        r#"{"resourceType":"Patient","birthDate":"2000-02-30"}"#,
        StatusCode::UNPROCESSABLE_ENTITY,
        "Patient.birthDate",
    ),
    (r#"{"resourceType":"Patient","colour":"red"}"#, StatusCode::UNPROCESSABLE_ENTITY, "Patient"),
    (
        r#"{"resourceType":"Patient","active":null}"#,
        StatusCode::UNPROCESSABLE_ENTITY,
        "Patient.active",
    ),
    (r#"{"resourceType":"Patient","name":[]}"#, StatusCode::UNPROCESSABLE_ENTITY, "Patient.name"),
    (
        r#"{"resourceType":"Patient","active":true,"active":true}"#,
        StatusCode::UNPROCESSABLE_ENTITY,
        "Patient.active",
    ),
    (
        r#"{"resourceType":"Patient","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000051"}]}"#,
        StatusCode::UNPROCESSABLE_ENTITY,
        "Patient.identifier[0].value",
    ),
    (
        r#"{"resourceType":"Patient","link":[{"other":{"reference":"Patient?identifier=a"},"type":"seealso"}]}"#,
        StatusCode::UNPROCESSABLE_ENTITY,
        "reference",
    ),
];

async fn bad_bodies_are_refused_and_nothing_is_stored(kit: Kit) {
    let deep = format!(r#"{{"resourceType":"Patient","extension":{}1"#, "[".repeat(1_000_000));
    let long_id = format!(r#"{{"resourceType":"Patient","id":"{}"}}"#, "a".repeat(65));
    let made = [
        (deep.as_str(), StatusCode::BAD_REQUEST, ""),
        (long_id.as_str(), StatusCode::UNPROCESSABLE_ENTITY, "Patient.id"),
    ];
    for (body, status, expression) in BAD_BODIES.into_iter().chain(made) {
        let shown = &body[..body.len().min(100)];
        let refused = kit.post("Patient", body).await;
        assert_eq!(refused.status, status, "{shown}: {}", refused.text);
        let outcome = refused.assert_refused(status);
        let expressions = outcome["issue"][0]["expression"].to_string();
        assert!(expressions.contains(expression), "{shown}: {outcome}");
        assert!(!outcome.to_string().contains("9990000051"), "{outcome}");
    }
    assert_eq!(kit.count("Patient").await, 0);
    let mismatched = kit.put("Patient/a", r#"{"resourceType":"Patient","id":"b"}"#).await;
    mismatched.assert_refused(StatusCode::BAD_REQUEST);
    kit.put("Patient/a", r#"{"resourceType":"Patient"}"#)
        .await
        .assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(kit.count("Patient").await, 0);
}

async fn bad_urls_are_refused_in_fhirs_terms(kit: Kit) {
    kit.get("Bogus/1").await.assert_refused(StatusCode::NOT_FOUND);
    kit.get("patient/1").await.assert_refused(StatusCode::NOT_FOUND);
    kit.get("Patient/a_b").await.assert_refused(StatusCode::BAD_REQUEST);
    kit.get("Patient/%00").await.assert_refused(StatusCode::BAD_REQUEST);
    kit.get("Patient/1/2/3/4").await.assert_refused(StatusCode::NOT_FOUND);
    let refused = kit.post("Patient/1", "{}").await;
    refused.assert_refused(StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.header("allow"), "GET, PUT, PATCH, DELETE");
    let text = [("content-type", "text/plain")];
    let refused = kit.send("POST", "/FHIR/R4/Patient", &text, "{}").await;
    refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let zipped = [("content-encoding", "br")];
    let refused = kit.with_body("POST", "Patient", r#"{"resourceType":"Patient"}"#, &zipped).await;
    refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let png = [("accept", "image/png")];
    let refused = kit.send("GET", "/FHIR/R4/Patient/1", &png, Body::empty()).await;
    refused.assert_refused(StatusCode::NOT_ACCEPTABLE);
    let if_none_exist = [("if-none-exist", "identifier=a")];
    let body = r#"{"resourceType":"Patient","id":"a"}"#;
    let refused = kit.with_body("PUT", "Patient/a", body, &if_none_exist).await;
    refused.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(kit.count("Patient").await, 0);
}

async fn bad_searches_name_the_parameter(kit: Kit) {
    for (search, parameter) in [
        ("Observation?date=2000-13", "date"),
        ("Observation?date=notadate", "date"),
        ("Observation?_count=-1", "_count"),
        ("Observation?_count=abc", "_count"),
        ("Observation?code=%7C", "code"),
        ("Observation?code:exact=a", "code:exact"),
        ("Observation?_include=Bogus:x", "_include"),
        ("Observation?subject.bogus=x", "subject.bogus"),
        ("Observation?value-quantity=many", "value-quantity"),
        ("Observation?code-value-quantity=a", "code-value-quantity"),
        ("Observation?code:in=http://vs", "code:in"),
        ("Patient?name:below=x", "name:below"),
        ("Patient?birthdate:missing=maybe", "birthdate:missing"),
        ("Patient?_has:Observation:code:status=final", "_has:Observation:code:status"),
        ("Patient?_summary=much", "_summary"),
    ] {
        let outcome = kit.get(search).await.assert_refused(StatusCode::BAD_REQUEST);
        assert_eq!(outcome["issue"][0]["expression"][0], parameter, "{search}: {outcome}");
    }
    let strict = [("prefer", "handling=strict")];
    let url = "/FHIR/R4/Observation?bogus=1";
    let refused = kit.send("GET", url, &strict, Body::empty()).await;
    let outcome = refused.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(outcome["issue"][0]["expression"][0], "bogus");
    let lenient = kit.search("Observation?bogus=1&status=final").await;
    assert_eq!(lenient["entry"][0]["search"]["mode"], "outcome");
    assert!(!lenient["link"][0]["url"].as_str().unwrap().contains("bogus"));
}

/// Planning a query takes time for what is asked, not for what is found.
async fn a_search_of_too_much_is_refused(kit: Kit) {
    let tags = |count: usize| "&_tag=t".repeat(count);
    for (search, accepted) in [
        (format!("Patient?_count=1{}", tags(24)), true),
        (format!("Patient?_count=1{}", tags(25)), false),
        (format!("?_count=1{}", tags(24)), true),
        (format!("Patient?_id=a{}", "&_elements=name".repeat(64)), false),
        (format!("Patient?family={}", "a".repeat(5_000)), false),
    ] {
        let answer = kit.get(&search).await;
        if accepted {
            assert_eq!(answer.status, StatusCode::OK, "{search}: {}", answer.text);
        } else {
            let outcome = answer.assert_refused(StatusCode::BAD_REQUEST);
            assert_eq!(outcome["issue"][0]["code"], "too-costly", "{search}");
        }
    }
}

async fn an_oversize_body_is_refused(kit: Kit) {
    let body = format!(r#"{{"resourceType":"Patient","language":"{}"}}"#, "a".repeat(17 << 20));
    kit.post("Patient", &body).await.assert_refused(StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(kit.count("Patient").await, 0);
}
