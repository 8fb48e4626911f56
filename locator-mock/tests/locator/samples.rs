//! The NRL's own sample pointers, from shared test material.

use std::path::Path;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{CONSUMER, NOW, NUMBER, PRODUCER, Reply, World, pointer, with};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/nrlf");

/// A file of the shared test material, which a clone of the project may not have.
pub(crate) fn shared(name: &str) -> Option<String> {
    let path = Path::new(FOLDER).join(name);
    if !path.is_file() {
        eprintln!("left out: {} is not there", path.display());
        return None;
    }
    Some(std::fs::read_to_string(path).unwrap())
}

/// The NRL's sample pointers are of the older generation too: displays were free, and stability was
/// not said. What is newly required is asked for by path.
#[tokio::test]
async fn the_nrls_pointers_are_taken_once_they_have_what_is_newly_required() {
    let display = "content[0].format.display";
    let extension = "content[0].extension";
    for (name, organisation, asked_for) in [
        ("RQI-736253002-Valid.json", "RQI", vec![display]),
        ("Y05868-736253002-Valid-with-date.json", "Y05868", vec![display, extension]),
        ("Y05868-736253002-Valid-with-ssp-content.json", "Y05868", vec![display, extension]),
    ] {
        let Some(text) = shared(name) else { continue };
        let world = World::new();
        let older: Value = serde_json::from_str(&text).unwrap();
        let reply = world.post(organisation, PRODUCER, &older).await;
        assert_eq!(
            (reply.status, reply.code()),
            (StatusCode::BAD_REQUEST, "MESSAGE_NOT_WELL_FORMED")
        );
        assert_eq!(expressions(&reply), asked_for, "{name}");

        let newer = with(older, "/content/0/format/display", json!("Unstructured Document"));
        if asked_for == [display] {
            // An extension that is there is of the wrong shape by its display.
            let reply = world.post(organisation, PRODUCER, &newer).await;
            assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
        }
        let stability = pointer(organisation, NUMBER)["content"][0]["extension"][0].clone();
        let newer = with(newer, "/content/0/extension", json!([stability]));
        let id = world.create(organisation, &newer).await;
        let stored = world.get("RX898", &format!("{CONSUMER}/{id}")).await.body;
        let expected = with(with(newer, "/id", json!(id)), "/date", json!(NOW));
        assert_eq!(stored, with(expected, "/meta", json!({"lastUpdated": NOW})), "{name}");
    }
}

/// A draft of a booking pointer, which the NRL never took as it is.
#[tokio::test]
async fn a_pointer_that_leaves_out_half_is_asked_for_all_of_it_at_once() {
    let Some(text) = shared("2_bars_sample_fhir_compliant.json") else { return };
    let world = World::new();
    let reply = world.ask("RYE", Method::POST, PRODUCER, text).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, "MESSAGE_NOT_WELL_FORMED"));
    let expected = [
        "content[0].attachment.contentType",
        "content[0].format.system",
        "content[0].format.code",
        "content[0].format.display",
        "content[0].extension",
        "context.practiceSetting",
    ];
    assert_eq!(expressions(&reply), expected);
}

fn expressions(reply: &Reply) -> Vec<&str> {
    let issues = reply.body["issue"].as_array().unwrap();
    issues.iter().map(|issue| issue["expression"][0].as_str().unwrap()).collect()
}
