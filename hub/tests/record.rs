//! create, read, vread, update, delete, history.

use http::StatusCode;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_created_resource_is_read_back_as_it_was_sent,
    every_version_is_kept,
    an_update_under_if_match_needs_the_current_version,
    a_deleted_resource_is_gone_until_it_is_updated,
    deleting_what_is_not_there_is_no_error,
    a_known_version_is_not_sent_again,
    every_interaction_leaves_an_audit_entry,
);

const OBSERVATION: &str = r#"{ "resourceType":"Observation", "status":"final", "code":{"text":"Müller 😀"}, "valueQuantity":{"value":1.00,"unit":"mg"}, "referenceRange":[{"low":{"value":5.40e-1}}] }"#;

fn patient(id: &str, family: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}]}}"#)
}

async fn a_created_resource_is_read_back_as_it_was_sent(kit: Kit) {
    let created = kit.post("Observation", OBSERVATION).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.id();
    let location = format!("http://hub.test/FHIR/R4/Observation/{id}/_history/1");
    assert_eq!(created.header("location"), location);
    assert_eq!(created.etag(), "W/\"1\"");
    let read = kit.get(&format!("Observation/{id}")).await;
    assert_eq!(read.text, created.text);
    assert_eq!(read.header("last-modified"), created.header("last-modified"));
    for kept in [r#""value":1.00"#, "5.40e-1", "Müller 😀"] {
        assert!(read.text.contains(kept), "{kept}: {}", read.text);
    }
    assert_eq!(read.json()["meta"]["versionId"], "1");
}

async fn every_version_is_kept(kit: Kit) {
    assert_eq!(kit.put("Patient/p", &patient("p", "One")).await.status, StatusCode::CREATED);
    assert_eq!(kit.put("Patient/p", &patient("p", "Two")).await.status, StatusCode::OK);
    assert_eq!(kit.put("Patient/p", &patient("p", "Three")).await.etag(), "W/\"3\"");
    assert!(kit.get("Patient/p").await.text.contains("Three"));
    assert!(kit.get("Patient/p/_history/1").await.text.contains("One"));
    assert!(kit.get("Patient/p/_history/2").await.text.contains("Two"));
    kit.get("Patient/p/_history/4").await.assert_refused(StatusCode::NOT_FOUND);
    kit.get("Patient/p/_history/x").await.assert_refused(StatusCode::NOT_FOUND);
    let history = kit.search("Patient/p/_history?_count=2").await;
    assert_eq!((&history["type"], &history["total"]), (&"history".into(), &3.into()));
    let versions = |bundle: &serde_json::Value| -> Vec<String> {
        let entries = bundle["entry"].as_array().unwrap();
        entries.iter().map(|e| e["response"]["etag"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(versions(&history), ["W/\"3\"", "W/\"2\""]);
    let next = kit.search(&crate::kit::link(&history, "next").unwrap()).await;
    assert_eq!(versions(&next), ["W/\"1\""]);
    assert_eq!(crate::kit::link(&next, "next"), None);
    kit.get("Patient/q/_history").await.assert_refused(StatusCode::NOT_FOUND);
}

async fn an_update_under_if_match_needs_the_current_version(kit: Kit) {
    kit.put("Patient/p", &patient("p", "One")).await;
    kit.put("Patient/p", &patient("p", "Two")).await;
    for stale in ["W/\"1\"", "\"1\"", "1", "W/\"9\""] {
        let refused = kit.put_if_match("Patient/p", stale, &patient("p", "Lost")).await;
        refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    }
    let malformed = kit.put_if_match("Patient/p", "yesterday", &patient("p", "Lost")).await;
    malformed.assert_refused(StatusCode::BAD_REQUEST);
    assert!(kit.get("Patient/p").await.text.contains("Two"));
    let updated = kit.put_if_match("Patient/p", "W/\"2\"", &patient("p", "Three")).await;
    assert_eq!(updated.etag(), "W/\"3\"");
}

async fn a_deleted_resource_is_gone_until_it_is_updated(kit: Kit) {
    kit.put("Patient/p", &patient("p", "One")).await;
    let deleted = kit.delete("Patient/p").await;
    assert_eq!((deleted.status, deleted.etag()), (StatusCode::NO_CONTENT, "W/\"2\""));
    kit.get("Patient/p").await.assert_refused(StatusCode::GONE);
    kit.get("Patient/p/_history/2").await.assert_refused(StatusCode::GONE);
    assert!(kit.get("Patient/p/_history/1").await.text.contains("One"));
    assert_eq!(kit.count("Patient").await, 0);
    assert_eq!(kit.delete("Patient/p").await.status, StatusCode::NO_CONTENT);
    let again = kit.put("Patient/p", &patient("p", "Again")).await;
    assert_eq!((again.status, again.etag()), (StatusCode::CREATED, "W/\"3\""));
    let history = kit.search("Patient/p/_history").await;
    assert_eq!(history["entry"][1]["request"]["method"], "DELETE");
    assert!(history["entry"][1]["resource"].is_null());
    assert_eq!(kit.count("Patient").await, 1);
}

async fn deleting_what_is_not_there_is_no_error(kit: Kit) {
    assert_eq!(kit.delete("Patient/never").await.status, StatusCode::NO_CONTENT);
    kit.get("Patient/never").await.assert_refused(StatusCode::NOT_FOUND);
}

async fn a_known_version_is_not_sent_again(kit: Kit) {
    kit.put("Patient/p", &patient("p", "One")).await;
    let known = [("if-none-match", "W/\"1\"")];
    let answer = kit.send("GET", "/FHIR/R4/Patient/p", &known, axum::body::Body::empty()).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(answer.etag(), "W/\"1\"");
}

async fn every_interaction_leaves_an_audit_entry(kit: Kit) {
    kit.put("Patient/p", &patient("p", "One")).await;
    kit.get("Patient/p").await;
    kit.get("Observation?patient=p").await;
    kit.get("Patient/nobody").await;
    kit.put("Patient/p", "{").await;
    let lines = kit.journal();
    let seen: Vec<(String, i64)> = lines
        .iter()
        .map(|line| (line["target"].as_str().unwrap().to_owned(), line["status"].as_i64().unwrap()))
        .collect();
    let expected = [
        ("/FHIR/R4/Patient/p", 200),
        ("/FHIR/R4/Observation?patient=p", 200),
        ("/FHIR/R4/Patient/nobody", 404),
        ("/FHIR/R4/Patient/p", 400),
    ];
    // The successful write is audited in its own transaction instead.
    assert_eq!(seen, expected.map(|(target, status)| (target.to_owned(), status)));
    assert!(lines.iter().all(|line| line["organisation"] == "QWO"));
    let mut query = hub::store::query::Query::default();
    query.push("SELECT count(*) FROM audit WHERE entry LIKE ").text("%Patient/p/_history/1%");
    assert_eq!(kit.hub.store.numbers(&query).await.unwrap(), [1]);
}
