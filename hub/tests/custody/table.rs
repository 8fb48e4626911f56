//! Whoever writes, by whatever interaction, under whatever policy: one table.

use axum::body::Body;
use serde_json::{Value, json};

use super::kit::Site;
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    what_each_policy_makes_of_each_write_of_another_organisation,
    whatever_the_policy_the_custodian_writes,
);

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    /// It is done to the resource, which stays RX1's.
    Stored,
    /// Nothing is done.
    Refused,
    /// It is proposed.
    Task,
    /// The resource is replaced by another organisation's.
    Superseded,
}
use Becomes::{Refused, Stored, Superseded, Task};

const POLICIES: [&str; 4] = ["any", "custodian", "supersede", "request"];

/// Interactions, and what becomes of them where they are another organisation's, policy by policy.
const TABLE: [(&str, [Becomes; 4]); 20] = [
    ("update", [Stored, Refused, Superseded, Task]),
    ("update if match", [Stored, Refused, Superseded, Task]),
    ("conditional update", [Stored, Refused, Superseded, Task]),
    ("json patch", [Stored, Refused, Superseded, Task]),
    ("merge patch", [Stored, Refused, Superseded, Task]),
    ("fhirpath patch", [Stored, Refused, Superseded, Task]),
    ("conditional patch", [Stored, Refused, Superseded, Task]),
    ("delete", [Stored, Refused, Refused, Task]),
    ("conditional delete", [Stored, Refused, Refused, Task]),
    ("undelete", [Stored, Refused, Refused, Refused]),
    ("meta-add", [Stored, Refused, Refused, Refused]),
    ("meta-delete", [Stored, Refused, Refused, Refused]),
    ("batch update", [Stored, Refused, Superseded, Task]),
    ("batch patch", [Stored, Refused, Superseded, Task]),
    ("batch delete", [Stored, Refused, Refused, Task]),
    ("batch meta-add", [Stored, Refused, Refused, Refused]),
    ("transaction update", [Stored, Refused, Superseded, Task]),
    ("transaction conditional update", [Stored, Refused, Superseded, Task]),
    ("transaction patch", [Stored, Refused, Superseded, Task]),
    ("transaction delete", [Stored, Refused, Refused, Task]),
];

const FHIR: &str = "application/fhir+json";

fn basic(value: &str, text: &str) -> Value {
    json!({"resourceType": "Basic", "identifier": [{"system": "urn:n", "value": value}],
        "meta": {"tag": [{"system": "urn:s", "code": "t"}]}, "code": {"text": text}})
}

fn fhirpath_patch() -> Value {
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Basic.code.text"},
        {"name": "value", "valueString": "edited"}]}]})
}

