//! The NRL's own scenarios, replayed from shared test material. Those that turn on permission lists
//! are left out, each by name and with its reason: in open mode every organisation may use every
//! type. The material is of the older generation; where the newer one answers differently, what it
//! answers is listed here.

use std::path::Path;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::world::{CONSUMER, PRODUCER, Reply, SNOMED, World, concept, encoded, pointer, with};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/nrlf");
const NO_LISTS: &str = "needs a permission list: open mode grants every type to everyone";
const NO_SUFFIX: &str =
    "needs an organisation suffix (RX898.001), which the newer generation dropped";

/// Scenarios left out, as (feature ends with, scenario, reason).
const LEFT_OUT: [(&str, &str, &str); 9] = [
    ("countDocumentReference-failure", "Organisation has no permissions", NO_LISTS),
    (
        "consumer/readDocumentReference-failure",
        "No permissions to access specific pointer type",
        NO_LISTS,
    ),
    (
        "consumer/readDocumentReference-failure",
        "No permissions to access specific pointer type in S3",
        NO_LISTS,
    ),
    (
        "searchDocumentReference-failure",
        "Search rejects request if the organisation has no registered pointer types",
        NO_LISTS,
    ),
    ("searchPostDocumentReference-failure", "Search returns 403 if no permissions", NO_LISTS),
    (
        "searchPostDocumentReference-success",
        "Search for multiple DocumentReferences by NHS number",
        NO_LISTS,
    ),
    (
        "createDocumentReference-failure",
        "Producer lacks the permission for the pointer type requested",
        NO_LISTS,
    ),
    (
        "producer/readDocumentReference-failure",
        "No permission file exists for organisation",
        NO_LISTS,
    ),
    (
        "producer/readDocumentReference-failure",
        "Read document reference by ID - custodian suffix mismatch",
        NO_SUFFIX,
    ),
];

/// What the newer generation says instead: (older, newer).
const NEWER: [(&str, &str); 2] = [
    (
        "https://fhir.nhs.uk/ValueSet/Spine-ErrorOrWarningCode-1",
        "https://fhir.nhs.uk/CodeSystem/Spine-ErrorOrWarningCode",
    ),
    (
        "The provided type system does not match the allowed types for this organisation",
        "The provided type does not match the allowed types for this organisation",
    ),
];

#[derive(Debug, Deserialize)]
struct Scenario {
    feature: String,
    #[serde(rename = "scenario")]
    name: String,
    steps: Vec<Step>,
    #[serde(default)]
    examples: Vec<Examples>,
}

#[derive(Debug, Deserialize)]
struct Examples {
    table: Vec<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Step {
    text: String,
    #[serde(default)]
    table: Vec<Vec<String>>,
    #[serde(default)]
    doc: String,
}

impl Step {
    /// The value of a row of the table.
    fn row(&self, name: &str) -> Option<&str> {
        let row = self.table.iter().skip(1).find(|row| row[0] == name);
        row.map(|row| row[1].as_str())
    }

