//! An owner stays an owner.

use http::StatusCode;
use serde_json::{Value, json};

use super::kit::Site;
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_resource_belongs_to_whoever_created_it,
    every_version_says_whose_it_was_and_search_finds_it,
    a_resource_of_the_region_itself_says_nothing,
    a_tag_that_names_another_custodian_is_refused,
    what_the_server_says_of_a_version_is_its_own,
    who_may_edit_everything_takes_neither_the_resource_nor_its_labels,
    a_record_from_before_belongs_to_the_region,
);

const TAG: &str = "urn:shared-record:custodian";

fn observation(text: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": text}})
}

fn of(code: &str) -> Value {
    json!({"system": TAG, "code": code})
}

async fn a_resource_belongs_to_whoever_created_it(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let id = site.created("RX1", &observation("a")).await;
    let path = format!("Observation/{id}");
    let mut body = site.get("RX1", &path).await.json();
    assert_eq!(body["meta"]["tag"], json!([of("RX1")]));

    body["code"]["text"] = json!("b");
    let refused = site.put("RX2", &path, &body).await;
    let outcome = refused.assert_refused(StatusCode::FORBIDDEN);
    assert!(outcome["issue"][0]["diagnostics"].as_str().unwrap().contains("_history/1"));
    // The region itself is an organisation like any other.
    site.put("QWO", &path, &body).await.assert_refused(StatusCode::FORBIDDEN);

    let written = site.put("RX1", &path, &body).await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.text);
    assert_eq!(written.json()["meta"]["tag"], json!([of("RX1")]));
    assert_eq!(written.json()["code"]["text"], "b");
    // What was read and is sent back changes nothing.
    let again = site.put("RX1", &path, &written.json()).await;
    assert_eq!(again.etag(), written.etag());

    // Neither does a deletion let others in.
    let gone = site.send("RX1", ("DELETE", &path), &[], "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    body.as_object_mut().unwrap().remove("meta");
    site.put("RX2", &path, &body).await.assert_refused(StatusCode::FORBIDDEN);
    let back = site.put("RX1", &path, &body).await;
    assert_eq!(back.status, StatusCode::CREATED, "{}", back.text);
}

async fn every_version_says_whose_it_was_and_search_finds_it(kit: Kit) {
    let site = Site::of(kit, json!({"default": "any"})).await;
    let mine = site.created("RX1", &observation("a")).await;
    let theirs = site.created("RX2", &observation("a")).await;
    let path = format!("Observation/{mine}");
    // Edited by others, who know nothing of tags, and by the region.
    for (editor, text) in [("RX2", "b"), ("QWO", "c"), ("RX1", "d")] {
        let mut body = observation(text);
        body["id"] = json!(mine);
        body["meta"] = json!({"tag": [{"system": "urn:s", "code": editor}]});
        let written = site.put(editor, &path, &body).await;
        assert_eq!(written.status, StatusCode::OK, "{}", written.text);
        let own = json!({"system": "urn:s", "code": editor});
        assert_eq!(written.json()["meta"]["tag"], json!([of("RX1"), own]));
        assert_eq!(site.ids("RX1", &format!("Observation?_tag={TAG}|RX1")).await, [&*mine]);
        assert_eq!(site.ids("RX1", &format!("Observation?_tag=urn:s|{editor}")).await, [&*mine]);
        assert_eq!(site.ids("RX1", &format!("Observation?_tag={TAG}|RX2")).await, [&*theirs]);
    }
    let history = site.get("RX1", &format!("{path}/_history")).await.json();
    let entries = history["entry"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        assert_eq!(entry["resource"]["meta"]["tag"][0], of("RX1"), "{entry}");
    }
}

async fn a_resource_of_the_region_itself_says_nothing(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let mut body = observation("a");
    body["meta"] = json!({"tag": [of("QWO"), {"code": "t"}]});
    let id = site.created("QWO", &body).await;
    let stored = site.get("QWO", &format!("Observation/{id}")).await.json();
    assert_eq!(stored["meta"]["tag"], json!([{"code": "t"}]));
    assert!(site.ids("QWO", &format!("Observation?_tag={TAG}|QWO")).await.is_empty());
    site.put("RX1", &format!("Observation/{id}"), &stored)
        .await
        .assert_refused(StatusCode::FORBIDDEN);
}

