//! The audit trail: what was done to it shows, and nothing is in it twice or not at all.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use hub::Hub;
use hub::audit::chain::Tip;
use hub::audit::command::{self, Options, Report};
use hub::audit::verify::Wrong;
use hub::store::sqlite_path;
use hub::store::trail::{Lines, Stored, Trail};
use serde_json::Value;
use service::clock::Clock;
use service::serve::Shutdown;
use sqlx::Connection;
use tokio::net::TcpListener;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_trail_that_no_one_touched_is_whole,
    an_altered_entry_is_named,
    a_dropped_entry_is_named,
    an_entry_that_was_put_in_is_named,
    entries_that_changed_places_are_named,
    an_end_that_was_cut_off_shows_by_a_head,
    a_trail_that_was_made_anew_shows_by_a_head,
    a_head_that_was_altered_is_named,
    lines_of_the_journal_are_moved_once,
    lines_are_moved_once_wherever_the_moving_ends,
    a_served_hub_moves_its_lines_and_makes_a_head_at_its_end,
    hubs_beside_each_other_leave_one_whole_trail,
    entries_of_an_earlier_version_begin_the_chain,
    an_audit_event_is_found_by_patient_caller_and_time,
    whoever_is_in_an_answer_has_an_audit_event_of_it,
    audit_events_come_newest_first_page_by_page,
    an_audit_event_is_valid_and_says_who_asked_for_what,
    no_one_can_write_an_audit_event,
    a_witness_keeps_heads_and_refuses_one_that_contradicts_them,
    what_a_witness_kept_shows_a_trail_that_was_made_anew,
    a_purged_resource_is_gone_and_the_trail_says_so,
);

/// An Ed25519 key of RFC 8410, section 10.3.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";

/// A record with six entries in one lane, and a signed head.
async fn six(kit: Kit) -> Kit {
    let key = kit.file("audit.pem", KEY);
    let change = |config: &mut hub::config::HubConfig| config.audit.signing_key_file = Some(key);
    let kit = kit.reopened(change, Clock::System).await;
    for number in 0..6 {
        let body = format!(r#"{{"resourceType":"Patient","id":"p{number}"}}"#);
        assert_eq!(kit.put(&format!("Patient/p{number}"), &body).await.status, StatusCode::CREATED);
    }
    assert!(kit.hub.audit.make_head().await.unwrap().is_some());
    kit
}

async fn verify(kit: &Kit) -> Report {
    command::run(&kit.hub.config, &Options::default()).await.unwrap()
}

/// The one thing that is wrong.
async fn wrong(kit: &Kit) -> Wrong {
    let report = verify(kit).await;
    assert!(!report.is_whole());
    assert!(report.to_string().contains("lane 1: "), "{report}");
    assert_eq!(report.faults.len(), 1, "{report}");
    report.faults[0].what.clone()
}

/// Changes the database behind everyone's back.
async fn edit(kit: &Kit, sql: &str) {
    let url = &kit.hub.config.store.url;
    if let Some(path) = sqlite_path(url) {
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
}

async fn entries(kit: &Kit) -> Vec<Stored> {
    let trail = Trail::open(&kit.hub.config.store.url).await.unwrap();
    let mut entries = Vec::new();
    for lane in trail.lanes().await.unwrap() {
        entries.extend(trail.after(lane, 0, 10_000).await.unwrap());
    }
    entries
}

fn heads_file(kit: &Kit) -> PathBuf {
    kit.hub.config.audit.dir.as_ref().unwrap().join("hub-QWO-heads.ndjson")
}

async fn a_trail_that_no_one_touched_is_whole(kit: Kit) {
    let kit = six(kit).await;
    kit.get("Patient/p1").await;
    assert_eq!(kit.hub.audit.move_lines().await.unwrap(), 1);
    let report = verify(&kit).await;
    assert!(report.is_whole(), "{report}");
    // The head is kept in the record and beside the journal.
    assert_eq!((report.entries, report.heads, report.signed), (7, 2, 2));
    // Nothing has changed: a second head would say the same.
    assert!(kit.hub.audit.make_head().await.unwrap().is_some());
    assert_eq!(kit.hub.audit.make_head().await.unwrap(), None);
    let seqs: Vec<i64> = entries(&kit).await.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6, 7]);
}

