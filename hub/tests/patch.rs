//! patch: JSON Patch and FHIRPath Patch, alone and in Bundles.

use std::sync::Arc;

use axum::body::Body;
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::batch::{batch, statuses};
use crate::kit::{Kit, Response, on_both_engines};

on_both_engines!(
    a_json_patch_changes_what_it_names_and_nothing_else,
    a_fhirpath_patch_changes_what_it_names,
    a_patch_that_changes_nothing_makes_no_version,
    a_patch_of_what_is_not_there_is_refused,
    a_patch_under_if_match_needs_the_current_version,
    a_bad_patch_changes_nothing,
    a_patch_has_a_media_type_of_its_own,
    a_conditional_patch_changes_the_one_that_is_selected,
    parallel_patches_all_land,
    an_entry_of_a_bundle_patches,
);

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","identifier":[{"system":"urn:s","value":"1"}],"extension":[{"url":"urn:e","valueDecimal":1.00}],"active":true}"#;

async fn patch(kit: &Kit, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut all = vec![("content-type", "application/json-patch+json")];
    all.extend(headers);
    kit.send("PATCH", &format!("/FHIR/R4/{path}"), &all, Body::from(body.to_owned())).await
}

fn born(date: &str) -> String {
    json!([{"op": "add", "path": "/birthDate", "value": date}]).to_string()
}

fn replace_active(value: bool) -> Value {
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.active"},
        {"name": "value", "valueBoolean": value}
    ]}]})
}