    /// The words between single quotes. An id, which comes last, may itself hold quotes.
    fn quoted(&self) -> Vec<&str> {
        let (text, id) = match self.text.split_once(" with ID '") {
            Some((text, id)) => (text, id.strip_suffix('\'')),
            None => (self.text.as_str(), None),
        };
        text.split('\'').skip(1).step_by(2).chain(id).collect()
    }
}

#[tokio::test]
async fn the_nrls_scenarios_hold() {
    let Some(text) = shared("scenarios.json") else { return };
    let scenarios: Vec<Scenario> = serde_json::from_str(&text).unwrap();
    let mut replayed = 0;
    for scenario in &scenarios {
        if let Some((.., reason)) = LEFT_OUT.iter().find(|(feature, name, _)| {
            scenario.feature.trim_end_matches(".feature").ends_with(feature)
                && scenario.name == *name
        }) {
            eprintln!("left out: {}: {reason}", scenario.name);
            continue;
        }
        for steps in expanded(scenario) {
            replay(scenario, &steps).await;
            replayed += 1;
        }
    }
    eprintln!("{replayed} scenarios were replayed");
    assert!(replayed > LEFT_OUT.len(), "only {replayed} scenarios were replayed");
}

/// A file of the shared test material, which a clone of the project may not have.
fn shared(name: &str) -> Option<String> {
    let path = Path::new(FOLDER).join(name);
    if !path.is_file() {
        eprintln!("left out: {} is not there", path.display());
        return None;
    }
    Some(std::fs::read_to_string(path).unwrap())
}

#[tokio::test]
async fn an_older_pointer_is_refused_until_it_has_the_newer_displays() {
    let Some(text) = shared("RQI-736253002-Valid.json") else { return };
    let world = World::new();
    let older: Value = serde_json::from_str(&text).unwrap();
    let reply = world.post("RQI", PRODUCER, &older).await;
    assert_eq!(
        (reply.status, reply.expression()),
        (StatusCode::BAD_REQUEST, "content[0].format.display")
    );
    let newer = with(older, "/content/0/format/display", json!("Unstructured Document"));
    let reply = world.post("RQI", PRODUCER, &newer).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, "BAD_REQUEST"));
    let display = "/content/0/extension/0/valueCodeableConcept/coding/0/display";
    world.create("RQI", &with(newer, display, json!("Static"))).await;
}

/// A scenario's steps, once for each row of its examples.
fn expanded(scenario: &Scenario) -> Vec<Vec<Step>> {
    if scenario.examples.is_empty() {
        return vec![scenario.steps.clone()];
    }
    let mut all = Vec::new();
    for examples in &scenario.examples {
        let (names, rows) = examples.table.split_first().unwrap();
        for row in rows {
            let fill = |text: &str| {
                names.iter().zip(row).fold(text.to_owned(), |text, (name, value)| {
                    text.replace(&format!("<{name}>"), value)
                })
            };
            let filled = |step: &Step| Step {
                text: fill(&step.text),
                table: step.table.iter().map(|row| row.iter().map(|c| fill(c)).collect()).collect(),
                doc: fill(&step.doc),
            };
            all.push(scenario.steps.iter().map(filled).collect());
        }
    }
    all
}

async fn replay(scenario: &Scenario, steps: &[Step]) {
    let world = World::new();
    let mut reply = None;
    for step in steps {
        let context = format!("{} / {}: {}", scenario.feature, scenario.name, step.text);
        let text = step.text.split_once(' ').unwrap().1;
        if text.starts_with("the application") || text.contains("is authorised to access") {
            // Open mode: everyone is.
        } else if text.starts_with("a DocumentReference resource exists") {
            let custodian = step.row("custodian").unwrap();
            let stored = world.put(custodian, PRODUCER, &built(step)).await;
            assert_eq!(stored.status, StatusCode::CREATED, "{context}: {}", stored.body);
        } else if text.starts_with("consumer") || text.starts_with("producer") {
            reply = Some(act(&world, step).await);
        } else {
            check(&world, step, reply.as_ref().unwrap(), &context).await;
        }
    }
}

/// A step that asks something of the locator.
async fn act(world: &World, step: &Step) -> Reply {
    let words = step.quoted();
    let organisation = words[0];
    let consumer = step.text.contains("consumer ");
    let base = if consumer { CONSUMER } else { PRODUCER };
    let text = &step.text;
    if text.contains(" creates ") {
        world.post(organisation, PRODUCER, &built(step)).await
    } else if text.contains(" upserts ") {
        world.put(organisation, PRODUCER, &built(step)).await
    } else if text.contains(" requests to delete ") {
        world.ask(organisation, Method::DELETE, &format!("{PRODUCER}/{}", words[1]), "").await
    } else if text.contains(" reads ") {
        world.get(organisation, &format!("{base}/{}", encoded(words[1]))).await
    } else if text.contains("using POST") {
        let body = parameters(step).map(|(name, value)| (name, json!(value)));
        world.post(organisation, &format!("{base}/_search"), &Value::Object(body.collect())).await
    } else {
        assert!(text.contains(" searches ") || text.contains(" counts "), "{text}");
        let query: Vec<String> = parameters(step)
            .map(|(name, value)| format!("{}={}", encoded(&name), encoded(&value)))
            .collect();
        let count = if text.contains(" counts ") { "/_count" } else { "" };
        world.get(organisation, &format!("{base}{count}?{}", query.join("&"))).await
    }
}