async fn an_altered_entry_is_named(kit: Kit) {
    let kit = six(kit).await;
    let before = entries(&kit).await[2].clone();
    edit(&kit, "UPDATE audit SET entry = replace(entry, 'QWO', 'XXX') WHERE seq = 3").await;
    assert_eq!(wrong(&kit).await, Wrong::Altered(3));
    edit(&kit, "UPDATE audit SET entry = replace(entry, 'XXX', 'QWO') WHERE seq = 3").await;
    assert!(verify(&kit).await.is_whole());
    edit(&kit, "UPDATE audit SET recorded = recorded + 1 WHERE seq = 3").await;
    assert_eq!(wrong(&kit).await, Wrong::Altered(3));
    edit(&kit, &format!("UPDATE audit SET recorded = {} WHERE seq = 3", before.recorded)).await;
    edit(&kit, "UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 1) WHERE seq = 6")
        .await;
    assert_eq!(wrong(&kit).await, Wrong::Altered(6));
}

async fn a_dropped_entry_is_named(kit: Kit) {
    let kit = six(kit).await;
    edit(&kit, "DELETE FROM audit WHERE seq = 1").await;
    assert_eq!(wrong(&kit).await, Wrong::Missing(1, 1));
    edit(&kit, "DELETE FROM audit WHERE seq = 2").await;
    assert_eq!(wrong(&kit).await, Wrong::Missing(1, 2));
    // Those after it close the gap.
    edit(&kit, "UPDATE audit SET seq = seq - 10").await;
    edit(&kit, "UPDATE audit SET seq = seq + 8").await;
    assert_eq!(wrong(&kit).await, Wrong::Altered(1));
}

async fn an_entry_that_was_put_in_is_named(kit: Kit) {
    let kit = six(kit).await;
    let copy = |seq| {
        format!(
            "INSERT INTO audit (lane, seq, recorded, entry, hash) \
             SELECT lane, {seq}, recorded, entry, hash FROM audit WHERE seq = 6"
        )
    };
    edit(&kit, &copy(0)).await;
    assert_eq!(wrong(&kit).await, Wrong::Added(0));
    edit(&kit, "DELETE FROM audit WHERE seq = 0").await;
    edit(&kit, &copy(7)).await;
    assert_eq!(wrong(&kit).await, Wrong::Altered(7));
}

async fn entries_that_changed_places_are_named(kit: Kit) {
    let kit = six(kit).await;
    let swap = "UPDATE audit SET seq = -2 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 5; \
                UPDATE audit SET seq = 5 WHERE seq = -2;";
    edit(&kit, swap).await;
    assert_eq!(wrong(&kit).await, Wrong::Moved(2, 5));
}

async fn an_end_that_was_cut_off_shows_by_a_head(kit: Kit) {
    let kit = six(kit).await;
    edit(&kit, "DELETE FROM audit WHERE seq > 4").await;
    let Wrong::Truncated(5, 6, witness) = wrong(&kit).await else { panic!("not cut off") };
    assert!(!witness.is_empty());
    // Whoever cuts off the trail may cut off the heads in the record too; not the copies.
    edit(&kit, "DELETE FROM audit_head").await;
    let Wrong::Truncated(5, 6, _) = wrong(&kit).await else { panic!("not cut off") };
    edit(&kit, "DELETE FROM audit").await;
    let Wrong::Truncated(1, 6, _) = wrong(&kit).await else { panic!("not cut off") };
}

async fn a_trail_that_was_made_anew_shows_by_a_head(kit: Kit) {
    let kit = six(kit).await;
    kit.delete("Patient/p0").await;
    kit.hub.audit.make_head().await.unwrap().unwrap();
    let (mut tip, mut sql) = (Tip::start(1), String::new());
    for Stored { seq, recorded, mut entry, .. } in entries(&kit).await {
        if seq == 7 {
            entry = entry.replace("QWO", "XXX");
        }
        tip = tip.after(recorded, &entry);
        let hash = hub::audit::chain::hex(&tip.hash);
        let hash = if kit.hub.config.store.url.starts_with("sqlite") {
            format!("x'{hash}'")
        } else {
            format!("decode('{hash}', 'hex')")
        };
        write!(sql, "UPDATE audit SET entry = '{entry}', hash = {hash} WHERE seq = {seq};")
            .unwrap();
    }
    edit(&kit, &sql).await;
    let Wrong::Rewritten(6, 7, witness) = wrong(&kit).await else { panic!("not made anew") };
    assert!(witness.contains("head 2"), "{witness}");
}

