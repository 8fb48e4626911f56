//! What a producer does with its pointers.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{
    CONSUMER, NOW, NUMBER, ORIGIN, PRODUCER, SNOMED, World, concept, pointer, subject, with,
};

fn at(id: &str) -> String {
    format!("{PRODUCER}/{id}")
}

/// A pointer that relates to another.
fn relating(pointer: Value, code: &str, target: &str) -> Value {
    let target = json!({"type": "DocumentReference", "identifier": {"value": target}});
    with(pointer, "/relatesTo", json!([{"code": code, "target": target}]))
}

#[tokio::test]
async fn a_created_pointer_gets_an_id_a_date_and_a_location() {
    let world = World::new();
    let sent = with(pointer("QWO", NUMBER), "/id", json!("OTHER-1"));
    let sent = with(sent, "/date", json!("2020-01-01T00:00:00Z"));
    let reply = world.post("QWO", PRODUCER, &sent).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!(reply.code(), "RESOURCE_CREATED");
    assert_eq!(reply.diagnostics(), "The document has been created");
    assert_eq!(reply.body["issue"][0]["severity"], "information");
    let location = reply.headers["location"].to_str().unwrap();
    let id = location.strip_prefix(&format!("{ORIGIN}{PRODUCER}/")).unwrap();
    assert!(id.starts_with("QWO-") && id.len() == 40, "{id}");

    let stored = world.get("QWO", &at(id)).await;
    let expected = with(with(sent, "/id", json!(id)), "/date", json!(NOW));
    let expected = with(expected, "/meta", json!({"lastUpdated": NOW}));
    assert_eq!((stored.status, stored.body), (StatusCode::OK, expected));
}

#[tokio::test]
async fn a_pointer_is_served_as_it_was_received() {
    let world = World::new();
    let text = pointer("QWO", NUMBER).to_string();
    let text = text.replacen('{', r#"{ "description" : "a  b\u00e9 1.00", "#, 1);
    let reply = world.ask("QWO", Method::POST, PRODUCER, text).await;
    let location = reply.headers["location"].to_str().unwrap().to_owned();
    let stored = world.get("RX898", &location.replace("producer", "consumer")).await;
    assert_eq!(stored.body["description"], "a  bé 1.00");
}

#[tokio::test]
async fn a_pointer_of_another_custodian_is_refused() {
    let world = World::new();
    let reply = world.post("QHM", PRODUCER, &pointer("QWO", NUMBER)).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.code(), "UNPROCESSABLE_ENTITY");
    assert_eq!(reply.expression(), "custodian.identifier.value");
}

#[tokio::test]
async fn a_number_with_a_wrong_check_digit_is_a_refusal_not_a_failure() {
    let world = World::new();
    let reply = world.post("QWO", PRODUCER, &pointer("QWO", "1234567890")).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.expression(), "subject.identifier.value");
    assert!(!reply.body.to_string().contains("1234567890"));
}

#[tokio::test]
async fn upsert_keeps_the_id_and_refuses_one_that_is_taken() {
    let world = World::new();
    let sent = with(pointer("QWO", NUMBER), "/id", json!("QWO-abc"));
    let reply = world.put("QWO", PRODUCER, &sent).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!(reply.headers["location"], format!("{ORIGIN}{PRODUCER}/QWO-abc"));
    let again = world.put("QWO", PRODUCER, &sent).await;
    assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "DUPLICATE_REJECTED"));
    assert_eq!(again.body["issue"][0]["code"], "conflict");
    assert!(again.body["issue"][0].get("diagnostics").is_none());

    let foreign = world.put("QWO", PRODUCER, &with(sent, "/id", json!("QHM-1"))).await;
    assert_eq!(foreign.status, StatusCode::UNPROCESSABLE_ENTITY);
    let without = world.put("QWO", PRODUCER, &pointer("QWO", NUMBER)).await;
    assert_eq!(without.diagnostics(), "The required field 'id' is missing");
}

