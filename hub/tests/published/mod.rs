//! What is published about R4: its examples and its search parameters, all of them.
//!
//! | room | what is asked |
//! |---|---|
//! | [`round_trip`] | every example comes back as it was sent, whichever way it is read |
//! | [`parameters`] | every search parameter is searched by, or listed with the reason why not |
//! | [`asked`] | the questions that find a value |
//!
//! The examples and definitions lie beside this project; where they do not, a story says so and is
//! skipped.

mod asked;
mod parameters;
mod round_trip;

use std::path::PathBuf;

use fhir::definitions::ResourceType;
use serde_json::Value;

/// An example whose `parent` refers to a type that R4 does not allow there.
const INVALID: [&str; 1] = ["DeviceMetric-example.json"];

/// A published resource.
struct Example {
    resource_type: ResourceType,
    id: String,
    text: String,
}

impl Example {
    /// `Type/id`
    fn path(&self) -> String {
        format!("{}/{}", self.resource_type, self.id)
    }
}

fn shared(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")).join(path)
}

/// All examples, in order of their names.
fn examples() -> Vec<Example> {
    let mut files = Vec::new();
    for folder in ["data/hl7-examples", "data/uk-core"] {
        let Ok(entries) = std::fs::read_dir(shared(folder)) else { continue };
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.retain(|file| !INVALID.contains(&file.file_name().unwrap().to_str().unwrap()));
    files.sort();
    if files.is_empty() {
        eprintln!("skipped: the example data is not beside this project");
    }
    let examples = files.iter().map(|file| example(std::fs::read_to_string(file).unwrap()));
    // No one can write an AuditEvent.
    examples.filter(|example| example.resource_type != ResourceType::AUDIT_EVENT).collect()
}

fn example(text: String) -> Example {
    let resource: Value = serde_json::from_str(&text).unwrap();
    let resource_type = resource["resourceType"].as_str().unwrap().parse().unwrap();
    Example { resource_type, id: resource["id"].as_str().unwrap().to_owned(), text }
}
