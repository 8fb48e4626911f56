//! A record's own search parameters, and the command that takes them up.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hub::reindex::{admin, command, walk::walk};
use serde_json::{Value, json};
use service::clock::Clock;
use service::serve::Shutdown;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::{fill, put, refused, rows};
use crate::kit::{Kit, link, on_both_engines};

on_both_engines!(
    a_parameter_of_the_record_is_searched_by_once_it_is_taken_up,
    a_parameter_is_sorted_chained_and_included_by,
    a_retired_parameter_leaves_with_the_next_rebuild,
    what_cannot_be_taken_up_is_reported,
    the_command_does_it_itself_if_no_hub_serves_the_record,
    the_command_asks_the_hub_that_serves_the_record,
    a_page_link_of_the_index_before_is_told_to_begin_again,
    what_one_hub_takes_up_the_other_learns,
    a_union_of_what_is_searched_already_finds_what_its_parts_do,
);

const EYE: &str = "http://x.test/StructureDefinition/eye.colour";

/// A SearchParameter with all that R4 requires.
fn parameter(id: &str, base: &str, kind: &str, expression: &str) -> Value {
    json!({
        "resourceType": "SearchParameter",
        "id": id,
        "url": format!("http://x.test/SearchParameter/{id}"),
        "name": "Name",
        "status": "active",
        "description": "x",
        "code": id,
        "base": [base],
        "type": kind,
        "expression": expression,
    })
}

async fn define(kit: &Kit, parameter: &Value) {
    let path = format!("SearchParameter/{}", parameter["id"].as_str().unwrap());
    put(kit, &path, &parameter.to_string()).await;
}

