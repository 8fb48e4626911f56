//! The CapabilityStatement, taken at its word.

use std::fmt::Write;

use axum::body::Body;
use fhir::definitions::{ParameterKind, ResourceType};
use http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    every_interaction_and_operation_claimed_is_there,
    every_search_parameter_and_include_claimed_is_searched_by,
    the_statement_is_valid_and_known_by_its_tag,
);

fn resource<'a>(statement: &'a Value, name: &str) -> &'a Value {
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    resources.iter().find(|resource| resource["type"] == name).unwrap()
}

fn codes<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    list.as_array().into_iter().flatten().map(|item| item[member].as_str().unwrap()).collect()
}

/// The least resource of a type that R4 allows.
fn least(name: &str, id: &str) -> String {
    let members = match name {
        "Patient" => json!({}),
        "Encounter" => json!({"status": "planned", "class": {"code": "AMB"}}),
        "Organization" => json!({"name": "x"}),
        "Observation" => json!({"status": "final", "code": {"text": "x"}}),
        "Binary" => json!({"contentType": "text/plain"}),
        "MedicationRequest" => json!({
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"text": "x"},
            "subject": {"reference": "Patient/a"},
        }),
        other => panic!("{other}"),
    };
    let mut text = format!(r#"{{"resourceType":"{name}","id":"{id}""#);
    for (member, value) in members.as_object().unwrap() {
        write!(text, r#","{member}":{value}"#).unwrap();
    }
    text + "}"
}

/// How a claim is put to the test: method, path, body.
fn request(name: &str, code: &str) -> (&'static str, String, String) {
    let meta = r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"a"}]}}]}"#;
    let (method, path, body) = match code {
        "create" => ("POST", String::new(), least(name, "x")),
        "update" => ("PUT", "/a".into(), least(name, "a")),
        "patch" => {
            ("PATCH", "/a".into(), r#"[{"op":"add","path":"/language","value":"en"}]"#.into())
        }
        "read" => ("GET", "/a".into(), String::new()),
        "vread" => ("GET", "/a/_history/1".into(), String::new()),
        "history-instance" => ("GET", "/a/_history".into(), String::new()),
        "history-type" => ("GET", "/_history".into(), String::new()),
        "search-type" => ("GET", String::new(), String::new()),
        "delete" => ("DELETE", "/b".into(), String::new()),
        "validate" => ("POST", "/$validate".into(), least(name, "x")),
        "everything" => ("GET", "/a/$everything".into(), String::new()),
        "lastn" => ("GET", "/$lastn?patient=a".into(), String::new()),
        "meta" => ("GET", "/a/$meta".into(), String::new()),
        "meta-add" => ("POST", "/a/$meta-add".into(), meta.into()),
        "meta-delete" => ("POST", "/a/$meta-delete".into(), meta.into()),
        other => panic!("the statement claims {other}, and no one has put it to the test"),
    };
    (method, format!("{name}{path}"), body)
}

async fn every_interaction_and_operation_claimed_is_there(kit: Kit) {
    let statement = kit.search("metadata").await;
    for name in
        ["Patient", "Organization", "Observation", "Binary", "MedicationRequest", "Encounter"]
    {
        for id in ["a", "b"] {
            let stored = kit.put(&format!("{name}/{id}"), &least(name, id)).await;
            assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text);
        }
        let resource = resource(&statement, name);
        let claimed = codes(&resource["interaction"], "code");
        assert!(claimed.len() >= 8 && claimed.contains(&"history-type"));
        for code in claimed.into_iter().chain(codes(&resource["operation"], "name")) {
            let (method, path, body) = request(name, code);
            let media = if method == "PATCH" { "json-patch+json" } else { "fhir+json" };
            let media = format!("application/{media}");
            let headers = [("content-type", media.as_str())];
            let url = format!("/FHIR/R4/{path}");
            let answer = kit.send(method, &url, &headers, body).await;
            assert!(answer.status.is_success(), "{name} {code}: {}", answer.text);
        }
    }
    for code in codes(&statement["rest"][0]["interaction"], "code") {
        let bundle = |kind: &str| format!(r#"{{"resourceType":"Bundle","type":"{kind}"}}"#);
        let answer = match code {
            "transaction" | "batch" => kit.post("", &bundle(code)).await,
            "history-system" => kit.get("_history").await,
            "search-system" => kit.get("?_type=Patient").await,
            other => panic!("the statement claims {other}, and no one has put it to the test"),
        };
        assert_eq!(answer.status, StatusCode::OK, "{code}: {}", answer.text);
    }
}

