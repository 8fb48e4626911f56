//! An answer in pages: what each holds, where it leads, and what becomes of a region that fails
//! between two of them.

mod snapshot;
mod stub;
mod union;

use std::sync::atomic::Ordering;

use fhir::identifier::NHS_NUMBER;
use http::StatusCode;
use serde_json::json;
use service::clock::Clock;

use crate::world::{Answer, Fake, NUMBER, Reply, World, locator, observation, patient, searchset};
use stub::{Fact, Stub, Style, days, people};

/// A gateway before these regions, HOME first.
async fn before(stubs: &[(&str, &Stub)]) -> World {
    timed(stubs, Clock::System).await
}

async fn timed(stubs: &[(&str, &Stub)], clock: Clock) -> World {
    let names: Vec<_> = stubs.iter().map(|(ods, _)| *ods).collect();
    let locator = locator(&names).await;
    let regions: Vec<_> = stubs.iter().map(|(ods, stub)| stub.fake.region(ods)).collect();
    World::timed(&locator.origin, "page_size = 50", &regions, clock).await
}

#[tokio::test]
async fn a_page_holds_the_newest_of_all_regions_and_leads_to_the_next() {
    let home = Stub::start(Style::Ours, days("h", &[9, 5, 1])).await;
    let far = Stub::start(Style::Foreign, days("f", &[8, 5, 2])).await;
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let first = world.observations("&_count=2").await;
    assert_eq!((first.status, first.ids()), (200, vec!["HOME/h0".into(), "FAR/f0".into()]));
    assert_eq!(first.header("x-federation-regions"), "total=2,ok=2");
    assert_eq!(first.header("x-federation-complete"), "true");
    assert!(first.body.get("total").is_none(), "nobody has counted");
    assert!(first.link("self").unwrap().ends_with("&_count=2"));
    assert_eq!(first.link("first"), first.link("self"));
    assert_eq!(first.link("retry-missing"), None);
    let next = first.link("next").unwrap();
    assert!(!next.contains(NUMBER) && next.starts_with("Observation?_page="), "{next}");
    let second = world.get(&format!("{next}&_format=json")).await;
    assert_eq!(second.ids(), ["HOME/h1", "FAR/f1"]);
    let third = world.get(&second.link("next").unwrap()).await;
    assert_eq!(third.ids(), ["FAR/f2", "HOME/h2"]);
    assert_eq!(third.link("next"), None);
    assert_eq!(third.link("self"), first.link("self"));
    // The same page again, by POST, is the same page.
    let (path, token) = next.split_once("?_page=").unwrap();
    let request = world.client.post(format!("{}/{path}/_search", world.base));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let again = Answer::of(request.body(format!("_page={token}")).send().await.unwrap()).await;
    assert_eq!(again.ids(), second.ids());
    let lines = world.journal();
    let shown: Vec<_> = lines.lines().filter(|line| line.contains("_page=")).collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.iter().all(|line| line.contains(NUMBER)), "whose record was shown is known");
    assert_eq!(lines.matches(NUMBER).count(), 4);
}

#[tokio::test]
async fn a_page_is_cut_to_what_the_gateway_gives_and_the_link_says_so() {
    let home = Stub::start(Style::Ours, days("h", &[1; 60])).await;
    let world = before(&[("HOME", &home)]).await;
    let whole = world.observations("").await;
    assert_eq!((whole.ids().len(), whole.link("next").is_some()), (50, true));
    let large = world.observations("&_count=1000").await;
    assert_eq!(large.ids().len(), 50);
    assert!(large.link("self").unwrap().ends_with("&_count=50"));
    let total = world.observations("&_count=0").await;
    assert_eq!((&total.body["total"], total.link("next")), (&json!(60), None));
    assert!(total.matches().is_empty());
    assert_eq!(world.observations("&_count=some").await.status, 400);
}

#[tokio::test]
async fn patients_who_are_shown_beside_the_matches_are_not_counted() {
    let home = Stub::start(Style::Ours, days("h", &[3, 2, 1])).await;
    let world = before(&[("HOME", &home)]).await;
    let page = world.observations("&_count=2&_include=Observation:patient").await;
    assert_eq!((page.matches().len(), page.includes().len()), (2, 1));
    let page = world.get(&page.link("next").unwrap()).await;
    assert_eq!((page.matches().len(), page.includes().len()), (1, 1));
}

