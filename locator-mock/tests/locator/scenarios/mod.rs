//! The NRL's own scenarios, replayed from shared test material with the permission lists they ask
//! for. The material is of the older generation; where the newer one answers differently, what it
//! answers is listed here.

mod check;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::application::{APPLICATION, STEWARD};
use crate::samples::shared;
use crate::world::{CONSUMER, PRODUCER, Reply, SNOMED, World, concept, encoded, pointer, with};

/// Scenarios left out, as (feature ends with, scenario, reason).
const LEFT_OUT: [(&str, &str, &str); 1] = [(
    "producer/readDocumentReference-failure",
    "Read document reference by ID - custodian suffix mismatch",
    "needs an organisation suffix (RX898.001), which the newer generation dropped",
)];

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

/// What a scenario has to send to get as far as it did when categories went with any type:
/// (scenario, property, value).
const AMENDED: (&str, &str, &str) = (
    "Producer lacks the permission for the pointer type requested",
    "category",
    "1102421000000108",
);

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
    assert!(replayed > scenarios.len() / 2, "only {replayed} scenarios were replayed");
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

/// A locator in enforced mode, and a token that may see everything.
struct Stage {
    world: World,
    steward: String,
}

impl Stage {
    /// What the steps that come before the first request ask for.
    async fn set(steps: &[Step], context: &str) -> Self {
        let (mut lists, before) = (Vec::new(), World::new());
        for step in steps {
            if step.text.contains("is authorised to access") {
                let types: Vec<String> =
                    step.table.iter().skip(1).map(|row| row.join("|")).collect();
                lists.push((format!("{APPLICATION}/{}.json", step.quoted()[0]), json!(types)));
            } else if step.text.contains("a DocumentReference resource exists") {
                let custodian = step.row("custodian").unwrap();
                let stored = before.put(custodian, PRODUCER, &built(step)).await;
                assert_eq!(stored.status, StatusCode::CREATED, "{context}: {}", stored.body);
            }
        }
        let world = World::enforced_in(before.close(), &lists).await;
        let steward = world.token_of(STEWARD).await;
        Self { world, steward }
    }

    async fn stored(&self, id: &str) -> Reply {
        let request = Request::get(format!("{CONSUMER}/{id}"))
            .header("NHSD-End-User-Organisation-ODS", "RX898")
            .header("X-Request-ID", "1")
            .header("Authorization", format!("Bearer {}", self.steward));
        self.world.send(request.body(Body::empty()).unwrap()).await
    }
}

/// The steps with what they have to send today.
fn amended(scenario: &Scenario, steps: &[Step]) -> Vec<Step> {
    let (name, property, value) = AMENDED;
    let mut steps = steps.to_vec();
    if scenario.name == name {
        for row in steps.iter_mut().flat_map(|step| &mut step.table) {
            if row[0] == property {
                value.clone_into(&mut row[1]);
            }
        }
    }
    steps
}

async fn replay(scenario: &Scenario, steps: &[Step]) {
    let named = format!("{} / {}", scenario.feature, scenario.name);
    let steps = amended(scenario, steps);
    let stage = Stage::set(&steps, &named).await;
    let mut reply = None;
    for step in &steps {
        let context = format!("{named}: {}", step.text);
        let text = step.text.split_once(' ').unwrap().1;
        let is_set = text.starts_with("the application")
            || text.contains("is authorised to access")
            || text.starts_with("a DocumentReference resource exists");
        if is_set {
            continue;
        }
        if text.starts_with("consumer") || text.starts_with("producer") {
            reply = Some(act(&stage.world, step).await);
        } else {
            check::check(&stage, step, reply.as_ref().unwrap(), &context).await;
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
