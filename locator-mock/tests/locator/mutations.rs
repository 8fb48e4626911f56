//! Whatever is done to a pointer or a search, the answer is an outcome, never a failure.

use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::world::{CONSUMER, NUMBER, PRODUCER, Reply, World, encoded, pointer, with};

/// A change to a JSON document.
#[derive(Debug, Clone)]
enum Change {
    /// The n-th value becomes another.
    Replace(usize, Value),
    /// The n-th object gains a member.
    Add(usize, String, Value),
    /// The n-th value goes.
    Remove(usize),
    /// The n-th byte of the text becomes another.
    Byte(usize, u8),
    /// The text ends at the n-th byte.
    Cut(usize),
}

fn value() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just(String::new()),
        Just("ssp://x".to_owned()),
        Just("\u{0}".to_owned()),
        Just("contentstability".to_owned()),
        Just(" current".to_owned()),
        "[a-z0-9|:/é-]{1,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((name(), inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("coding"),
        Just("identifier"),
        Just("system"),
        Just("value"),
        Just("extension"),
        Just("relatesTo"),
        Just("URL"),
        Just("id"),
        Just("meta"),
        Just("date"),
        Just("related"),
        Just("target"),
        Just("code"),
        Just(""),
        Just("a.b[0]"),
    ]
    .prop_map(str::to_owned)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (any::<usize>(), value()).prop_map(|(n, v)| Change::Replace(n, v)),
        3 => (any::<usize>(), name(), value()).prop_map(|(n, k, v)| Change::Add(n, k, v)),
        2 => any::<usize>().prop_map(Change::Remove),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(n, b)| Change::Byte(n, b)),
        1 => any::<usize>().prop_map(Change::Cut),
    ]
}

/// Paths (as JSON pointers) of every value below the root.
fn paths(at: &str, value: &Value, out: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(k, v)| (k.replace('~', "~0").replace('/', "~1"), v)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let path = format!("{at}/{name}");
        paths(&path, child, out);
        out.push(path);
    }
}

fn mutate(mut document: Value, changes: &[Change]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for change in changes {
        let mut all = Vec::new();
        paths("", &document, &mut all);
        if all.is_empty() {
            break;
        }
        match change {
            Change::Replace(n, new) => {
                *document.pointer_mut(&all[n % all.len()]).unwrap() = new.clone();
            }
            Change::Add(n, name, new) => {
                if let Some(Value::Object(members)) = document.pointer_mut(&all[n % all.len()]) {
                    members.insert(name.clone(), new.clone());
                }
            }
            Change::Remove(n) => {
                let (parent, name) = all[n % all.len()].rsplit_once('/').unwrap();
                match document.pointer_mut(parent).unwrap() {
                    Value::Object(members) => drop(members.remove(name)),
                    Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                    _ => {}
                }
            }
            Change::Byte(..) | Change::Cut(_) => {}
        }
    }
    bytes.extend_from_slice(document.to_string().as_bytes());
    for change in changes {
        match change {
            Change::Byte(n, byte) if !bytes.is_empty() => {
                let at = n % bytes.len();
                bytes[at] = *byte;
            }
            Change::Cut(n) if !bytes.is_empty() => bytes.truncate(n % bytes.len()),
            _ => {}
        }
    }
    bytes
}

/// 2xx, or 4xx with an outcome that has a Spine code.
fn is_answer(reply: &Reply) -> bool {
    let refused = reply.status.is_client_error()
        && reply.body["resourceType"] == "OperationOutcome"
        && !reply.code().is_empty();
    reply.status.is_success() || refused
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_pointer_is_taken_or_refused(
        cases in vec(vec(change(), 1..4), 16),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let good = with(pointer("QWO", NUMBER), "/id", json!("QWO-1"));
            for changes in cases {
                let body = mutate(good.clone(), &changes);
                for (method, url) in [
                    (Method::POST, PRODUCER.to_owned()),
                    (Method::PUT, PRODUCER.to_owned()),
                    (Method::PUT, format!("{PRODUCER}/QWO-1")),
                    (Method::POST, format!("{CONSUMER}/_search")),
                ] {
                    let reply = world.ask("QWO", method, &url, body.clone()).await;
                    assert!(is_answer(&reply), "{}", String::from_utf8_lossy(&body));
                }
            }
            assert!(is_answer(&world.find(NUMBER, "").await));
        });
    }

    #[test]
    fn a_mutated_search_is_answered_or_refused(
        asked in vec(vec((name_of_parameter(), "\\PC{0,20}"), 0..4), 16),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            for parameters in asked {
                let mut query = String::new();
                for (name, value) in &parameters {
                    query.extend(["&", name, "=", &encoded(value)]);
                }
                let reply = world.find(NUMBER, &query).await;
                assert!(is_answer(&reply), "{query}");
                let members = parameters.into_iter().map(|(k, v)| (k, Value::from(v)));
                let body = Value::Object(members.collect());
                let reply = world.post("RX898", &format!("{CONSUMER}/_search"), &body).await;
                assert!(is_answer(&reply), "{body}");
            }
        });
    }
}

fn name_of_parameter() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("subject:identifier"),
        Just("custodian:identifier"),
        Just("type"),
        Just("category"),
        Just("_summary"),
        Just("other"),
    ]
    .prop_map(str::to_owned)
}