async fn a_head_that_was_altered_is_named(kit: Kit) {
    let kit = six(kit).await;
    edit(&kit, "UPDATE audit_head SET document = replace(document, '\"size\":6', '\"size\":5')")
        .await;
    let report = verify(&kit).await;
    let expected = "head 1 of the record has a signature that is not of audit.signing_key_file";
    assert_eq!(report.bad_heads, [expected]);
    assert!(report.faults.is_empty());
    edit(&kit, "UPDATE audit_head SET document = 'gone'").await;
    assert_eq!(verify(&kit).await.bad_heads, ["head 1 of the record is no head"]);
    // Without its signature, after one that has it.
    kit.delete("Patient/p0").await;
    kit.hub.audit.make_head().await.unwrap().unwrap();
    let text = std::fs::read_to_string(heads_file(&kit)).unwrap();
    let (first, second) = text.trim_end().split_once('\n').unwrap();
    let bare = second.split(",\"signature\"").next().unwrap();
    std::fs::write(heads_file(&kit), format!("{first}\n{bare}}}\n")).unwrap();
    let bad = verify(&kit).await.bad_heads;
    assert!(bad.iter().any(|bad| bad.contains("line 2") && bad.contains("not signed")), "{bad:?}");
}

/// How often the trail tells of each URL that was read.
async fn targets(kit: &Kit) -> HashMap<String, usize> {
    let mut targets = HashMap::new();
    for entry in entries(kit).await {
        let entry: Value = serde_json::from_str(&entry.entry).unwrap();
        if let Some(target) = entry["target"].as_str() {
            *targets.entry(target.to_owned()).or_default() += 1;
        }
    }
    targets
}

async fn lines_of_the_journal_are_moved_once(kit: Kit) {
    for number in 0..5 {
        kit.get(&format!("Patient/n{number}")).await;
    }
    let before = kit.journal();
    kit.hub.journal.close_file().unwrap();
    let file = kit.hub.journal.closed_files().unwrap().pop().unwrap();
    // Some are in, and then the process ended.
    let text = std::fs::read_to_string(&file).unwrap();
    let first: Vec<&str> = text.split_inclusive('\n').take(2).collect();
    let lines = Lines {
        file: file.file_name().unwrap().to_str().unwrap().to_owned(),
        from: 0,
        to: first.concat().len() as i64,
        entries: first.iter().map(|line| (0, line.trim_end().to_owned())).collect(),
    };
    kit.hub.store.take_lines(lines.clone()).await.unwrap();
    assert!(kit.hub.store.take_lines(lines).await.is_err());
    kit.get("Patient/n5").await;
    assert_eq!(kit.hub.audit.move_lines().await.unwrap(), 4);
    assert_eq!(kit.hub.audit.move_lines().await.unwrap(), 0);
    assert!(kit.hub.journal.closed_files().unwrap().is_empty());
    assert!(kit.journal().is_empty());
    let targets = targets(&kit).await;
    assert!(targets.len() == 6 && targets.values().all(|count| *count == 1), "{targets:?}");
    // To the letter.
    let kept: Vec<Value> =
        entries(&kit).await.iter().map(|e| serde_json::from_str(&e.entry).unwrap()).collect();
    assert_eq!(kept[..5], before[..]);
    assert!(verify(&kit).await.is_whole());
}

async fn lines_are_moved_once_wherever_the_moving_ends(kit: Kit) {
    const ROUNDS: u64 = 40;
    for round in 0..ROUNDS {
        for number in 0..3 {
            kit.get(&format!("Patient/n{round}-{number}")).await;
        }
        let hub = kit.hub.clone();
        let moving = tokio::spawn(async move { hub.audit.move_lines().await.map(drop) });
        tokio::time::sleep(Duration::from_micros(round * 100)).await;
        moving.abort();
        let _ = moving.await;
    }
    // What was under way when its caller went may still be done.
    let mut left = kit.hub.audit.move_lines().await;
    while left.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        left = kit.hub.audit.move_lines().await;
    }
    let targets = targets(&kit).await;
    assert_eq!(targets.len() as u64, 3 * ROUNDS);
    assert!(targets.values().all(|count| *count == 1), "{targets:?}");
    let report = verify(&kit).await;
    assert!(report.is_whole(), "{report}");
}