#[tokio::test]
async fn regions_are_asked_in_the_answers_own_order_for_a_share_of_the_page() {
    let mut stubs = Vec::new();
    for at in 0..6 {
        stubs.push(Stub::start(Style::Ours, days(&format!("r{at}x"), &[at, at + 1])).await);
    }
    let names = ["HOME", "AA1", "AA2", "AA3", "AA4", "AA5"];
    let pairs: Vec<_> = names.into_iter().zip(&stubs).collect();
    let world = before(&pairs).await;
    let page = world.observations("&_count=40&_sort=date").await;
    assert_eq!((page.ids().len(), page.link("next")), (12, None));
    for (ods, stub) in pairs {
        let asked = &stub.fake.asked()[0];
        assert!(asked.body.contains("&_sort=date&"), "{}", asked.body);
        let count = if ods == "HOME" { 40 } else { 14 };
        assert!(asked.body.ends_with(&format!("&_count={count}")), "{}", asked.body);
        assert_eq!(asked.headers["prefer"], "entry-links");
    }
}

#[tokio::test]
async fn a_region_that_fails_between_pages_is_missing_and_led_to() {
    let home = Stub::start(Style::Ours, days("h", &[9, 7, 5, 3, 1])).await;
    let far = Stub::start(Style::Ours, days("f", &[8, 6, 4, 2])).await;
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let first = world.observations("&_count=2").await;
    assert_eq!(first.ids(), ["HOME/h0", "FAR/f0"]);
    far.down.store(true, Ordering::SeqCst);
    let second = world.get(&first.link("next").unwrap()).await;
    assert_eq!(
        (second.ids(), second.statuses()),
        (vec!["HOME/h1".into(), "HOME/h2".into()], vec!["refused"])
    );
    assert_eq!(second.header("x-federation-complete"), "false");
    assert!(second.link("retry-missing").is_some());
    far.down.store(false, Ordering::SeqCst);
    // What FAR holds from the 8th to the 5th is behind: the page goes on without it.
    let third = world.get(&second.link("next").unwrap()).await;
    assert_eq!(third.ids(), ["FAR/f2", "HOME/h3"]);
    assert_eq!(third.header("x-federation-complete"), "false");
    assert_eq!(third.header("x-federation-regions"), "total=2,ok=2");
    assert!(third.says("Region FAR (FAR) did not answer on an earlier page"));
    let last = world.get(&third.link("next").unwrap()).await;
    assert_eq!((last.ids(), last.link("next")), (vec!["FAR/f3".into(), "HOME/h4".into()], None));
    let retried = world.get(&last.link("retry-missing").unwrap()).await;
    assert_eq!((retried.ids(), retried.link("next")), (vec!["FAR/f1".into()], None));
    assert_eq!(retried.link("retry-missing"), None);
    assert!(retried.says("what earlier pages were missing of Region FAR (FAR)"));
    assert_eq!(retried.header("x-federation-regions"), "total=1,ok=1");
    assert_eq!(retried.header("x-federation-complete"), "true");
}

#[tokio::test]
async fn a_region_that_is_missing_from_a_whole_answer_is_led_to() {
    let home = Stub::start(Style::Ours, days("h", &[9])).await;
    let far = Stub::start(Style::Foreign, days("f", &[8])).await;
    far.down.store(true, Ordering::SeqCst);
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let answer = world.observations("").await;
    assert_eq!((answer.ids(), answer.link("next")), (vec!["HOME/h0".into()], None));
    let retry = answer.link("retry-missing").unwrap();
    let still = world.get(&retry).await;
    assert_eq!(still.status, 502);
    far.down.store(false, Ordering::SeqCst);
    assert_eq!(world.get(&retry).await.ids(), ["FAR/f0"]);
}

