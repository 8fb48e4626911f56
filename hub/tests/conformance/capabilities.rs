//! What the CapabilityStatement lists works, and nothing else is listed.

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};

use super::fixtures::{encoded, patient, resource, store};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    every_search_parameter_that_is_listed_can_be_used,
    every_interaction_that_is_listed_is_there,
    every_operation_that_is_listed_is_there,
    the_statement_can_be_had_in_every_mode_and_kept,
);

/// Values that a parameter of a type may take; one of them must do.
fn values(kind: &str) -> &'static [&'static str] {
    match kind {
        "number" => &["1"],
        "date" => &["2000-01-01"],
        "quantity" => &["1|http://unitsofmeasure.org|mg"],
        "uri" => &["urn:a"],
        "reference" => &["a", "Patient/a"],
        "composite" => &[
            "a$1",
            "a$a",
            "a$2000",
            "1$1",
            "2000$a",
            "a$a$1",
            "Patient/a$a",
            "a$DocumentReference/a",
        ],
        "special" => &["53.8|-1.5|10|km", "a", "a eq b"],
        _ => &["a"],
    }
}

fn listed<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

async fn every_search_parameter_that_is_listed_can_be_used(kit: Kit) {
    let metadata = kit.search("metadata").await;
    let strict = [("prefer", "handling=strict")];
    let ask = async |query: String| {
        kit.send("GET", &format!("/FHIR/R4/{query}"), &strict, Body::empty()).await.status
    };
    let mut unusable = Vec::new();
    for resource in listed(&metadata["rest"][0], "resource") {
        let resource_type = resource["type"].as_str().unwrap();
        for parameter in listed(resource, "searchParam") {
            let (name, kind) =
                (parameter["name"].as_str().unwrap(), parameter["type"].as_str().unwrap());
            let mut used = false;
            for value in values(kind) {
                let query = encoded(&format!("{name}={value}&_count=1"));
                used = used || ask(format!("{resource_type}?{query}")).await == StatusCode::OK;
            }
            if !used {
                unusable.push(format!("{resource_type}?{name} ({kind})"));
            }
        }
        for (list, parameter) in
            [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")]
        {
            // All of them on the types that matter most; the rest are made alike.
            let some = listed(resource, list).iter().take(if resource_type == "Patient" {
                400
            } else {
                3
            });
            for value in some {
                let query = encoded(&format!("{parameter}={}", value.as_str().unwrap()));
                if ask(format!("{resource_type}?{query}")).await != StatusCode::OK {
                    unusable.push(format!("{resource_type}?{query}"));
                }
            }
        }
    }
    assert!(unusable.is_empty(), "{unusable:#?}");
}

/// What there is for a Patient.
const ALL: [&str; 9] = [
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
];

/// A probe of an interaction of a type: how it is asked, and what the answer to nothing is.
fn probe(code: &str) -> Option<(&'static str, &'static str, &'static str, &'static [u16])> {
    Some(match code {
        "read" => ("GET", "/never", "", &[404]),
        "vread" => ("GET", "/never/_history/1", "", &[404]),
        "history-instance" => ("GET", "/never/_history", "", &[404]),
        "history-type" => ("GET", "/_history", "", &[200]),
        "search-type" => ("GET", "?_id=never", "", &[200]),
        "create" => ("POST", "", "{}", &[400, 422]),
        "update" => ("PUT", "/never", "{}", &[400, 422]),
        "patch" => ("PATCH", "/never", r#"{"resourceType":"Parameters"}"#, &[400, 404, 422]),
        "delete" => ("DELETE", "/never", "", &[204]),
        _ => return None,
    })
}

async fn every_interaction_that_is_listed_is_there(kit: Kit) {
    let metadata = kit.search("metadata").await;
    let rest = &metadata["rest"][0];
    let codes = |value: &Value| -> Vec<String> {
        let listed = listed(value, "interaction").iter();
        listed.map(|interaction| interaction["code"].as_str().unwrap().to_owned()).collect()
    };
    for resource in listed(rest, "resource") {
        let resource_type = resource["type"].as_str().unwrap();
        let codes = codes(resource);
        for wanted in ALL.iter().filter(|_| resource_type == "Patient") {
            assert!(codes.iter().any(|code| code == wanted), "{wanted}: {codes:?}");
        }
        for code in codes {
            let (method, path, body, allowed) = probe(&code).expect("a code that R4 knows");
            let answer = kit.with_body(method, &format!("{resource_type}{path}"), body, &[]).await;
            let status = answer.status.as_u16();
            assert!(allowed.contains(&status), "{resource_type} {code}: {status} {}", answer.text);
        }
    }
    let system = codes(rest);
    for wanted in ["transaction", "batch", "history-system", "search-system"] {
        assert!(system.iter().any(|code| code == wanted), "{wanted}: {system:?}");
    }
    for (method, path, body) in [
        ("POST", "", r#"{"resourceType":"Bundle","type":"batch"}"#),
        ("POST", "", r#"{"resourceType":"Bundle","type":"transaction"}"#),
        ("GET", "_history", ""),
        ("GET", "?_type=Patient&_id=never", ""),
    ] {
        let answer = kit.with_body(method, path, body, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {path} {body}: {}", answer.text);
    }
}

async fn every_operation_that_is_listed_is_there(kit: Kit) {
    store(&kit, [patient("a", json!({}))]).await;
    let metadata = kit.search("metadata").await;
    let rest = &metadata["rest"][0];
    let of_type = |resource: &Value| -> Vec<(String, String)> {
        let owner = resource["type"].as_str().unwrap_or_default();
        let names = listed(resource, "operation").iter();
        names.map(|o| (owner.to_owned(), o["name"].as_str().unwrap().to_owned())).collect()
    };
    let mut operations = of_type(rest);
    operations.extend(listed(rest, "resource").iter().flat_map(of_type));
    for name in ["everything", "validate", "meta"] {
        assert!(operations.iter().any(|(_, listed)| listed == name), "{name}: {operations:?}");
    }
    for (owner, name) in operations {
        // Listed by any URL form that the definition allows: one of them must lead to it.
        let owner = if owner.is_empty() { "Patient".to_owned() } else { owner };
        store(&kit, (owner == "Patient").then(|| patient("a", json!({})))).await;
        let parameters = resource("Parameters", "p", json!({})).to_string();
        let mut there = false;
        for path in [format!("${name}"), format!("{owner}/${name}"), format!("{owner}/a/${name}")] {
            for method in ["GET", "POST"] {
                let answer = kit.with_body(method, &path, &parameters, &[]).await;
                let nowhere = answer.status == StatusCode::METHOD_NOT_ALLOWED
                    || answer.text.contains("There is nothing at this URL");
                there = there || !nowhere;
                assert!(!answer.status.is_server_error(), "{path}: {}", answer.text);
            }
        }
        assert!(there, "{owner} ${name}");
    }
}

async fn the_statement_can_be_had_in_every_mode_and_kept(kit: Kit) {
    let statement = kit.search("metadata").await;
    assert_eq!(statement["resourceType"], "CapabilityStatement");
    assert_eq!(
        (&statement["fhirVersion"], &statement["kind"]),
        (&json!("4.0.1"), &json!("instance"))
    );
    let listed = statement["instantiates"].to_string();
    assert!(listed.contains("https://fhir.hl7.org.uk/CapabilityStatement/"), "{listed}");
    for mode in ["full", "normative"] {
        let answer = kit.search(&format!("metadata?mode={mode}")).await;
        assert_eq!(answer["resourceType"], "CapabilityStatement", "{mode}");
    }
    // Terminology is another statement, or refused: never the wrong one.
    let terminology = kit.get("metadata?mode=terminology").await;
    if terminology.status == StatusCode::OK {
        assert_eq!(terminology.json()["resourceType"], "TerminologyCapabilities");
    } else {
        assert!(terminology.status.is_client_error());
        terminology.assert_refused(terminology.status);
    }
    let first = kit.get("metadata?_format=json").await;
    assert!(!first.etag().is_empty());
    let known = [("if-none-match", first.etag())];
    let again = kit.send("GET", "/FHIR/R4/metadata", &known, Body::empty()).await;
    assert_eq!((again.status, &*again.text), (StatusCode::NOT_MODIFIED, ""));
    kit.get("metadata?_format=xml").await.assert_refused(StatusCode::NOT_ACCEPTABLE);
}
