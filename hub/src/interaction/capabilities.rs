//! capabilities: `GET [base]/metadata`. <https://hl7.org/fhir/R4/http.html#capabilities>
//!
//! Made from the tables that the router and search work from, so that it lists what works and nothing
//! else. It instantiates no other statement: UK Core's demands XML and its profiles, and neither is
//! checked here.

use std::sync::Arc;

use axum::extract::{Query, State};
use bytes::Bytes;
use fhir::definitions::{ParameterKind, ResourceType, SearchParameter, SearchParameters};
use fhir::outcome::{Issue, IssueCode};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use service::answer::Answer;
use service::config::SecurityMode;
use service::refusal::Refusal;
use sha2::{Digest, Sha256};

use crate::Hub;
use crate::audit::interaction::{AUDIT_EVENT, is_searched};
use crate::config::HubConfig;
use crate::routes::{Offer, offers};
use crate::search::supported;

/// Where FHIR defines its operations.
const DEFINITIONS: &str = "http://hl7.org/fhir/OperationDefinition/";
/// Operations of ours, and what stands for where they are defined.
const OWN: [&str; 4] = ["$receive", "$accept", "$reject", "$log-disagreement"];
const OWN_DEFINITIONS: &str = "urn:shared-record:operation:";

/// What may be asked of `/metadata`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    mode: Option<String>,
}

/// The CapabilityStatement.
pub async fn capabilities(
    State(hub): State<Arc<Hub>>,
    Query(Asked { mode }): Query<Asked>,
    headers: HeaderMap,
) -> Result<Answer, Refusal> {
    match mode.as_deref() {
        // All that it says is normative.
        None | Some("full" | "normative") => {}
        Some("terminology") => {
            let text = "This is no terminology server: it expands no value set and validates no \
                        code.";
            return Err(refused(text));
        }
        Some(_) => return Err(refused("The mode must be full or normative.")),
    }
    let statement = hub.metadata();
    let Statement { text, etag } = &*statement;
    let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = tags.flat_map(|line| line.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    });
    let answer = if known {
        Answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        Answer::resource(StatusCode::OK, text.clone())
    };
    let etag = HeaderValue::from_str(&format!("W/{etag}"));
    Ok(answer.with(ETAG, etag.expect("a quoted hexadecimal number is visible ASCII")))
}

fn refused(text: &str) -> Refusal {
    Refusal::bad_request_issue(Issue::error(IssueCode::NotSupported, text).at("mode"))
}

/// A CapabilityStatement, written once.
#[derive(Debug)]
pub struct Statement {
    /// Its JSON text.
    pub text: Bytes,
    /// Its entity tag, quoted.
    pub etag: String,
}

impl Statement {
    /// The statement of a hub so configured, of a record that is searched by these parameters.
    pub fn of(config: &HubConfig, parameters: &SearchParameters) -> Self {
        let text = text(config, parameters);
        let digest = Sha256::digest(&text);
        let digest = u64::from_be_bytes(std::array::from_fn(|at| digest[at]));
        Self { text: text.into(), etag: format!("\"{digest:016x}\"") }
    }
}

/// The statement's text. Each type is written and let go before the next: all of them at once would be
/// the largest thing the hub ever holds.
fn text(config: &HubConfig, parameters: &SearchParameters) -> Vec<u8> {
    let json =
        |value: &Value| serde_json::to_string(value).expect("a JSON value always serialises");
    let offers = offers();
    let mut resources = String::new();
    for resource_type in ResourceType::all() {
        resources.push_str(if resources.is_empty() { "" } else { "," });
        let offers = of_type(&offers, resource_type);
        resources.push_str(&json(&resource(resource_type, &offers, config, parameters)));
    }
    let head = json(&statement(&offers, config));
    let (before, after) = head.split_once(r#""resource":[]"#).expect("the list of types is there");
    format!(r#"{before}"resource":[{resources}]{after}"#).into_bytes()
}

fn statement(offers: &[Offer], config: &HubConfig) -> Value {
    let of_system: Vec<&Offer> = offers.iter().filter(|offer| is_of_system(offer)).collect();
    let security = match config.security.mode {
        SecurityMode::Open => {
            "Every caller on this machine is the region's own organisation, with all rights: for \
             trying out, on the loopback address only."
        }
        SecurityMode::Enforced => {
            "Every caller is known by a client certificate and a signed token; only this statement \
             can be had without."
        }
    };
    let mut rest = json!({
        "mode": "server",
        "security": {"cors": false, "description": security},
        "resource": [],
        "interaction": interactions(&of_system),
    });
    add(&mut rest, "operation", operations(&of_system, "Resource"));
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-23",
        "kind": "instance",
        "instantiates": ["https://fhir.hl7.org.uk/CapabilityStatement/ukcore-conformance"],
        "software": {"name": "Shared Record hub", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": config.region.name, "url": config.server.base()},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json"],
        "rest": [rest],
    })
}

