//! $validate, $meta, $meta-add, $meta-delete.

use axum::body::Body;
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{Kit, Response, on_both_engines};

on_both_engines!(
    what_is_valid_is_said_to_be_and_nothing_is_stored,
    every_issue_is_listed_in_an_answer_that_is_200,
    a_validation_knows_what_the_resource_is_for,
    what_cannot_be_validated_is_refused,
    labels_are_added_and_taken_as_new_versions,
    adding_what_is_there_makes_no_version,
    labels_added_at_once_are_all_there,
    a_change_of_labels_is_refused_as_any_update_is,
);

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"o","meta":{"tag":[{"system":"s","code":"a"}]},"status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}"#;

fn severities(response: &Response) -> Vec<String> {
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    let outcome = response.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let issues = outcome["issue"].as_array().unwrap();
    issues.iter().map(|issue| issue["severity"].as_str().unwrap().to_owned()).collect()
}

fn wrapped(resource: &str, more: &str) -> String {
    format!(
        r#"{{"resourceType":"Parameters","parameter":[{{"name":"resource","resource":{resource}}}{more}]}}"#
    )
}

fn labels(meta: &Value) -> String {
    json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]})
        .to_string()
}

async fn what_is_valid_is_said_to_be_and_nothing_is_stored(kit: Kit) {
    let valid = kit.post("Observation/$validate", OBSERVATION).await;
    assert_eq!(severities(&valid), ["information"]);
    let valid = kit.post("Observation/$validate", &wrapped(OBSERVATION, "")).await;
    assert_eq!(severities(&valid), ["information"]);
    let parameters = r#"{"resourceType":"Parameters","parameter":[{"name":"a","valueCode":"b"}]}"#;
    assert_eq!(severities(&kit.post("Parameters/$validate", parameters).await), ["information"]);
    let profile = r#",{"name":"profile","valueUri":"http://p"}"#;
    let warned = kit.post("Observation/$validate", &wrapped(OBSERVATION, profile)).await;
    assert_eq!(severities(&warned), ["warning", "information"]);
    assert_eq!(kit.count("Observation").await, 0);
}

async fn every_issue_is_listed_in_an_answer_that_is_200(kit: Kit) {
    let bad = r#"{"resourceType":"Observation","status":5,"bogus":1,"code":{}}"#;
    for body in [bad.to_owned(), wrapped(bad, "")] {
        let outcome = kit.post("Observation/$validate", &body).await;
        assert!(severities(&outcome).iter().all(|severity| severity == "error"));
        for at in ["Observation.status", "no element bogus", "Observation.code"] {
            assert!(outcome.text.contains(at), "{at}: {}", outcome.text);
        }
    }
    let number = r#"{"resourceType":"Patient","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9434765918"}]}"#;
    let outcome = kit.post("Patient/$validate", number).await;
    assert_eq!(severities(&outcome), ["error"]);
    assert!(outcome.text.contains("Patient.identifier[0].value"));
    assert_eq!(severities(&kit.post("Patient/$validate", OBSERVATION).await), ["error"]);
}

