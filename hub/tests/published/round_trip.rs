//! Every published example goes in, and comes back as it was sent whichever way it is read: member by
//! member, and each number as it is written.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Example, examples};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(an_example_comes_back_as_it_was_sent_whichever_way_it_is_read);

async fn an_example_comes_back_as_it_was_sent_whichever_way_it_is_read(kit: Kit) {
    for example in examples() {
        // Several examples are of one and the same patient: each is gone before the next comes.
        while_it_is_there(&kit, &example).await;
        once_it_is_deleted(&kit, &example).await;
    }
}

async fn while_it_is_there(kit: &Kit, example: &Example) {
    let path = example.path();
    let stored = kit.put(&path, &example.text).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{path}: {}", stored.text);
    let reads @ [read, version, history, search] = &ways(example);
    let sent = content(&example.text);
    for one in [read, version] {
        assert_eq!(content(&ok(kit, one).await), sent, "{one}");
    }
    for many in [history, search] {
        assert_eq!(contents(&ok(kit, many).await), [&*sent], "{many}");
    }
    let entries = reads.each_ref().map(|url| json!({"request": {"method": "GET", "url": url}}));
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
    let answer = kit.post("", &batch.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    let [of_read, of_version, of_history, of_search] = resources(&answer.text)[..] else {
        panic!("{path}: {}", answer.text);
    };
    for (url, one) in [(read, of_read), (version, of_version)] {
        assert_eq!(content(one), sent, "{url} in a batch");
    }
    for (url, many) in [(history, of_history), (search, of_search)] {
        assert_eq!(contents(many), [&*sent], "{url} in a batch");
    }
}

async fn once_it_is_deleted(kit: &Kit, example: &Example) {
    let [read, version, history, search] = &ways(example);
    let deleted = kit.delete(read).await;
    assert!(deleted.status.is_success(), "{read}: {}", deleted.text);
    kit.get(read).await.assert_refused(StatusCode::GONE);
    assert!(kit.ids(search).await.is_empty(), "{search}");
    let sent = content(&example.text);
    assert_eq!(content(&ok(kit, version).await), sent, "{version}, deleted since");
    assert_eq!(contents(&ok(kit, history).await), [&*sent], "{history}, deleted since");
}

/// The URLs by which a resource of one version is read.
fn ways(example: &Example) -> [String; 4] {
    let Example { resource_type, id, .. } = example;
    let path = example.path();
    let search = format!("{resource_type}?_id={id}");
    [path.clone(), format!("{path}/_history/1"), format!("{path}/_history"), search]
}

async fn ok(kit: &Kit, url: &str) -> String {
    let answer = kit.get(url).await;
    assert_eq!(answer.status, StatusCode::OK, "{url}: {}", answer.text);
    answer.text
}

fn members(text: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The texts of a Bundle's resources.
fn resources(bundle: &str) -> Vec<&str> {
    let entries = members(bundle).remove("entry").map_or("[]", RawValue::get);
    let entries: Vec<BTreeMap<String, &RawValue>> = serde_json::from_str(entries).unwrap();
    entries
        .into_iter()
        .filter_map(|mut entry| entry.remove("resource"))
        .map(RawValue::get)
        .collect()
}

fn contents(bundle: &str) -> Vec<String> {
    resources(bundle).into_iter().map(content).collect()
}

/// A resource's text without white space and without what the server says of its version; numbers
/// and letters as they are written.
fn content(text: &str) -> String {
    let minified = String::from_utf8(fhir::json::minify(text.as_bytes())).unwrap();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in members(&minified) {
        if name != "meta" {
            all.insert(name, value.get().to_owned());
            continue;
        }
        for (name, value) in members(value.get()) {
            if !matches!(&*name, "versionId" | "lastUpdated") {
                all.insert(format!("meta.{name}"), value.get().to_owned());
            }
        }
    }
    all.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join("\n")
}
