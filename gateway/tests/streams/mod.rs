//! Answers in parts: what is sent when, what is said at the end, and what is never sent.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fhir::identifier::NHS_NUMBER;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::with_far;
use crate::world::{
    Answer, Fake, NUMBER, Reply, World, fact, hub, locator, nobody, observation, patient, searchset,
};

const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/fhir+ndjson";

/// A stream while it is read.
struct Stream {
    response: reqwest::Response,
    read: String,
}

impl Stream {
    async fn open(world: &World, accept: &str, more: &str) -> Self {
        let response = send(world, accept, more).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], accept);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers().contains_key("content-encoding"));
        assert!(!response.headers().contains_key("x-federation-complete"));
        Self { response, read: String::new() }
    }

    /// The text up to the next `end`, if there is any more.
    async fn upto(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(place) = self.read.find(end) {
                let rest = self.read.split_off(place + end.len());
                let mut text = std::mem::replace(&mut self.read, rest);
                text.truncate(place);
                return Some(text);
            }
            let Some(bytes) = self.response.chunk().await.unwrap() else {
                assert_eq!(self.read, "", "the last part is whole");
                return None;
            };
            self.read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event: its name, its data.
    async fn event(&mut self) -> Option<(String, Value)> {
        let text = self.upto("\n\n").await?;
        let mut lines = text.lines();
        let name = lines.next().unwrap().strip_prefix("event: ").unwrap().to_owned();
        let data: Vec<_> = lines.map(|line| line.strip_prefix("data: ").unwrap()).collect();
        Some((name, serde_json::from_str(&data.join("\n")).unwrap()))
    }

    /// All events from here on.
    async fn events(mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }

    /// All lines from here on.
    async fn lines(mut self) -> Vec<Value> {
        let mut lines = Vec::new();
        while let Some(line) = self.upto("\n").await {
            lines.push(serde_json::from_str(&line).unwrap());
        }
        lines
    }
}

async fn send(world: &World, accept: &str, more: &str) -> reqwest::Response {
    let base = &world.base;
    let url = format!("{base}/Observation?patient.identifier={NHS_NUMBER}|{NUMBER}{more}");
    let request = world.client.get(url).header("accept", accept);
    request.header("accept-encoding", "gzip").send().await.unwrap()
}

fn named<'a>(events: &'a [(String, Value)], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event.0 == name).map(|event| &event.1).collect()
}

fn says(outcome: &Value, words: &str) -> bool {
    let issues = outcome["issue"].as_array().unwrap();
    issues.iter().any(|issue| issue["diagnostics"].as_str().unwrap().contains(words))
}

#[tokio::test]
async fn a_region_that_takes_its_time_delays_nobody_elses_events() {
    let gate = Arc::new(Semaphore::new(0));
    let held = searchset(&[observation("b", "2026-02-01")]);
    let (world, far) = with_far(Reply::Gated(gate.clone(), held)).await;
    let mut stream = Stream::open(&world, EVENTS, "").await;
    let (name, pending) = stream.event().await.unwrap();
    assert_eq!(name, "pending");
    let names = json!([
        {"ods": "HOME", "name": "Region HOME"}, {"ods": "FAR", "name": "Region FAR"},
    ]);
    assert_eq!(pending["regions"], names);
    assert!((1..=1_000).contains(&pending["deadlineMs"].as_u64().unwrap()));
    let (name, home) = stream.event().await.unwrap();
    assert_eq!((&*name, &home["ods"], &home["status"]), ("region", &json!("HOME"), &json!("ok")));
    assert_eq!((&home["name"], &home["count"]), (&json!("Region HOME"), &json!(1)));
    let (name, entry) = stream.event().await.unwrap();
    assert_eq!((&*name, &entry["resource"]["id"]), ("entry", &json!("a")));
    // All that was seen before the other region has said a word.
    gate.add_permits(1);
    let rest = stream.events().await;
    let order: Vec<_> = rest.iter().map(|(name, _)| &**name).collect();
    assert_eq!(order, ["region", "entry", "complete"]);
    assert_eq!((&rest[0].1["ods"], &rest[0].1["entries"]), (&json!("FAR"), &json!(1)));
    let base = &world.base;
    assert_eq!(rest[1].1["fullUrl"], format!("{base}/at/FAR/Observation/b"));
    let canonical = format!("{}/FHIR/R4/Observation/b", far.origin);
    assert_eq!(rest[1].1["link"], json!([{"relation": "canonical", "url": canonical}]));
    let end = &rest[2].1;
    assert_eq!((&end["complete"], &end["total"]), (&json!(true), &json!(2)));
    assert_eq!(end["regions"], json!({"total": 2, "ok": 2}));
    assert_eq!(end["outcome"]["meta"]["tag"][0]["code"], "complete");
}