fn tags(code: &str) -> Value {
    json!({"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"tag": [{"system": "urn:s", "code": code}]}}]})
}

/// Does what an interaction's name says, as RX1 or another; the status and the location.
async fn write(site: &Site, who: &str, name: &str, id: &str, value: &str) -> (u16, String) {
    let mut edited = basic(value, "edited");
    edited["id"] = json!(id);
    let own = format!("Basic/{id}");
    let selected = format!("Basic?identifier=urn:n%7C{value}");
    let json_patch = json!([{"op": "replace", "path": "/code/text", "value": "edited"}]);
    let (within, name) = match name.split_once(' ') {
        Some((within @ ("batch" | "transaction"), name)) => (Some(within), name),
        _ => (None, name),
    };
    let (method, path, media, body) = match name {
        "update" | "update if match" | "undelete" => ("PUT", own, FHIR, edited),
        "conditional update" => ("PUT", selected, FHIR, edited),
        "json patch" => ("PATCH", own, "application/json-patch+json", json_patch),
        "merge patch" => {
            ("PATCH", own, "application/merge-patch+json", json!({"code": {"text": "edited"}}))
        }
        "fhirpath patch" | "patch" => ("PATCH", own, FHIR, fhirpath_patch()),
        "conditional patch" => ("PATCH", selected, FHIR, fhirpath_patch()),
        "delete" => ("DELETE", own, FHIR, Value::Null),
        "conditional delete" => ("DELETE", selected, FHIR, Value::Null),
        "meta-add" => ("POST", format!("{own}/$meta-add"), FHIR, tags("more")),
        "meta-delete" => ("POST", format!("{own}/$meta-delete"), FHIR, tags("t")),
        _ => panic!("{name}"),
    };
    let Some(within) = within else {
        let text = if body.is_null() { Body::empty() } else { body.to_string().into() };
        let mut headers = vec![("content-type", media)];
        if name == "update if match" {
            headers.push(("if-match", "W/\"1\""));
        }
        let response = site.send(who, (method, &path), &headers, text).await;
        return (response.status.as_u16(), response.header("location").to_owned());
    };
    let mut entry = json!({"request": {"method": method, "url": path}});
    if !body.is_null() {
        entry["resource"] = body;
    }
    let bundle = json!({"resourceType": "Bundle", "type": within, "entry": [entry]});
    let response = site.post(who, "", &bundle).await;
    let told = &response.json()["entry"][0]["response"];
    match told["status"].as_str() {
        None => (response.status.as_u16(), String::new()),
        Some(status) => {
            let location = told["location"].as_str().unwrap_or_default().to_owned();
            (status[..3].parse().unwrap(), location)
        }
    }
}

/// What has become of RX1's resource, by what is there now.
async fn became(site: &Site, id: &str, value: &str, (status, location): (u16, &str)) -> Becomes {
    let path = format!("Basic/{id}");
    let history = site.get("RX1", &format!("{path}/_history")).await.json();
    let versions = history["total"].as_i64().unwrap();
    let current = site.get("RX1", &path).await;
    let matches = site.ids("RX1", &format!("Basic?identifier=urn:n%7C{value}")).await;
    if let Some((_, task)) = location.split_once("Task/") {
        assert_eq!((status, versions), (202, 1));
        let task = site.get("RX1", &format!("Task/{}", task.split('/').next().unwrap())).await;
        assert_eq!(task.json()["focus"]["reference"], format!("{path}/_history/1"));
        return Task;
    }
    if status == 201 && !location.contains(id) && !location.is_empty() {
        // The old one ends, and there are not two.
        assert_eq!((current.status.as_u16(), versions, matches.len()), (410, 2, 1));
        let new = site.get("RX1", &format!("Basic/{}", matches[0])).await.json();
        assert_eq!(new["code"]["text"], "edited");
        assert_eq!(new["meta"]["tag"][0]["code"], "RX2", "{new}");
        let replaced = json!({"reference": format!("{path}/_history/1")});
        assert_eq!(new["extension"][0]["valueReference"], replaced);
        return Superseded;
    }
    if status == 403 {
        return Refused;
    }
    assert!((200..300).contains(&status), "{status}");
    if current.status == 200 {
        assert_eq!(current.json()["meta"]["tag"][0]["code"], "RX1");
    }
    Stored
}

async fn cell(site: &Site, who: &str, name: &str, value: &str) -> Becomes {
    let id = site.created("RX1", &basic(value, "first")).await;
    let path = format!("Basic/{id}");
    let mut before = 1;
    if name == "undelete" {
        assert_eq!(site.send("RX1", ("DELETE", &path), &[], "").await.status, 204);
        before = 2;
    }
    let (status, location) = write(site, who, name, &id, value).await;
    let became = became(site, &id, value, (status, &location)).await;
    let history = site.get("RX1", &format!("{path}/_history")).await.json();
    let versions = history["total"].as_i64().unwrap();
    let made = i64::from(matches!(became, Stored | Superseded));
    assert_eq!(versions, before + made, "{name} of {who}: {status}");
    became
}

async fn what_each_policy_makes_of_each_write_of_another_organisation(kit: Kit) {
    let mut kit = kit;
    for (column, policy) in POLICIES.iter().enumerate() {
        let site = Site::of(kit, json!({"types": {"Basic": policy}})).await;
        for (row, (name, expected)) in TABLE.iter().enumerate() {
            let value = format!("{column}-{row}");
            let became = cell(&site, "RX2", name, &value).await;
            assert_eq!(became, expected[column], "{name} under {policy}");
        }
        kit = site.kit;
    }
}

async fn whatever_the_policy_the_custodian_writes(kit: Kit) {
    let mut kit = kit;
    for policy in POLICIES {
        let site = Site::of(kit, json!({"types": {"Basic": policy}})).await;
        for (row, (name, _)) in TABLE.iter().enumerate() {
            let became = cell(&site, "RX1", name, &format!("{policy}-{row}")).await;
            assert_eq!(became, Stored, "{name} under {policy}");
        }
        // What nobody had belongs to whoever writes it first, and is found rather than written again.
        let first = basic(policy, "first");
        let path = format!("Basic/{policy}");
        let mut own = first.clone();
        own["id"] = json!(policy);
        assert_eq!(site.put("RX2", &path, &own).await.status, 201);
        assert_eq!(site.get("RX1", &path).await.json()["meta"]["tag"][0]["code"], "RX2");
        let condition = format!("identifier=urn:n|{policy}");
        let headers = [("if-none-exist", &*condition)];
        let found = site.send("RX1", ("POST", "Basic"), &headers, first.to_string()).await;
        assert_eq!((found.status.as_u16(), found.etag()), (200, "W/\"1\""));
        kit = site.kit;
    }
}
