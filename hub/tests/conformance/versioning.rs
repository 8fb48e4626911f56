//! Ids, versions, deletions, and what a client may read again.

use axum::body::Body;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use service::clock::Clock;

use super::fixtures::{family, nameless, patient, process, put, send, store, transaction};
use crate::kit::{Kit, Response, on_both_engines};

on_both_engines!(
    a_created_resource_has_an_id_of_the_servers_choice_and_a_versioned_location,
    an_id_in_a_posted_entry_is_not_kept,
    a_put_says_the_id_that_its_url_says,
    a_put_to_a_new_id_creates_if_that_is_declared,
    what_never_was_is_not_found_and_what_was_deleted_is_gone,
    a_deletion_is_idempotent_and_a_put_resurrects,
    an_update_names_the_version_it_replaces_in_any_spelling,
    a_known_or_unchanged_resource_is_not_sent_again,
    head_answers_as_get_does_without_a_body,
    the_server_alone_says_version_and_time,
    time_never_goes_backwards_within_a_resource,
    an_identical_put_leaves_etag_history_and_location_in_agreement,
);

async fn read(kit: &Kit, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    kit.send(method, &format!("/FHIR/R4/{path}"), headers, Body::empty()).await
}

async fn a_created_resource_has_an_id_of_the_servers_choice_and_a_versioned_location(kit: Kit) {
    let created = kit.post("Patient", &patient("mine", json!({})).to_string()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.id();
    assert_ne!(id, "mine");
    let location = format!("http://hub.test/FHIR/R4/Patient/{id}/_history/1");
    assert_eq!((created.header("location"), created.etag()), (&*location, "W/\"1\""));
    let body = created.json();
    assert_eq!((&body["id"], &body["meta"]["versionId"]), (&json!(id), &json!("1")));
    let updated: Timestamp = body["meta"]["lastUpdated"].as_str().unwrap().parse().unwrap();
    let said = jiff::fmt::rfc2822::parse(created.header("last-modified")).unwrap();
    assert_eq!(said.timestamp().as_second(), updated.as_second());
    kit.get("Patient/mine").await.assert_refused(StatusCode::NOT_FOUND);
}

async fn an_id_in_a_posted_entry_is_not_kept(kit: Kit) {
    let entry = send("POST", "Patient", patient("mine", json!({})));
    let response = process(&kit, &transaction(&[entry])).await;
    assert_ne!(super::fixtures::location(&response, 0), "Patient/mine");
    kit.get("Patient/mine").await.assert_refused(StatusCode::NOT_FOUND);
    assert_eq!(kit.count("Patient").await, 1);
}

async fn a_put_says_the_id_that_its_url_says(kit: Kit) {
    for body in [patient("b", json!({})), nameless(patient("a", json!({})))] {
        kit.put("Patient/a", &body.to_string()).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    for id in ["a", "b"] {
        kit.get(&format!("Patient/{id}")).await.assert_refused(StatusCode::NOT_FOUND);
    }
    assert_eq!(kit.count("Patient").await, 0);
}

async fn a_put_to_a_new_id_creates_if_that_is_declared(kit: Kit) {
    let declared = |metadata: Value| metadata["rest"][0]["resource"][0]["updateCreate"].clone();
    assert_eq!(declared(kit.search("metadata").await), true);
    let created = put(&kit, &patient("a", json!({}))).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let location = "http://hub.test/FHIR/R4/Patient/a/_history/1";
    assert_eq!((created.header("location"), created.etag()), (location, "W/\"1\""));

    let kit = kit.reopened(|config| config.record.client_ids = Some(false), Clock::System).await;
    assert_eq!(declared(kit.search("metadata").await), false);
    let refused = kit.put("Patient/b", &patient("b", json!({})).to_string()).await;
    refused.assert_refused(StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put(&kit, &family("a", "Known")).await.status, StatusCode::OK);
    assert_eq!(kit.count("Patient").await, 1);
}

async fn what_never_was_is_not_found_and_what_was_deleted_is_gone(kit: Kit) {
    store(&kit, [patient("a", json!({}))]).await;
    kit.delete("Patient/a").await;
    for (path, status) in [
        ("Patient/never", StatusCode::NOT_FOUND),
        ("Patient/a", StatusCode::GONE),
        ("Patient/a/_history/2", StatusCode::GONE),
        ("Patient/a/_history/99", StatusCode::NOT_FOUND),
        ("Patient/never/_history/1", StatusCode::NOT_FOUND),
    ] {
        kit.get(path).await.assert_refused(status);
    }
    assert_eq!(kit.get("Patient/a/_history/1").await.status, StatusCode::OK);
}

async fn a_deletion_is_idempotent_and_a_put_resurrects(kit: Kit) {
    store(&kit, [patient("a", json!({}))]).await;
    for path in ["Patient/a", "Patient/a", "Patient/never"] {
        let deleted = kit.delete(path).await;
        assert_eq!((deleted.status, &*deleted.text), (StatusCode::NO_CONTENT, ""), "{path}");
    }
    assert_eq!(kit.search("Patient/a/_history").await["total"], 2);
    kit.get("Patient/never/_history").await.assert_refused(StatusCode::NOT_FOUND);
    let again = put(&kit, &patient("a", json!({}))).await;
    assert_eq!((again.status, again.etag()), (StatusCode::CREATED, "W/\"3\""));
    assert_eq!(kit.get("Patient/a").await.status, StatusCode::OK);
    kit.delete("Bogus/a").await.assert_refused(StatusCode::NOT_FOUND);
}

async fn an_update_names_the_version_it_replaces_in_any_spelling(kit: Kit) {
    store(&kit, [patient("a", json!({})), family("a", "Two")]).await;
    let next = family("a", "Next").to_string();
    for (etag, status) in [
        ("W/\"1\"", StatusCode::PRECONDITION_FAILED),
        ("W/\"3\"", StatusCode::PRECONDITION_FAILED),
        ("abc", StatusCode::BAD_REQUEST),
        ("W/\"two\"", StatusCode::BAD_REQUEST),
        ("W/2\"", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
    ] {
        let refused = kit.put_if_match("Patient/a", etag, &next).await;
        assert_eq!(refused.status, status, "{etag}: {}", refused.text);
        refused.assert_refused(status);
    }
    let stale = read(&kit, "DELETE", "Patient/a", &[("if-match", "W/\"1\"")]).await;
    stale.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert!(kit.get("Patient/a").await.text.contains("Two"));
    for (etag, after) in [("\"2\"", "W/\"3\""), ("W/\"3\"", "W/\"4\""), ("4", "W/\"5\"")] {
        // Each is another text: what changes nothing need not make a version.
        let next = family("a", after).to_string();
        let updated = kit.put_if_match("Patient/a", etag, &next).await;
        assert_eq!((updated.status, updated.etag()), (StatusCode::OK, after), "{etag}");
    }
}

async fn a_known_or_unchanged_resource_is_not_sent_again(kit: Kit) {
    store(&kit, [patient("a", json!({}))]).await;
    let first = kit.get("Patient/a").await;
    let (etag, modified) = (first.etag(), first.header("last-modified"));
    let long_ago = "Wed, 01 Jan 2020 00:00:00 GMT";
    let etag_only = ("if-none-match", etag);
    let since = ("if-modified-since", modified);
    let other = ("if-none-match", "W/\"9\"");
    for (headers, status) in [
        (vec![etag_only], StatusCode::NOT_MODIFIED),
        (vec![since], StatusCode::NOT_MODIFIED),
        // If-None-Match is the better evidence and wins.
        (vec![etag_only, ("if-modified-since", long_ago)], StatusCode::NOT_MODIFIED),
        (vec![other, since], StatusCode::OK),
        (vec![other], StatusCode::OK),
        (vec![("if-modified-since", long_ago)], StatusCode::OK),
        // A date that is none is no condition (RFC 9110, 13.1.3).
        (vec![("if-modified-since", "yesterday")], StatusCode::OK),
    ] {
        for path in ["Patient/a", "Patient/a/_history/1"] {
            let answer = read(&kit, "GET", path, &headers).await;
            assert_eq!(answer.status, status, "{path} {headers:?}: {}", answer.text);
            assert_eq!(answer.etag(), etag, "{path} {headers:?}");
            assert_eq!(answer.text.is_empty(), status == StatusCode::NOT_MODIFIED);
        }
    }
}

async fn head_answers_as_get_does_without_a_body(kit: Kit) {
    store(&kit, [patient("a", json!({})), patient("gone", json!({}))]).await;
    kit.delete("Patient/gone").await;
    for path in [
        "Patient/a",
        "Patient/a/_history/1",
        "Patient/a/_history",
        "Patient/never",
        "Patient/gone",
        "Patient?_id=a",
        "metadata",
    ] {
        let got = kit.get(path).await;
        let headed = read(&kit, "HEAD", path, &[]).await;
        assert_eq!((headed.status, &*headed.text), (got.status, ""), "{path}");
        for name in ["etag", "last-modified", "content-type"] {
            assert_eq!(headed.header(name), got.header(name), "{path}: {name}");
        }
    }
}

async fn the_server_alone_says_version_and_time(kit: Kit) {
    let meta = json!({
        "versionId": "99",
        "lastUpdated": "1999-01-01T00:00:00Z",
        "profile": ["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"],
        "tag": [{"system": "urn:tags", "code": "t"}],
        "security": [{"system": "urn:labels", "code": "s"}]
    });
    let stored = put(&kit, &patient("a", json!({"meta": meta}))).await.json();
    assert_eq!(stored["meta"]["versionId"], "1");
    for kept in ["profile", "tag", "security"] {
        assert_eq!(stored["meta"][kept], meta[kept], "{kept}");
    }
    let updated = stored["meta"]["lastUpdated"].as_str().unwrap();
    assert!(updated.parse::<Timestamp>().unwrap().as_second() > 1_600_000_000, "{updated}");
    let (_, time) = updated.split_once('T').unwrap();
    let (seconds, fraction) = time.split_once('.').unwrap();
    assert_eq!((seconds.len(), &fraction[3..]), (8, "Z"), "{updated}");
    assert_eq!(kit.get("Patient/a").await.json(), stored);
}

async fn time_never_goes_backwards_within_a_resource(kit: Kit) {
    let first = put(&kit, &patient("a", json!({}))).await.json();
    let kit = kit.reopened(|_| {}, Clock::fixed(1_000_000_000_000_000)).await;
    let mut before = first;
    for version in 2..5 {
        let next = put(&kit, &family("a", &format!("V{version}"))).await.json();
        let time = |resource: &Value| -> Timestamp {
            resource["meta"]["lastUpdated"].as_str().unwrap().parse().unwrap()
        };
        assert!(time(&next) > time(&before), "{next} after {before}");
        before = next;
    }
}

async fn an_identical_put_leaves_etag_history_and_location_in_agreement(kit: Kit) {
    let same = family("a", "Same");
    put(&kit, &same).await;
    let again = put(&kit, &same).await;
    assert_eq!(again.status, StatusCode::OK);
    let version = kit.search("Patient/a/_history").await["total"].as_i64().unwrap();
    assert!(version == 1 || version == 2, "{version}");
    assert_eq!(again.etag(), format!("W/\"{version}\""));
    assert_eq!(kit.get("Patient/a").await.etag(), again.etag());
    let location = format!("http://hub.test/FHIR/R4/Patient/a/_history/{version}");
    assert_eq!(again.header("location"), location);
}
