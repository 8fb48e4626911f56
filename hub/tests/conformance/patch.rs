//! JSON Patch and FHIRPath Patch.

use http::StatusCode;
use serde_json::{Value, json};

use super::fixtures::{assert_one_of, patient, store};
use crate::kit::{Kit, Response, on_both_engines};

on_both_engines!(
    a_json_patch_makes_the_next_version,
    a_fhirpath_patch_makes_the_next_version,
    a_patch_that_cannot_be_applied_changes_nothing,
    a_patch_touches_neither_id_nor_version,
    a_patch_of_what_is_not_there_says_so,
    a_patch_names_the_version_it_changes,
    a_patch_is_of_a_known_kind,
);

const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
const FHIR_JSON: (&str, &str) = ("content-type", "application/fhir+json");

async fn send(kit: &Kit, id: &str, headers: &[(&str, &str)], body: &str) -> Response {
    kit.send("PATCH", &format!("/FHIR/R4/Patient/{id}"), headers, body.to_owned()).await
}

async fn json_patch(kit: &Kit, body: &Value) -> Response {
    send(kit, "a", &[JSON_PATCH], &body.to_string()).await
}

/// A FHIRPath Patch of one operation: `(name, value[x], value)`.
fn operation(parts: &[(&str, &str, Value)]) -> String {
    let part = |(name, choice, value): &(&str, &str, Value)| json!({"name": name, *choice: value});
    let parts: Vec<Value> = parts.iter().map(part).collect();
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]})
        .to_string()
}

/// `type` and `path`, and more parts.
fn at(kind: &str, path: &str, more: &[(&str, &str, Value)]) -> String {
    let mut parts = vec![("type", "valueCode", json!(kind)), ("path", "valueString", json!(path))];
    parts.extend(more.iter().cloned());
    operation(&parts)
}

async fn ann(kit: &Kit) {
    let names = json!([{"family": "Ann", "given": ["A", "B"]}, {"family": "Old", "use": "old"}]);
    store(kit, [patient("a", json!({"gender": "female", "name": names}))]).await;
}

async fn a_json_patch_makes_the_next_version(kit: Kit) {
    ann(&kit).await;
    let patched = json_patch(
        &kit,
        &json!([
            {"op": "test", "path": "/gender", "value": "female"},
            {"op": "replace", "path": "/gender", "value": "other"},
            {"op": "add", "path": "/birthDate", "value": "2000"},
            {"op": "add", "path": "/name/0/given/-", "value": "C"},
            {"op": "copy", "from": "/name/0/family", "path": "/name/1/text"},
            {"op": "move", "from": "/name/0/given/0", "path": "/name/0/given/1"},
            {"op": "remove", "path": "/name/1/use"}
        ]),
    )
    .await;
    assert_eq!((patched.status, patched.etag()), (StatusCode::OK, "W/\"2\""), "{}", patched.text);
    let location = "http://hub.test/FHIR/R4/Patient/a/_history/2";
    assert!(["", location].contains(&patched.header("location")), "{}", patched.header("location"));
    let read = kit.search("Patient/a").await;
    assert_eq!((&read["gender"], &read["birthDate"]), (&json!("other"), &json!("2000")));
    let names =
        json!([{"family": "Ann", "given": ["B", "A", "C"]}, {"family": "Old", "text": "Ann"}]);
    assert_eq!(read["name"], names);
    assert_eq!(kit.ids("Patient?birthdate=2000&gender=other").await, ["a"]);
    assert_eq!(kit.search("Patient/a/_history/1").await["gender"], "female");
}

async fn a_fhirpath_patch_makes_the_next_version(kit: Kit) {
    ann(&kit).await;
    let value = |choice: &'static str, value: Value| ("value", choice, value);
    for (version, body) in [
        at("replace", "Patient.gender", &[value("valueCode", json!("other"))]),
        at(
            "add",
            "Patient",
            &[("name", "valueString", json!("birthDate")), value("valueDate", json!("2000"))],
        ),
        at(
            "insert",
            "Patient.name[0].given",
            &[("index", "valueInteger", json!(1)), value("valueString", json!("X"))],
        ),
        at(
            "move",
            "Patient.name",
            &[("source", "valueInteger", json!(1)), ("destination", "valueInteger", json!(0))],
        ),
        at("delete", "Patient.name.where(use = 'old')", &[]),
        // Deleting what is not there is no error.
        at("delete", "Patient.maritalStatus", &[]),
    ]
    .iter()
    .enumerate()
    {
        let patched = send(&kit, "a", &[FHIR_JSON], body).await;
        assert_eq!(patched.status, StatusCode::OK, "{version}: {body}: {}", patched.text);
    }
    let read = kit.search("Patient/a").await;
    assert_eq!((&read["gender"], &read["birthDate"]), (&json!("other"), &json!("2000")));
    assert_eq!(read["name"], json!([{"family": "Ann", "given": ["A", "X", "B"]}]));
    assert_eq!(kit.ids("Patient?gender=other").await, ["a"]);
}