/// Parameters by the short names the scenarios use.
fn parameters(step: &Step) -> impl Iterator<Item = (String, String)> {
    step.table.iter().skip(1).map(|row| {
        let (name, value) = (row[0].as_str(), &row[1]);
        match name {
            "subject" => (
                "subject:identifier".to_owned(),
                format!("https://fhir.nhs.uk/Id/nhs-number|{value}"),
            ),
            "custodian" => (
                "custodian:identifier".to_owned(),
                format!("https://fhir.nhs.uk/Id/ods-organization-code|{value}"),
            ),
            other => (other.to_owned(), value.clone()),
        }
    })
}

/// A pointer with the values of a step.
fn built(step: &Step) -> Value {
    let custodian = step.row("custodian").unwrap();
    let mut built = pointer(custodian, step.row("subject").unwrap());
    let format = json!({
        "system": "https://fhir.nhs.uk/England/CodeSystem/England-NRLFormatCode",
        "code": "urn:nhs-ic:unstructured",
        "display": "Unstructured Document"
    });
    built = with(built, "/content/0/format", format);
    let kind = step.row("contentType").unwrap_or("application/pdf");
    built = with(built, "/content/0/attachment/contentType", json!(kind));
    built = with(built, "/content/0/attachment/url", json!(step.row("url").unwrap()));
    built = with(built, "/author/0/identifier/value", json!(step.row("author").unwrap()));
    let (code, category) = (step.row("type").unwrap(), step.row("category").unwrap());
    built = with(built, "/type", concept(SNOMED, code, display(code)));
    built = with(built, "/category/0", concept(SNOMED, category, display(category)));
    if let Some(id) = step.row("id") {
        built = with(built, "/id", json!(id));
    }
    if let Some(target) = step.row("supercedes") {
        let relation = json!([{"code": "replaces", "target": {"identifier": {"value": target}}}]);
        built = with(built, "/relatesTo", relation);
    }
    built
}

fn display(code: &str) -> &'static str {
    match code {
        "736253002" => "Mental health crisis plan",
        "887701000000100" => "Emergency health care plan",
        "861421000000109" => "End of life care coordination summary",
        "1382601000000107" => {
            "ReSPECT (Recommended Summary Plan for Emergency Care and Treatment) form"
        }
        "325691000000100" => "Contingency plan",
        "736373009" => "End of life care plan",
        "16521000000101" => "Lloyd George record folder",
        "736366004" => "Advance care plan",
        "735324008" => "Treatment escalation plan",
        "2181441000000107" => "Personalised Care and Support Plan",
        "824321000000109" => "Summary record",
        "887181000000106" => "Clinical summary",
        "749001000000101" => "Appointment",
        "1363501000000100" => {
            "Royal College of Physicians NEWS2 (National Early Warning Score 2) chart"
        }
        "734163000" => "Care plan",
        "1102421000000108" => "Observations",
        "823651000000106" => "Clinical note",
        "716931000000107" => "Record headings",
        "419891008" => "Record artifact",
        other => panic!("no display for {other}"),
    }
}

/// A step that says what the answer is.
async fn check(world: &World, step: &Step, reply: &Reply, context: &str) {
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
        assert_values(&stored(world, id).await.body, step, context);
    } else if text.contains("exists with values") {
        assert_values(&stored(world, words[0]).await.body, step, context);
    } else if text.contains("does not exist") {
        assert_eq!(stored(world, words[0]).await.status, StatusCode::NOT_FOUND, "{context}");
    } else {
        panic!("no such step: {context}");
    }
}

async fn stored(world: &World, id: &str) -> Reply {
    world.get("RX898", &format!("{CONSUMER}/{id}")).await
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
