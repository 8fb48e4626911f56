//! Published examples go in and come out token for token, but for id and meta.

use std::path::PathBuf;

use http::StatusCode;
use serde_json::Value;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(published_examples_come_out_as_they_went_in);

/// An example whose `parent` refers to a type that R4 does not allow there.
const INVALID: [&str; 1] = ["DeviceMetric-example.json"];

fn examples() -> Vec<PathBuf> {
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let mut files = Vec::new();
    for folder in ["hl7-examples", "uk-core"] {
        let Ok(entries) = std::fs::read_dir(shared.join(folder)) else { continue };
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.retain(|file| !INVALID.contains(&file.file_name().unwrap().to_str().unwrap()));
    files.sort();
    files
}

async fn published_examples_come_out_as_they_went_in(kit: Kit) {
    let files = examples();
    if files.is_empty() {
        eprintln!("skipped: the example data is not beside this project");
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let sent: Value = serde_json::from_str(&text).unwrap();
        let resource_type = sent["resourceType"].as_str().unwrap();
        let created = kit.post(resource_type, &text).await;
        if created.status == StatusCode::CONFLICT {
            // Several examples are of one and the same patient.
            assert_eq!(resource_type, "Patient", "{}", file.display());
            continue;
        }
        assert_eq!(created.status, StatusCode::CREATED, "{}: {}", file.display(), created.text);
        let path = format!("{resource_type}/{}", created.id());
        let read = kit.get(&path).await;
        assert_eq!(stripped(&read.text), stripped(&text), "{}", file.display());
    }
}

/// The text without white space, id and meta, numbers as they are written.
fn stripped(text: &str) -> String {
    let minified = fhir::json::minify(text.as_bytes());
    let members: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
        serde_json::from_slice(&minified).unwrap();
    let kept = members.iter().filter(|(name, _)| *name != "id" && *name != "meta");
    kept.map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(",")
}
