#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod fhirpath;
mod json;

use super::*;

/// What a JSON Patch makes of a text: the new text, or what is wrong and with which operation.
fn json_patch(text: &str, patch: &str) -> String {
    told(apply_json(text.as_bytes(), patch.as_bytes()))
}

fn told(outcome: Result<Vec<u8>, PatchError>) -> String {
    match outcome {
        Ok(text) => String::from_utf8(text).unwrap(),
        Err(error) => format!("{:?} {}", error.kind, error.operation),
    }
}
