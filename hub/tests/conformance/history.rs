//! The history of one resource, of a type, and of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};
use service::clock::Clock;

use super::fixtures::{fact, family, patient, put, store, url};
use crate::kit::{Kit, link, on_both_engines};

on_both_engines!(
    a_history_is_newest_first_and_a_deletion_is_an_entry_without_a_resource,
    a_history_of_what_never_was_is_not_found,
    a_history_is_walked_page_by_page_and_its_total_counts_all,
    a_history_can_begin_at_a_time_or_be_of_a_time,
    a_history_refuses_what_it_cannot_read,
);

/// 2020-01-01T00:00:00Z, in microseconds.
const START: i64 = 1_577_836_800_000_000;

/// A record whose clock stands still until it is moved.
async fn timed(kit: Kit) -> (Kit, Arc<AtomicI64>) {
    let clock = Clock::fixed(START);
    let Clock::Fixed(micros) = clock.clone() else { unreachable!("it was made so") };
    (kit.reopened(|_| {}, clock).await, micros)
}

/// Three versions of Patient/a ten seconds apart, the last a deletion; then an Observation.
async fn lived(kit: &Kit, micros: &AtomicI64) {
    put(kit, &family("a", "One")).await;
    micros.store(START + 10_000_000, Ordering::Relaxed);
    put(kit, &family("a", "Two")).await;
    micros.store(START + 20_000_000, Ordering::Relaxed);
    kit.delete("Patient/a").await;
    micros.store(START + 30_000_000, Ordering::Relaxed);
    put(kit, &fact("o", "Patient/a", "c")).await;
}

/// `METHOD url etag` of each entry.
fn told(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    entries
        .iter()
        .map(|entry| {
            let full_url = text(&entry["fullUrl"]);
            let path = full_url.strip_prefix("http://hub.test/FHIR/R4/").unwrap_or("?").to_owned();
            let etag = text(&entry["response"]["etag"]);
            format!("{} {path} {etag}", text(&entry["request"]["method"]))
        })
        .collect()
}

const OF_A: [&str; 3] =
    ["DELETE Patient/a W/\"3\"", "PUT Patient/a W/\"2\"", "PUT Patient/a W/\"1\""];
const OF_O: &str = "PUT Observation/o W/\"1\"";