#[tokio::test]
async fn a_region_that_knows_no_order_is_put_in_order_and_said_so() {
    let home = Stub::start(Style::Ours, days("h", &[9, 5])).await;
    let far = Stub::start(Style::Unordered, days("f", &[1, 8, 3, 7])).await;
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let first = world.observations("&_count=2").await;
    assert_eq!(first.ids(), ["HOME/h0", "FAR/f1"]);
    assert!(first.says("Region FAR (FAR) does not keep to the order"));
    assert_eq!(first.header("x-federation-complete"), "true");
    let second = world.get(&first.link("next").unwrap()).await;
    assert_eq!(second.ids(), ["FAR/f3", "HOME/h1"]);
    let third = world.get(&second.link("next").unwrap()).await;
    assert_eq!((third.ids(), third.link("next")), (vec!["FAR/f2".into(), "FAR/f0".into()], None));
}

#[tokio::test]
async fn a_copy_on_the_next_page_is_folded_into_the_one_before() {
    let copy = |id: &str| Fact { name: Some(7), ..Fact::of(id, 5) };
    let home = Stub::start(Style::Ours, vec![Fact::of("a", 9), copy("b")]).await;
    let far = Stub::start(Style::Ours, vec![copy("c"), Fact { value: 1, ..copy("d") }]).await;
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let first = world.observations("&_count=2&dedup=fold").await;
    assert_eq!(first.ids(), ["HOME/a", "HOME/b"]);
    let second = world.get(&first.link("next").unwrap()).await;
    // What carries the same identifier and differs is no copy.
    assert_eq!(second.ids(), ["FAR/d"]);
    assert!(second.says("the same fact as an entry of the page before"));
    let linked = world.observations("&_count=2").await;
    assert_eq!(world.get(&linked.link("next").unwrap()).await.ids(), ["FAR/c", "FAR/d"]);
}

#[tokio::test]
async fn a_total_is_given_where_it_is_one() {
    let home = Stub::start(Style::Ours, days("h", &[9, 5, 1])).await;
    let far = Stub::start(Style::Foreign, days("f", &[8, 5])).await;
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let total = async |more: &str| world.observations(more).await.body.get("total").cloned();
    assert_eq!(total("").await, Some(json!(5)), "it is all there");
    assert_eq!(total("&_total=none").await, None);
    assert_eq!(total("&_count=2").await, None);
    assert_eq!(total("&_count=2&_total=accurate").await, Some(json!(5)));
    assert_eq!(total("&_count=2&_total=accurate&dedup=fold").await, None, "it might be less");
    assert_eq!(total("&_count=2&_total=estimate&dedup=fold").await, Some(json!(5)));
    assert_eq!(total("&_count=0&_total=none").await, Some(json!(5)));
    let first = world.observations("&_count=2&_total=accurate").await;
    let second = world.get(&first.link("next").unwrap()).await;
    assert_eq!(second.body["total"], 5, "it is the same on each page");
    far.down.store(true, Ordering::SeqCst);
    let broken = world.get(&first.link("next").unwrap()).await;
    assert!(broken.body.get("total").is_none(), "it would look complete");
    assert_eq!(total("&_count=2&_total=accurate").await, None);
}

#[tokio::test]
async fn a_total_that_counts_somebody_elses_entries_is_not_given() {
    let mut once = patient("q", NUMBER);
    once["identifier"][0]["use"] = json!("old");
    let (now, theirs) = (patient("p", NUMBER), json!({"reference": "Patient/q"}));
    for (both, total) in [(true, None), (false, Some(json!(3)))] {
        let (now, once, theirs) = (now.clone(), once.clone(), theirs.clone());
        let home = Fake::start(move |request| {
            if request.target.contains("/Patient/") {
                let all = [now.clone(), once.clone()];
                return Reply::Json(200, people(if both { &all } else { &all[..1] }));
            }
            let mut entries = [("a", "2026-01-03"), ("b", "2026-01-02"), ("c", "2026-01-01")]
                .map(|(id, date)| observation(id, date));
            if both {
                entries[1]["subject"] = theirs.clone();
            }
            let at = usize::from(request.body.contains("_after"));
            let mut page = searchset(&entries[at..at + 1 + at]);
            let url = "http://elsewhere/FHIR/R4/Observation?_after=1";
            page["entry"][0]["link"] = json!([{"relation": "after", "url": url}]);
            if at == 0 {
                page["total"] = json!(3);
                page["link"] = json!([{"relation": "next", "url": url}]);
            } else if both {
                let beside = json!({"resource": once, "search": {"mode": "include"}});
                page["entry"].as_array_mut().unwrap().push(beside);
            }
            Reply::Json(200, page)
        })
        .await;
        let locator = locator(&["HOME"]).await;
        let world = World::start(&locator.origin, &[home.region("HOME")]).await;
        let first = world.observations("&_count=1&_total=accurate").await;
        assert_eq!(first.ids(), ["HOME/a"]);
        assert_eq!(first.body.get("total"), total.as_ref(), "both: {both}");
        let second = world.get(&first.link("next").unwrap()).await;
        assert_eq!(second.body.get("total"), total.as_ref(), "both: {both}");
        let estimate = world.observations("&_count=1&_total=estimate").await;
        assert_eq!(estimate.body["total"], 3);
    }
}

