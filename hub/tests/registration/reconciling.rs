//! The record and the locator, compared in both directions.

use std::cell::Cell;

use hub::registration::reconcile::{Report, reconcile};
use hub::registration::sender::Sender;
use rusqlite::Connection as Sqlite;
use service::clock::Clock;
use sqlx::Connection;

use super::locator::{HERE, Locator, drain, send};
use super::patient;
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    what_the_locator_lost_is_registered_again,
    what_the_locator_should_not_hold_is_taken_away,
    what_the_outbox_missed_is_made_up,
    what_was_parked_is_told_by_code_and_tried_again,
    a_locator_that_is_down_ends_a_comparison_and_changes_nothing,
    one_hub_of_a_record_compares_at_a_time,
);

/// More than a page.
const MANY: usize = 300;

async fn compare(sender: &Sender) -> Report {
    reconcile(sender, |_| (), || ()).await.unwrap()
}

/// Valid numbers of the test range.
fn numbers() -> impl Iterator<Item = String> {
    (5_000..).filter_map(|serial| {
        let digits = |check| format!("999{serial:06}{check}");
        let valid = |text: &String| text.parse::<fhir::identifier::NhsNumber>().is_ok();
        (0..10).map(digits).find(valid)
    })
}

/// Fills the record with as many patients, and registers them.
async fn fill(kit: &Kit, sender: &Sender, count: usize) -> Vec<String> {
    let numbers: Vec<String> = numbers().take(count).collect();
    let entry: Vec<String> = numbers
        .iter()
        .map(|number| {
            let resource = patient(number).replace(r#""id":"p","#, "");
            format!(r#"{{"resource":{resource},"request":{{"method":"POST","url":"Patient"}}}}"#)
        })
        .collect();
    let entry = entry.join(",");
    let bundle = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entry}]}}"#);
    assert_eq!(kit.post("", &bundle).await.status, 200);
    drain(sender).await;
    numbers
}

async fn what_the_locator_lost_is_registered_again(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    let numbers = fill(&kit, &sender, MANY).await;
    kit.put("Patient/none", r#"{"resourceType":"Patient","id":"none"}"#).await;
    let report = compare(&sender).await;
    let right = MANY as u64;
    let whole = Report { checked: right, right, patients_without_number: 1, ..Report::default() };
    assert_eq!(report, whole);
    locator.held().pointers.clear();
    let (told, woken) = (Cell::new(0), Cell::new(0));
    let report =
        reconcile(&sender, |checked| told.set(checked), || woken.set(woken.get() + 1)).await;
    assert_eq!(report.unwrap().missing, right);
    assert_eq!(told.get(), right);
    assert!(woken.get() >= 3, "the sender begins with the first page");
    drain(&sender).await;
    assert_eq!(locator.numbers(), numbers);
    assert_eq!(compare(&sender).await, whole);
}

async fn what_the_locator_should_not_hold_is_taken_away(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    let numbers = fill(&kit, &sender, 3).await;
    kit.put("Patient/p", &patient("9990000050")).await;
    drain(&sender).await;
    kit.delete("Patient/p").await;
    drain(&sender).await;
    assert_eq!(locator.numbers(), numbers);
    // A second one, one that leads to where the hub was, one that was withdrawn, and one unheard of.
    locator.slip(&numbers[0], HERE);
    for pointer in locator.held().pointers.values_mut().filter(|p| p.0 == numbers[1]) {
        "http://elsewhere.test/FHIR/R4".clone_into(&mut pointer.1);
    }
    locator.slip("9990000050", HERE);
    locator.slip("9990000069", HERE);
    let report = compare(&sender).await;
    assert_eq!((report.checked, report.right, report.surplus), (4, 1, 3));
    drain(&sender).await;
    // What this record never had cannot be looked for.
    let mut expected = numbers.clone();
    expected.push("9990000069".to_owned());
    expected.sort();
    assert_eq!(locator.numbers(), expected);
    let urls: Vec<String> = locator.held().pointers.values().map(|p| p.1.clone()).collect();
    assert!(urls.iter().all(|url| url == HERE), "{urls:?}");
    let report = compare(&sender).await;
    assert_eq!((report.right, report.without, report.surplus), (3, 1, 0));
}

/// Changes the outbox behind the hub's back.
async fn rewrite(url: &str, sql: &'static str) {
    if let Some(path) = url.strip_prefix("sqlite://") {
        Sqlite::open(path).unwrap().execute_batch(sql).unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
}

async fn what_the_outbox_missed_is_made_up(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    let numbers = fill(&kit, &sender, 3).await;
    kit.put("Patient/p", &patient("9990000050")).await;
    drain(&sender).await;
    kit.delete("Patient/p").await;
    drain(&sender).await;
    drop(sender);
    locator.held().pointers.clear();
    locator.slip("9990000050", HERE);
    let first = "DELETE FROM registration WHERE wanted = 1; UPDATE registration SET wanted = 1;";
    let kit = kit.rewritten(async |url| rewrite(url, first).await).await;
    let sender = kit.hub.sender().unwrap().unwrap();
    assert_eq!(compare(&sender).await.misaligned, 4);
    drain(&sender).await;
    assert_eq!(locator.numbers(), numbers);
    let report = compare(&sender).await;
    assert_eq!((report.right, report.without, report.misaligned), (3, 1, 0));
}

async fn what_was_parked_is_told_by_code_and_tried_again(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    locator.answers(422, None, 1);
    kit.put("Patient/p", &patient("9990000050")).await;
    send(&sender).await;
    let report = compare(&sender).await;
    let (problem, count) = report.parked.first_key_value().unwrap();
    assert!(problem.contains("422") && problem.contains("SOME_CODE"), "{problem}");
    assert_eq!((*count, report.parked_numbers.as_slice()), (1, &["9990000050".to_owned()][..]));
    drain(&sender).await;
    assert_eq!(locator.numbers(), ["9990000050"]);
}

async fn a_locator_that_is_down_ends_a_comparison_and_changes_nothing(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    fill(&kit, &sender, 3).await;
    locator.answers(503, None, 100);
    let error = reconcile(&sender, |_| (), || ()).await.unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    let depth = kit.hub.store.registration_depth().await.unwrap();
    assert_eq!((depth.waiting, depth.parked), (0, 0));
    assert_eq!(locator.numbers().len(), 3);
}

async fn one_hub_of_a_record_compares_at_a_time(kit: Kit) {
    let Some(beside) = kit.beside().await else { return };
    let turn = kit.hub.store.turn_to_reconcile().await.unwrap();
    assert!(turn.is_some());
    assert!(beside.hub.store.turn_to_reconcile().await.unwrap().is_none());
    drop(turn);
    for _ in 0..100 {
        if beside.hub.store.turn_to_reconcile().await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the turn is never free again");
}
