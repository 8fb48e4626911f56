//! capabilities: what can be asked here. <https://hl7.org/fhir/R4/http.html#capabilities>

use axum::extract::State;
use fhir::definitions::ParameterKind;
use fhir::instant::format_instant;
use http::StatusCode;
use serde_json::{Value, json};
use service::answer::Answer;

use crate::Gateway;
use crate::kind::Kind;

/// `GET /metadata`
pub async fn capabilities(State(gateway): State<Gateway>) -> Answer {
    Answer::resource(StatusCode::OK, gateway.capabilities().clone())
}

/// The CapabilityStatement of a gateway that started at that time.
pub fn statement(base: &str, region: &str, started_micros: i64) -> Vec<u8> {
    let resources: Vec<_> = Kind::all().map(resource).collect();
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": format_instant(started_micros),
        "kind": "instance",
        "software": { "name": "Shared Record gateway", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": format!("Federated gateway of {region}"), "url": base },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "documentation": "Every search is about one patient, named by NHS, CHI or H&C number \
              with its system, and is asked of every region that holds something. _count makes pages \
              of the answer, and the link next leads on; retry-missing leads to what regions that did \
              not answer hold. A single resource is read at at/{region}/{type}/{id}, the fullUrl of \
              its entry. _include and _revinclude are executed by each region; _elements and \
              _summary here. What is one fact, or may be, is named by a Linkage beside the matches; \
              dedup=off leaves it unsaid, dedup=fold shows equal copies once.",
            "resource": resources,
        }],
    });
    statement.to_string().into_bytes()
}

fn resource(kind: &Kind) -> Value {
    let identity = json!({
        "name": match kind.patient { None => "identifier", Some(parameter) => parameter },
        "type": match kind.patient { None => "token", Some(_) => "reference" },
        "documentation": format!("Required, as {}=system|number.", kind.identity_parameter()),
    });
    let sorts: Vec<_> = ["_lastUpdated"].into_iter().chain(kind.sorts()).collect();
    let mut resource = json!({
        "type": kind.name(),
        "documentation": format!(
            "Newest first, unless _sort names one of {}, with or without a minus sign before it. \
             Other parameters are executed by the regions.",
            sorts.join(", ")
        ),
        "interaction": [{ "code": "search-type" }],
        "versioning": "versioned",
        "searchParam": [identity],
    });
    let references = kind.resource_type.search_parameters().iter();
    let references = references.filter(|p| p.kind == ParameterKind::Reference);
    let includes: Vec<_> = references.map(|p| format!("{}:{}", kind.name(), p.code)).collect();
    if !includes.is_empty() {
        resource["searchInclude"] = json!(includes);
    }
    if kind.patient.is_none() {
        resource["operation"] = json!([{
            "name": "everything",
            "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
            "documentation": "Patient/{NHS number}/$everything, or \
                Patient/$everything?identifier=system|number; _type, _since, start and end are \
                executed by the regions.",
        }]);
    }
    resource
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_a_valid_capability_statement() {
        let text = statement("http://127.0.0.1:8412/FHIR/R4", "West Yorkshire", 0);
        let survey = fhir::validate::validate(&text).unwrap();
        assert!(survey.issues.is_empty(), "{:?}", survey.issues);
    }
}