/// A value that a parameter of the kind may be asked for.
fn value(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Number | ParameterKind::Quantity => "5.4",
        ParameterKind::Date => "2020-05-17",
        ParameterKind::Uri => "http://example.org/x",
        ParameterKind::Special => "51.5|-0.1|5|km",
        ParameterKind::String | ParameterKind::Token | ParameterKind::Reference => "x",
        ParameterKind::Composite => panic!("a composite has the values of its components"),
    }
}

/// As [`value`], for a component of a composite.
fn component(kind: ParameterKind) -> &'static str {
    if kind == ParameterKind::Reference { "Patient/x" } else { value(kind) }
}

async fn every_search_parameter_and_include_claimed_is_searched_by(kit: Kit) {
    let statement = kit.search("metadata").await;
    let mut claimed = 0;
    for resource_type in ResourceType::all() {
        let resource = resource(&statement, resource_type.as_str());
        let mut queries = Vec::new();
        for parameter in resource["searchParam"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let defined = resource_type.search_parameter(name).unwrap();
            assert_eq!(parameter["type"], defined.kind.as_str(), "{resource_type} {name}");
            let parts: Vec<&str> = match defined.kind {
                ParameterKind::Composite => {
                    defined.components.iter().map(|part| component(part.kind)).collect()
                }
                kind => vec![value(kind)],
            };
            queries.push(format!("{name}={}", parts.join("$")));
        }
        let mut lists = vec![("searchInclude", "_include")];
        // What refers to a type is long to try for all of them.
        if ["Patient", "Location", "Binary"].contains(&resource_type.as_str()) {
            lists.push(("searchRevInclude", "_revinclude"));
        }
        for (list, parameter) in lists {
            let values = resource[list].as_array().into_iter().flatten();
            queries.extend(values.map(|value| format!("{parameter}={}", value.as_str().unwrap())));
        }
        claimed += queries.len();
        for query in queries {
            let url = format!("/FHIR/R4/{resource_type}?{}", query.replace('|', "%7C"));
            let strict = [("prefer", "handling=strict")];
            let answer = kit.send("GET", &url, &strict, Body::empty()).await;
            assert_eq!(answer.status, StatusCode::OK, "{url}: {}", answer.text);
        }
    }
    assert!(claimed > 1_000, "{claimed}");
}

async fn the_statement_is_valid_and_known_by_its_tag(kit: Kit) {
    let metadata = kit.get("metadata").await;
    let survey = fhir::validate::validate(metadata.text.as_bytes()).unwrap();
    assert!(survey.issues.is_empty(), "{:?}", survey.issues);
    let statement = metadata.json();
    let patient = resource(&statement, "Patient");
    assert_eq!((&patient["updateCreate"], &patient["readHistory"]), (&json!(true), &json!(true)));
    let tag = metadata.etag().to_owned();
    let known = [("if-none-match", tag.as_str())];
    let again = kit.send("GET", "/FHIR/R4/metadata", &known, Body::empty()).await;
    assert_eq!((again.status, again.etag()), (StatusCode::NOT_MODIFIED, &*tag));
    for mode in ["full", "normative"] {
        assert_eq!(kit.get(&format!("metadata?mode={mode}")).await.text, metadata.text);
    }
    for mode in ["terminology", "bogus"] {
        kit.get(&format!("metadata?mode={mode}")).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    assert_eq!(kit.get("metadata?_format=json").await.status, StatusCode::OK);
    kit.get("metadata?_format=xml").await.assert_refused(StatusCode::NOT_ACCEPTABLE);
}
