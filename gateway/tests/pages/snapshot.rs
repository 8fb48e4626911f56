//! An answer that is taken once: its pages are of what was there then.

use std::sync::atomic::Ordering;

use fhir::identifier::NHS_NUMBER;
use serde_json::json;
use service::clock::Clock;
use tempfile::NamedTempFile;

use super::stub::{Fact, Stub, Style, days};
use super::{before, timed};
use crate::world::{Answer, Fake, NUMBER, Reply, World, locator, searchset};

#[tokio::test]
async fn a_snapshots_pages_are_of_what_was_there_though_every_region_is_gone() {
    let home = Stub::start(Style::Ours, days("h", &[9, 5, 1])).await;
    let far = Stub::start(Style::Unordered, days("f", &[2, 8])).await;
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let first = world.observations("&_count=2&snapshot=true&_include=Observation:patient").await;
    assert_eq!((first.status, first.ids()), (200, vec!["HOME/h0".into(), "FAR/f1".into()]));
    assert_eq!((&first.body["total"], first.includes().len()), (&json!(5), 2));
    assert!(first.link("self").unwrap().contains("&snapshot=true"));
    let asked = home.fake.seen().len();
    home.down.store(true, Ordering::SeqCst);
    far.down.store(true, Ordering::SeqCst);
    let second = world.get(&first.link("next").unwrap()).await;
    assert_eq!(second.ids(), ["HOME/h1", "FAR/f0"]);
    let third = world.get(&second.link("next").unwrap()).await;
    assert_eq!((third.ids(), third.link("next")), (vec!["HOME/h2".into()], None));
    for page in [&second, &third] {
        assert_eq!(page.header("x-federation-complete"), "true");
        assert_eq!(page.header("x-federation-regions"), "total=2,ok=2");
        assert_eq!((&page.body["total"], page.includes().len()), (&json!(5), 2));
        assert_eq!(page.body["timestamp"], first.body["timestamp"]);
        assert_eq!(world.get(&page.link("first").unwrap()).await.ids(), first.ids());
    }
    // The same page again is the same, and so is the way back.
    assert_eq!(world.get(&third.link("previous").unwrap()).await.ids(), second.ids());
    let again = world.get(&first.link("next").unwrap()).await;
    assert_eq!(again.body["entry"], second.body["entry"]);
    assert_eq!(home.fake.seen().len(), asked, "nobody is asked for what is kept");
    let journal = world.journal();
    let shown: Vec<_> = journal.lines().filter(|line| line.contains("_page=")).collect();
    assert_eq!(shown.len(), 6);
    let known = shown.iter().filter(|line| line.contains(NUMBER)).count();
    assert_eq!(known, 6, "whose record was shown is known");
}

#[tokio::test]
async fn what_a_snapshot_is_missing_is_told_on_each_of_its_pages() {
    let home = Stub::start(Style::Ours, days("h", &[9, 5, 1])).await;
    let far = Stub::start(Style::Ours, days("f", &[2])).await;
    far.down.store(true, Ordering::SeqCst);
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let first = world.observations("&_count=2&snapshot=true").await;
    far.down.store(false, Ordering::SeqCst);
    let second = world.get(&first.link("next").unwrap()).await;
    assert_eq!(second.ids(), ["HOME/h2"], "it is what it was");
    for page in [first, second] {
        assert_eq!(page.statuses(), ["refused"]);
        assert_eq!(page.header("x-federation-complete"), "false");
        assert_eq!(page.body["meta"]["tag"][0]["code"], "partial");
        assert!(page.body.get("total").is_none());
    }
}