async fn a_served_hub_moves_its_lines_and_makes_a_head_at_its_end(kit: Kit) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shutdown = Shutdown::default();
    let served = tokio::spawn(kit.hub.clone().serve(listener, None, shutdown.clone()));
    for number in 0..3 {
        kit.get(&format!("Patient/n{number}")).await;
    }
    shutdown.trigger();
    served.await.unwrap().unwrap();
    assert_eq!(targets(&kit).await.len(), 3);
    let heads = std::fs::read_to_string(heads_file(&kit)).unwrap();
    assert!(heads.lines().last().unwrap().contains("\"size\":3"), "{heads}");
    let report = verify(&kit).await;
    assert!(report.is_whole() && report.entries == 3 && report.signed == 0, "{report}");
}

async fn hubs_beside_each_other_leave_one_whole_trail(kit: Kit) {
    let other = kit.beside().await;
    let kits: Vec<&Kit> = [Some(&kit), other.as_ref()].into_iter().flatten().collect();
    let writes = kits.iter().enumerate().flat_map(|(hub, kit)| {
        (0..60).map(move |number| async move {
            // Some rest on a search, some are refused, some collide.
            let id = format!("p{}", number % 40);
            let body = format!(r#"{{"resourceType":"Patient","id":"{id}","active":{}}}"#, hub == 0);
            match number % 3 {
                0 => kit.put(&format!("Patient/{id}"), &body).await,
                1 => {
                    kit.with_body("POST", "Patient", &body, &[("if-none-exist", "active=true")])
                        .await
                }
                _ => kit.put_if_match(&format!("Patient/{id}"), "W/\"9\"", &body).await,
            }
        })
    });
    let answers = join_all(writes).await;
    assert!(answers.iter().all(|answer| answer.status.as_u16() < 500));
    for kit in &kits {
        kit.hub.audit.move_lines().await.unwrap();
        kit.hub.audit.make_head().await.unwrap();
    }
    let report = verify(&kit).await;
    assert!(report.is_whole(), "{report}");
    assert!(report.entries >= answers.len() as u64, "{report}");
    let stored: i64 = kit.count("Patient").await;
    assert!(stored > 0);
}

async fn entries_of_an_earlier_version_begin_the_chain(kit: Kit) {
    let is_sqlite = kit.hub.config.store.url.starts_with("sqlite");
    let kit = kit
        .rewritten(async |url| {
            let mut sql = String::new();
            let steps = if let Some(path) = sqlite_path(url) {
                for suffix in ["", "-wal", "-shm", "-head"] {
                    let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
                }
                [
                    include_str!("../src/store/schema/sqlite/0001_record.sql"),
                    include_str!("../src/store/schema/sqlite/0002_search_and_kept_answers.sql"),
                    include_str!("../src/store/schema/sqlite/0003_generation_of_the_index.sql"),
                    include_str!(
                        "../src/store/schema/sqlite/0004_since_when_a_registration_waits.sql"
                    ),
                ]
            } else {
                sql += "DROP SCHEMA public CASCADE; CREATE SCHEMA public;";
                [
                    include_str!("../src/store/schema/postgres/0001_record.sql"),
                    include_str!("../src/store/schema/postgres/0002_search_and_kept_answers.sql"),
                    include_str!("../src/store/schema/postgres/0003_generation_of_the_index.sql"),
                    include_str!(
                        "../src/store/schema/postgres/0004_since_when_a_registration_waits.sql"
                    ),
                ]
            };
            sql += &steps.concat();
            sql += if is_sqlite {
                "PRAGMA user_version = 4; \
                 INSERT INTO setting (name, value) VALUES ('secret', randomblob(32));"
            } else {
                "INSERT INTO setting (name, value) VALUES ('schema', '4'::bytea), \
                 ('secret', decode(repeat('ab', 32), 'hex'));"
            };
            sql += "INSERT INTO audit (recorded, entry) VALUES (7, '{\"a\":\"é\"}'), (9, '{}');";
            if let Some(path) = sqlite_path(url) {
                rusqlite::Connection::open(path).unwrap().execute_batch(&sql).unwrap();
            } else {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            }
        })
        .await;
    kit.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let report = verify(&kit).await;
    assert!(report.is_whole() && report.entries == 3, "{report}");
    let second = Tip::start(1).after(7, "{\"a\":\"é\"}").after(9, "{}");
    assert_eq!(entries(&kit).await[1].hash, second.hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_does_not_start_where_its_record_has_lost_its_end() {
    // The file is written when the writer has been idle for a moment, and when the record is closed.
    let kit = six(Kit::sqlite().await).await.reopened(|_| (), Clock::System).await;
    let (config, path) = (kit.hub.config.clone(), sqlite_path(&kit.hub.config.store.url).unwrap());
    edit(&kit, "DELETE FROM audit WHERE seq > 5; DELETE FROM audit_head").await;
    std::fs::remove_file(heads_file(&kit)).unwrap();
    // No head is left, but for the file beside the database.
    let Wrong::Truncated(6, 6, witness) = wrong(&kit).await else { panic!("not cut off") };
    assert_eq!(witness, "the file beside the database");
    kit.hub.store.close().await;
    let _folder = kit.released();
    let error = Hub::open(config.clone(), Clock::System).await.unwrap_err().to_string();
    assert!(error.contains("lacks what was recorded last"), "{error}");
    std::fs::remove_file(format!("{}-head", path.display())).unwrap();
    Hub::open(config, Clock::System).await.unwrap();
}

/// What a page of AuditEvents says: the id's place, subtype and outcome of each.
async fn told(kit: &Kit, query: &str) -> Vec<String> {
    let bundle = kit.search(&format!("AuditEvent?{query}")).await;
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let told = entries.iter().map(|entry| {
        let event = &entry["resource"];
        let (code, outcome) = (&event["subtype"][0]["code"], &event["outcome"]);
        format!("{} {}", code.as_str().unwrap(), outcome.as_str().unwrap())
    });
    told.collect()
}

/// Moves the journal's lines, and finds whom they are about.
async fn catch_up(kit: &Kit) {
    kit.hub.audit.move_lines().await.unwrap();
    kit.hub.audit.index().await.unwrap();
}

async fn an_audit_event_is_found_by_patient_caller_and_time(kit: Kit) {
    let number = "9000000009";
    let patient = |id: &str, number: &str| {
        format!(
            r#"{{"resourceType":"Patient","id":"{id}","identifier":[{{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"{number}"}}]}}"#
        )
    };
    let observation = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}}"#;
    kit.put("Patient/p", &patient("p", number)).await;
    kit.put("Patient/q", &patient("q", "9000000017")).await;
    kit.put("Observation/o", observation).await;
    for url in [
        "Observation/o",
        "Observation?patient=p",
        &format!("Observation?patient.identifier=https://fhir.nhs.uk/Id/nhs-number%7C{number}"),
        "Patient/q",
        "Patient/nobody",
    ] {
        kit.get(url).await;
    }
    kit.delete("Observation/o").await;
    catch_up(&kit).await;
    let mut of_p = told(&kit, "patient=Patient/p").await;
    of_p.sort();
    assert_eq!(
        of_p,
        ["delete 0", "read 0", "search-type 0", "search-type 0", "update 0", "update 0"]
    );
    let mut of_q = told(&kit, "patient=q&agent:identifier=QWO").await;
    of_q.sort();
    assert_eq!(of_q, ["read 0", "update 0"]);
    assert_eq!(told(&kit, "patient=nobody").await, ["read 4"]);
    assert!(told(&kit, "agent:identifier=XXX").await.is_empty());
    assert_eq!(told(&kit, "date=ge2020-01-01&date=lt2999").await.len(), 9);
    assert!(told(&kit, "date=lt2020").await.is_empty());
    for wrong in ["action=R", "patient=a/b", "date=ap2020", "patient=p&patient=q", "_count=x"] {
        let answer = kit.get(&format!("AuditEvent?{wrong}")).await;
        let outcome = answer.assert_refused(StatusCode::BAD_REQUEST);
        assert!(outcome["issue"][0]["expression"][0].is_string(), "{outcome}");
    }
}

async fn whoever_is_in_an_answer_has_an_audit_event_of_it(kit: Kit) {
    for id in ["p", "q", "r"] {
        let name = if id == "r" { "Other" } else { "Same" };
        let body =
            format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{name}"}}]}}"#);
        kit.put(&format!("Patient/{id}"), &body).await;
    }
    let text = r#"{"resourceType":"Basic","id":"b","code":{"text":"x"},"subject":{"reference":"Patient/q"}}"#;
    kit.put("Basic/b", text).await;
    let batch = r#"{"resourceType":"Bundle","type":"batch","entry":[
        {"request":{"method":"GET","url":"Patient?family=Same"}}]}"#;
    kit.get("Patient?family=Same").await;
    kit.get("Patient?family=Same&_summary=count").await;
    kit.get("Basic?code:text=x").await;
    kit.get("Patient/_history").await;
    kit.post("", batch).await;
    catch_up(&kit).await;
    for (patient, expected) in [
        ("p", vec!["batch 0", "history-type 0", "search-type 0", "update 0"]),
        (
            "q",
            vec![
                "batch 0",
                "history-type 0",
                "search-type 0",
                "search-type 0",
                "update 0",
                "update 0",
            ],
        ),
        ("r", vec!["history-type 0", "update 0"]),
    ] {
        let mut told = told(&kit, &format!("patient=Patient/{patient}")).await;
        told.sort();
        assert_eq!(told, expected, "{patient}");
    }
}

