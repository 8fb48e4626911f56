//! Whom an answer is about: noted on its way out, so that the journal's line can say so.
//!
//! Every reference to a Patient of this record counts, an entry's URL among them: what names a patient
//! tells something of them. The text is looked through as it is, for no answer is worth parsing twice.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fhir::FHIR_JSON;
use http::header::CONTENT_TYPE;
use memchr::memmem;
use service::journal::{InStore, Patients};
use service::refusal::Refusal;

use crate::Hub;

/// Patients that a line names; a page of a search has no more resources.
const PATIENTS_MAX: usize = 2_000;
/// Longest id.
const ID_BYTES_MAX: usize = 64;
const NAMED: &[u8] = b"Patient/";

/// Middleware: notes the patients of an answer that no entry of the store tells of.
pub async fn note(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_fhir = response.headers().get(CONTENT_TYPE).is_some_and(|media| media == FHIR_JSON);
    let in_store = response.extensions().get::<InStore>().is_some();
    if in_store || !is_fhir || !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is in memory already, in one piece: nothing is copied.
    match to_bytes(body, usize::MAX).await {
        Ok(text) => {
            parts.extensions.insert(Patients(patients(&text, hub.base())));
            Response::from_parts(parts, Body::from(text))
        }
        Err(error) => Refusal::internal(&error).into_response(),
    }
}

/// The ids of the patients that a text refers to, in order: `Patient/[id]`, alone or after our base.
fn patients(text: &[u8], base: &str) -> Vec<String> {
    let mut found: Vec<&[u8]> = Vec::new();
    for at in memmem::find_iter(text, NAMED) {
        let (before, id) = (&text[..at], &text[at + NAMED.len()..]);
        let own = before.strip_suffix(b"/").is_some_and(|rest| rest.ends_with(base.as_bytes()));
        let is_id = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
        let length = id.iter().take(ID_BYTES_MAX + 1).take_while(|byte| is_id(byte)).count();
        let ends = matches!(id.get(length), Some(b'"' | b'/'));
        let id = &id[..length];
        let fits = (1..=ID_BYTES_MAX).contains(&length) && ends && (own || before.ends_with(b"\""));
        if fits && found.last() != Some(&id) {
            found.push(id);
        }
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(PATIENTS_MAX);
    found.iter().map(|id| String::from_utf8_lossy(id).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patient_of_this_record_is_found_once_and_no_other() {
        let text =
            br#"{"fullUrl":"http://hub/FHIR/R4/Patient/b","subject":{"reference":"Patient/a"},
            "x":{"reference":"Patient/b/_history/2"},"other":{"reference":"http://else/Patient/c"},
            "RelatedPatient/d":"see Patient/e","text":"Patient/","y":"Patient/f g"}"#;
        assert_eq!(patients(text, "http://hub/FHIR/R4"), ["a", "b"]);
    }

    #[test]
    fn what_is_longer_than_an_id_is_none() {
        let text = |length| format!("{{\"reference\":\"Patient/{}\"}}", "a".repeat(length));
        assert_eq!(patients(text(64).as_bytes(), "http://hub").len(), 1);
        assert_eq!(patients(text(65).as_bytes(), "http://hub").len(), 0);
    }
}
