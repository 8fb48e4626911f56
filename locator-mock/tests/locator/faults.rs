//! What is scripted on the admin listener happens, and ends.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::json;

use crate::world::{CONSUMER, NUMBER, PRODUCER, World, pointer};

/// Scripts a fault.
async fn script(world: &World, fault: &str, script: &str) {
    let reply = world.administer(Method::PUT, &format!("/faults/{fault}"), script).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert!(reply.body.get(fault).is_some(), "{}", reply.body);
}

async fn take_back(world: &World, url: &str) {
    let reply = world.administer(Method::DELETE, url, "").await;
    assert_eq!((reply.status, reply.body), (StatusCode::OK, json!({})));
}

#[tokio::test]
async fn a_refusal_lasts_as_many_requests_as_it_says() {
    let world = World::new();
    script(&world, "refuse", r#"{"status": 503, "requests": 2}"#).await;
    for _ in 0..2 {
        let reply = world.find(NUMBER, "").await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.code(), "FAILURE_TO_PROCESS_MESSAGE");
    }
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::OK);
    assert_eq!(world.administer(Method::GET, "/faults", "").await.body, json!({}));
}

#[tokio::test]
async fn a_script_ends_with_its_time_and_tells_what_is_left_of_it() {
    let world = World::new();
    script(&world, "refuse", r#"{"status": 500, "for_ms": 1000, "at": "consumer"}"#).await;
    world.advance_ms(400);
    let told = world.administer(Method::GET, "/faults", "").await.body;
    assert_eq!(told, json!({"refuse": {"status": 500, "at": "consumer", "for_ms": 600}}));
    world.advance_ms(599);
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    world.advance_ms(1);
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::OK);
    script(&world, "refuse", r#"{"status": 429}"#).await;
    world.advance_ms(59_999);
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::TOO_MANY_REQUESTS);
    world.advance_ms(1);
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_fault_of_one_part_leaves_the_others_and_the_probes_alone() {
    let world = World::new();
    script(&world, "refuse", r#"{"status": 500, "at": "producer"}"#).await;
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::OK);
    let created = world.post("QWO", PRODUCER, &pointer("QWO", NUMBER)).await;
    assert_eq!(created.status, StatusCode::INTERNAL_SERVER_ERROR);
    script(&world, "refuse", r#"{"status": 500}"#).await;
    for url in ["/live", "/ready", "/_status", "/consumer/FHIR/R4/_status"] {
        let reply = world.send(Request::get(url).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{url}");
    }
    let token = world.ask_token(String::new()).await;
    assert_eq!(token.status, StatusCode::INTERNAL_SERVER_ERROR);
    take_back(&world, "/faults/refuse").await;
    assert_eq!(world.ask_token(String::new()).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_refused_afterwards_was_done() {
    let world = World::new();
    script(&world, "refuse", r#"{"status": 504, "afterwards": true, "requests": 1}"#).await;
    let reply = world.post("QWO", PRODUCER, &pointer("QWO", NUMBER)).await;
    assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(reply.headers.get("location").is_none());
    assert_eq!(world.find(NUMBER, "").await.body["total"], 1);
}

#[tokio::test]
async fn a_delayed_request_waits_and_is_answered() {
    let world = World::new();
    script(&world, "delay", r#"{"ms": 50, "requests": 1}"#).await;
    let began = Instant::now();
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::OK);
    assert!(began.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_stale_registry_answers_as_it_was_and_keeps_what_is_written() {
    let world = World::new();
    let first = world.create("QWO", &pointer("QWO", NUMBER)).await;
    script(&world, "stale", "").await;
    let second = world.create("QHM", &pointer("QHM", NUMBER)).await;
    world.ask("QWO", Method::DELETE, &format!("{PRODUCER}/{first}"), "").await;
    assert_eq!(world.find(NUMBER, "").await.ids(), [first.as_str()]);
    let absent = world.get("RX898", &format!("{CONSUMER}/{second}")).await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    take_back(&world, "/faults").await;
    assert_eq!(world.find(NUMBER, "").await.ids(), [second.as_str()]);
}

#[tokio::test]
async fn a_lost_registry_is_empty_takes_pointers_and_is_found_again() {
    let world = World::new();
    let kept = world.create("QWO", &pointer("QWO", NUMBER)).await;
    script(&world, "lost", r#"{"for_ms": 5000}"#).await;
    assert_eq!(world.find(NUMBER, "").await.body["total"], 0);
    assert_eq!(world.get("QWO", &format!("{PRODUCER}/{kept}")).await.status, StatusCode::NOT_FOUND);
    let anew = world.create("QWO", &pointer("QWO", NUMBER)).await;
    assert_eq!(world.find(NUMBER, "").await.ids(), [anew.as_str()]);
    let metrics = world.administer(Method::GET, "/metrics", "").await;
    assert!(metrics.body.as_str().unwrap().contains("locator_pointers 1"));
    world.advance_ms(5_000);
    assert_eq!(world.find(NUMBER, "").await.ids(), [kept.as_str()]);
}

#[tokio::test]
async fn a_lost_registry_is_back_after_a_restart() {
    let world = World::new();
    let kept = world.create("QWO", &pointer("QWO", NUMBER)).await;
    script(&world, "lost", "{}").await;
    let world = World::reopen(world.close());
    assert_eq!(world.find(NUMBER, "").await.ids(), [kept.as_str()]);
}

#[tokio::test]
async fn a_script_without_bounds_or_sense_is_refused_in_a_sentence() {
    let world = World::new();
    for (fault, script, says) in [
        ("delay", "{}", "ms"),
        ("delay", r#"{"ms": 60001}"#, "60000"),
        ("delay", r#"{"ms": 1, "status": 500}"#, "A delay takes"),
        ("refuse", r#"{"status": 200}"#, "400 to 599"),
        ("refuse", r#"{"status": 500, "requests": 0}"#, "at least 1"),
        ("stale", r#"{"for_ms": 3600001}"#, "3600000"),
        ("lost", r#"{"at": "consumer"}"#, "requests and for_ms"),
        ("lost", r#"{"forever": true}"#, "forever"),
        ("stale", "[", "script"),
    ] {
        let reply = world.administer(Method::PUT, &format!("/faults/{fault}"), script).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{fault} {script}");
        assert!(reply.diagnostics().contains(says), "{fault} {script}: {}", reply.body);
    }
    let reply = world.administer(Method::PUT, "/faults/fire", "{}").await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(world.administer(Method::GET, "/faults", "").await.body, json!({}));
}