#[tokio::test]
async fn a_new_pointer_supersedes_those_it_replaces_and_no_others() {
    let world = World::new();
    let replaced = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let signed = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let relation =
        |code: &str, id: &str| json!({"code": code, "target": {"identifier": {"value": id}}});
    let relations = json!([relation("replaces", &replaced), relation("signs", &signed)]);
    let sent = with(pointer("QWO", NUMBER), "/relatesTo", relations);
    let reply = world.post("QWO", PRODUCER, &sent).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::CREATED, "RESOURCE_SUPERSEDED"));
    assert_eq!(reply.diagnostics(), "The document has been superseded by a new version");
    assert_eq!(world.get("QWO", &at(&replaced)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("QWO", &at(&signed)).await.status, StatusCode::OK);
    assert_eq!(world.find(NUMBER, "").await.body["total"], 2);
}

#[tokio::test]
async fn a_pointer_supersedes_only_its_own_kind() {
    let world = World::new();
    let own = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let foreign = world.create("QHM", &pointer("QHM", NUMBER)).await;
    let plan = with(
        pointer("QWO", NUMBER),
        "/type",
        concept(SNOMED, "736373009", "End of life care plan"),
    );
    let plan = with(plan, "/category/0", concept(SNOMED, "734163000", "Care plan"));
    let nothing = json!([{"code": "signs", "target": {"display": "a paper"}}]);
    for (sent, cause) in [
        (with(pointer("QWO", NUMBER), "/relatesTo", nothing), "No identifier value provided"),
        (relating(pointer("QWO", NUMBER), "replaces", &foreign), "expected ODS code"),
        (relating(pointer("QWO", NUMBER), "signs", "QWO-gone"), "does not exist"),
        (relating(pointer("QWO", "9876543210"), "replaces", &own), "NHS number does not match"),
        (relating(plan, "replaces", &own), "type does not match"),
    ] {
        let reply = world.post("QWO", PRODUCER, &sent).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{cause}");
        assert!(reply.diagnostics().contains(cause), "{cause}: {}", reply.body);
        assert_eq!(reply.expression(), "relatesTo[0].target.identifier.value");
    }
    assert_eq!(world.find(NUMBER, "").await.body["total"], 2);
}

#[tokio::test]
async fn an_update_keeps_the_date_and_moves_last_updated() {
    let world = World::new();
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    world.advance_ms(1_000);
    let sent = with(pointer("QWO", NUMBER), "/id", json!(id));
    let sent = with(sent, "/content/0/attachment/url", json!("https://new.example"));
    let sent = with(sent, "/date", json!("2001-01-01T00:00:00Z"));
    let reply = world.put("QWO", &at(&id), &sent).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, "RESOURCE_UPDATED"));
    let stored = world.get("QWO", &at(&id)).await.body;
    assert_eq!(stored["date"], NOW);
    assert_eq!(stored["meta"]["lastUpdated"], "2026-11-23T09:30:01.123Z");
    assert_eq!(stored["content"][0]["attachment"]["url"], "https://new.example");
}

#[tokio::test]
async fn an_update_may_not_change_what_a_pointer_is_about() {
    let world = World::new();
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let sent = with(pointer("QWO", NUMBER), "/id", json!(id));
    let reply = world.put("QWO", &at("QWO-other"), &sent).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(reply.diagnostics().contains("in the path does not match"));

    let moved = with(sent.clone(), "/subject/identifier/value", json!("9876543210"));
    let reply = world.put("QWO", &at(&id), &moved).await;
    assert_eq!(reply.diagnostics(), "The field 'subject' is immutable and cannot be updated");
    let related = relating(sent.clone(), "signs", &id);
    let reply = world.put("QWO", &at(&id), &related).await;
    assert_eq!(reply.expression(), "relatesTo");

    let reply = world.put("QHM", &at(&id), &sent).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, "AUTHOR_CREDENTIALS_ERROR"));
    let absent = with(sent, "/id", json!("QWO-absent"));
    let reply = world.put("QWO", &at("QWO-absent"), &absent).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::NOT_FOUND, "NO_RECORD_FOUND"));
}

