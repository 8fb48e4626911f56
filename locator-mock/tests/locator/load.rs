//! Pointers that are loaded from NDJSON.

use std::io::Cursor;

use http::StatusCode;
use locator_mock::{Loaded, load};
use serde_json::{Value, json};
use service::clock::Clock;
use tempfile::TempDir;

use crate::world::{CONSUMER, NOW, NOW_MICROS, NUMBER, PRODUCER, World, config, pointer, with};

/// Loads lines into the registry in `folder`; returns what it came to and what was refused.
fn loaded(folder: &TempDir, lines: &str) -> (Loaded, Vec<(u64, String)>) {
    let mut refused = Vec::new();
    let clock = Clock::fixed(NOW_MICROS);
    let lines = Cursor::new(lines.to_owned());
    let tell = |line, why: &str| refused.push((line, why.to_owned()));
    let loaded = load(&config(folder), lines, &clock, tell).unwrap();
    refused.sort();
    (loaded, refused)
}

fn line(id: &str, number: &str) -> Value {
    with(pointer("QWO", number), "/id", json!(id))
}

#[tokio::test]
async fn a_loaded_pointer_is_found_with_its_own_instants() {
    let folder = tempfile::tempdir().unwrap();
    let dated = with(line("QWO-1", NUMBER), "/date", json!("2020-01-02T03:04:05.678Z"));
    let dated = with(dated, "/meta", json!({"lastUpdated": "2021-01-02T03:04:05Z"}));
    let lines = format!("{dated}\n\n{}\n", line("QWO-2", NUMBER));
    let (came_to, refused) = loaded(&folder, &lines);
    assert_eq!((came_to, refused), (Loaded { added: 2, known: 0, refused: 0 }, vec![]));
    let world = World::reopen(folder);
    assert_eq!(world.find(NUMBER, "").await.ids(), ["QWO-1", "QWO-2"]);
    assert_eq!(world.get("RX898", &format!("{CONSUMER}/QWO-1")).await.body, dated);
    let undated = world.get("RX898", &format!("{CONSUMER}/QWO-2")).await.body;
    assert_eq!((&undated["date"], &undated["meta"]["lastUpdated"]), (&json!(NOW), &json!(NOW)));
    // What was loaded can be worked with like any other.
    let sent = with(line("QWO-2", NUMBER), "/description", json!("changed"));
    let updated = world.put("QWO", &format!("{PRODUCER}/QWO-2"), &sent).await;
    assert_eq!(updated.status, StatusCode::OK, "{}", updated.body);
    let taken = world.put("QWO", PRODUCER, &line("QWO-1", NUMBER)).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_line_that_breaks_a_rule_is_named_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        line("QWO-1", NUMBER).to_string(),
        line("QHM-1", NUMBER).to_string(),
        "{".to_owned(),
        with(line("QWO-3", NUMBER), "/status", json!("superseded")).to_string(),
        with(line("QWO-4", NUMBER), "/id", Value::Null).to_string(),
        line("QWO-5", "1234567890").to_string(),
    ];
    let (came_to, refused) = loaded(&folder, &lines.join("\n"));
    assert_eq!(came_to, Loaded { added: 1, known: 0, refused: 5 });
    let numbers: Vec<u64> = refused.iter().map(|(line, _)| *line).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6]);
    assert!(refused[0].1.contains("expected ODS code"), "{}", refused[0].1);
    assert!(refused[3].1.contains("'id' is missing"), "{}", refused[3].1);
    assert!(refused.iter().all(|(_, why)| !why.contains("1234567890")));
    assert_eq!(World::reopen(folder).find(NUMBER, "").await.ids(), ["QWO-1"]);
}

#[tokio::test]
async fn an_id_that_is_there_already_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let changed = with(line("QWO-1", NUMBER), "/description", json!("another"));
    let lines = format!("{}\n{changed}\n{}", line("QWO-1", NUMBER), line("QWO-2", NUMBER));
    // Within one load of an empty registry, …
    let (came_to, _) = loaded(&folder, &lines);
    assert_eq!(came_to, Loaded { added: 2, known: 1, refused: 0 });
    // … and in a later one.
    let more = format!("{changed}\n{}", line("QWO-3", NUMBER));
    let (came_to, _) = loaded(&folder, &more);
    assert_eq!(came_to, Loaded { added: 1, known: 1, refused: 0 });
    let world = World::reopen(folder);
    assert_eq!(world.find(NUMBER, "").await.body["total"], 3);
    let first = world.get("RX898", &format!("{CONSUMER}/QWO-1")).await.body;
    assert!(first.get("description").is_none());
}

#[tokio::test]
async fn a_registry_that_is_being_served_takes_no_load() {
    let world = World::new();
    world.create("QWO", &pointer("QWO", NUMBER)).await;
    let lines = Cursor::new(line("QWO-1", NUMBER).to_string());
    let clock = Clock::fixed(NOW_MICROS);
    let error = load(&config(&world.folder), lines, &clock, |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    assert_eq!(world.find(NUMBER, "").await.body["total"], 1);
}
