//! What the permission lists allow, by role, application and organisation.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::application::{APPLICATION, STEWARD};
use crate::world::{CONSUMER, NOW, NUMBER, PRODUCER, SNOMED, World, pointer, subject, with};

const SUMMARY: &str = "http://snomed.info/sct|887181000000106";
const PLAN: &str = "http://snomed.info/sct|736253002";

fn list(role: &str, organisation: &str, types: &[&str], controls: &[&str]) -> (String, Value) {
    let list = json!({"types": types, "access_controls": controls});
    (format!("{role}/{APPLICATION}/{organisation}.json"), list)
}

#[tokio::test]
async fn an_organisation_without_a_list_is_refused_everything() {
    let world = World::enforced(&[list("producer", "QWO", &[SUMMARY], &[])]).await;
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    for (method, url, body) in [
        (Method::GET, format!("{CONSUMER}?{}", subject(NUMBER)), Value::Null),
        (Method::GET, format!("{CONSUMER}/_count?{}", subject(NUMBER)), Value::Null),
        (Method::GET, format!("{CONSUMER}/{id}"), Value::Null),
        (Method::POST, format!("{CONSUMER}/_search"), json!({})),
    ] {
        // It may publish, but not look: the two lists are separate.
        let reply = world.ask("QWO", method, &url, body.to_string()).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, "ACCESS DENIED"), "{url}");
        let text = "Your organisation 'QWO' does not have permission to access this resource. \
                    Contact the onboarding team.";
        assert_eq!(reply.diagnostics(), text);
    }
    let reply = world.post("QHM", PRODUCER, &pointer("QHM", NUMBER)).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_type_that_is_not_listed_is_neither_written_nor_found_nor_read() {
    let mut world = World::enforced(&[
        list("producer", "QWO", &[PLAN], &[]),
        list("consumer", "RX898", &[PLAN], &[]),
    ])
    .await;
    let reply = world.post("QWO", PRODUCER, &pointer("QWO", NUMBER)).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, "AUTHOR_CREDENTIALS_ERROR"));
    assert_eq!(reply.expression(), "type.coding[0].code");

    let narrow = world.token.replace(world.token_of(STEWARD).await);
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    assert_eq!(world.find(NUMBER, "").await.ids(), [id.as_str()]);
    world.token = narrow;
    assert_eq!(world.find(NUMBER, "").await.body["total"], 0);
    let asked = world.find(NUMBER, &format!("&type={SNOMED}%7C887181000000106")).await;
    assert_eq!((asked.status, asked.code()), (StatusCode::BAD_REQUEST, "INVALID_CODE_SYSTEM"));
    let read = world.get("RX898", &format!("{CONSUMER}/{id}")).await;
    assert_eq!((read.status, read.code()), (StatusCode::FORBIDDEN, "ACCESS DENIED"));
    let text = "The requested DocumentReference is not of a type that this organisation is \
                allowed to access";
    assert_eq!(read.diagnostics(), text);
}

#[tokio::test]
async fn a_date_is_kept_where_the_list_says_so() {
    let keeps = "allow_override_creation_datetime";
    let world = World::enforced(&[
        list("producer", "QWO", &[SUMMARY], &[keeps]),
        list("producer", "QHM", &[SUMMARY], &[]),
        list("consumer", "RX898", &[SUMMARY], &[]),
    ])
    .await;
    let date = "2020-01-02T03:04:05+01:00";
    for (organisation, expected) in [("QWO", date), ("QHM", NOW)] {
        let sent = with(pointer(organisation, NUMBER), "/date", json!(date));
        let id = world.create(organisation, &sent).await;
        let stored = world.get("RX898", &format!("{CONSUMER}/{id}")).await.body;
        assert_eq!(
            (&stored["date"], &stored["meta"]["lastUpdated"]),
            (&json!(expected), &json!(NOW))
        );
    }
    // Without a date of its own a pointer has the server's.
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let stored = world.get("RX898", &format!("{CONSUMER}/{id}")).await.body;
    assert_eq!(stored["date"], NOW);
}

#[tokio::test]
async fn a_target_that_is_gone_is_superseded_where_the_list_says_so() {
    let world = World::enforced(&[
        list("producer", "QWO", &[SUMMARY], &["allow_supersede_with_delete_failure"]),
        list("producer", "QHM", &[SUMMARY], &[]),
    ])
    .await;
    let replacing = |organisation: &str, target: &str| {
        let target = json!({"identifier": {"value": target}});
        let relations = json!([{"code": "replaces", "target": target}]);
        with(pointer(organisation, NUMBER), "/relatesTo", relations)
    };
    let reply = world.post("QHM", PRODUCER, &replacing("QHM", "QHM-gone")).await;
    assert_eq!(reply.diagnostics(), "The relatesTo target document does not exist");
    let reply = world.post("QWO", PRODUCER, &replacing("QWO", "QWO-gone")).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::CREATED, "RESOURCE_SUPERSEDED"));
    // Whose the target is, is asked all the same.
    let reply = world.post("QWO", PRODUCER, &replacing("QWO", "QHM-gone")).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_update_needs_no_type_but_a_list_and_a_producer_searches_within_its_types() {
    let mut world = World::enforced(&[
        list("producer", "QWO", &[PLAN], &[]),
        list("producer", "QHM", &[SUMMARY], &[]),
    ])
    .await;
    let own = world.token.replace(world.token_of(STEWARD).await);
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    world.token = own;
    let url = format!("{PRODUCER}?{}", subject(NUMBER));
    assert_eq!(world.get("QWO", &url).await.body["total"], 0);
    let sent = with(pointer("QWO", NUMBER), "/id", json!(id));
    let reply = world.put("QWO", &format!("{PRODUCER}/{id}"), &sent).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, "RESOURCE_UPDATED"));
}
