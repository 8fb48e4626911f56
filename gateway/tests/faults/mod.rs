//! What goes wrong between regions, and what a caller sees of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use fhir::identifier::NHS_NUMBER;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::with_far;
use crate::world::{
    Answer, Fake, NUMBER, Reply, World, deaf, directory_entry, fact, hub, locator, nobody,
    observation, patient, pointers, raw, searchset,
};

const START: &str = r#"{"resourceType":"Bundle","type":"searchset","entry":["#;

/// HOME holds one Observation; FAR is at that origin.
async fn far_at(origin: &str, deadline_ms: u64) -> World {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["FAR"]).await;
    let regions = [home.region("HOME"), directory_entry("FAR", origin)];
    World::configured(&locator.origin, &format!("deadline_ms = {deadline_ms}"), &regions).await
}

fn is_partial(answer: &Answer, status: &str) {
    assert_eq!((answer.status, answer.ids()), (200, vec!["HOME/a".to_owned()]));
    assert_eq!(answer.statuses(), [status]);
    assert_eq!(answer.header("x-federation-complete"), "false");
    assert!(answer.body.get("total").is_none());
}

#[tokio::test]
async fn a_region_that_refuses_connections_costs_less_than_a_second() {
    let world = far_at(&nobody().await, 8_000).await;
    let started = Instant::now();
    is_partial(&world.observations("").await, "unreachable");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_region_that_takes_connections_and_says_nothing_is_named_at_the_deadline() {
    let (origin, _listener) = deaf().await;
    let world = far_at(&origin, 500).await;
    is_partial(&world.observations("").await, "timeout");
}

#[tokio::test]
async fn a_region_without_an_address_is_named_by_the_deadline() {
    let world = far_at("http://no-such-region.invalid", 1_500).await;
    let started = Instant::now();
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.ids().len()), (200, 1));
    assert!(["unreachable", "timeout"].contains(&answer.statuses()[0]));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_region_holds_no_work_for_a_question_whose_time_is_over() {
    let token = Arc::new(Mutex::new(Weak::new()));
    let watched = token.clone();
    let far = Fake::start(move |_| {
        let held = Arc::new(());
        *watched.lock().unwrap() = Arc::downgrade(&held);
        Reply::Watched(held)
    })
    .await;
    let world = far_at(&far.origin, 400).await;
    is_partial(&world.observations("").await, "timeout");
    let gone = async {
        while token.lock().unwrap().strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_millis(400), gone).await.unwrap();
}