#[tokio::test]
async fn a_producer_reads_and_deletes_its_own_pointers_only() {
    let world = World::new();
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let read = world.get("QHM", &at(&id)).await;
    assert_eq!((read.status, read.code()), (StatusCode::FORBIDDEN, "AUTHOR_CREDENTIALS_ERROR"));
    assert!(read.diagnostics().contains("cannot be read because"));
    let delete = world.ask("QHM", Method::DELETE, &at(&id), "").await;
    assert_eq!(delete.status, StatusCode::FORBIDDEN);
    assert!(delete.diagnostics().contains("cannot be deleted because"));

    let delete = world.ask("QWO", Method::DELETE, &at(&id), "").await;
    assert_eq!((delete.status, delete.code()), (StatusCode::OK, "RESOURCE_DELETED"));
    assert_eq!(delete.diagnostics(), "The requested DocumentReference has been deleted");
    let again = world.ask("QWO", Method::DELETE, &at(&id), "").await;
    assert_eq!((again.status, again.code()), (StatusCode::OK, "RESOURCE_DELETED"));
    assert_eq!(again.diagnostics(), "The requested DocumentReference could not be found");
    let read = world.get("QWO", &at(&id)).await;
    assert_eq!((read.status, read.code()), (StatusCode::NOT_FOUND, "NO_RECORD_FOUND"));
}

#[tokio::test]
async fn an_id_in_a_path_is_decoded_first() {
    let world = World::new();
    let sent = with(pointer("QWO", NUMBER), "/id", json!("QWO-a"));
    world.put("QWO", PRODUCER, &sent).await;
    assert_eq!(world.get("QWO", &at("QWO%2Da")).await.status, StatusCode::OK);
    let broken = world.get("QWO", &at("QWO%FF")).await;
    assert_eq!((broken.status, broken.code()), (StatusCode::BAD_REQUEST, "INVALID_PARAMETER"));
    assert_eq!(world.get("QWO", &at("nothing")).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_producer_finds_its_own_pointers_without_a_self_link() {
    let world = World::new();
    let own = world.create("QWO", &pointer("QWO", NUMBER)).await;
    world.create("QHM", &pointer("QHM", NUMBER)).await;
    let found = world.get("QWO", &format!("{PRODUCER}?{}", subject(NUMBER))).await;
    assert_eq!(found.ids(), [own.as_str()]);
    assert!(found.body.get("link").is_none());
    let body = json!({"subject:identifier": format!("https://fhir.nhs.uk/Id/nhs-number|{NUMBER}")});
    let found = world.post("QWO", &format!("{PRODUCER}/_search"), &body).await;
    assert_eq!((found.body["total"].clone(), found.ids()), (json!(1), vec![own.as_str()]));
    let all = world.get("X", &format!("{CONSUMER}?{}", subject(NUMBER))).await;
    assert_eq!(all.body["total"], 2);
}

#[tokio::test]
async fn a_producers_search_needs_a_valid_number() {
    let world = World::new();
    let reply = world.get("QWO", PRODUCER).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.code(), "INVALID_NHS_NUMBER");
    assert_eq!(reply.diagnostics(), "NHS number is missing from the search parameters");
    let reply = world.get("QWO", &format!("{PRODUCER}?{}", subject("123"))).await;
    assert_eq!(reply.diagnostics(), "Invalid NHS number provided in the search parameters");
    let further = format!("{PRODUCER}?{}&_summary=count", subject(NUMBER));
    let reply = world.get("QWO", &further).await;
    assert_eq!(reply.code(), "INVALID_PARAMETER");
}
