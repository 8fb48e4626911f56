//! Idempotency-Key and X-Provenance: what stands beside a write.

use std::sync::Arc;

use futures::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::kit::{Kit, Response, on_both_engines};

on_both_engines!(
    a_request_that_is_sent_again_is_answered_again,
    a_key_stands_for_one_request,
    a_refused_request_may_be_mended_under_its_key,
    a_transaction_that_is_sent_again_is_answered_again,
    of_many_requests_under_one_key_one_is_done,
    a_provenance_is_stored_with_what_it_is_about,
    a_provenance_goes_with_every_entry_of_a_transaction,
    a_bad_provenance_stops_the_write,
);

const PATIENT: &str = r#"{"resourceType":"Patient","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000050"}]}"#;
const AGENT: &str = r#"{"resourceType":"Provenance","recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"someone"}}]}"#;

async fn create(kit: &Kit, key: &str, body: &str) -> Response {
    kit.with_body("POST", "Patient", body, &[("idempotency-key", key)]).await
}

async fn a_request_that_is_sent_again_is_answered_again(kit: Kit) {
    let first = create(&kit, "k", PATIENT).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let id = first.id();
    // What became of the resource since does not matter.
    kit.put(&format!("Patient/{id}"), &format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#))
        .await;
    let again = create(&kit, "k", PATIENT).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    for name in ["location", "etag", "last-modified"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!(again.text, first.text);
    assert_eq!(kit.count("Patient").await, 1);
    let path = format!("Patient/{id}");
    let delete = async || {
        kit.send("DELETE", &format!("/FHIR/R4/{path}"), &[("idempotency-key", "d")], "").await
    };
    assert_eq!(delete().await.etag(), "W/\"3\"");
    kit.put(&path, &format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)).await;
    assert_eq!((delete().await.status, delete().await.etag()), (StatusCode::NO_CONTENT, "W/\"3\""));
    assert_eq!(kit.get(&path).await.status, StatusCode::OK);
}

async fn a_key_stands_for_one_request(kit: Kit) {
    create(&kit, "k", PATIENT).await;
    let other = create(&kit, "k", r#"{"resourceType":"Patient"}"#).await;
    let outcome = other.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(outcome["issue"][0]["expression"][0], "Idempotency-Key");
    let elsewhere = [("idempotency-key", "k")];
    let body = r#"{"resourceType":"Basic","code":{"text":"x"}}"#;
    let other = kit.with_body("POST", "Basic", body, &elsewhere).await;
    other.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    for bad in ["", &"k".repeat(256)] {
        create(&kit, bad, PATIENT).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    assert_eq!((kit.count("Patient").await, kit.count("Basic").await), (1, 0));
}

async fn a_refused_request_may_be_mended_under_its_key(kit: Kit) {
    let bad = create(&kit, "k", r#"{"resourceType":"Patient","colour":1}"#).await;
    bad.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    kit.post("Patient", PATIENT).await;
    create(&kit, "k", PATIENT).await.assert_refused(StatusCode::CONFLICT);
    let mended = create(&kit, "k", r#"{"resourceType":"Patient"}"#).await;
    assert_eq!(mended.status, StatusCode::CREATED, "{}", mended.text);
}

fn transaction() -> String {
    let urn = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000001";
    let observation = json!({
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": urn}
    });
    let patient: serde_json::Value = serde_json::from_str(PATIENT).unwrap();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        {"fullUrl": urn, "resource": patient, "request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "GET", "url": "Patient?_summary=count"}},
    ]})
    .to_string()
}

async fn a_transaction_that_is_sent_again_is_answered_again(kit: Kit) {
    let headers = [("idempotency-key", "k"), ("prefer", "return=representation")];
    let send = async || kit.with_body("POST", "", &transaction(), &headers).await;
    let first = send().await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    assert!(first.json()["entry"][0]["resource"]["subject"]["reference"].is_string());
    assert_eq!(send().await.json(), first.json());
    assert_eq!((kit.count("Patient").await, kit.count("Observation").await), (1, 1));
    let other = transaction().replace("final", "amended");
    let refused = kit.with_body("POST", "", &other, &headers).await;
    refused.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
}

async fn of_many_requests_under_one_key_one_is_done(kit: Kit) {
    let kit = Arc::new(kit);
    let senders = (0..16).map(|_| {
        let kit = kit.clone();
        tokio::spawn(async move { create(&kit, "k", PATIENT).await })
    });
    let answers: Vec<Response> = join_all(senders).await.into_iter().map(Result::unwrap).collect();
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        assert_eq!(answer.id(), answers[0].id());
    }
    assert_eq!(kit.count("Patient").await, 1);
}

async fn targets(kit: &Kit) -> Vec<serde_json::Value> {
    let found = kit.search("Provenance").await;
    let entries = found["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["resource"]["target"].clone()).collect()
}

async fn a_provenance_is_stored_with_what_it_is_about(kit: Kit) {
    let put = async |body: &str| {
        kit.with_body("PUT", "Patient/p", body, &[("x-provenance", AGENT)]).await
    };
    let first = put(r#"{"resourceType":"Patient","id":"p"}"#).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    assert_eq!(targets(&kit).await, [json!([{"reference": "Patient/p/_history/1"}])]);
    kit.delete("Patient/p").await;
    put(r#"{"resourceType":"Patient","id":"p","active":true}"#).await;
    let mut all = targets(&kit).await;
    all.sort_by_key(ToString::to_string);
    assert_eq!(all[1], json!([{"reference": "Patient/p/_history/3"}]));
    // A write that is refused has no Provenance either.
    let headers = [("x-provenance", AGENT), ("if-match", "W/\"9\"")];
    let body = r#"{"resourceType":"Patient","id":"p","active":false}"#;
    let stale = kit.with_body("PUT", "Patient/p", body, &headers).await;
    stale.assert_refused(StatusCode::PRECONDITION_FAILED);
    let headers = [("x-provenance", AGENT)];
    let created = kit.with_body("POST", "Patient", PATIENT, &headers).await;
    let again = kit.with_body("POST", "Patient", PATIENT, &headers).await;
    again.assert_refused(StatusCode::CONFLICT);
    let all = targets(&kit).await;
    assert_eq!(all.len(), 3);
    let reference = format!("Patient/{}/_history/1", created.id());
    assert!(all.contains(&json!([{"reference": reference}])), "{all:?}");
}

async fn a_provenance_goes_with_every_entry_of_a_transaction(kit: Kit) {
    let urn = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000001";
    let agent = AGENT.replace(r#""display":"someone""#, &format!(r#""reference":"{urn}""#));
    let answer = kit.with_body("POST", "", &transaction(), &[("x-provenance", &agent)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let answer = answer.json();
    let location = |entry: usize| answer["entry"][entry]["response"]["location"].clone();
    let expected = json!([{"reference": location(0)}, {"reference": location(1)}]);
    assert_eq!(targets(&kit).await, [expected]);
    let provenance = kit.search("Provenance").await["entry"][0]["resource"].clone();
    let who = provenance["agent"][0]["who"]["reference"].as_str().unwrap().to_owned();
    assert!(location(1).as_str().unwrap().starts_with(&who), "{who}");
}

async fn a_bad_provenance_stops_the_write(kit: Kit) {
    for bad in [
        "{",
        "5",
        r#"{"resourceType":"Patient"}"#,
        r#"{"resourceType":"Provenance"}"#,
        r#"{"resourceType":"Provenance","recorded":"yesterday","agent":[{"who":{"display":"x"}}]}"#,
    ] {
        let refused = kit.with_body("POST", "Patient", PATIENT, &[("x-provenance", bad)]).await;
        let outcome = refused.assert_refused(StatusCode::BAD_REQUEST);
        let expression = outcome["issue"][0]["expression"][0].as_str().unwrap();
        assert!(expression.starts_with("X-Provenance") || expression == "resourceType", "{bad}");
    }
    assert_eq!((kit.count("Patient").await, kit.count("Provenance").await), (0, 0));
}
