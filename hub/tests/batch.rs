//! batch: each entry on its own.

use http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    each_entry_stands_alone,
    a_batch_reads_whatever_a_url_can,
    conditions_hold_within_a_batch,
    a_batch_gives_back_what_is_preferred,
    a_batch_leaves_one_line_that_names_its_entries,
    one_batch_asking_many_times_creates_once,
);

pub(crate) fn batch(entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": "batch", "entry": entries}).to_string()
}

fn get(url: &str) -> Value {
    json!({"request": {"method": "GET", "url": url}})
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:s", "value": id}]})
}

fn put(id: &str) -> Value {
    json!({"resource": patient(id), "request": {"method": "PUT", "url": format!("Patient/{id}")}})
}

pub(crate) fn statuses(bundle: &Value) -> Vec<&str> {
    let entries = bundle["entry"].as_array().unwrap();
    entries.iter().map(|e| &e["response"]["status"].as_str().unwrap()[..3]).collect()
}

async fn send(kit: &Kit, entries: &[Value]) -> Value {
    let answer = kit.post("", &batch(entries)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["type"], "batch-response");
    answer
}

async fn each_entry_stands_alone(kit: Kit) {
    let answer = send(
        &kit,
        &[
            put("a"),
            json!({"resource": {"resourceType": "Patient", "colour": 1}, "request": {"method": "POST", "url": "Patient"}}),
            json!({"resource": 5, "request": {"method": "POST", "url": "Patient"}}),
            json!({"resource": patient("b"), "request": {"method": "POST", "url": "Observation"}}),
            json!({"request": {"method": "DELETE", "url": "Patient/never"}}),
            json!({"request": {"method": "DELETE", "url": "Patient"}}),
            json!({"request": {"method": "MOVE", "url": "Patient/a"}}),
            get("Patient/nobody"),
            get("Bogus/1"),
            get("../admin"),
            put("c"),
        ],
    )
    .await;
    let expected = ["201", "422", "400", "400", "204", "400", "400", "404", "404", "400", "201"];
    assert_eq!(statuses(&answer), expected, "{answer}");
    let entry = &answer["entry"][0]["response"];
    assert_eq!(
        (&entry["location"], &entry["etag"]),
        (&json!("Patient/a/_history/1"), &json!("W/\"1\""))
    );
    assert!(entry["lastModified"].is_string() && entry["outcome"].is_null());
    for (place, expression) in [
        (1, "Bundle.entry[1].resource"),
        (3, "Bundle.entry[3].resource"),
        (5, "Bundle.entry[5].request.url"),
        (6, "Bundle.entry[6].request.method"),
    ] {
        let outcome = &answer["entry"][place]["response"]["outcome"];
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert_eq!(outcome["issue"][0]["expression"][0], expression, "{outcome}");
    }
    assert_eq!(answer["entry"][7]["response"]["outcome"]["issue"][0]["code"], "not-found");
    assert_eq!(kit.count("Patient").await, 2);
}

async fn a_batch_reads_whatever_a_url_can(kit: Kit) {
    send(&kit, &[put("a"), put("b")]).await;
    let answer = send(
        &kit,
        &[
            get("Patient/a"),
            get("Patient?identifier=urn:s|b"),
            get("Patient/a/_history"),
            get("http://hub.test/FHIR/R4/Patient/b/_history/1"),
            json!({"request": {"method": "HEAD", "url": "Patient/a"}}),
            json!({"request": {"method": "GET", "url": "Patient/a", "ifNoneMatch": "W/\"1\""}}),
        ],
    )
    .await;
    assert_eq!(statuses(&answer), ["200", "200", "200", "200", "200", "304"], "{answer}");
    let resource = |place: usize| &answer["entry"][place]["resource"];
    assert_eq!(resource(0)["id"], "a");
    assert_eq!(answer["entry"][0]["response"]["etag"], "W/\"1\"");
    let updated = &resource(0)["meta"]["lastUpdated"];
    assert_eq!(&answer["entry"][0]["response"]["lastModified"], updated);
    assert_eq!(crate::kit::matches(resource(1)), ["b"]);
    assert_eq!(resource(2)["type"], "history");
    assert_eq!(resource(3)["id"], "b");
    assert!(resource(4).is_null() && resource(5).is_null());
}

async fn conditions_hold_within_a_batch(kit: Kit) {
    send(&kit, &[put("a")]).await;
    let mut stale = put("a");
    stale["request"]["ifMatch"] = json!("W/\"7\"");
    let mut there = put("a");
    there["request"]["ifNoneMatch"] = json!("*");
    let create = json!({
        "resource": patient("x"),
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:s|a"}
    });
    let update = json!({
        "resource": patient("a"),
        "request": {"method": "PUT", "url": "Patient?identifier=urn:s|a"}
    });
    let mut misplaced = create.clone();
    misplaced["request"]["ifMatch"] = json!("W/\"1\"");
    let delete = json!({"request": {"method": "DELETE", "url": "Patient?identifier=urn:s|z"}});
    let answer = send(&kit, &[stale, there, create, update, misplaced, delete]).await;
    assert_eq!(statuses(&answer), ["412", "412", "200", "200", "400", "204"], "{answer}");
    assert_eq!(answer["entry"][2]["response"]["location"], "Patient/a/_history/1");
    assert_eq!(kit.count("Patient").await, 1);
}

async fn a_batch_gives_back_what_is_preferred(kit: Kit) {
    let body = batch(&[put("a")]);
    let prefer = async |preference: &str| {
        kit.with_body("POST", "", &body, &[("prefer", preference)]).await.json()
    };
    let resource = prefer("return=representation").await;
    assert_eq!(resource["entry"][0]["resource"]["id"], "a");
    let outcome = prefer("return=OperationOutcome").await;
    assert!(outcome["entry"][0]["resource"].is_null());
    assert_eq!(outcome["entry"][0]["response"]["outcome"]["issue"][0]["severity"], "information");
    assert!(prefer("return=minimal").await["entry"][0]["resource"].is_null());
}

async fn a_batch_leaves_one_line_that_names_its_entries(kit: Kit) {
    send(&kit, &[put("a"), get("Patient/a"), get("Patient?identifier=urn:s|a")]).await;
    let lines = kit.journal();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let detail = lines[0]["detail"].as_str().unwrap();
    for named in ["PUT Patient/a 201", "GET Patient/a ", "GET Patient?identifier=urn:s|a 200"] {
        assert!(detail.contains(named), "{detail}");
    }
}

async fn one_batch_asking_many_times_creates_once(kit: Kit) {
    kit.put("Patient/a", &patient("a").to_string()).await;
    let create = || {
        json!({
            "resource": patient("new"),
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:s|new"}
        })
    };
    let entries: Vec<Value> = (0..24).map(|_| create()).collect();
    let answer = send(&kit, &entries).await;
    let created = statuses(&answer).iter().filter(|status| **status == "201").count();
    let found = statuses(&answer).iter().filter(|status| **status == "200").count();
    assert_eq!((created, found), (1, 23), "{answer}");
    assert_eq!(kit.count("Patient").await, 2);
}