async fn a_json_patch_changes_what_it_names_and_nothing_else(kit: Kit) {
    kit.put("Patient/p", PATIENT).await;
    let patched = patch(&kit, "Patient/p", &[], &born("2000-01-01")).await;
    assert_eq!((patched.status, patched.etag()), (StatusCode::OK, "W/\"2\""), "{}", patched.text);
    assert!(patched.header("location").ends_with("Patient/p/_history/2"));
    let read = kit.get("Patient/p").await;
    assert_eq!(read.text, patched.text);
    assert!(read.text.contains(r#""valueDecimal":1.00"#), "{}", read.text);
    assert!(read.text.ends_with(r#""active":true,"birthDate":"2000-01-01"}"#), "{}", read.text);
    assert_eq!(kit.ids("Patient?birthdate=2000-01-01").await, ["p"]);
    assert!(!kit.get("Patient/p/_history/1").await.text.contains("birthDate"));
}

async fn a_fhirpath_patch_changes_what_it_names(kit: Kit) {
    kit.put("Patient/p", PATIENT).await;
    let body = replace_active(false).to_string();
    let patched = kit.with_body("PATCH", "Patient/p", &body, &[]).await;
    assert_eq!((patched.status, patched.etag()), (StatusCode::OK, "W/\"2\""), "{}", patched.text);
    assert_eq!(kit.get("Patient/p").await.json()["active"], false);
    let broken = r#"{"resourceType":"Parameters","parameter":[{"name":"operation","colour":1}]}"#;
    let refused = kit.with_body("PATCH", "Patient/p", broken, &[]).await;
    refused.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    let other = kit.with_body("PATCH", "Patient/p", PATIENT, &[]).await;
    other.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(kit.get("Patient/p").await.etag(), "W/\"2\"");
}

async fn a_patch_that_changes_nothing_makes_no_version(kit: Kit) {
    kit.put("Patient/p", PATIENT).await;
    let same = r#"[{"op":"replace","path":"/active","value":true}]"#;
    let patched = patch(&kit, "Patient/p", &[], same).await;
    assert_eq!((patched.status, patched.etag()), (StatusCode::OK, "W/\"1\""), "{}", patched.text);
    assert_eq!(kit.search("Patient/p/_history").await["total"], 1);
}

async fn a_patch_of_what_is_not_there_is_refused(kit: Kit) {
    patch(&kit, "Patient/p", &[], &born("2000")).await.assert_refused(StatusCode::NOT_FOUND);
    kit.put("Patient/p", PATIENT).await;
    kit.delete("Patient/p").await;
    patch(&kit, "Patient/p", &[], &born("2000")).await.assert_refused(StatusCode::GONE);
    assert_eq!(kit.search("Patient/p/_history").await["total"], 2);
}

async fn a_patch_under_if_match_needs_the_current_version(kit: Kit) {
    kit.put("Patient/p", PATIENT).await;
    patch(&kit, "Patient/p", &[], &born("2000")).await;
    let stale = [("if-match", "W/\"1\"")];
    let refused = patch(&kit, "Patient/p", &stale, &born("2001")).await;
    refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    let patched = patch(&kit, "Patient/p", &[("if-match", "W/\"2\"")], &born("2001")).await;
    assert_eq!(patched.etag(), "W/\"3\"");
}

async fn a_bad_patch_changes_nothing(kit: Kit) {
    kit.put("Patient/p", PATIENT).await;
    for (body, status) in [
        ("{", StatusCode::BAD_REQUEST),
        (r#"{"op":"remove"}"#, StatusCode::BAD_REQUEST),
        (r#"[{"op":"test","path":"/active","value":false}]"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"[{"op":"remove","path":"/photo"}]"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"[{"op":"replace","path":"/id","value":"q"}]"#, StatusCode::UNPROCESSABLE_ENTITY),
        (
            r#"[{"op":"replace","path":"/meta/versionId","value":"9"}]"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (r#"[{"op":"add","path":"/colour","value":"red"}]"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"[{"op":"add","path":"/birthDate","value":"soon"}]"#, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        patch(&kit, "Patient/p", &[], body).await.assert_refused(status);
    }
    let outcome = patch(&kit, "Patient/p", &[], &born("soon")).await.json();
    assert_eq!(outcome["issue"][0]["expression"][0], "Patient.birthDate");
    assert_eq!(kit.search("Patient/p/_history").await["total"], 1);
}

async fn a_patch_has_a_media_type_of_its_own(kit: Kit) {
    kit.put("Patient/p", PATIENT).await;
    for media in ["text/plain", "application/xml", ""] {
        let headers = [("content-type", media)];
        let refused = kit.send("PATCH", "/FHIR/R4/Patient/p", &headers, born("2000")).await;
        refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    assert_eq!(kit.get("Patient/p").await.etag(), "W/\"1\"");
    let merge = [("content-type", "application/merge-patch+json")];
    let url = "/FHIR/R4/Patient/p";
    let body = r#"{"birthDate":"1999","gender":null}"#;
    let merged = kit.send("PATCH", url, &merge, body).await;
    assert_eq!((merged.status, &merged.json()["birthDate"]), (StatusCode::OK, &"1999".into()));
    // Plain JSON is read for what it is.
    let plain = [("content-type", "application/json")];
    let body = r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.birthDate"}]}]}"#;
    let deleted = kit.send("PATCH", url, &plain, body).await;
    assert_eq!((deleted.status, deleted.json().get("birthDate")), (StatusCode::OK, None));
    kit.send("PATCH", url, &plain, r#"{"id":"q"}"#)
        .await
        .assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
}

async fn a_conditional_patch_changes_the_one_that_is_selected(kit: Kit) {
    let path = "Patient?identifier=urn:s%7C1";
    patch(&kit, path, &[], &born("2000")).await.assert_refused(StatusCode::NOT_FOUND);
    kit.put("Patient/p", PATIENT).await;
    let patched = patch(&kit, path, &[], &born("2000")).await;
    assert_eq!((patched.status, patched.etag()), (StatusCode::OK, "W/\"2\""), "{}", patched.text);
    kit.post("Patient", PATIENT).await;
    let many = patch(&kit, path, &[], &born("2001")).await;
    many.assert_refused(StatusCode::PRECONDITION_FAILED);
    for bad in ["Patient", "Patient?bogus=1"] {
        patch(&kit, bad, &[], &born("2001")).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    assert_eq!(kit.get("Patient/p").await.etag(), "W/\"2\"");
}

async fn parallel_patches_all_land(kit: Kit) {
    let kit = Arc::new(kit);
    kit.put("Patient/p", PATIENT).await;
    let writers = (0..16).map(|writer| {
        let kit = kit.clone();
        tokio::spawn(async move {
            let identifier = json!({"system": "urn:w", "value": writer.to_string()});
            let add = json!([{"op": "add", "path": "/identifier/-", "value": identifier}]);
            patch(&kit, "Patient/p", &[], &add.to_string()).await
        })
    });
    for answer in join_all(writers).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    let read = kit.get("Patient/p").await;
    assert_eq!(read.etag(), "W/\"17\"");
    assert_eq!(read.json()["identifier"].as_array().unwrap().len(), 17);
    for writer in 0..16 {
        assert_eq!(kit.ids(&format!("Patient?identifier=urn:w%7C{writer}")).await, ["p"]);
    }
}

async fn an_entry_of_a_bundle_patches(kit: Kit) {
    kit.put("Patient/p", PATIENT).await;
    kit.put("Patient/q", &PATIENT.replace("\"p\"", "\"q\"").replace("\"1\"", "\"2\"")).await;
    let entry = |resource: Value, url: &str| json!({"resource": resource, "request": {"method": "PATCH", "url": url}});
    // [{"op":"add","path":"/gender","value":"other"}]
    let data = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2dlbmRlciIsInZhbHVlIjoib3RoZXIifV0=";
    let binary =
        |media: &str| json!({"resourceType": "Binary", "contentType": media, "data": data});
    let json_patch = binary("application/json-patch+json");
    let both = [
        entry(json_patch.clone(), "Patient/p"),
        entry(replace_active(false), "Patient?identifier=urn:s|2"),
    ];
    let text = batch(&both).replace("batch", "transaction");
    let answer = kit.post("", &text).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(statuses(&answer.json()), ["200", "200"]);
    assert_eq!(answer.json()["entry"][1]["response"]["location"], "Patient/q/_history/2");
    assert_eq!(kit.get("Patient/p").await.json()["gender"], "other");
    assert_eq!(kit.get("Patient/q").await.json()["active"], false);

    let stale = {
        let mut entry = entry(replace_active(true), "Patient/q");
        entry["request"]["ifMatch"] = json!("W/\"1\"");
        entry
    };
    let entries = [
        entry(json_patch.clone(), "Patient/p"),
        stale.clone(),
        entry(binary("text/plain"), "Patient/p"),
        entry(json_patch, "Patient/nobody"),
    ];
    let answer = kit.post("", &batch(&entries)).await;
    assert_eq!(statuses(&answer.json()), ["200", "412", "400", "404"], "{}", answer.text);
    let text = batch(&[entry(replace_active(false), "Patient/p"), stale]);
    let refused = kit.post("", &text.replace("batch", "transaction")).await;
    let outcome = refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[1].request.url");
    assert_eq!(kit.get("Patient/p").await.json()["active"], true);
}
