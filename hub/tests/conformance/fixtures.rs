//! Resources, Bundles, and tables of searches.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use crate::kit::{Kit, Response, matches};

/// A resource of a type, with these members too.
pub(super) fn resource(resource_type: &str, id: &str, members: Value) -> Value {
    let mut resource = json!({"resourceType": resource_type, "id": id});
    merge(&mut resource, members);
    resource
}

/// A Patient, with these members too.
pub(super) fn patient(id: &str, members: Value) -> Value {
    resource("Patient", id, members)
}

/// A Patient of this family.
pub(super) fn family(id: &str, family: &str) -> Value {
    patient(id, json!({"name": [{"family": family}]}))
}

/// A Patient with one identifier `system|value`.
pub(super) fn identified(id: &str, system: &str, value: &str) -> Value {
    patient(id, json!({"identifier": [{"system": system, "value": value}]}))
}

/// A final Observation, with these members too.
pub(super) fn observation(id: &str, members: Value) -> Value {
    let mut observation =
        resource("Observation", id, json!({"status": "final", "code": {"text": "x"}}));
    merge(&mut observation, members);
    observation
}

/// An Observation about someone, coded `urn:s|code`.
pub(super) fn fact(id: &str, subject: &str, code: &str) -> Value {
    observation(id, json!({"subject": {"reference": subject}, "code": coded(code)}))
}

/// A CodeableConcept of one code in the system `urn:s`.
pub(super) fn coded(code: &str) -> Value {
    json!({"coding": [{"system": "urn:s", "code": code}]})
}

fn merge(resource: &mut Value, members: Value) {
    if let Value::Object(members) = members {
        resource.as_object_mut().unwrap().extend(members);
    }
}

/// The same resource without its id.
pub(super) fn nameless(mut resource: Value) -> Value {
    resource.as_object_mut().unwrap().remove("id");
    resource
}

/// Stores resources under their own ids.
pub(super) async fn store(kit: &Kit, resources: impl IntoIterator<Item = Value>) {
    for resource in resources {
        put(kit, &resource).await;
    }
}

/// Stores one resource under its own id.
pub(super) async fn put(kit: &Kit, resource: &Value) -> Response {
    let stored = kit.put(&url_of(resource), &resource.to_string()).await;
    assert!(stored.status.is_success(), "{resource}: {}", stored.text);
    stored
}

/// `Type/id` of a resource.
pub(super) fn url_of(resource: &Value) -> String {
    let part = |name: &str| resource[name].as_str().unwrap().to_owned();
    format!("{}/{}", part("resourceType"), part("id"))
}

/// A transaction.
pub(super) fn transaction(entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string()
}

/// A batch.
pub(super) fn batch(entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": "batch", "entry": entries}).to_string()
}

/// An entry that asks for something without a resource.
pub(super) fn ask(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

/// An entry that sends a resource.
pub(super) fn send(method: &str, url: &str, resource: Value) -> Value {
    json!({"resource": resource, "request": {"method": method, "url": url}})
}

/// An entry that creates a resource and is referred to by `full_url`.
pub(super) fn create(full_url: &str, resource: Value) -> Value {
    let url = resource["resourceType"].as_str().unwrap().to_owned();
    let mut entry = send("POST", &url, resource);
    entry["fullUrl"] = full_url.into();
    entry
}

/// An entry with one more member in its request.
pub(super) fn with(mut entry: Value, name: &str, value: &str) -> Value {
    entry["request"][name] = value.into();
    entry
}

/// Posts a Bundle that must succeed; gives its response.
pub(super) async fn process(kit: &Kit, bundle: &str) -> Value {
    let response = kit.post("", bundle).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    response.json()
}

/// The status of each entry of a response, as its three digits.
pub(super) fn statuses(response: &Value) -> Vec<&str> {
    let entries = response["entry"].as_array().unwrap();
    entries.iter().map(|entry| &entry["response"]["status"].as_str().unwrap()[..3]).collect()
}

/// `Type/id` of an entry's location in a response.
pub(super) fn location(response: &Value, place: usize) -> String {
    let location = response["entry"][place]["response"]["location"].as_str().unwrap();
    let location = location.strip_prefix("http://hub.test/FHIR/R4/").unwrap_or(location);
    location.split("/_history/").next().unwrap().to_owned()
}

/// A query written plainly, as it is sent.
pub(super) fn encoded(query: &str) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => format!("{}={}", encode(name), encode(value)),
        None => encode(pair),
    };
    query.split('&').map(pair).collect::<Vec<_>>().join("&")
}

/// A search written plainly: `Type?name=value`.
pub(super) fn search(text: &str) -> String {
    match text.split_once('?') {
        Some((path, query)) => format!("{path}?{}", encoded(query)),
        None => text.to_owned(),
    }
}

/// Asserts what each search of a type finds: ids between spaces, in any order.
pub(super) async fn assert_finds(kit: &Kit, path: &str, table: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (query, expected) in table {
        let answer = kit.get(&search(&format!("{path}?{query}&_count=100"))).await;
        let found = matches(&answer.json());
        let ids: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let expected: BTreeSet<&str> = expected.split_whitespace().collect();
        // A resource shown twice is as wrong as one that is missing.
        if answer.status != StatusCode::OK || ids != expected || ids.len() != found.len() {
            wrong.push(format!("{query}: {} {found:?}, not {expected:?}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{path}?\n{}", wrong.join("\n"));
}

/// Asserts that each search is refused with 400 and an OperationOutcome.
pub(super) async fn assert_searches_refused(kit: &Kit, searches: &[&str]) {
    for text in searches {
        let answer = kit.get(&search(text)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{text}: {}", answer.text);
        answer.assert_refused(StatusCode::BAD_REQUEST);
    }
}

/// Asserts a refusal with one of these statuses.
pub(super) fn assert_one_of(answer: &Response, statuses: &[u16]) -> Value {
    assert!(statuses.contains(&answer.status.as_u16()), "{}: {}", answer.status, answer.text);
    answer.assert_refused(answer.status)
}

/// Ids of the entries of a searchset that were found in this mode.
pub(super) fn in_mode(bundle: &Value, mode: &str) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let entries = entries.iter().filter(|entry| entry["search"]["mode"] == mode);
    entries.map(|entry| entry["resource"]["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A Bundle's link, whole.
pub(super) fn url(bundle: &Value, relation: &str) -> String {
    let links = bundle["link"].as_array().unwrap();
    let link = links.iter().find(|link| link["relation"] == relation);
    link.map_or_else(String::new, |link| link["url"].as_str().unwrap().to_owned())
}