async fn audit_events_come_newest_first_page_by_page(kit: Kit) {
    for number in 0..7 {
        kit.get(&format!("Patient/n{number}")).await;
    }
    catch_up(&kit).await;
    let counted = kit.search("AuditEvent?date=gt2020&_summary=count").await;
    assert_eq!((&counted["total"], &counted["entry"]), (&7.into(), &Value::Null), "{counted}");
    assert_eq!(kit.search("AuditEvent?date=lt2020&_summary=count").await["total"], 0);
    let (mut next, mut ids) = (Some("AuditEvent?_count=3&date=gt2020".to_owned()), Vec::new());
    let mut pages = 0;
    while let Some(url) = next {
        let bundle = kit.search(&url).await;
        ids.extend(crate::kit::matches(&bundle));
        next = crate::kit::link(&bundle, "next");
        pages += 1;
        // What comes meanwhile is newer.
        kit.get("Patient/meanwhile").await;
        catch_up(&kit).await;
    }
    assert_eq!(pages, 3);
    assert_eq!(ids, ["1-7", "1-6", "1-5", "1-4", "1-3", "1-2", "1-1"]);
}

async fn an_audit_event_is_valid_and_says_who_asked_for_what(kit: Kit) {
    let headers = [("x-request-id", "11111111-2222-4333-8444-555555555555")];
    kit.send("GET", "/FHIR/R4/Patient/p/Observation?code=a", &headers, "").await;
    let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"request":{"method":"PUT","url":"Patient/p"},"resource":{"resourceType":"Patient","id":"p"}},
        {"request":{"method":"GET","url":"Patient/p"}}]}"#;
    assert_eq!(kit.post("", bundle).await.status, StatusCode::OK);
    kit.put("Patient/p", "{").await;
    kit.get("Patient?name=a").await;
    kit.delete("Patient/p").await;
    catch_up(&kit).await;
    let all = kit.search("AuditEvent").await;
    let entries = all["entry"].as_array().unwrap();
    assert!(entries.len() >= 5);
    for entry in entries {
        let text = entry["resource"].to_string();
        let survey = fhir::validate::validate(text.as_bytes()).unwrap();
        assert!(survey.issues.is_empty(), "{text}: {:?}", survey.issues);
        let id = entry["resource"]["id"].as_str().unwrap();
        assert_eq!(kit.search(&format!("AuditEvent/{id}")).await, entry["resource"]);
        assert_eq!(crate::kit::matches(&kit.search(&format!("AuditEvent?_id={id}")).await), [id]);
    }
    let asked = |entry: &&Value| entry["resource"].to_string().contains("11111111-2222");
    let event = &entries.iter().find(asked).unwrap()["resource"];
    assert_eq!(event["agent"][0]["who"]["identifier"]["value"], "QWO");
    assert_eq!(event["agent"][0]["requestor"], true);
    let queries: Vec<&str> =
        event["entity"].as_array().unwrap().iter().filter_map(|e| e["query"].as_str()).collect();
    // GET /FHIR/R4/Patient/p/Observation?code=a
    assert_eq!(queries, ["R0VUIC9GSElSL1I0L1BhdGllbnQvcC9PYnNlcnZhdGlvbj9jb2RlPWE="]);
    assert_eq!(event["entity"][0]["what"]["reference"], "Patient/p");
}

