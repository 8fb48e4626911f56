//! Pages while others write: what was there throughout is shown exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use serde_json::{Value, json};
use service::clock::Clock;

use super::fixtures::{patient, process, put, send, transaction};
use crate::kit::{Kit, Response, link, matches, on_both_engines};

on_both_engines!(
    a_walk_shows_what_was_there_throughout_exactly_once_while_sort_values_change,
    a_walk_shows_what_was_there_throughout_exactly_once_beside_busy_writers,
    a_page_link_is_refused_when_it_was_bent_or_has_expired,
    after_any_entry_comes_exactly_what_follows_it,
    a_walk_from_entry_to_entry_shows_what_was_there_throughout_exactly_once,
    an_entrys_link_is_of_use_beside_its_own_search_alone,
);

/// Patients there from beginning to end.
const PEOPLE: usize = 24;

const ORDERS: [&str; 6] = [
    "",
    "&_sort=birthdate",
    "&_sort=-birthdate",
    "&_sort=family,-birthdate",
    "&_sort=_lastUpdated",
    "&gender=male&_sort=-_lastUpdated",
];

/// A man of the walk: many share a birthday, some have none.
fn person(number: usize, born: Option<&str>) -> Value {
    let name = json!([{"family": format!("F{}", number % 4)}]);
    let mut person = patient(&format!("p{number}"), json!({"gender": "male", "name": name}));
    if let Some(born) = born {
        person["birthDate"] = born.into();
    }
    person
}

async fn people(kit: &Kit) {
    let entry = |number: usize| {
        let born = format!("20{:02}-01-01", number / 3);
        let born = (!number.is_multiple_of(5)).then_some(&*born);
        send("PUT", &format!("Patient/p{number}"), person(number, born))
    };
    process(kit, &transaction(&(0..PEOPLE).map(entry).collect::<Vec<_>>())).await;
}

/// What others do between two pages: newcomers on both sides of the place where the walk is; one
/// whom it has shown is born later, earlier or never, and one whom it has not shown likewise.
async fn disturb(kit: &Kit, turn: usize, shown: &[String]) {
    for (side, born) in [("early", "1900-01-01"), ("late", "2099-01-01")] {
        let id = format!("new-{side}-{turn}");
        put(kit, &patient(&id, json!({"gender": "male", "birthDate": born}))).await;
    }
    let births = [Some("1800"), Some("2100-01-01"), None, Some("2005-01-01")];
    let number = |id: &String| id.strip_prefix('p').and_then(|number| number.parse().ok());
    let known: BTreeSet<usize> = shown.iter().filter_map(number).collect();
    let seen = known.iter().nth(turn % known.len().max(1)).copied();
    let unseen = (0..PEOPLE).filter(|number| !known.contains(number)).nth(turn % 3);
    for (place, number) in [seen, unseen].into_iter().flatten().enumerate() {
        put(kit, &person(number, births[(turn + place) % births.len()])).await;
    }
    // One comes and goes.
    put(kit, &patient("passing", json!({"gender": "male"}))).await;
    kit.delete("Patient/passing").await;
}

/// Walks to the end; calls `between` after each page. Gives every match, in order.
async fn walk(
    kit: &Kit,
    first: &str,
    mut between: impl AsyncFnMut(usize, &[String]),
) -> Vec<String> {
    let (mut shown, mut next, mut turn) = (Vec::new(), Some(first.to_owned()), 0);
    while let Some(url) = next {
        let page = kit.search(&url).await;
        assert!(matches(&page).len() <= 2, "{url}");
        shown.extend(matches(&page));
        next = link(&page, "next");
        between(turn, &shown).await;
        turn += 1;
        assert!(turn < 200, "the walk {first} does not end");
    }
    shown
}