async fn a_validation_knows_what_the_resource_is_for(kit: Kit) {
    kit.put("Observation/o", OBSERVATION).await;
    let update = kit.post("Observation/o/$validate?mode=update", OBSERVATION).await;
    assert_eq!(severities(&update), ["information"]);
    let other = kit.post("Observation/p/$validate?mode=update", OBSERVATION).await;
    assert_eq!(severities(&other), ["error"]);
    assert!(other.text.contains("Observation.id"));
    let delete =
        r#"{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"delete"}]}"#;
    let there = kit.post("Observation/o/$validate", delete).await;
    assert_eq!(severities(&there), ["information"]);
    assert_eq!(severities(&kit.post("Observation/p/$validate", delete).await), ["error"]);
    let anonymous = OBSERVATION.replace(r#""id":"o","#, "");
    let created = kit.post("Observation/$validate?mode=create", &anonymous).await;
    assert_eq!(severities(&created), ["information"]);
    assert_eq!(
        severities(&kit.post("Observation/$validate?mode=update", &anonymous).await),
        ["error"]
    );
}

async fn what_cannot_be_validated_is_refused(kit: Kit) {
    let none =
        r#"{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"create"}]}"#;
    for (path, body) in [
        ("Observation/$validate", "{"),
        ("Observation/$validate", none),
        ("Observation/$validate?mode=bogus", OBSERVATION),
        ("Observation/$validate?mode=profile", OBSERVATION),
    ] {
        kit.post(path, body).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    let get = kit.get("Observation/$validate").await;
    assert_eq!(get.assert_refused(StatusCode::METHOD_NOT_ALLOWED)["issue"][0]["severity"], "error");
    assert_eq!(get.header("allow"), "POST");
    kit.post("Bogus/$validate", OBSERVATION).await.assert_refused(StatusCode::NOT_FOUND);
}

async fn labels_are_added_and_taken_as_new_versions(kit: Kit) {
    kit.put("Observation/o", OBSERVATION).await;
    let given = json!({
        "versionId": "9",
        "profile": ["http://p"],
        "security": [{"system": "c", "code": "R"}],
        "tag": [{"system": "s", "code": "a", "display": "other"}, {"system": "s", "code": "b"}],
    });
    let added = kit.post("Observation/o/$meta-add", &labels(&given)).await;
    assert_eq!((added.status, added.etag()), (StatusCode::OK, "W/\"2\""), "{}", added.text);
    let meta = &added.json()["parameter"][0]["valueMeta"];
    assert_eq!(meta["profile"], json!(["http://p"]));
    assert_eq!(meta["tag"], json!([{"system": "s", "code": "a"}, {"system": "s", "code": "b"}]));
    assert_eq!(meta["versionId"], "2");
    let read = kit.get("Observation/o").await;
    assert_eq!(&read.json()["meta"], meta);
    assert!(read.text.contains(r#""valueQuantity":{"value":1.00}"#));
    assert_eq!(kit.get("Observation/o/$meta").await.text, added.text);
    assert_eq!(kit.ids("Observation?_tag=s|b").await, ["o"]);
    let gone = json!({"profile": ["http://p"], "tag": [{"system": "s", "code": "a"}]});
    let taken = kit.post("Observation/o/$meta-delete", &labels(&gone)).await;
    let meta = taken.json()["parameter"][0]["valueMeta"].clone();
    assert_eq!((taken.etag(), meta.get("profile")), ("W/\"3\"", None));
    assert_eq!(meta["tag"], json!([{"system": "s", "code": "b"}]));
    assert!(kit.ids("Observation?_tag=s|a").await.is_empty());
    let history = kit.search("Observation/o/_history").await;
    assert_eq!(history["total"], 3);
}

async fn adding_what_is_there_makes_no_version(kit: Kit) {
    kit.put("Observation/o", OBSERVATION).await;
    let there = labels(&json!({"tag": [{"system": "s", "code": "a"}]}));
    let added = kit.post("Observation/o/$meta-add", &there).await;
    assert_eq!((added.status, added.etag()), (StatusCode::OK, "W/\"1\""), "{}", added.text);
    let absent = labels(&json!({"tag": [{"system": "s", "code": "z"}]}));
    assert_eq!(kit.post("Observation/o/$meta-delete", &absent).await.etag(), "W/\"1\"");
}

async fn labels_added_at_once_are_all_there(kit: Kit) {
    kit.put("Observation/o", OBSERVATION).await;
    let add = |code: u8| {
        let body = labels(&json!({"tag": [{"system": "s", "code": format!("t{code}")}]}));
        let kit = &kit;
        async move { kit.post("Observation/o/$meta-add", &body).await }
    };
    for added in join_all((0..8).map(add)).await {
        assert_eq!(added.status, StatusCode::OK, "{}", added.text);
    }
    let read = kit.get("Observation/o").await;
    assert_eq!(read.etag(), "W/\"9\"");
    assert_eq!(read.json()["meta"]["tag"].as_array().unwrap().len(), 9);
}

async fn a_change_of_labels_is_refused_as_any_update_is(kit: Kit) {
    kit.put("Observation/o", OBSERVATION).await;
    let given = labels(&json!({"tag": [{"system": "s", "code": "b"}]}));
    let post = async |path: &str, body: &str| kit.post(path, body).await;
    post("Observation/never/$meta-add", &given).await.assert_refused(StatusCode::NOT_FOUND);
    let unknown = labels(&json!({"bogus": 1}));
    let refused = post("Observation/o/$meta-add", &unknown).await;
    refused.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    for bad in ["{", OBSERVATION, r#"{"resourceType":"Parameters","parameter":[{"name":"x"}]}"#] {
        let refused = post("Observation/o/$meta-add", bad).await;
        assert!(refused.status.is_client_error(), "{bad}");
    }
    let stale = [("if-match", "W/\"7\"")];
    let refused = kit.with_body("POST", "Observation/o/$meta-add", &given, &stale).await;
    refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    kit.delete("Observation/o").await;
    post("Observation/o/$meta-add", &given).await.assert_refused(StatusCode::GONE);
    let meta = kit.send("GET", "/FHIR/R4/Observation/o/$meta", &[], Body::empty()).await;
    meta.assert_refused(StatusCode::GONE);
}
