//! A federated answer is what the regions' hubs hold: no entry more, none less, none changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fhir::bundle::Bundle;
use serde_json::Value;
use shared_record::world::{Layout, World, demo_regions};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::kit::{
    Answer, Http, Place, PortTaken, Process, REGISTRATION_TIME_MAX, eventually, in_mode, numbers,
    on_free_ports, record, token,
};

/// How long a demonstration may take in a debug build on a busy machine.
const DEMO_TIME_MAX: Duration = Duration::from_mins(5);

/// Text of each match, by the region's own URL of it.
type Matches = BTreeMap<String, String>;

/// A federated answer's matches; each must have its canonical link.
fn canonical(answer: &Answer) -> Matches {
    let (bundle, links) = (parse(answer), answer.json());
    let entries = bundle.entry.iter().zip(links["entry"].as_array().unwrap());
    let matches = entries.filter(|(_, links)| links["search"]["mode"] == "match");
    let found: Vec<(String, String)> = matches
        .map(|(entry, links)| {
            let links = links["link"].as_array().unwrap();
            let canonical = links.iter().find(|link| link["relation"] == "canonical").unwrap();
            let text = entry.resource.unwrap().get().to_owned();
            (canonical["url"].as_str().unwrap().to_owned(), text)
        })
        .collect();
    let count = found.len();
    let found = Matches::from_iter(found);
    assert_eq!(found.len(), count, "an entry is there twice");
    found
}

fn parse(answer: &Answer) -> Bundle<'_> {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Everything that a hub itself answers, page by page, by its own URLs.
async fn of_hub(http: &Http, hub: &str, query: &str) -> Matches {
    let mut found = Matches::new();
    let mut next = Some(format!("{hub}/{query}&_count=2"));
    while let Some(url) = next {
        let page = http.get(&url).await.ok();
        let bundle = parse(&page);
        for entry in &bundle.entry {
            let url = entry.full_url.as_deref().unwrap().to_owned();
            let text = entry.resource.unwrap().get().to_owned();
            assert!(found.insert(url, text).is_none(), "a page repeats an entry");
        }
        next = bundle.link("next").map(str::to_owned);
    }
    found
}

async fn world(folder: &TempDir) -> World {
    let layout = Layout {
        regions: demo_regions(),
        base_port: None,
        state: folder.path().to_owned(),
        deadline_ms: 8_000,
    };
    World::start(&layout).await.unwrap()
}