#[tokio::test]
async fn the_last_event_comes_by_the_deadline_and_names_who_is_silent() {
    let (world, _far) = with_far(Reply::Silence).await;
    let begun = Instant::now();
    let events = Stream::open(&world, EVENTS, "").await.events().await;
    assert!(begun.elapsed() < Duration::from_millis(1_300), "{:?}", begun.elapsed());
    let (name, end) = events.last().unwrap();
    assert_eq!((&**name, &end["complete"], end.get("total")), ("complete", &json!(false), None));
    assert_eq!(end["regions"], json!({"total": 2, "ok": 1, "timeout": 1}));
    assert_eq!(end["outcome"]["meta"]["tag"][0]["code"], "partial");
    assert!(says(&end["outcome"], "Region FAR (FAR) did not answer in time"));
    let statuses: Vec<_> = named(&events, "region").iter().map(|r| &r["status"]).collect();
    assert_eq!(statuses, ["ok", "timeout"]);
    assert_eq!(named(&events, "entry").len(), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_asked_for_no_longer() {
    let token: Arc<std::sync::Mutex<Weak<()>>> = Arc::default();
    let given = token.clone();
    let silent = Fake::start(move |_| {
        let held = Arc::new(());
        *given.lock().unwrap() = Arc::downgrade(&held);
        Reply::Watched(held)
    })
    .await;
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), silent.region("FAR")]).await;
    let mut stream = Stream::open(&world, EVENTS, "").await;
    while stream.event().await.unwrap().0 != "entry" {}
    let asked = async || {
        while token.lock().unwrap().upgrade().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), asked()).await.unwrap();
    drop(stream);
    let gone = async || {
        while token.lock().unwrap().upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_streamed_of_a_region_whose_answer_holds_another_patient() {
    let foreign = json!({"resourceType": "Bundle", "type": "searchset", "entry": [
        {"resource": observation("x", "2026-01-01"), "search": {"mode": "match"}},
        {"resource": patient("p", "9876543210"), "search": {"mode": "include"}},
    ]});
    let (world, _far) = with_far(Reply::Json(200, foreign)).await;
    let events = Stream::open(&world, EVENTS, "&_include=Observation:patient").await.events().await;
    let far = named(&events, "region").into_iter().find(|r| r["ods"] == "FAR").unwrap();
    assert_eq!((&far["status"], &far["count"]), (&json!("wrong-patient"), &json!(0)));
    let entries = named(&events, "entry");
    let of_home = |entry: &&Value| entry["fullUrl"].as_str().unwrap().contains("/at/HOME/");
    assert_eq!((entries.len(), entries.iter().filter(|e| of_home(e)).count()), (2, 2));
    assert_eq!(events.last().unwrap().1["regions"]["wrong-patient"], 1);
}

/// An Observation of several lines, with digits that a number would lose, and its Patient.
const LAID_OUT: &str = r#"{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{
  "resourceType": "Observation", "id": "c", "status": "final",
  "valueQuantity": {"value": 1.10}, "effectiveDateTime": "2026-05-01",
  "subject": {"reference": "Patient/p"}
},"search":{"mode":"match"}},
{"resource":{"resourceType":"Patient","id":"p",
"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9434765919"}]},
"search":{"mode":"include"}}]}"#;