fn resource(
    resource_type: ResourceType,
    offers: &[&Offer],
    config: &HubConfig,
    parameters: &SearchParameters,
) -> Value {
    let offered = |code: &str| offers.iter().any(|offer| offer.codes.contains(&code));
    let own = |p: &SearchParameter| resource_type != AUDIT_EVENT || is_searched(p.code);
    let searched = || parameters.of(resource_type).iter().filter(|p| supported(p) && own(p));
    let references = || references(parameters);
    let name = |(t, p): (ResourceType, &SearchParameter)| Value::from(format!("{t}:{}", p.code));
    let include = references().filter(|(from, _)| *from == resource_type).map(name).collect();
    let refers = |p: &SearchParameter| p.targets.contains(&resource_type);
    let reverse = references().filter(|(_, p)| refers(p) && resource_type != AUDIT_EVENT);
    let reverse = reverse.map(name).collect();
    let mut resource = json!({
        "type": resource_type.as_str(),
        "interaction": interactions(offers),
        "versioning": "versioned",
        "readHistory": offered("vread"),
        "updateCreate": offered("update") && config.client_ids(),
        "conditionalCreate": offered("conditional-create"),
        "conditionalRead": if offered("vread") { "full-support" } else { "not-supported" },
        "conditionalUpdate": offered("conditional-update"),
        "conditionalDelete": if offered("conditional-delete") { "single" } else { "not-supported" },
        "referencePolicy": ["literal", "logical"],
    });
    add(&mut resource, "searchInclude", include);
    add(&mut resource, "searchRevInclude", reverse);
    add(&mut resource, "searchParam", searched().map(parameter).collect());
    add(&mut resource, "operation", operations(offers, resource_type.as_str()));
    resource
}

/// Adds a list that has items: FHIR has no empty ones.
fn add(to: &mut Value, name: &str, items: Vec<Value>) {
    if !items.is_empty() {
        to[name] = items.into();
    }
}

/// The interactions among offers that have a code of their own; conditional ones have none.
fn interactions(offers: &[&Offer]) -> Vec<Value> {
    each_once(offers, |code| !code.starts_with('$') && !code.starts_with("conditional-"))
        .map(|code| json!({"code": code}))
        .collect()
}

/// What is offered of a type: of all types, or of it alone.
fn of_type(offers: &[Offer], resource_type: ResourceType) -> Vec<&Offer> {
    let own = |offer: &&Offer| {
        let first = offer.url.split('/').nth(1).unwrap_or_default();
        // The audit trail is read alone: what is offered of all types is not offered of it.
        (first == "{type}" && resource_type != AUDIT_EVENT) || first == resource_type.as_str()
    };
    offers.iter().filter(own).collect()
}

fn is_of_system(offer: &Offer) -> bool {
    let first = offer.url.split('/').nth(1).unwrap_or_default();
    first != "{type}" && first.parse::<ResourceType>().is_err()
}

/// The operations among offers; those of one type alone are defined for it.
fn operations(offers: &[&Offer], resource_type: &str) -> Vec<Value> {
    let operation = |code: &str| {
        let name = &code[1..];
        let general = |offer: &&Offer| offer.codes.contains(&code) && offer.url.starts_with("/{");
        let of = if offers.iter().any(general) { "Resource" } else { resource_type };
        let base = if OWN.contains(&code) { OWN_DEFINITIONS } else { DEFINITIONS };
        let definition = format!("{base}{of}-{name}");
        json!({"name": name, "definition": definition})
    };
    each_once(offers, |code| code.starts_with('$')).map(operation).collect()
}

/// Codes of a kind, in the order in which they are first offered.
fn each_once(offers: &[&Offer], kind: fn(&str) -> bool) -> impl Iterator<Item = &'static str> {
    let mut codes: Vec<&'static str> = Vec::new();
    for &code in offers.iter().flat_map(|offer| offer.codes) {
        if kind(code) && !codes.contains(&code) {
            codes.push(code);
        }
    }
    codes.into_iter()
}

/// The parameters by which resources refer to others, each with its type.
fn references(
    parameters: &SearchParameters,
) -> impl Iterator<Item = (ResourceType, &SearchParameter)> {
    ResourceType::all().filter(|t| *t != AUDIT_EVENT).flat_map(|t| {
        let searched = parameters.of(t).iter().filter(|p| supported(p));
        searched.filter(|p| p.kind == ParameterKind::Reference).map(move |p| (t, p))
    })
}

fn parameter(parameter: &SearchParameter) -> Value {
    json!({"name": parameter.code, "type": parameter.kind.as_str()})
}
