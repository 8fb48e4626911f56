//! capabilities: `GET [base]/metadata`. <https://hl7.org/fhir/R4/http.html#capabilities>
//!
//! Made from the same tables that search works from, so that it lists what works.

use std::sync::Arc;

use axum::extract::State;
use fhir::definitions::{ParameterKind, ResourceType, SearchParameter};
use http::StatusCode;
use serde_json::{Value, json};
use service::answer::Answer;

use crate::Hub;
use crate::config::HubConfig;
use crate::search::supported;

/// The CapabilityStatement.
pub async fn capabilities(State(hub): State<Arc<Hub>>) -> Answer {
    Answer::resource(StatusCode::OK, hub.metadata.clone())
}

/// Writes the CapabilityStatement of a hub so configured.
pub fn statement(config: &HubConfig) -> Vec<u8> {
    let resources: Vec<Value> = ResourceType::all().map(|t| resource(t, config)).collect();
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-23",
        "kind": "instance",
        "software": {"name": "Shared Record hub", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": config.region.name, "url": config.server.base()},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "resource": resources,
            "interaction": [{"code": "transaction"}],
        }],
    });
    serde_json::to_vec(&statement).expect("a JSON value always serialises")
}

fn resource(resource_type: ResourceType, config: &HubConfig) -> Value {
    let codes = ["read", "vread", "update", "delete", "history-instance", "create", "search-type"];
    let interaction: Vec<Value> = codes.iter().map(|code| json!({"code": code})).collect();
    let searched = || resource_type.search_parameters().iter().filter(|p| supported(p));
    let include: Vec<String> = searched()
        .filter(|p| p.kind == ParameterKind::Reference)
        .map(|p| format!("{resource_type}:{}", p.code))
        .collect();
    let mut resource = json!({
        "type": resource_type.as_str(),
        "interaction": interaction,
        "versioning": "versioned",
        "readHistory": true,
        "updateCreate": config.client_ids(),
        "conditionalCreate": false,
        "conditionalRead": "not-match",
        "conditionalUpdate": false,
        "conditionalDelete": "not-supported",
        "searchParam": searched().map(parameter).collect::<Vec<Value>>(),
    });
    if !include.is_empty() {
        resource["searchInclude"] = json!(include);
    }
    resource
}

fn parameter(parameter: &SearchParameter) -> Value {
    json!({"name": parameter.code, "type": parameter.kind.as_str()})
}