/// Everyone who was there throughout once, and no one twice.
fn assert_once(shown: &[String], order: &str) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for id in shown {
        *times.entry(id).or_default() += 1;
    }
    let wrong: Vec<String> = (0..PEOPLE)
        .map(|number| format!("p{number}"))
        .filter(|id| times.get(&**id) != Some(&1))
        .map(|id| format!("{id} {} times", times.get(&*id).copied().unwrap_or_default()))
        .collect();
    assert!(wrong.is_empty(), "{order}: {wrong:?} of {shown:?}");
    assert!(times.values().all(|times| *times == 1), "{order}: {times:?}");
}

async fn a_walk_shows_what_was_there_throughout_exactly_once_while_sort_values_change(kit: Kit) {
    people(&kit).await;
    for order in ORDERS {
        let first = format!("Patient?_count=2{order}");
        let shown = walk(&kit, &first, async |turn, shown| {
            if turn < PEOPLE {
                disturb(&kit, turn, shown).await;
            }
        })
        .await;
        assert_once(&shown, order);
        // The next order begins with those who were there from the beginning alone.
        for id in kit.ids("Patient?_count=1000").await {
            if id.starts_with("new-") {
                kit.delete(&format!("Patient/{id}")).await;
            }
        }
    }
}

async fn a_walk_shows_what_was_there_throughout_exactly_once_beside_busy_writers(kit: Kit) {
    people(&kit).await;
    let (kit, walking) = (Arc::new(kit), Arc::new(AtomicBool::new(true)));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (kit, walking) = (kit.clone(), walking.clone());
            tokio::spawn(async move {
                let births = [Some("1800"), None, Some("2100"), Some("2005-01-01")];
                let mut turn = writer;
                while walking.load(Ordering::Relaxed) {
                    put(&kit, &person((turn * 7) % PEOPLE, births[turn % births.len()])).await;
                    turn += 3;
                }
            })
        })
        .collect();
    let mut walks = Vec::new();
    for order in ["&_sort=birthdate", "&_sort=-_lastUpdated"] {
        walks.push((order, walk(&kit, &format!("Patient?_count=2{order}"), async |_, _| {}).await));
    }
    walking.store(false, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    for (order, shown) in walks {
        assert_once(&shown, order);
    }
}