/// Sends a transaction and asserts that it is taken.
async fn accept(http: &Http, hub: &str, bundle: String) {
    http.transact(hub, bundle).await.unwrap().ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federated_answer_is_the_union_of_the_hubs_own_answers() {
    let (folder, http) = (TempDir::new().unwrap(), Http::new());
    let world = world(&folder).await;
    let [asked, other]: [String; 2] = numbers().take(2).collect::<Vec<_>>().try_into().unwrap();
    let hubs: Vec<&str> = world.sites.iter().map(|site| site.hub_url.as_str()).collect();
    // The digits differ in more than value, and two regions hold the same reading.
    accept(&http, hubs[0], record(&asked, &["36.60", "37", "38.0", "37.10", "36.9"])).await;
    accept(&http, hubs[1], record(&asked, &["36.60", "39.50", "36"])).await;
    accept(&http, hubs[1], record(&other, &["35.00"])).await;
    accept(&http, hubs[2], record(&other, &["35.01", "35.02"])).await;
    eventually("the locator knows both regions", REGISTRATION_TIME_MAX, async || {
        let mut custodians = http.custodians(&world.locator_url, &asked).await;
        custodians.sort();
        (custodians == ["QHM", "QWO"]).then_some(())
    })
    .await;
    let query = format!("Observation?patient.identifier={}", token(&asked));
    let mut expected = of_hub(&http, hubs[0], &query).await;
    expected.extend(of_hub(&http, hubs[1], &query).await);
    assert_eq!(expected.len(), 8);
    assert!(expected.values().any(|text| text.contains("36.60")), "digits are kept");
    for site in &world.sites {
        let by_get = http.get(&format!("{}/{query}", site.gateway_url)).await.ok();
        let by_post = http.observations(&site.gateway_url, &asked).await.ok();
        for answer in [&by_get, &by_post] {
            assert_eq!(canonical(answer), expected, "asked of {}", site.region.ods);
            assert_eq!(answer.json()["total"], 8);
            assert_eq!(answer.header("x-federation-complete"), "true");
        }
        follow(&http, &by_get).await;
    }
    assert_eq!(canonical(&http.observations(&world.sites[0].gateway_url, &other).await).len(), 3);
    world.stop().await.unwrap();
}

/// Has somebody change what a hub holds, over and over: dates and values of what is there, and one
/// more each time.
fn write_on(
    http: &Http,
    hub: &str,
    mut held: Vec<Value>,
    walking: &Arc<AtomicBool>,
) -> JoinHandle<usize> {
    let (http, hub, walking) = (http.clone(), hub.to_owned(), walking.clone());
    tokio::spawn(async move {
        let mut turn = 0;
        while walking.load(Ordering::Relaxed) {
            let count = held.len();
            let changed = &mut held[turn * 7 % count];
            changed["effectiveDateTime"] = format!("20{:02}-05-01", turn * 5 % 60).into();
            changed["valueQuantity"]["value"] = turn.into();
            let url = format!("{hub}/Observation/{}", changed["id"].as_str().unwrap());
            http.send("PUT", &url, &[], changed.to_string()).await.unwrap().ok();
            let mut new = changed.clone();
            new.as_object_mut().unwrap().remove("id");
            let url = format!("{hub}/Observation");
            http.send("POST", &url, &[], new.to_string()).await.unwrap().ok();
            turn += 1;
        }
        turn
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_through_pages_is_the_union_of_the_hubs_while_writers_write() {
    let (folder, http) = (TempDir::new().unwrap(), Http::new());
    let world = world(&folder).await;
    let number = numbers().nth(3).unwrap();
    let hubs: Vec<&str> = world.sites.iter().map(|site| site.hub_url.as_str()).collect();
    let values: Vec<String> = (0..25).map(|value| format!("36.{value}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    for hub in &hubs {
        accept(&http, hub, record(&number, &values)).await;
    }
    eventually("the locator knows all regions", REGISTRATION_TIME_MAX, async || {
        (http.custodians(&world.locator_url, &number).await.len() == 3).then_some(())
    })
    .await;
    let query = format!("Observation?patient.identifier={}", token(&number));
    let walking = Arc::new(AtomicBool::new(true));
    let (mut expected, mut writers) = (BTreeSet::new(), Vec::new());
    for hub in &hubs {
        let held = of_hub(&http, hub, &query).await;
        expected.extend(held.keys().cloned());
        let held = held.values().map(|text| serde_json::from_str(text).unwrap()).collect();
        writers.push(write_on(&http, hub, held, &walking));
    }
    assert_eq!(expected.len(), 75);
    for order in ["", "&_sort=date", "&_sort=-_lastUpdated"] {
        let mut shown = Vec::new();
        let mut next = Some(format!("{}/{query}&_count=10{order}", world.sites[0].gateway_url));
        while let Some(url) = next {
            let page = http.get(&url).await.ok();
            assert_eq!(page.header("x-federation-complete"), "true", "{}", page.text());
            let matches = canonical(&page);
            assert!(matches.len() <= 10, "{order}: {}", matches.len());
            shown.extend(matches.into_keys());
            next = parse(&page).link("next").map(str::to_owned);
        }
        let once: BTreeSet<_> = shown.iter().cloned().collect();
        assert_eq!(once.len(), shown.len(), "{order}: something is shown twice");
        let lost: Vec<_> = expected.difference(&once).collect();
        assert!(lost.is_empty(), "{order}: {lost:?}");
    }
    walking.store(false, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 3, "nobody has written meanwhile");
    }
    world.stop().await.unwrap();
}

/// Reads every entry through the gateway and at its hub: the same bytes, the same version.
async fn follow(http: &Http, answer: &Answer) {
    for (entry, (canonical, text)) in in_mode(&answer.json(), "match").iter().zip(in_order(answer))
    {
        let through = http.get(entry["fullUrl"].as_str().unwrap()).await.ok();
        let direct = http.get(&canonical).await.ok();
        assert_eq!(through.text(), direct.text());
        assert_eq!(through.text(), text);
        for name in ["etag", "last-modified", "content-type"] {
            assert_eq!(through.header(name), direct.header(name), "{name}");
        }
    }
}

/// The matches of a federated answer in its order.
fn in_order(answer: &Answer) -> Vec<(String, String)> {
    let texts = canonical(answer);
    let url = |entry: &Value| entry["link"][0]["url"].as_str().unwrap().to_owned();
    let urls = in_mode(&answer.json(), "match").iter().map(url).collect::<Vec<_>>();
    urls.into_iter().map(|url| (url.clone(), texts[&url].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_nobody_has_is_a_complete_empty_answer_that_says_so() {
    let (folder, http) = (TempDir::new().unwrap(), Http::new());
    let world = world(&folder).await;
    let number = numbers().nth(7).unwrap();
    let answer = http.observations(&world.sites[0].gateway_url, &number).await.ok();
    assert_eq!(answer.json()["total"], 0);
    assert_eq!(answer.header("x-federation-complete"), "true");
    assert_eq!(in_mode(&answer.json(), "outcome").len(), 1, "{}", answer.text());
    world.stop().await.unwrap();
}

/// Runs a demonstration to its end and gives what it printed.
async fn demonstrate(arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let run = async |port: u16| {
        let port = port.to_string();
        let all = [&["demo", "--once", "--base-port", &port], arguments].concat();
        let mut process = Process::start(folder.path(), "shared-record", &all);
        let status = process.ended(DEMO_TIME_MAX).await;
        let stderr = process.stderr();
        if stderr.contains("listening on") {
            return Err(PortTaken);
        }
        assert_eq!(status.code(), Some(0), "{stderr}");
        Ok(process.stdout())
    };
    on_free_ports(Place::PORTS, run).await
}

/// What went into each region and what came out, as printed.
fn in_and_out(printed: &str) -> Vec<(u64, u64)> {
    let counts = printed.lines().filter_map(|line| {
        let (rest, out) = line.strip_suffix(" out")?.rsplit_once(" in, ")?;
        let went_in = rest.rsplit(' ').next()?;
        Some((went_in.parse().unwrap(), out.trim().parse().unwrap()))
    });
    counts.collect()
}

#[tokio::test]
async fn the_demonstration_has_everything_in_and_asks_three_regions() {
    let printed = demonstrate(&[]).await;
    let counts = in_and_out(&printed);
    assert_eq!(counts.len(), 3, "{printed}");
    assert!(counts.iter().all(|(i, o)| i == o && *i > 0), "{printed}");
    assert!(printed.contains("Regions: total=3,ok=3"), "{printed}");
    assert!(printed.contains("\nComplete: "), "{printed}");
    for ods in ["QWO", "QHM", "S08"] {
        let answered = |line: &str| {
            line.split_whitespace().next() == Some(ods)
                && line.split_whitespace().last().is_some_and(|count| count.parse::<u64>().is_ok())
        };
        assert!(printed.lines().any(answered), "{ods} is in the answer: {printed}");
    }
}

#[tokio::test]
async fn a_folder_of_bundles_is_loaded_without_loss() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/synthea");
    if !Path::new(folder).is_dir() {
        eprintln!("skipped: there is no ../shared/data/synthea here");
        return;
    }
    let printed = demonstrate(&["--data", folder]).await;
    let counts = in_and_out(&printed);
    assert_eq!(counts.len(), 3, "{printed}");
    assert!(counts.iter().all(|(i, o)| i == o && *i > 1_000), "{printed}");
    assert!(printed.contains("\nComplete: "), "{printed}");
    assert!(printed.contains("Regions: total=2,ok=2"), "{printed}");
}