async fn no_one_can_write_an_audit_event(kit: Kit) {
    let event = r#"{"resourceType":"AuditEvent","id":"1-1","type":{"code":"rest"},"recorded":"2026-11-23T09:30:00Z","agent":[{"requestor":true}],"source":{"observer":{"display":"x"}}}"#;
    kit.get("Patient/p").await;
    catch_up(&kit).await;
    let patch = r#"[{"op":"replace","path":"/outcome","value":"0"}]"#;
    let answers = [
        kit.post("AuditEvent", event).await,
        kit.put("AuditEvent/1-1", event).await,
        kit.put("AuditEvent?_id=1-1", event).await,
        kit.delete("AuditEvent/1-1").await,
        kit.delete("AuditEvent?_id=1-1").await,
        kit.send(
            "PATCH",
            "/FHIR/R4/AuditEvent/1-1",
            &[("content-type", "application/json-patch+json")],
            patch,
        )
        .await,
        kit.post(
            "",
            &format!(
                r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"request":{{"method":"PUT","url":"AuditEvent/1-1"}},"resource":{event}}}]}}"#
            ),
        )
        .await,
    ];
    for answer in answers {
        answer.assert_refused(StatusCode::METHOD_NOT_ALLOWED);
        assert!(answer.header("allow").contains("GET"), "{:?}", answer.headers);
    }
    kit.get("AuditEvent/1-99").await.assert_refused(StatusCode::NOT_FOUND);
    kit.get("AuditEvent/x").await.assert_refused(StatusCode::NOT_FOUND);
    kit.get("AuditEvent/1-1/_history/1").await.assert_refused(StatusCode::NOT_FOUND);
    let statement = kit.search("metadata").await;
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let own = resources.iter().find(|resource| resource["type"] == "AuditEvent").unwrap();
    assert_eq!(own["interaction"].as_array().unwrap().len(), 2, "{own}");
    assert_eq!(own["updateCreate"], false);
}