async fn a_history_is_newest_first_and_a_deletion_is_an_entry_without_a_resource(kit: Kit) {
    let (kit, micros) = timed(kit).await;
    lived(&kit, &micros).await;
    let all = [&[OF_O][..], &OF_A].concat();
    for (path, expected) in [
        ("Patient/a/_history", OF_A.to_vec()),
        ("Patient/_history", OF_A.to_vec()),
        ("Observation/_history", vec![OF_O]),
        ("_history", all),
    ] {
        let bundle = kit.search(path).await;
        assert_eq!(told(&bundle), expected, "{path}");
        assert_eq!(
            (&bundle["type"], &bundle["total"]),
            (&json!("history"), &json!(expected.len()))
        );
        for entry in bundle["entry"].as_array().unwrap() {
            let deletes = entry["request"]["method"] == "DELETE";
            assert_eq!(entry.get("resource").is_none(), deletes, "{path}: {entry}");
            assert!(entry["request"]["url"].is_string(), "{path}: {entry}");
            assert!(entry["response"]["status"].is_string(), "{path}: {entry}");
            let updated = entry["response"]["lastModified"].as_str().unwrap();
            assert!(updated.starts_with("2020-01-01T00:00:"), "{path}: {entry}");
            if !deletes {
                assert_eq!(entry["resource"]["meta"]["lastUpdated"], updated, "{path}");
            }
        }
    }
    let created = kit.post("Basic", r#"{"resourceType":"Basic","code":{"text":"x"}}"#).await;
    let entry = kit.search("Basic/_history").await["entry"][0].clone();
    assert_eq!(
        (&entry["request"]["method"], &entry["request"]["url"]),
        (&json!("POST"), &json!("Basic"))
    );
    assert_eq!(entry["resource"]["id"], created.id());
}

async fn a_history_of_what_never_was_is_not_found(kit: Kit) {
    kit.get("Patient/never/_history").await.assert_refused(StatusCode::NOT_FOUND);
    kit.get("Bogus/_history").await.assert_refused(StatusCode::NOT_FOUND);
    for path in ["Patient/_history", "_history"] {
        let bundle = kit.search(path).await;
        assert_eq!((&bundle["type"], &bundle["total"]), (&json!("history"), &json!(0)), "{path}");
        assert!(bundle.get("entry").is_none(), "{path}: {bundle}");
    }
}

async fn a_history_is_walked_page_by_page_and_its_total_counts_all(kit: Kit) {
    for version in 0..4 {
        store(&kit, [family("a", &format!("V{version}")), family("b", &format!("V{version}"))])
            .await;
    }
    store(&kit, [fact("o", "Patient/a", "c")]).await;
    kit.delete("Patient/b").await;
    for (path, total) in [("Patient/a/_history", 4), ("Patient/_history", 9), ("_history", 10)] {
        let whole = told(&kit.search(path).await);
        assert_eq!(walked(&kit, path, total, async || {}).await, whole, "{path}");
    }
    for path in ["Patient/a/_history", "Patient/_history", "_history"] {
        let whole = told(&kit.search(path).await);
        // What is written during the walk does not shift it.
        let write = async || {
            put(&kit, &patient("a", json!({}))).await;
        };
        assert_eq!(walked(&kit, path, whole.len(), write).await, whole, "{path}");
    }
}

/// All pages of a history; `between` happens once, after the first.
async fn walked(kit: &Kit, path: &str, total: usize, between: impl AsyncFnOnce()) -> Vec<String> {
    let page = kit.search(&format!("{path}?_count=3&_total=accurate")).await;
    assert_eq!(page["total"], total, "{path}");
    let (mut walked, mut next) = (told(&page), link(&page, "next"));
    between().await;
    while let Some(url_asked) = next {
        let page = kit.search(&url_asked).await;
        assert!(told(&page).len() <= 3, "{page}");
        // Later pages need not count again, but do not count less.
        assert!(page["total"].as_u64().is_none_or(|told| told >= total as u64), "{page}");
        assert!(url(&page, "self").starts_with("http://hub.test/FHIR/R4/"));
        walked.extend(told(&page));
        next = link(&page, "next");
    }
    walked
}

async fn a_history_can_begin_at_a_time_or_be_of_a_time(kit: Kit) {
    let (kit, micros) = timed(kit).await;
    lived(&kit, &micros).await;
    let at = |seconds: &str| format!("2020-01-01T00:00:{seconds}Z");
    let all = [&[OF_O][..], &OF_A].concat();
    for (path, query, expected) in [
        ("Patient/a/_history", format!("_since={}", at("00")), OF_A.to_vec()),
        ("Patient/a/_history", format!("_since={}", at("10")), OF_A[..2].to_vec()),
        ("Patient/a/_history", format!("_since={}", at("10.001")), OF_A[..1].to_vec()),
        ("Patient/a/_history", format!("_since={}", at("21")), vec![]),
        ("Patient/_history", format!("_since={}", at("20")), OF_A[..1].to_vec()),
        ("_history", format!("_since={}", at("20")), all[..2].to_vec()),
        // What was current at some time within the span.
        ("Patient/a/_history", format!("_at={}", at("05")), OF_A[2..].to_vec()),
        ("Patient/a/_history", format!("_at={}", at("15")), OF_A[1..2].to_vec()),
        ("Patient/a/_history", "_at=2020-01-01".to_owned(), OF_A.to_vec()),
        ("Patient/a/_history", "_at=2019".to_owned(), vec![]),
    ] {
        let bundle = kit.search(&format!("{path}?{query}")).await;
        assert_eq!(told(&bundle), expected, "{path}?{query}");
        assert_eq!(bundle["total"], json!(expected.len()), "{path}?{query}");
    }
}

async fn a_history_refuses_what_it_cannot_read(kit: Kit) {
    store(&kit, [patient("a", json!({}))]).await;
    for path in ["Patient/a/_history", "Patient/_history", "_history"] {
        for query in
            ["_count=-1", "_count=abc", "_since=notatime", "_since=2000-13", "_at=notatime"]
        {
            let refused = kit.get(&format!("{path}?{query}")).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}?{query}: {}", refused.text);
            refused.assert_refused(StatusCode::BAD_REQUEST);
        }
        let url = format!("/FHIR/R4/{path}?bogus=1");
        let strict = kit.send("GET", &url, &[("prefer", "handling=strict")], Body::empty()).await;
        strict.assert_refused(StatusCode::BAD_REQUEST);
    }
}