#[tokio::test]
async fn copies_are_folded_and_linked_as_in_any_answer() {
    let copy = |id: &str, value| Fact { name: Some(7), value, ..Fact::of(id, 5) };
    let home = Stub::start(Style::Ours, vec![Fact::of("a", 9), copy("b", 0)]).await;
    let far = Stub::start(Style::Ours, vec![copy("c", 0), Fact::of("d", 1)]).await;
    let world = before(&[("HOME", &home), ("FAR", &far)]).await;
    let first = world.observations("&_count=1&snapshot=true&dedup=fold").await;
    let second = world.get(&first.link("next").unwrap()).await;
    let third = world.get(&second.link("next").unwrap()).await;
    let ids = [first.ids(), second.ids(), third.ids()].concat();
    assert_eq!(
        (ids, &third.body["total"]),
        (vec!["HOME/a".to_owned(), "HOME/b".into(), "FAR/d".into()], &json!(3))
    );
    let linkages = |page: &Answer| {
        page.includes()
            .iter()
            .filter(|entry| entry["resource"]["resourceType"] == "Linkage")
            .count()
    };
    assert_eq!([linkages(&first), linkages(&second), linkages(&third)], [0, 1, 0]);
}

#[tokio::test]
async fn a_snapshot_is_kept_for_a_quarter_of_an_hour_by_the_process_that_took_it() {
    let clock = Clock::fixed(1_800_000_000_000_000);
    let home = Stub::start(Style::Ours, days("h", &[3, 2, 1])).await;
    let world = timed(&[("HOME", &home)], clock.clone()).await;
    let next = world.observations("&_count=2&snapshot=true").await.link("next").unwrap();
    for wrong in [next.replace("Observation?", "Condition?"), format!("{next}&_count=3")] {
        assert_eq!(world.get(&wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(timed(&[("HOME", &home)], clock.clone()).await.get(&next).await.status, 400);
    let Clock::Fixed(now) = &clock else { unreachable!("it is fixed") };
    now.fetch_add(15 * 60 * 1_000_000, Ordering::SeqCst);
    assert_eq!(world.get(&next).await.ids(), ["HOME/h2"]);
    now.fetch_add(1, Ordering::SeqCst);
    let late = world.get(&next).await;
    assert_eq!((late.status, &late.issues()[0]["code"]), (410, &json!("expired")));
    // Another process with the same secret can read the link, and keeps nothing.
    let secret = NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), [7; 32]).unwrap();
    let federation = format!("token_key_files = [{:?}]", secret.path().display().to_string());
    let locator = locator(&["HOME"]).await;
    let regions = [home.fake.region("HOME")];
    let one = World::configured(&locator.origin, &federation, &regions).await;
    let other = World::configured(&locator.origin, &federation, &regions).await;
    let next = one.observations("&_count=2&snapshot=true").await.link("next").unwrap();
    assert_eq!(other.get(&next).await.status, 410);
    assert_eq!(one.get(&next).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_with_the_reason() {
    let home = Stub::start(Style::Ours, days("h", &[3, 2, 1])).await;
    let world = before(&[("HOME", &home)]).await;
    for more in ["&snapshot=maybe", "&snapshot=true&_include=Observation:performer"] {
        let answer = world.observations(more).await;
        assert_eq!(
            (answer.status, answer.issues()[0]["expression"][0].as_str()),
            (400, Some("snapshot"))
        );
    }
    let url = format!(
        "{}/Observation?patient.identifier={NHS_NUMBER}|{NUMBER}&snapshot=true",
        world.base
    );
    let streamed = world.client.get(url).header("accept", "application/fhir+ndjson");
    assert_eq!(streamed.send().await.unwrap().status(), 400);
    let locator = locator(&["HOME"]).await;
    let regions = [home.fake.region("HOME")];
    let none = World::configured(&locator.origin, "snapshots_mib = 0", &regions).await;
    assert_eq!(none.observations("&snapshot=true").await.status, 400);
    // A region that has no end is as much as a snapshot cannot hold.
    let endless = Fake::start(|request| {
        let cursor = request.target.rsplit('=').next().and_then(|text| text.parse().ok());
        let mut page = searchset(&[]);
        let url = format!("Observation?cursor={}", cursor.unwrap_or(0_u32) + 1);
        page["link"] = json!([{"relation": "next", "url": url}]);
        Reply::Json(200, page)
    })
    .await;
    let regions = [home.fake.region("HOME"), endless.region("FAR")];
    let locator = super::locator(&["FAR"]).await;
    let world = World::configured(&locator.origin, "deadline_ms = 20000", &regions).await;
    let answer = world.observations("&snapshot=true").await;
    assert_eq!((answer.status, &answer.issues()[0]["code"]), (422, &json!("too-costly")));
}