#[tokio::test]
async fn a_streams_entries_and_remarks_are_those_of_the_ordinary_answer() {
    let same = || fact("a", "one-fact", 1);
    let home = hub(vec![same(), observation("b", "2026-04-01")]).await;
    let far = hub(vec![same()]).await;
    let laid_out = Fake::start(|_| Reply::Raw("application/fhir+json", LAID_OUT)).await;
    let locator = locator(&["HOME", "FAR", "OUT", "GONE"]).await;
    let regions = [home.region("HOME"), far.region("FAR"), laid_out.region("OUT")];
    let world = World::start(&locator.origin, &regions).await;
    let more = "&_include=Observation:patient";
    let answer = world.observations(more).await;
    let mut ordinary: Vec<Value> =
        answer.matches().into_iter().chain(answer.includes()).cloned().collect();
    let events = Stream::open(&world, EVENTS, more).await.events().await;
    let mut lines = Stream::open(&world, LINES, more).await.lines().await;
    let last = lines.pop().unwrap();
    let mut told: Vec<Value> = named(&events, "entry").into_iter().cloned().collect();
    for entries in [&mut ordinary, &mut told, &mut lines] {
        entries.sort_by_key(|entry| entry["fullUrl"].as_str().unwrap_or_default().to_owned());
    }
    // Four matches and a Patient each of three regions, and a Linkage of the same fact.
    assert_eq!((told.len(), &told, &lines), (8, &ordinary, &ordinary));
    let end = events.last().unwrap().1.clone();
    assert_eq!(last["search"]["mode"], "outcome");
    assert_eq!(last["resource"], end["outcome"]);
    let mut issues = end["outcome"]["issue"].as_array().unwrap().clone();
    issues.pop();
    assert_eq!(issues.iter().collect::<Vec<_>>(), answer.issues());
    assert!(says(&end["outcome"], "same fact") && says(&end["outcome"], "GONE"));
    assert_eq!(end["regions"], json!({"total": 4, "ok": 3, "unknown": 1}));
    let raw = send(&world, LINES, "").await.text().await.unwrap();
    assert!(raw.contains(r#""valueQuantity": {"value": 1.10}"#), "{raw}");
}

#[tokio::test]
async fn a_stream_of_counts_has_no_entries() {
    let (world, _far) = with_far(Reply::Json(200, searchset(&[observation("b", "2026")]))).await;
    let events = Stream::open(&world, EVENTS, "&_summary=count").await.events().await;
    assert!(named(&events, "entry").is_empty());
    for region in named(&events, "region") {
        assert_eq!((&region["count"], &region["entries"]), (&json!(1), &json!(0)));
    }
    assert_eq!(events.last().unwrap().1["total"], 2);
    let lines = Stream::open(&world, LINES, "&_count=0").await.lines().await;
    assert_eq!(lines.len(), 1);
}

#[tokio::test]
async fn what_is_refused_before_the_first_part_is_refused_as_ever() {
    let (world, _far) = with_far(Reply::Silence).await;
    for (more, words) in [
        ("&_count=5", "not paged"),
        ("&incomplete=error", "taken back"),
        ("&dedup=fold", "folded"),
        ("&patient=1", "logical id"),
        ("&region=GONE", "GONE"),
    ] {
        let refused = Answer::of(send(&world, EVENTS, more).await).await;
        assert_eq!((refused.status, refused.says(words)), (400, true), "{more}");
        assert_eq!(refused.header("content-type"), fhir::FHIR_JSON);
    }
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let world = World::start(&nobody().await, &[home.region("HOME")]).await;
    assert_eq!(send(&world, EVENTS, "").await.status(), 503);
}

#[tokio::test]
async fn when_no_region_answers_a_stream_ends_with_what_would_have_been_told() {
    let home = Fake::start(|_| Reply::Json(500, json!({}))).await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let events = Stream::open(&world, EVENTS, "").await.events().await;
    let end = &events.last().unwrap().1;
    assert_eq!((&end["complete"], end.get("total")), (&json!(false), None));
    assert_eq!(end["regions"], json!({"total": 1, "unreachable": 1}));
    assert_eq!(end["outcome"]["issue"][0]["severity"], "error");
}

#[tokio::test]
async fn only_a_search_is_streamed_and_only_for_those_who_ask() {
    let (world, _far) = with_far(Reply::Json(200, searchset(&[]))).await;
    for path in ["metadata", "at/HOME/Observation/a", "Observation/a"] {
        let url = format!("{}/{path}", world.base);
        let refused = world.client.get(url).header("accept", EVENTS).send().await.unwrap();
        assert_eq!(refused.status(), 406, "{path}");
    }
    let answer = Answer::of(send(&world, "application/fhir+json, text/event-stream", "").await);
    assert_eq!(answer.await.header("content-type"), fhir::FHIR_JSON);
}

#[tokio::test]
async fn a_streamed_search_is_journalled_with_its_form() {
    let (world, _far) = with_far(Reply::Json(200, searchset(&[]))).await;
    let mut headers = HeaderMap::new();
    headers.insert("accept", LINES.parse().unwrap());
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    let url = format!("{}/Observation/_search", world.base);
    let form = format!("patient.identifier={NHS_NUMBER}|{NUMBER}");
    let response = world.client.post(url).headers(headers).body(form.clone()).send().await.unwrap();
    // Written before the first part leaves.
    let journal = world.journal();
    assert_eq!((response.status().as_u16(), journal.lines().count()), (200, 1));
    assert!(journal.contains(&form) && journal.contains("/Observation/_search"), "{journal}");
}

#[tokio::test]
async fn region_asks_these_regions_only_and_says_so() {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let far = hub(vec![observation("b", "2026-02-01")]).await;
    let other = Fake::start(|_| Reply::Silence).await;
    let locator = locator(&["HOME", "FAR", "SLOW", "GONE"]).await;
    let nil = hub(vec![]).await;
    let regions = [home.region("HOME"), far.region("FAR"), other.region("SLOW"), nil.region("NIL")];
    let world = World::start(&locator.origin, &regions).await;
    let answer = world.observations("&region=NIL,FAR").await;
    assert_eq!((answer.status, answer.ids()), (200, vec!["FAR/b".to_owned()]));
    assert_eq!(answer.header("x-federation-regions"), "total=1,ok=1");
    assert_eq!(
        (answer.header("x-federation-complete"), &answer.body["total"]),
        ("true", &json!(1))
    );
    assert!(answer.says("Only these regions were asked, as region has it: Region FAR (FAR)."));
    assert!(answer.says("The record locator names no record in: Region NIL (NIL)."));
    assert_eq!(answer.issues()[0]["severity"], "information");
    let link = answer.body["link"][0]["url"].as_str().unwrap();
    assert!(link.contains("region=NIL%2CFAR"), "{link}");
    assert!(other.seen().is_empty() && nil.seen().is_empty());
    assert!(home.asked().is_empty(), "the home hub says whose numbers they are, and no more");
    let nobody = world.observations("&region=NIL").await;
    assert_eq!((nobody.status, nobody.header("x-federation-regions")), (200, "total=0"));
    assert!(nobody.says("None of the regions that region names was asked."));
    assert!(!nobody.says("No region has registered"));
}

#[tokio::test]
async fn a_region_that_cannot_be_asked_is_refused_by_name() {
    let (world, far) = with_far(Reply::Silence).await;
    for (more, words) in [
        ("&region=HOME,GONE", "no region GONE"),
        ("&region=HOME,,", "with commas"),
        ("&region=HOME&region=FAR", "given once"),
    ] {
        let refused = world.observations(more).await;
        assert_eq!((refused.status, refused.says(words)), (400, true), "{more}");
        assert_eq!(refused.issues()[0]["expression"][0], "region");
    }
    assert!(far.seen().is_empty());
}

#[tokio::test]
async fn a_chosen_region_alone_is_not_called_complete_while_its_patients_numbers_are_unknown() {
    let home = Fake::start(|_| Reply::Json(500, json!({}))).await;
    let far = hub(vec![observation("b", "2026-02-01")]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let answer = world.observations("&region=FAR").await;
    assert_eq!(
        (answer.ids(), answer.header("x-federation-complete")),
        (vec!["FAR/b".into()], "false")
    );
    assert!(answer.says("other numbers this patient has"));
}