/// Asks the admin listener.
async fn ask(kit: &Kit, method: &str) -> Value {
    let request = Request::builder().method(method).uri("/reindex").body(Body::empty()).unwrap();
    let answer = admin::router(kit.hub.clone()).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(parts.status, StatusCode::OK, "{}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap()
}

/// Begins the index anew as an operator does, and walks until it is whole.
async fn reindex(kit: &Kit) -> Value {
    let begun = ask(kit, "POST").await;
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(ask(kit, "GET").await["percent"], 100);
    begun
}

/// Codes of the search parameters that the statement lists of a type.
async fn listed(kit: &Kit, of_type: &str, list: &str) -> Vec<String> {
    let statement = kit.search("metadata").await;
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let resource = resources.iter().find(|resource| resource["type"] == of_type).unwrap();
    let items = resource[list].as_array().unwrap().iter();
    items.map(|item| item["name"].as_str().or(item.as_str()).unwrap().to_owned()).collect()
}

fn eyed(id: &str, code: &str) -> String {
    json!({
        "resourceType": "Patient",
        "id": id,
        "extension": [
            {"url": "http://x.test/other", "valueCode": "other"},
            {"url": EYE, "valueCodeableConcept": {
                "coding": [{"system": "urn:eye", "code": code, "display": format!("{code} eyes")}],
            }},
        ],
    })
    .to_string()
}

async fn unknown(kit: &Kit, path: &str) {
    let bundle = kit.search(path).await.to_string();
    assert!(bundle.contains("is not known for this type"), "{path}: {bundle}");
    let url = format!("/FHIR/R4/{path}");
    let strict = [("prefer", "handling=strict")];
    kit.send("GET", &url, &strict, Body::empty()).await.assert_refused(StatusCode::BAD_REQUEST);
}

async fn a_parameter_of_the_record_is_searched_by_once_it_is_taken_up(kit: Kit) {
    let expression = format!("Patient.extension.where(url='{EYE}').value");
    define(&kit, &parameter("eye", "Patient", "token", &expression)).await;
    for (id, code) in [("a", "blue"), ("b", "green"), ("c", "blue")] {
        put(&kit, &format!("Patient/{id}"), &eyed(id, code)).await;
    }
    put(&kit, "Patient/d", r#"{"resourceType":"Patient","id":"d"}"#).await;
    unknown(&kit, "Patient?eye=blue").await;
    assert!(!listed(&kit, "Patient", "searchParam").await.contains(&"eye".to_owned()));
    let begun = ask(&kit, "POST").await;
    assert_eq!(
        begun["taken"],
        json!([{"resource": "SearchParameter/eye", "search": "Patient?eye"}])
    );
    assert_eq!(begun["refused"], json!([]));
    assert!(begun["percent"].as_u64().unwrap() < 100);
    // The same again is left to go on.
    assert_eq!(ask(&kit, "POST").await["generation"], begun["generation"]);
    refused(&kit, "Patient?eye=blue").await;
    assert!(!listed(&kit, "Patient", "searchParam").await.contains(&"eye".to_owned()));
    put(&kit, "Patient/e", &eyed("e", "brown")).await;
    walk(&kit.hub.store).await.unwrap();
    assert!(listed(&kit, "Patient", "searchParam").await.contains(&"eye".to_owned()));
    for (search, found) in [
        ("eye=blue", vec!["a", "c"]),
        ("eye=urn:eye%7Cgreen", vec!["b"]),
        ("eye=urn:other%7Cgreen", vec![]),
        ("eye=brown,green", vec!["b", "e"]),
        ("eye:not=blue", vec!["b", "d", "e"]),
        ("eye:missing=true", vec!["d"]),
        ("eye:missing=false", vec!["a", "b", "c", "e"]),
        ("eye:text=green", vec!["b"]),
        ("eye=other", vec![]),
    ] {
        assert_eq!(kit.ids(&format!("Patient?{search}&_sort=_id")).await, found, "{search}");
    }
    put(&kit, "Patient/a", &eyed("a", "grey")).await;
    put(&kit, "Patient/f", &eyed("f", "blue")).await;
    assert_eq!(kit.delete("Patient/c").await.status, StatusCode::NO_CONTENT);
    assert_eq!(kit.ids("Patient?eye=blue").await, ["f"]);
    let none = [("if-none-exist", "eye=grey")];
    let found = kit.with_body("POST", "Patient", &eyed("x", "grey"), &none).await;
    assert_eq!((found.status, found.id()), (StatusCode::OK, "a".into()));
    let kit = kit.rewritten(async |_| {}).await;
    assert_eq!(kit.ids("Patient?eye=grey").await, ["a"]);
    assert!(listed(&kit, "Patient", "searchParam").await.contains(&"eye".to_owned()));
    let made = rows(&kit).await;
    reindex(&kit).await;
    assert_eq!(rows(&kit).await, made);
}

async fn a_parameter_is_sorted_chained_and_included_by(kit: Kit) {
    define(&kit, &parameter("note", "Observation", "string", "Observation.note.text")).await;
    let mut seen_by = parameter(
        "seen-by",
        "Observation",
        "reference",
        "Observation.performer.where(resolve() is Practitioner)",
    );
    seen_by["target"] = json!(["Practitioner"]);
    define(&kit, &seen_by).await;
    let noted = "Observation.note.time";
    define(&kit, &parameter("noted", "Observation", "date", noted)).await;
    let weight = "Observation.component.value.as(Quantity)";
    define(&kit, &parameter("part", "Observation", "quantity", weight)).await;
    let practitioner = r#"{"resourceType":"Practitioner","id":"dr","name":[{"family":"Grey"}]}"#;
    put(&kit, "Practitioner/dr", practitioner).await;
    for (id, note, time, part) in
        [("o1", "Anxious", "2021", 3), ("o2", "calm", "2019", 1), ("o3", "Busy", "2020", 2)]
    {
        let performer = if id == "o3" { "Organization/dr" } else { "Practitioner/dr" };
        let observation = json!({
            "resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
            "performer": [{"reference": performer}],
            "note": [{"text": note, "time": time}],
            "component": [{"code": {"text": "x"}, "valueQuantity": {"value": part, "unit": "g"}}],
        });
        put(&kit, &format!("Observation/{id}"), &observation.to_string()).await;
    }
    let begun = reindex(&kit).await;
    assert_eq!(begun["taken"].as_array().unwrap().len(), 4, "{begun}");
    for (search, found) in [
        ("note=anx", vec!["o1"]),
        ("note:contains=m", vec!["o2"]),
        ("note:exact=busy", vec![]),
        ("note:exact=Busy", vec!["o3"]),
        ("noted=ge2020&_sort=noted", vec!["o3", "o1"]),
        ("_sort=note", vec!["o1", "o3", "o2"]),
        ("_sort=-noted", vec!["o1", "o3", "o2"]),
        ("part=gt1&_sort=part", vec!["o3", "o1"]),
        ("part=2%7C%7Cg", vec!["o3"]),
        ("seen-by=Practitioner/dr&_sort=_id", vec!["o1", "o2"]),
        ("seen-by=dr&_sort=_id", vec!["o1", "o2"]),
        ("seen-by.family=grey&_sort=_id", vec!["o1", "o2"]),
        ("seen-by:Practitioner.family=black", vec![]),
        ("seen-by:missing=true", vec!["o3"]),
    ] {
        assert_eq!(kit.ids(&format!("Observation?{search}")).await, found, "{search}");
    }
    let has = "Practitioner?_has:Observation:seen-by:note=calm";
    assert_eq!(kit.ids(has).await, ["dr"]);
    let with = kit.search("Observation?note=calm&_include=Observation:seen-by").await.to_string();
    assert!(with.contains(r#""mode":"include""#), "{with}");
    let with = kit.search("Practitioner?_revinclude=Observation:seen-by").await;
    assert_eq!(with["entry"].as_array().unwrap().len(), 3, "{with}");
    let name = "Observation:seen-by".to_owned();
    assert!(listed(&kit, "Observation", "searchInclude").await.contains(&name));
    assert!(listed(&kit, "Practitioner", "searchRevInclude").await.contains(&name));
    assert!(!listed(&kit, "Organization", "searchRevInclude").await.contains(&name));
}

async fn a_retired_parameter_leaves_with_the_next_rebuild(kit: Kit) {
    let empty = rows(&kit).await.len();
    let note = parameter("note", "Observation", "string", "Observation.note.text");
    let other = parameter("other", "Observation", "string", "Observation.note.text");
    define(&kit, &note).await;
    define(&kit, &other).await;
    let observation = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"note":[{"text":"calm"}]}"#;
    put(&kit, "Observation/o", observation).await;
    reindex(&kit).await;
    let with = rows(&kit).await;
    let mut retired = note.clone();
    retired["status"] = json!("retired");
    define(&kit, &retired).await;
    assert_eq!(kit.delete("SearchParameter/other").await.status, StatusCode::NO_CONTENT);
    assert_eq!(kit.ids("Observation?note=calm&other=calm").await, ["o"]);
    let begun = reindex(&kit).await;
    assert_eq!((&begun["taken"], &begun["refused"]), (&json!([]), &json!([])));
    for code in ["note", "other"] {
        unknown(&kit, &format!("Observation?{code}=calm")).await;
        assert!(!listed(&kit, "Observation", "searchParam").await.contains(&code.to_owned()));
    }
    assert_eq!(kit.ids("Observation?code:text=x").await, ["o"]);
    let without = rows(&kit).await;
    assert!(empty < without.len() && without.len() < with.len());
}

async fn what_cannot_be_taken_up_is_reported(kit: Kit) {
    let expression = "Observation.note.first().text";
    define(&kit, &parameter("formed", "Observation", "string", expression)).await;
    define(&kit, &parameter("code", "Observation", "token", "Observation.code")).await;
    define(&kit, &parameter("kind", "Observation", "date", "Observation.note.text")).await;
    define(&kit, &parameter("good", "Observation", "string", "Observation.note.text")).await;
    let begun = reindex(&kit).await;
    let told = |code: &str| {
        let refused = begun["refused"].as_array().unwrap().iter();
        let mut own = refused.filter(|told| told["search"] == format!("Observation?{code}"));
        own.next().unwrap()["why"].as_str().unwrap().to_owned()
    };
    assert!(told("formed").contains("first()"));
    assert!(told("code").contains("FHIR has"));
    assert!(told("kind").contains("markdown"));
    assert_eq!(begun["taken"].as_array().unwrap().len(), 1);
    unknown(&kit, "Observation?formed=x").await;
}

async fn the_command_does_it_itself_if_no_hub_serves_the_record(kit: Kit) {
    fill(&kit, 20).await;
    define(&kit, &parameter("note", "Observation", "string", "Observation.note.text")).await;
    define(&kit, &parameter("bad", "Observation", "string", "Observation.nonsense")).await;
    let (kit, result) = kit.reindexed().await;
    let report = result.unwrap();
    assert!(report.progress.is_whole());
    assert_eq!(report.progress.walked, 42);
    let text = report.to_string();
    assert!(text.contains("taken up: Observation?note (SearchParameter/note)"), "{text}");
    assert!(text.contains("not taken up: Observation?bad (SearchParameter/bad): "), "{text}");
    assert!(text.ends_with("42 resources indexed; 1 parameters taken up, 1 not"), "{text}");
    assert!(kit.ids("Observation?note=x").await.is_empty());
    assert_eq!(kit.ids("Patient?family=Family7").await, ["p7"]);
}

async fn the_command_asks_the_hub_that_serves_the_record(kit: Kit) {
    fill(&kit, 20).await;
    define(&kit, &parameter("note", "Observation", "string", "Observation.note.text")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = kit.hub.config.clone();
    config.admin.listen = admin.local_addr().unwrap();
    let shutdown = Shutdown::default();
    let served = tokio::spawn(kit.hub.clone().serve(listener, Some(admin), shutdown.clone()));
    let report = command::run(config, Clock::System).await.unwrap();
    assert_eq!((report.progress.walked, report.taken_up.taken.len()), (41, 1));
    assert_eq!(report.progress.generation, kit.hub.store.generation().standing.generation);
    assert!(kit.ids("Observation?note=x").await.is_empty());
    assert_eq!(kit.ids("Patient?family=Family7").await, ["p7"]);
    shutdown.trigger();
    served.await.unwrap().unwrap();
}

async fn a_page_link_of_the_index_before_is_told_to_begin_again(kit: Kit) {
    fill(&kit, 5).await;
    let next = link(&kit.search("Patient?_count=2").await, "next").unwrap();
    kit.search(&next).await;
    reindex(&kit).await;
    kit.get(&next).await.assert_refused(StatusCode::GONE);
}

async fn what_one_hub_takes_up_the_other_learns(kit: Kit) {
    let Some(other) = kit.beside().await else { return };
    define(&kit, &parameter("note", "Observation", "string", "Observation.note.text")).await;
    reindex(&kit).await;
    // Prepared by the rules before, and again by those that are in force.
    let observation = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"note":[{"text":"calm"}]}"#;
    put(&other, "Observation/o", observation).await;
    for kit in [&kit, &other] {
        assert_eq!(kit.ids("Observation?note=calm").await, ["o"]);
        assert!(listed(kit, "Observation", "searchParam").await.contains(&"note".to_owned()));
    }
    // It learns by searching, too.
    let third = kit.beside().await.unwrap();
    assert_eq!(kit.delete("SearchParameter/note").await.status, StatusCode::NO_CONTENT);
    reindex(&kit).await;
    unknown(&third, "Observation?note=calm").await;
}

async fn a_union_of_what_is_searched_already_finds_what_its_parts_do(kit: Kit) {
    let union = "Observation.identifier | Observation.status";
    define(&kit, &parameter("all", "Observation", "token", union)).await;
    fill(&kit, 3).await;
    let observation = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"},"identifier":[{"system":"urn:i","value":"7"}]}"#;
    put(&kit, "Observation/o", observation).await;
    reindex(&kit).await;
    assert_eq!(kit.ids("Observation?patient=p1&all=urn:i%7C7").await, ["o"]);
    assert_eq!(kit.ids("Observation?patient=p1&all=final&_sort=_id").await, ["o", "o1"]);
    // What FHIR has as a union of others stays one.
    assert_eq!(kit.ids("Observation?combo-code=1-8&_sort=_id").await, ["o0", "o1", "o2"]);
}