/// The public half of [`KEY`].
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
                          MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                          -----END PUBLIC KEY-----\n";

/// A record whose heads a witness of its own kind keeps.
async fn witness_of(kit: &Kit) -> Kit {
    let witness = if kit.hub.config.store.url.starts_with("sqlite") {
        Kit::sqlite().await
    } else {
        Kit::postgres().await.unwrap()
    };
    let key = kit.file("audit.pem.pub", PUBLIC_KEY);
    let change = |config: &mut hub::config::HubConfig| {
        let ods = "QWO".parse().unwrap();
        config.region.ods = "QHM".parse().unwrap();
        config.audit.witnessed = vec![hub::config::Witnessed { ods, public_key_file: key }];
    };
    witness.reopened(change, Clock::System).await
}

async fn shown_to(witness: &Kit, head: &str) -> crate::kit::Response {
    witness.send("POST", "/audit/heads", &[], head.to_owned()).await
}

fn kept_by(witness: &Kit) -> PathBuf {
    let folder = witness.hub.config.audit.dir.as_ref().unwrap();
    folder.join("hub-QHM-witnessed-QWO.ndjson")
}

async fn a_witness_keeps_heads_and_refuses_one_that_contradicts_them(kit: Kit) {
    let witness = witness_of(&kit).await;
    let key = kit.file("audit.pem", KEY);
    let key = hub::audit::head::SigningKey::load(&key).unwrap();
    let head = |at_s: i64, tips: &[Tip]| {
        hub::audit::head::Head::of(at_s * 1_000_000, "QWO", tips).document(Some(&key))
    };
    let one = Tip::start(1).after(0, "{}");
    let (two, other) = (one.after(0, "{}"), one.after(0, "[]"));
    for document in [head(1, &[one]), head(3, &[two]), head(3, &[two]), head(2, &[one])] {
        assert_eq!(shown_to(&witness, &document).await.status, StatusCode::NO_CONTENT);
    }
    for document in [
        head(4, &[other]),
        head(4, &[one]),
        head(4, &[]),
        head(2, &[two.after(0, "{}")]),
        head(3, &[two.after(0, "{}")]),
    ] {
        shown_to(&witness, &document).await.assert_refused(StatusCode::CONFLICT);
    }
    assert_eq!(shown_to(&witness, &head(5, &[two])).await.status, StatusCode::NO_CONTENT);
    let bare = head(6, &[two]);
    let bare = format!("{}}}", bare.split(",\"signature\"").next().unwrap());
    let altered = head(6, &[two]).replace("\"size\":2", "\"size\":3");
    let foreign = head(6, &[two]).replace("QWO", "QXX");
    for document in [bare, altered, foreign] {
        shown_to(&witness, &document).await.assert_refused(StatusCode::FORBIDDEN);
    }
    for document in ["", "{}", "\u{0}", "[1]"] {
        shown_to(&witness, document).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    let to_come = head(4_102_444_800, &[two]);
    shown_to(&witness, &to_come).await.assert_refused(StatusCode::BAD_REQUEST);
}

async fn what_a_witness_kept_shows_a_trail_that_was_made_anew(kit: Kit) {
    let witness = witness_of(&kit).await;
    let wire = witness.over_tcp().await;
    let (key, url) = (kit.file("audit.pem", KEY), format!("http://{}/audit/heads", wire.address));
    let change = |config: &mut hub::config::HubConfig| {
        config.audit.signing_key_file = Some(key);
        config.audit.witnesses = vec![hub::config::Witness { url }];
    };
    let kit = kit.reopened(change, Clock::System).await;
    kit.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    kit.hub.audit.end().await;
    let options = Options { heads: vec![kept_by(&witness)] };
    let report = command::run(&kit.hub.config, &options).await.unwrap();
    assert!(report.is_whole() && report.heads == 3, "{report}");
    // All that this region has is made anew: its trail, and its heads.
    edit(&kit, "DELETE FROM audit; DELETE FROM audit_head").await;
    std::fs::remove_file(heads_file(&kit)).unwrap();
    let noted = format!("{}-head", kit.hub.config.store.url.trim_start_matches("sqlite://"));
    let _ = std::fs::remove_file(noted);
    assert!(verify(&kit).await.is_whole());
    let report = command::run(&kit.hub.config, &options).await.unwrap();
    assert!(matches!(report.faults[0].what, Wrong::Truncated(1, 1, _)), "{report}");
}

async fn a_purged_resource_is_gone_and_the_trail_says_so(kit: Kit) {
    let number =
        r#""identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9000000009"}]"#;
    let body = |id: &str, family: &str| {
        format!(
            r#"{{"resourceType":"Patient","id":"{id}",{number},"name":[{{"family":"{family}"}}]}}"#
        )
    };
    for family in ["First", "Second"] {
        assert!(kit.put("Patient/p", &body("p", family)).await.status.is_success());
    }
    let order = |resource: &str, reason: &str| hub::purge::Order {
        resource: resource.to_owned(),
        reason: reason.to_owned(),
    };
    for (resource, reason) in [("Patient/p", " "), ("Patient", "x"), ("Patient/none", "x")] {
        assert!(hub::purge::purge(&kit.hub, &order(resource, reason)).await.is_err());
    }
    let purged = hub::purge::purge(&kit.hub, &order("Patient/p", "court order 7")).await.unwrap();
    assert_eq!(purged.versions, 2);
    for url in ["Patient/p", "Patient/p/_history/1", "Patient/p/_history/2"] {
        kit.get(url).await.assert_refused(StatusCode::GONE);
    }
    let history = kit.search("Patient/p/_history").await;
    assert_eq!(history["entry"].as_array().unwrap().len(), 3);
    assert!(!history.to_string().contains("First"), "{history}");
    assert!(kit.ids("Patient?family=First,Second").await.is_empty());
    // What was deleted is erased too.
    kit.put("Patient/q", &body("q", "Third")).await;
    kit.delete("Patient/q").await;
    hub::purge::purge(&kit.hub, &order("Patient/q", "court order 7")).await.unwrap();
    kit.get("Patient/q/_history/1").await.assert_refused(StatusCode::GONE);
    // The number is free, and the id may be used again.
    assert_eq!(kit.put("Patient/p", &body("p", "Fourth")).await.status, StatusCode::CREATED);
    catch_up(&kit).await;
    let report = verify(&kit).await;
    assert!(report.is_whole(), "{report}");
    let events = kit.search("AuditEvent?patient=Patient/p").await;
    let events = events["entry"].as_array().unwrap();
    let purge = events.iter().find(|event| event["resource"]["outcomeDesc"] == "court order 7");
    let purge = &purge.unwrap()["resource"];
    assert_eq!(purge["subtype"][0]["code"], "delete");
    assert!(fhir::validate::validate(purge.to_string().as_bytes()).unwrap().issues.is_empty());
}
