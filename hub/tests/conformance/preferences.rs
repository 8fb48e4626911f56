//! What a caller asks for with Prefer, and which search it is refused.

use axum::body::Body;
use http::StatusCode;
use serde_json::json;

use super::fixtures::{
    assert_searches_refused, batch, family, in_mode, search, send, store, transaction, url,
};
use crate::kit::{Kit, Response, on_both_engines};

on_both_engines!(
    a_write_answers_with_what_was_preferred,
    an_entry_of_a_bundle_answers_with_what_was_preferred,
    an_unknown_parameter_is_refused_if_strict_and_told_if_lenient,
    a_modifier_that_the_type_does_not_have_is_refused,
);

async fn preferring(kit: &Kit, method: &str, path: &str, prefer: &str) -> Response {
    let body = family("a", "A").to_string();
    kit.with_body(method, path, &body, &[("prefer", prefer)]).await
}

async fn a_write_answers_with_what_was_preferred(kit: Kit) {
    for (method, path) in [("POST", "Patient"), ("PUT", "Patient/a"), ("PUT", "Patient/a")] {
        let minimal = preferring(&kit, method, path, "return=minimal").await;
        assert!(minimal.status.is_success() && minimal.text.is_empty(), "{}", minimal.text);
        for header in ["etag", "location", "last-modified"] {
            assert!(!minimal.header(header).is_empty(), "{method}: {header}");
        }
        let outcome = preferring(&kit, method, path, "return=OperationOutcome").await;
        assert!(outcome.status.is_success());
        assert_eq!(outcome.json()["resourceType"], "OperationOutcome", "{}", outcome.text);
        assert!(!outcome.header("location").is_empty() && !outcome.etag().is_empty());
        for prefer in ["return=representation", "handling=lenient, return=representation"] {
            let whole = preferring(&kit, method, path, prefer).await;
            assert_eq!(whole.json()["name"][0]["family"], "A", "{prefer}: {}", whole.text);
        }
    }
}

async fn an_entry_of_a_bundle_answers_with_what_was_preferred(kit: Kit) {
    let entries = [send("PUT", "Patient/a", family("a", "A"))];
    for body in [transaction(&entries), batch(&entries)] {
        for (prefer, resource_type, outcome_type) in [
            ("return=representation", json!("Patient"), json!(null)),
            ("return=minimal", json!(null), json!(null)),
            ("return=OperationOutcome", json!(null), json!("OperationOutcome")),
        ] {
            let answer = kit.with_body("POST", "", &body, &[("prefer", prefer)]).await;
            assert_eq!(answer.status, StatusCode::OK, "{prefer}: {}", answer.text);
            let entry = &answer.json()["entry"][0];
            assert_eq!(entry["resource"]["resourceType"], resource_type, "{prefer}: {entry}");
            let outcome = &entry["response"]["outcome"]["resourceType"];
            assert_eq!(*outcome, outcome_type, "{prefer}: {entry}");
        }
    }
}

async fn an_unknown_parameter_is_refused_if_strict_and_told_if_lenient(kit: Kit) {
    store(&kit, [family("a", "A"), family("b", "B")]).await;
    let ask = async |prefer: &[(&str, &str)]| {
        let path = "/FHIR/R4/Patient?family=A&bogus=1";
        kit.send("GET", path, prefer, Body::empty()).await
    };
    for prefer in ["handling=strict", "return=minimal, handling=strict", "handling=strict; wait=1"]
    {
        let outcome = ask(&[("prefer", prefer)]).await.assert_refused(StatusCode::BAD_REQUEST);
        assert_eq!(outcome["issue"][0]["expression"][0], "bogus", "{prefer}: {outcome}");
    }
    for prefer in [&[][..], &[("prefer", "handling=lenient")], &[("prefer", "respond-async")]] {
        let bundle = ask(prefer).await.json();
        assert_eq!(in_mode(&bundle, "match"), ["a"], "{prefer:?}: {bundle}");
        let outcomes = bundle["entry"].as_array().unwrap().iter();
        let outcome = outcomes.clone().find(|e| e["search"]["mode"] == "outcome").unwrap();
        let severity = &outcome["resource"]["issue"][0]["severity"];
        assert!(["warning", "information"].contains(&severity.as_str().unwrap()), "{outcome}");
        assert!(outcome.to_string().contains("bogus"), "{outcome}");
        let own = url(&bundle, "self");
        assert!(own.contains("family=A") && !own.contains("bogus"), "{own}");
    }
}

async fn a_modifier_that_the_type_does_not_have_is_refused(kit: Kit) {
    let searches = [
        "Patient?birthdate:exact=2000",
        "Patient?birthdate:bogus=2000",
        "Patient?gender:contains=ma",
        "Patient?gender:exact=male",
        "Patient?family:not=x",
        "Patient?family:above=x",
        "Patient?name:Patient=x",
        "Observation?subject:exact=a",
        "Observation?subject:Medication=a",
        "Observation?value-quantity:exact=5",
        "Patient?_lastUpdated:contains=2000",
    ];
    assert_searches_refused(&kit, &searches).await;
    for text in searches {
        let path = format!("/FHIR/R4/{}", search(text));
        let lenient = [("prefer", "handling=lenient")];
        let refused = kit.send("GET", &path, &lenient, Body::empty()).await;
        refused.assert_refused(StatusCode::BAD_REQUEST);
    }
}