async fn a_page_link_is_refused_when_it_was_bent_or_has_expired(kit: Kit) {
    people(&kit).await;
    let page = kit.search("Patient?_count=2&_sort=birthdate").await;
    let next = link(&page, "next").unwrap();
    assert_eq!(kit.get(&next).await.status, StatusCode::OK);
    let (path, sealed) = next.rsplit_once('=').unwrap();
    let middle = sealed.len() / 2;
    let other = if sealed.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let flipped = format!("{path}={}{other}{}", &sealed[..middle], &sealed[middle + 1..]);
    for bent in [
        flipped,
        format!("{path}={}", &sealed[..middle]),
        format!("{path}=bogus"),
        format!("{next}&family=F1"),
        next.replace("Patient?", "Observation?"),
    ] {
        kit.get(&bent).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    // A year later.
    let later = Clock::fixed(Clock::System.now_micros() + 365 * 86_400 * 1_000_000);
    let kit = kit.reopened(|_| {}, later).await;
    kit.get(&next).await.assert_refused(StatusCode::GONE);
}

/// A search that is asked for its entries' links.
async fn with_links(kit: &Kit, path: &str) -> Response {
    let url = format!("/FHIR/R4/{path}");
    kit.send("GET", &url, &[("prefer", "handling=strict, entry-links")], String::new()).await
}

/// A page's matches, each with what takes the walk up after it.
async fn linked(kit: &Kit, path: &str) -> (Vec<(String, String)>, bool) {
    let page = with_links(kit, path).await;
    assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
    let page = page.json();
    let entries = page["entry"].as_array().cloned().unwrap_or_default();
    let read = |entry: &Value| {
        let link = &entry["link"][0];
        assert_eq!(link["relation"], "after", "{entry}");
        let (_, after) = link["url"].as_str().unwrap().split_once("Patient?").unwrap();
        (entry["resource"]["id"].as_str().unwrap().to_owned(), after.to_owned())
    };
    (entries.iter().map(read).collect(), link(&page, "next").is_some())
}

async fn after_any_entry_comes_exactly_what_follows_it(kit: Kit) {
    people(&kit).await;
    for order in ORDERS {
        let first = format!("Patient?_count=7{order}");
        let whole = kit.ids(&format!("Patient?_count=1000{order}")).await;
        let mut next = Some(first.clone());
        let mut before = 0;
        while let Some(url) = next {
            let (page, more) = linked(&kit, &url).await;
            for (place, (id, after)) in page.iter().enumerate() {
                assert_eq!(*id, whole[before + place]);
                // How much is asked for is no part of the search.
                for count in [3, 1000] {
                    let url = format!("Patient?_count={count}{order}&{after}");
                    let follows = &whole[before + place + 1..];
                    let shown = kit.ids(&url).await;
                    assert_eq!(shown, follows[..follows.len().min(count)], "{url}");
                }
            }
            before += page.len();
            next = page.last().filter(|_| more).map(|(_, after)| format!("{first}&{after}"));
        }
        assert_eq!(before, whole.len(), "{order}");
    }
}

async fn a_walk_from_entry_to_entry_shows_what_was_there_throughout_exactly_once(kit: Kit) {
    people(&kit).await;
    for order in ORDERS {
        let first = format!("Patient?_count=6{order}");
        let (mut shown, mut url, mut turn) = (Vec::new(), first.clone(), 0);
        loop {
            // Of each page so many are shown, and the rest is asked for again.
            let (page, more) = linked(&kit, &url).await;
            let taken = page.len().min(1 + turn % 3);
            shown.extend(page[..taken].iter().map(|(id, _)| id.clone()));
            if taken == page.len() && !more {
                break;
            }
            url = format!("{first}&{}", page[taken - 1].1);
            if turn < PEOPLE {
                // Twice, so that more has changed than is shown at a time.
                disturb(&kit, turn, &shown).await;
                disturb(&kit, turn + 1, &shown).await;
            }
            turn += 1;
            assert!(turn < 200, "the walk {first} does not end");
        }
        assert_once(&shown, order);
        for id in kit.ids("Patient?_count=1000").await {
            if id.starts_with("new-") {
                kit.delete(&format!("Patient/{id}")).await;
            }
        }
    }
}

async fn an_entrys_link_is_of_use_beside_its_own_search_alone(kit: Kit) {
    people(&kit).await;
    let plain = kit.search("Patient?_count=2").await;
    assert!(plain["entry"][0].get("link").is_none(), "nobody has asked for links");
    let (page, _) = linked(&kit, "Patient?_count=2&_sort=birthdate&gender=male").await;
    let after = &page[0].1;
    assert_eq!(kit.ids(&format!("Patient?_sort=birthdate&gender=male&{after}")).await.len(), 20);
    for wrong in [
        format!("Patient?{after}"),
        format!("Patient?_sort=-birthdate&gender=male&{after}"),
        format!("Patient?_sort=birthdate&gender=female&{after}"),
        format!("Patient?_sort=birthdate&gender=male&{after}&{after}"),
        format!("Patient?_sort=birthdate&gender=male&{after}x"),
        format!("Observation?_sort=birthdate&gender=male&{after}"),
        "Patient?_sort=birthdate&gender=male&_after=".to_owned(),
    ] {
        kit.get(&wrong).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    // A year later.
    let later = Clock::fixed(Clock::System.now_micros() + 365 * 86_400 * 1_000_000);
    let kit = kit.reopened(|_| {}, later).await;
    let late = kit.get(&format!("Patient?_sort=birthdate&gender=male&{after}")).await;
    late.assert_refused(StatusCode::GONE);
}