#[tokio::test]
async fn a_page_link_is_refused_when_it_was_bent_or_is_late_or_not_alone() {
    let clock = Clock::fixed(1_800_000_000_000_000);
    let home = Stub::start(Style::Ours, days("h", &[3, 2, 1])).await;
    let world = timed(&[("HOME", &home)], clock.clone()).await;
    let next = world.observations("&_count=2").await.link("next").unwrap();
    let asked = home.fake.asked().len();
    let at = next.len() / 2;
    let other = if next.as_bytes()[at] == b'A' { "B" } else { "A" };
    let bent = format!("{}{other}{}", &next[..at], &next[at + 1..]);
    for wrong in [
        bent,
        next[..next.len() - 4].to_owned(),
        format!("{next}&_count=3"),
        format!("{next}&patient.identifier={NHS_NUMBER}|{NUMBER}"),
        next.replace("Observation?", "Condition?"),
        "Observation?_page=abc".to_owned(),
    ] {
        let answer = world.get(&wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(answer.issues()[0]["expression"][0], "_page");
    }
    let elsewhere = timed(&[("HOME", &home)], clock.clone()).await;
    assert_eq!(elsewhere.get(&next).await.status, 400, "another process has another secret");
    let Clock::Fixed(now) = &clock else { unreachable!("it is fixed") };
    now.fetch_add(15 * 60 * 1_000_000, Ordering::SeqCst);
    assert_eq!(world.get(&next).await.ids(), ["HOME/h2"]);
    now.fetch_add(1, Ordering::SeqCst);
    let late = world.get(&next).await;
    assert_eq!((late.status, &late.issues()[0]["code"]), (410, &json!("expired")));
    assert_eq!(home.fake.asked().len(), asked + 1, "nobody is asked for what is refused");
}

#[tokio::test]
async fn a_region_that_cannot_go_on_says_so_itself() {
    let issue = json!([{"severity": "error", "code": "expired", "diagnostics": "Begin it again."}]);
    let gone = json!({"resourceType": "OperationOutcome", "issue": issue});
    let home = Fake::start(move |request| {
        if request.body.contains("_after=") {
            return Reply::Json(410, gone.clone());
        }
        let mut page = searchset(&[observation("a", "2026-01-02"), observation("b", "2026-01-01")]);
        let url = "http://elsewhere/FHIR/R4/Observation?_after=word";
        page["entry"][0]["link"] = json!([{"relation": "after", "url": url}]);
        Reply::Json(200, page)
    })
    .await;
    let far = Stub::start(Style::Ours, days("f", &[5])).await;
    let locator = locator(&["HOME", "FAR"]).await;
    let regions = [home.region("HOME"), far.fake.region("FAR")];
    let world = World::start(&locator.origin, &regions).await;
    let first = world.observations("&_count=2").await;
    assert_eq!(first.ids(), ["FAR/f0", "HOME/a"]);
    let second = world.get(&first.link("next").unwrap()).await;
    assert_eq!((second.status, second.statuses()), (200, vec!["refused"]));
    assert!(second.says("Begin it again."), "{}", second.body);
}