#[tokio::test]
async fn a_region_that_trickles_is_cut_off_at_the_deadline_though_it_is_never_idle() {
    for (spaces, every_ms) in [(1, 20), (800, 100)] {
        let every = Duration::from_millis(every_ms);
        let (world, _far) = with_far(Reply::Trickle(START, spaces, every)).await;
        let started = Instant::now();
        is_partial(&world.observations("").await, "timeout");
        assert!(started.elapsed() < Duration::from_millis(1_400), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_at_its_largest_size() {
    let (world, _far) = with_far(Reply::Trickle(START, 1 << 20, Duration::ZERO)).await;
    let url = format!("{}/Observation?patient.identifier={}|{}", world.base, NHS_NUMBER, NUMBER);
    let request = world.client.get(url).header("x-request-timeout-ms", "20000");
    is_partial(&Answer::of(request.send().await.unwrap()).await, "too-large");
}

#[tokio::test]
async fn a_chain_of_empty_pages_ends() {
    let far = Fake::start(|request| {
        let cursor = request.target.rsplit('=').next().and_then(|text| text.parse().ok());
        let next = cursor.unwrap_or(0_u32) + 1;
        let mut page = searchset(&[]);
        let url = format!("Observation?cursor={next}");
        page["link"] = json!([{"relation": "next", "url": url}]);
        Reply::Json(200, page)
    })
    .await;
    let world = far_at(&far.origin, 20_000).await;
    is_partial(&world.observations("").await, "too-large");
    assert_eq!(far.seen().len(), 200);
}

#[tokio::test]
async fn an_answer_that_breaks_off_below_http_is_dropped_whole() {
    const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\n\
        content-length: 900\r\n\r\n{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}";
    const CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\n\
        transfer-encoding: chunked\r\n\r\n2c\r\n{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}\r\n5";
    const PACKED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\n\
        content-encoding: gzip\r\ncontent-length: 6\r\n\r\n\x1f\x8b\x08\x00\x00\x00";
    for (bytes, status) in
        [(SHORT, "invalid"), (CHUNK, "invalid"), (PACKED, "invalid"), (b"HELO\r\n", "unreachable")]
    {
        let (origin, _count) = raw(bytes).await;
        let world = far_at(&origin, 8_000).await;
        is_partial(&world.observations("").await, status);
    }
}

#[tokio::test]
async fn a_question_that_reached_a_region_is_never_asked_again() {
    let (origin, count) = raw(b"").await;
    let world = far_at(&origin, 8_000).await;
    is_partial(&world.observations("").await, "unreachable");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = hub(vec![observation("x", "2026-01-01")]).await;
    let (world, far) = with_far(Reply::Moved(format!("{}/FHIR/R4", elsewhere.origin))).await;
    is_partial(&world.observations("").await, "invalid");
    assert_eq!((far.seen().len(), elsewhere.seen().len()), (1, 0));
    assert_eq!(world.get("at/FAR/Observation/a").await.status, 502);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn each_refusal_of_a_region_is_told_as_what_it_is() {
    let outcome = json!({"resourceType": "OperationOutcome", "issue": []});
    for (code, status) in [
        (401, "refused"),
        (403, "refused"),
        (404, "refused"),
        (408, "timeout"),
        (429, "throttled"),
        (500, "unreachable"),
        (502, "unreachable"),
        (503, "throttled"),
        (504, "timeout"),
    ] {
        let (world, _far) = with_far(Reply::Json(code, outcome.clone())).await;
        is_partial(&world.observations("").await, status);
    }
}

#[tokio::test]
async fn a_region_that_keeps_failing_is_left_alone_and_tried_once_a_second() {
    let well = Arc::new(AtomicBool::new(false));
    let healed = well.clone();
    let far = Fake::start(move |_| {
        if healed.load(Ordering::SeqCst) {
            Reply::Json(200, searchset(&[]))
        } else {
            Reply::Json(500, json!({}))
        }
    })
    .await;
    let world = far_at(&far.origin, 8_000).await;
    for _ in 0..5 {
        is_partial(&world.observations("").await, "unreachable");
    }
    for _ in 0..20 {
        let answer = world.observations("").await;
        is_partial(&answer, "open");
        assert!(answer.says("Region FAR (FAR) has failed repeatedly and was not asked"));
        assert_eq!(answer.header("x-federation-regions"), "total=2,ok=1,open=1");
    }
    assert_eq!((far.seen().len(), world.get("at/FAR/Observation/a").await.status), (5, 502));
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    is_partial(&world.observations("").await, "unreachable");
    is_partial(&world.observations("").await, "open");
    assert_eq!(far.seen().len(), 6, "one probe");
    well.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2_050)).await;
    let answer = world.observations("").await;
    assert_eq!(answer.header("x-federation-regions"), "total=2,ok=2");
    assert_eq!(world.observations("").await.header("x-federation-complete"), "true");
}

#[tokio::test]
async fn a_region_that_asks_for_a_rest_has_it() {
    for status in [429, 503] {
        let (world, far) = with_far(Reply::Busy(status, "30")).await;
        is_partial(&world.observations("").await, "throttled");
        is_partial(&world.observations("").await, "open");
        assert_eq!(far.seen().len(), 1, "{status}");
        let (world, far) = with_far(Reply::Busy(status, "soon")).await;
        is_partial(&world.observations("").await, "throttled");
        is_partial(&world.observations("").await, "throttled");
        assert_eq!(far.seen().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a_region_answers_so_many_at_a_time_and_the_others_do_not_wait_for_it() {
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let far = Fake::start(move |_| Reply::Gated(closed.clone(), searchset(&[]))).await;
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["FAR"]).await;
    let regions = [home.region("HOME"), far.region("FAR")];
    let world = World::configured(&locator.origin, "region_requests = 1", &regions).await;
    let second = async {
        while far.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        let answer = world.observations("&code=2").await;
        gate.add_permits(1);
        answer
    };
    let (first, second) = tokio::join!(world.observations("&code=1"), second);
    assert_eq!(first.header("x-federation-complete"), "true");
    is_partial(&second, "throttled");
    assert_eq!(far.seen().len(), 1);
}

#[tokio::test]
async fn who_asks_the_same_at_the_same_time_shares_a_regions_answer() {
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let far = Fake::start(move |_| {
        Reply::Gated(closed.clone(), searchset(&[observation("x", "2026-02-01")]))
    })
    .await;
    let world = far_at(&far.origin, 8_000).await;
    let gone = world.observations("&code=1");
    let stays = world.observations("&code=1");
    let open = async {
        while far.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut stays = std::pin::pin!(stays);
    tokio::select! {
        _ = gone => unreachable!("the region waits"),
        _ = &mut stays => unreachable!("the region waits"),
        () = open => {}
    }
    // The one caller has gone away by now.
    gate.add_permits(1);
    assert_eq!(stays.await.ids(), ["FAR/x", "HOME/a"]);
    assert_eq!(far.seen().len(), 1);
    gate.add_permits(1);
    assert_eq!(world.observations("&code=1").await.ids().len(), 2);
    assert_eq!(far.seen().len(), 2, "nothing is kept");
}

#[tokio::test]
async fn entries_of_another_patient_are_never_shown_and_the_region_is_named() {
    let foreign = json!({"resourceType": "Bundle", "type": "searchset", "entry": [
        {"resource": observation("x", "2026-01-01"), "search": {"mode": "match"}},
        {"resource": patient("p", "9876543210"), "search": {"mode": "include"}},
    ]});
    let (world, _far) = with_far(Reply::Json(200, foreign.clone())).await;
    let answer = world.observations("").await;
    is_partial(&answer, "wrong-patient");
    assert_eq!(answer.issues()[0]["code"], "security");
    assert!(!answer.body.to_string().contains("9876543210"));
    let (alert, interaction) = journaled(&world);
    assert_eq!(alert["target"], "/FHIR/R4/at/FAR");
    assert_eq!((&alert["detail"], &alert["status"]), (&json!("wrong-patient"), &json!(502)));
    assert_eq!(alert["organisation"], "HOME");
    assert_eq!(alert["request"], interaction["request"], "it is known who was answered");
    assert!(!alert.to_string().contains(NUMBER));
    // A stream tells it as well, and the journal with it.
    let (world, _far) = with_far(Reply::Json(200, foreign)).await;
    let url = format!("{}/Observation?patient.identifier={NHS_NUMBER}|{NUMBER}", world.base);
    let request = world.client.get(url).header("accept", "application/fhir+ndjson");
    let told = request.send().await.unwrap().text().await.unwrap();
    assert!(told.contains("wrong-patient") && !told.contains("9876543210"), "{told}");
    assert_eq!(journaled(&world).0["target"], "/FHIR/R4/at/FAR");
}

/// The one alert of the journal, and the one interaction.
fn journaled(world: &World) -> (Value, Value) {
    let journal = world.journal();
    let lines = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (mut alerts, mut others): (Vec<_>, Vec<_>) =
        lines.partition(|line| line["method"] == "ALERT");
    assert_eq!((alerts.len(), others.len()), (1, 1), "{journal}");
    (alerts.remove(0), others.remove(0))
}

#[tokio::test]
async fn one_fact_told_differently_by_two_regions_is_shown_twice_with_a_warning() {
    let home = hub(vec![fact("a", "one", 1)]).await;
    let far = hub(vec![fact("b", "one", 5)]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    for more in ["", "&dedup=fold"] {
        let answer = world.observations(more).await;
        assert_eq!(answer.ids(), ["HOME/a", "FAR/b"]);
        assert_eq!(answer.issues()[0]["code"], "conflict");
        assert_eq!(answer.issues()[0]["severity"], "warning");
    }
}

#[tokio::test]
async fn a_locator_that_hangs_or_breaks_off_never_makes_an_empty_answer() {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let half = r#"{"resourceType":"Bundle","type":"searchset","total":0"#;
    for reply in [
        Reply::Silence,
        Reply::Cut(half),
        Reply::Json(429, json!({})),
        Reply::Trickle(half, 1, Duration::from_millis(20)),
    ] {
        let locator = Fake::start(move |_| reply.clone()).await;
        let regions = [home.region("HOME")];
        let world = World::configured(&locator.origin, "deadline_ms = 600", &regions).await;
        let answer = world.observations("").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), "5");
        assert!(answer.says("it is not known which regions hold a record"));
    }
}

#[tokio::test]
async fn a_region_that_the_locator_forgot_is_there_as_soon_as_it_remembers() {
    let asked = Arc::new(AtomicUsize::new(0));
    let locator = Fake::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Json(200, pointers(&[])),
        _ => Reply::Json(200, pointers(&["FAR"])),
    })
    .await;
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let far = hub(vec![observation("b", "2026-01-02")]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    assert_eq!(world.observations("").await.ids(), ["HOME/a"]);
    assert_eq!(world.observations("").await.ids(), ["FAR/b", "HOME/a"]);
}