async fn a_tag_that_names_another_custodian_is_refused(kit: Kit) {
    let site = Site::of(kit, json!({"types": {"Basic": "any"}})).await;
    for (tags, place) in [
        (json!([of("RX2")]), 0),
        (json!([{"code": "t"}, of("RX1"), of("QWO")]), 2),
        (json!([of("not a code")]), 0),
        (json!([{"system": TAG}]), 0),
    ] {
        let mut body = observation("a");
        body["meta"] = json!({"tag": tags});
        let outcome =
            site.post("RX1", "Observation", &body).await.assert_refused(StatusCode::FORBIDDEN);
        let at = format!("Observation.meta.tag[{place}]");
        assert_eq!(outcome["issue"][0]["expression"], json!([at]), "{tags}");
    }
    assert!(site.ids("RX1", "Observation").await.is_empty());
    // Whoever may edit may not take it.
    let basic = json!({"resourceType": "Basic", "code": {"text": "x"}});
    let id = site.created("RX1", &basic).await;
    let take = json!({"resourceType": "Basic", "id": id, "meta": {"tag": [of("RX2")]},
        "code": {"text": "y"}});
    let path = format!("Basic/{id}");
    site.put("RX2", &path, &take).await.assert_refused(StatusCode::FORBIDDEN);
    let given = json!({"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"tag": [of("RX2")]}}]});
    for owner in ["RX1", "RX2"] {
        let refused = site.post(owner, &format!("{path}/$meta-add"), &given).await;
        refused.assert_refused(StatusCode::FORBIDDEN);
    }
    // Nor can its owner take the tag away: it is no part of what is stored.
    let own = json!({"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"tag": [of("RX1")]}}]});
    let left = site.post("RX1", &format!("{path}/$meta-delete"), &own).await;
    assert_eq!(left.status, StatusCode::OK, "{}", left.text);
    assert_eq!(site.get("RX1", &path).await.json()["meta"]["tag"], json!([of("RX1")]));
    assert_eq!(site.get("RX1", &path).await.etag(), "W/\"1\"");
}

async fn what_the_server_says_of_a_version_is_its_own(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let id = site.created("RX1", &observation("a")).await;
    let mut body = observation("b");
    body["id"] = json!(id);
    body["meta"] = json!({"versionId": "999", "lastUpdated": "1970-01-01T00:00:00Z"});
    let written = site.put("RX1", &format!("Observation/{id}"), &body).await.json();
    assert_eq!(written["meta"]["versionId"], "2");
    assert!(written["meta"]["lastUpdated"].as_str().unwrap() > "2020");
    body["meta"]["tag"] = json!([of("RX2")]);
    let taken = site.put("RX1", &format!("Observation/{id}"), &body).await;
    taken.assert_refused(StatusCode::FORBIDDEN);
}

async fn who_may_edit_everything_takes_neither_the_resource_nor_its_labels(kit: Kit) {
    let site = Site::of(kit, json!({"default": "any"})).await;
    let label = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
        "code": "N"});
    let mut body = observation("a");
    body["meta"] = json!({"security": [label]});
    let id = site.created("RX1", &body).await;
    let path = format!("Observation/{id}");
    let bare = json!({"resourceType": "Observation", "id": id, "status": "final",
        "code": {"text": "b"}});
    let refused = |response: crate::kit::Response| {
        let outcome = response.assert_refused(StatusCode::FORBIDDEN);
        assert_eq!(outcome["issue"][0]["expression"], json!(["Observation.meta.security"]));
    };
    refused(site.put("RX2", &path, &bare).await);
    refused(site.send("RX2", ("DELETE", &path), &[], "").await);
    let patch = json!([{"op": "remove", "path": "/meta/security/0"}]).to_string();
    let json_patch = [("content-type", "application/json-patch+json")];
    refused(site.send("RX2", ("PATCH", &path), &json_patch, patch.clone()).await);
    let merge = json!({"meta": {"security": null}}).to_string();
    let merge_patch = [("content-type", "application/merge-patch+json")];
    refused(site.send("RX2", ("PATCH", &path), &merge_patch, merge).await);
    let given = json!({"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"security": [label]}}]});
    refused(site.post("RX2", &format!("{path}/$meta-delete"), &given).await);
    // Another label, and an edit that keeps the first, are welcome.
    let mut kept = bare.clone();
    kept["meta"] = json!({"security": [{"system":
        "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}, label]});
    let written = site.put("RX2", &path, &kept).await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.text);
    // Its custodian may.
    let taken = site.send("RX1", ("PATCH", &path), &json_patch, patch).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.text);
}

async fn a_record_from_before_belongs_to_the_region(kit: Kit) {
    let id = kit.post("Observation", &observation("a").to_string()).await.id();
    let site = Site::of(kit, json!({})).await;
    let path = format!("Observation/{id}");
    let mut body = site.get("QWO", &path).await.json();
    assert_eq!(body["meta"]["tag"], Value::Null);
    body["code"]["text"] = json!("b");
    site.put("RX1", &path, &body).await.assert_refused(StatusCode::FORBIDDEN);
    assert_eq!(site.put("QWO", &path, &body).await.status, StatusCode::OK);
}
