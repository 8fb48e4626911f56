//! The steps that say what the answer is.

use http::StatusCode;
use serde_json::{Value, json};

use super::{NEWER, Stage, Step};
use crate::world::Reply;

/// A step that says what the answer is.
pub(super) async fn check(stage: &Stage, step: &Step, reply: &Reply, context: &str) {
    let (text, words) = (step.text.as_str(), step.quoted());
    let number = text.split_whitespace().find_map(|word| word.parse::<u64>().ok());
    let body = &reply.body;
    if text.contains("response status code is") {
        // Older 400s of business rules are 422s now.
        let newer = (number == Some(400) && reply.code() == "UNPROCESSABLE_ENTITY").then_some(422);
        let expected = newer.or(number).unwrap();
        assert_eq!(u64::from(reply.status.as_u16()), expected, "{context}: {body}");
    } else if text.contains("is an OperationOutcome with") {
        assert_eq!(body["resourceType"], "OperationOutcome", "{context}");
        assert_eq!(body["issue"].as_array().unwrap().len() as u64, number.unwrap(), "{context}");
    } else if text.contains("OperationOutcome contains the issue") {
        let issues = body["issue"].as_array().unwrap();
        let expected = newer_issue(&step.doc, reply);
        assert!(issues.contains(&expected), "{context}: {expected} is not in {body}");
    } else if text.contains("is a searchset Bundle") {
        assert_eq!((&body["resourceType"], &body["type"]), (&json!("Bundle"), &json!("searchset")));
    } else if text.contains("has a total of") {
        assert_eq!(body["total"], number.unwrap(), "{context}");
    } else if text.contains("does not contain the key") {
        assert!(body.get(words[0]).is_none(), "{context}");
    } else if text.contains("self link matching") {
        let url = body["link"][0]["url"].as_str().unwrap();
        assert!(url.ends_with(words[0]), "{context}: {url}");
    } else if text.contains("Bundle has") && text.contains("entr") {
        assert_eq!(reply.ids().len() as u64, number.unwrap(), "{context}");
    } else if text.contains("Bundle contains an DocumentReference") {
        let id = step.row("id").unwrap();
        let entries = body["entry"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["resource"]["id"] == id);
        assert_values(&entry.unwrap()["resource"], step, context);
    } else if text.contains("Bundle does not contain") {
        assert!(!reply.ids().contains(&words[0]), "{context}");
    } else if text.contains("is a DocumentReference with JSON value") {
        assert_within(&serde_json::from_str(&step.doc).unwrap(), body, context);
    } else if text.contains("has a Location header") {
        assert!(reply.headers.contains_key("location"), "{context}");
    } else if text.contains("Location header starts with") {
        let location = reply.headers["location"].to_str().unwrap();
        assert!(location.contains(words[0]), "{context}: {location}");
    } else if text.contains("in the Location header exists") {
        let location = reply.headers["location"].to_str().unwrap();
        let id = location.rsplit('/').next().unwrap();
        assert_values(&stage.stored(id).await.body, step, context);
    } else if text.contains("exists with values") {
        assert_values(&stage.stored(words[0]).await.body, step, context);
    } else if text.contains("does not exist") {
        assert_eq!(stage.stored(words[0]).await.status, StatusCode::NOT_FOUND, "{context}");
    } else {
        panic!("no such step: {context}");
    }
}

/// The issue a scenario expects, as the newer generation writes it.
fn newer_issue(doc: &str, reply: &Reply) -> Value {
    let doc = NEWER.iter().fold(doc.to_owned(), |doc, (old, new)| doc.replace(old, new));
    let mut issue: Value = serde_json::from_str(&doc).unwrap();
    let coding = &mut issue["details"]["coding"][0];
    if coding["code"] == "BAD_REQUEST" && reply.code() == "UNPROCESSABLE_ENTITY" {
        coding["code"] = json!("UNPROCESSABLE_ENTITY");
        coding["display"] = json!("Unprocessable Entity");
        issue["code"] = json!("business-rule");
    }
    issue
}

/// Every value that the table names is the resource's.
fn assert_values(resource: &Value, step: &Step, context: &str) {
    for row in step.table.iter().skip(1) {
        let path = match row[0].as_str() {
            "id" => "/id",
            "status" => "/status",
            "subject" => "/subject/identifier/value",
            "type" => "/type/coding/0/code",
            "category" => "/category/0/coding/0/code",
            "custodian" => "/custodian/identifier/value",
            "author" => "/author/0/identifier/value",
            "contentType" => "/content/0/attachment/contentType",
            "url" => "/content/0/attachment/url",
            other => panic!("no such value: {other}"),
        };
        assert_eq!(resource.pointer(path), Some(&json!(row[1])), "{context}: {path}");
    }
}

/// Every member of `expected` is in `found`; older material leaves out what is now required.
fn assert_within(expected: &Value, found: &Value, context: &str) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, value) in expected {
                assert_within(value, found.get(name).unwrap_or(&Value::Null), context);
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            assert_eq!(expected.len(), found.len(), "{context}");
            for (expected, found) in expected.iter().zip(found) {
                assert_within(expected, found, context);
            }
        }
        _ => assert_eq!(expected, found, "{context}"),
    }
}
