//! What callers of enforced mode are shown, and what they try instead. Each is asked past the gate that
//! verifies tokens: what a token must be is told elsewhere.
//!
//! | room | what is told there |
//! |---|---|
//! | `labels` | security labels, wherever a resource can be named |
//! | `consents` | patients' Consents, withdrawn and given |
//! | `places` | patients who must not be found |
//! | `writes` | writes onto what is hidden |
//! | `purposes` | why somebody asks |

mod consents;
mod labels;
mod places;
mod purposes;
mod writes;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use service::caller::Caller;
use service::caller::mandate::{Mandate, Purpose};
use service::caller::scope::Scopes;
use service::correlation::Correlation;

use crate::kit::{Kit, Response, link, matches};

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const ODS: &str = "https://fhir.nhs.uk/Id/ods-organization-code";
const NHS: &str = "https://fhir.nhs.uk/Id/nhs-number";

/// A person of an organisation, in a role that nobody is cleared for anything in.
pub(crate) fn clinician(ods: &str) -> Caller {
    asking(ods, Purpose::DirectCare, "R8001")
}

pub(crate) fn asking(ods: &str, purpose: Purpose, role: &str) -> Caller {
    let mandate = Mandate {
        system: "urn:system:1".into(),
        user: Some("urn:user:1".into()),
        role: Some(role.into()),
        purpose,
        scopes: Scopes::parse("system/*.cruds", true),
        gateway: None,
    };
    Caller {
        organisation: Arc::new(ods.parse().unwrap()),
        mandate: Arc::new(mandate),
        correlation: Correlation::of(&HeaderMap::new()),
    }
}

async fn get(kit: &Kit, caller: &Caller, path: &str) -> Response {
    kit.send_as(caller, "GET", path, &[], Body::empty()).await
}

async fn found(kit: &Kit, caller: &Caller, path: &str) -> Value {
    let response = get(kit, caller, path).await;
    assert_eq!(response.status, StatusCode::OK, "{path}: {}", response.text);
    response.json()
}

/// Types and ids of all entries, page by page.
async fn entries(kit: &Kit, caller: &Caller, path: &str) -> Vec<String> {
    let (mut all, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(url) = next {
        let bundle = found(kit, caller, &url).await;
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            let resource = &entry["resource"];
            let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
            all.push(format!("{}/{}", text("resourceType"), text("id")));
        }
        next = link(&bundle, "next");
    }
    all.sort_unstable();
    all
}

async fn ids(kit: &Kit, caller: &Caller, path: &str) -> Vec<String> {
    let mut ids = matches(&found(kit, caller, path).await);
    ids.sort_unstable();
    ids
}

/// Stores resources as the region itself.
async fn stored(kit: &Kit, resources: &[Value]) {
    for resource in resources {
        let text = |name: &str| resource[name].as_str().unwrap().to_owned();
        let path = format!("{}/{}", text("resourceType"), text("id"));
        let response = kit.put(&path, &resource.to_string()).await;
        assert!(response.status.is_success(), "{path}: {}", response.text);
    }
}

fn labelled(mut resource: Value, system: &str, code: &str) -> Value {
    resource["meta"] = json!({"security": [{"system": system, "code": code}]});
    resource
}

fn restricted(resource: Value) -> Value {
    labelled(resource, CONFIDENTIALITY, "R")
}

fn patient(id: &str, number: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": id, "name": [{"family": format!("Family{id}")}],
        "identifier": [{"system": NHS, "value": number}],
        "address": [{"postalCode": "LS1 4AP", "city": "Leeds"}],
        "telecom": [{"system": "phone", "value": "0113496"}],
        "generalPractitioner": [{"reference": "Organization/gp"}],
        "managingOrganization": {"reference": "Organization/gp"},
        "text": {"status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">LS1 4AP</div>"},
    })
}

fn observation(id: &str, patient: &str, code: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "code": {"coding": [{"system": "urn:codes", "code": code}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": "2024-03-01T10:00:00Z",
    })
}

/// A Consent for privacy with this provision.
fn consent(id: &str, patient: &str, made: &str, provision: Value) -> Value {
    json!({
        "resourceType": "Consent", "id": id, "status": "active", "dateTime": made,
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
            "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": format!("Patient/{patient}")},
        "policyRule": {"coding": [{"code": "OPTIN"}]},
        "provision": provision,
    })
}

fn actor(ods: &str) -> Value {
    json!([{"role": {"text": "reader"},
        "reference": {"identifier": {"system": ODS, "value": ods}}}])
}

/// Asserts that a resource is answered for like one that never was.
async fn assert_absent(kit: &Kit, caller: &Caller, name: &str) {
    let (resource_type, id) = name.split_once('/').unwrap();
    let never = "never-was-here";
    for (method, rest, headers) in [
        ("GET", "", vec![]),
        ("HEAD", "", vec![]),
        ("GET", "", vec![("if-none-match", "W/\"1\"")]),
        ("GET", "", vec![("if-modified-since", "Wed, 01 Jan 2098 00:00:00 GMT")]),
        ("GET", "/_history", vec![]),
        ("GET", "/_history?_count=0", vec![]),
        ("GET", "/_history/1", vec![]),
        ("GET", "/_history/2", vec![]),
        ("GET", "/_history/99", vec![]),
        ("GET", "/$meta", vec![]),
    ] {
        let hidden = format!("{resource_type}/{id}{rest}");
        let absent = format!("{resource_type}/{never}{rest}");
        let hidden = kit.send_as(caller, method, &hidden, &headers, Body::empty()).await;
        let absent = kit.send_as(caller, method, &absent, &headers, Body::empty()).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{method} {name}{rest}: {}", hidden.text);
        assert_eq!(hidden.status, absent.status, "{method} {name}{rest}");
        assert_eq!(hidden.text, absent.text, "{method} {name}{rest}");
        assert_eq!(hidden.headers, absent.headers, "{method} {name}{rest}");
    }
}

async fn assert_there(kit: &Kit, caller: &Caller, name: &str) {
    let response = get(kit, caller, name).await;
    assert_eq!(response.status, StatusCode::OK, "{name}: {}", response.text);
}