async fn a_patch_that_cannot_be_applied_changes_nothing(kit: Kit) {
    ann(&kit).await;
    let gender = |value: &str| json!({"op": "replace", "path": "/gender", "value": value});
    for (patch, allowed) in [
        (
            json!([gender("male"), {"op": "test", "path": "/gender", "value": "female"}]),
            &[409, 412, 422][..],
        ),
        (json!([gender("male"), {"op": "remove", "path": "/birthDate"}]), &[409, 422]),
        (json!([{"op": "replace", "path": "/name/7/family", "value": "x"}]), &[409, 422]),
        (json!([{"op": "add", "path": "/name/01", "value": {"text": "x"}}]), &[400, 409, 422]),
        (json!([{"op": "add", "path": "/colour", "value": "red"}]), &[422]),
        (json!([{"op": "replace", "path": "/birthDate", "value": "2000-13"}]), &[409, 422]),
        (json!([{"op": "add", "path": "/birthDate", "value": "2000-13"}]), &[422]),
        (json!([{"op": "bogus", "path": "/gender"}]), &[400, 422]),
        (json!([{"op": "add", "path": "gender", "value": "male"}]), &[400, 422]),
        (json!([{"op": "replace", "path": "/resourceType", "value": "Basic"}]), &[400, 409, 422]),
        (json!({"gender": "male"}), &[400, 422]),
    ] {
        let refused = json_patch(&kit, &patch).await;
        let status = refused.status.as_u16();
        assert!(allowed.contains(&status), "{patch}: {status} {}", refused.text);
        assert_one_of(&refused, allowed);
    }
    let value = [("value", "valueString", json!("x"))];
    for body in [
        // Many match where one is to be replaced, or none.
        at("replace", "Patient.name.family", &value),
        at("replace", "Patient.maritalStatus.text", &value),
        at("replace", "Patient.gender", &[("value", "valueCode", json!(""))]),
        at("replace", "Patient.name[", &value),
        at("bogus", "Patient.gender", &value),
        at("delete", "Patient.name", &[]),
        operation(&[("type", "valueCode", json!("delete"))]),
    ] {
        let refused = send(&kit, "a", &[FHIR_JSON], &body).await;
        assert!(refused.status != StatusCode::OK, "{body}");
        assert_one_of(&refused, &[400, 409, 422]);
    }
    assert_eq!(kit.get("Patient/a").await.etag(), "W/\"1\"");
    assert_eq!(kit.search("Patient/a/_history").await["total"], 1);
}

async fn a_patch_touches_neither_id_nor_version(kit: Kit) {
    ann(&kit).await;
    for patch in [
        json!([{"op": "replace", "path": "/id", "value": "b"}]),
        json!([{"op": "remove", "path": "/id"}]),
        json!([{"op": "replace", "path": "/meta/versionId", "value": "9"}]),
        json!([{"op": "replace", "path": "/meta/lastUpdated", "value": "2000-01-01T00:00:00Z"}]),
    ] {
        let refused = json_patch(&kit, &patch).await;
        assert!(refused.status != StatusCode::OK, "{patch}");
        assert_one_of(&refused, &[400, 409, 422]);
    }
    let body = at("replace", "Patient.id", &[("value", "valueId", json!("b"))]);
    let refused = send(&kit, "a", &[FHIR_JSON], &body).await;
    assert_one_of(&refused, &[400, 409, 422]);
    kit.get("Patient/b").await.assert_refused(StatusCode::NOT_FOUND);
    assert_eq!(kit.get("Patient/a").await.etag(), "W/\"1\"");
}

async fn a_patch_of_what_is_not_there_says_so(kit: Kit) {
    ann(&kit).await;
    kit.delete("Patient/a").await;
    let patch = json!([{"op": "add", "path": "/gender", "value": "male"}]).to_string();
    send(&kit, "a", &[JSON_PATCH], &patch).await.assert_refused(StatusCode::GONE);
    send(&kit, "never", &[JSON_PATCH], &patch).await.assert_refused(StatusCode::NOT_FOUND);
    assert_eq!(kit.search("Patient/a/_history").await["total"], 2);
}

async fn a_patch_names_the_version_it_changes(kit: Kit) {
    ann(&kit).await;
    let patch =
        |gender: &str| json!([{"op": "replace", "path": "/gender", "value": gender}]).to_string();
    let stale = send(&kit, "a", &[JSON_PATCH, ("if-match", "W/\"9\"")], &patch("male")).await;
    stale.assert_refused(StatusCode::PRECONDITION_FAILED);
    let bad = send(&kit, "a", &[JSON_PATCH, ("if-match", "nine")], &patch("male")).await;
    bad.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(kit.search("Patient/a").await["gender"], "female");
    let right = send(&kit, "a", &[JSON_PATCH, ("if-match", "W/\"1\"")], &patch("other")).await;
    assert_eq!((right.status, right.etag()), (StatusCode::OK, "W/\"2\""), "{}", right.text);
}

async fn a_patch_is_of_a_known_kind(kit: Kit) {
    ann(&kit).await;
    for media in ["application/xml-patch+xml", "text/plain"] {
        let refused = send(&kit, "a", &[("content-type", media)], r#"{"gender":"male"}"#).await;
        refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    send(&kit, "a", &[JSON_PATCH], "[").await.assert_refused(StatusCode::BAD_REQUEST);
    send(&kit, "a", &[FHIR_JSON], "{").await.assert_refused(StatusCode::BAD_REQUEST);
    let whole = patient("a", json!({})).to_string();
    assert_one_of(&send(&kit, "a", &[FHIR_JSON], &whole).await, &[400, 422]);
    assert_eq!(kit.get("Patient/a").await.etag(), "W/\"1\"");
}
