//! The index made anew while the record is in use.

mod parameters;

use std::fmt::Write as _;

use http::StatusCode;
use hub::custody::{Custodian, Hand, May};
use hub::reindex::walk::walk;
use hub::store::write::{AuditEntry, Batch};
use service::admin::Health;
use service::caller::mandate::Asker;
use service::clock::Clock;
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_record_of_the_first_schema_is_searched_once_its_index_is_whole,
    what_rests_on_the_index_is_refused_until_it_is_whole,
    an_index_made_anew_is_the_same,
    a_rebuild_goes_on_where_it_was,
    what_is_written_meanwhile_is_found_afterwards,
    a_resource_that_moved_under_the_walk_is_walked_again,
    what_was_prepared_for_the_index_before_is_prepared_again,
    one_hub_walks_and_the_other_learns,
    an_index_of_a_later_version_is_left_alone,
);

const TABLES: [(&str, &str); 6] = [
    ("compartment", "patient, type, clinical_ms, key"),
    ("token", "param, code, clinical_ms, key, system"),
    ("patient_token", "patient, param, code, clinical_ms, key, system"),
    ("date", "key, param, low, high"),
    ("number", "key, param, unit, low, high"),
    ("reference", "param, target, key"),
];

fn sqlite_file(url: &str) -> Option<&str> {
    url.strip_prefix("sqlite://")
}

/// Runs statements in the record's database.
async fn run(url: &str, sql: &str) {
    if let Some(file) = sqlite_file(url) {
        rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
        return;
    }
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

/// What a query gives, as text, row by row.
async fn query(url: &str, sql: &str) -> Vec<String> {
    if let Some(file) = sqlite_file(url) {
        let connection = rusqlite::Connection::open(file).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        return rows.collect::<Result<_, _>>().unwrap();
    }
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Every row of the index.
async fn rows(kit: &Kit) -> Vec<String> {
    let mut all = Vec::new();
    for (table, columns) in TABLES {
        let columns = columns.replace(", ", " || ' ' || ");
        let sql = format!("SELECT '{table} ' || {columns} FROM {table}");
        all.extend(query(&kit.hub.config.store.url, &sql).await);
    }
    all.sort_unstable();
    all
}

fn patient(id: &str, family: &str) -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}],"birthDate":"1970-01-01"}}"#
    )
}

fn observation(id: &str, patient: &str, value: u32) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"1-8","display":"Pulse"}}]}},"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"2020-01-{:02}","valueQuantity":{{"value":{value},"unit":"b","system":"http://unitsofmeasure.org","code":"/min"}}}}"#,
        value % 28 + 1
    )
}

async fn put(kit: &Kit, path: &str, body: &str) {
    let response = kit.put(path, body).await;
    assert!(response.status.is_success(), "{path}: {}", response.text);
}

/// Patients with an Observation each.
async fn fill(kit: &Kit, count: u32) {
    for n in 0..count {
        put(kit, &format!("Patient/p{n}"), &patient(&format!("p{n}"), &format!("Family{n}"))).await;
        put(kit, &format!("Observation/o{n}"), &observation(&format!("o{n}"), &format!("p{n}"), n))
            .await;
    }
}

async fn begin(kit: &Kit) {
    kit.hub.store.begin_anew(String::new()).await.unwrap();
}

/// Begins the index anew and takes away what was in it.
async fn begin_emptied(kit: &Kit) {
    begin(kit).await;
    while !kit.hub.store.generation().standing.is_emptied() {
        kit.hub.store.empty(512).await.unwrap();
    }
}

async fn refused(kit: &Kit, path: &str) -> String {
    let response = kit.get(path).await;
    response.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    response.json()["issue"][0]["diagnostics"].as_str().unwrap().to_owned()
}

/// A record as the first version of the program left it, with these resources, each with what it was
/// before, if it was anything.
async fn as_first_schema(url: &str, resources: &[(&str, &str, Option<String>, Option<String>)]) {
    let mut sql = String::new();
    let (secret, null) = if let Some(file) = sqlite_file(url) {
        for suffix in ["", "-wal", "-shm", "-head"] {
            let _ = std::fs::remove_file(format!("{file}{suffix}"));
        }
        sql += "PRAGMA journal_mode = WAL;";
        sql += include_str!("../../src/store/schema/sqlite/0001_record.sql");
        sql += "PRAGMA user_version = 1;";
        ("randomblob(32)", "x'")
    } else {
        sql += "DROP SCHEMA public CASCADE; CREATE SCHEMA public;";
        sql += include_str!("../../src/store/schema/postgres/0001_record.sql");
        sql += "INSERT INTO setting (name, value) VALUES ('schema', '1'::bytea);";
        ("decode(repeat('ab', 32), 'hex')", "'\\x")
    };
    write!(sql, "INSERT INTO setting (name, value) VALUES ('secret', {secret});").unwrap();
    let blob = |text: &Option<String>| match text {
        None => "NULL".to_owned(),
        Some(text) => {
            let mut blob = null.to_owned();
            for byte in text.bytes() {
                write!(blob, "{byte:02x}").unwrap();
            }
            blob + "'"
        }
    };
    for (name, id, now, before) in resources {
        let term = format!("(SELECT id FROM term WHERE text = '{name}')");
        let key = format!("(SELECT key FROM directory WHERE type = {term} AND id = '{id}')");
        let (version, method) =
            (1 + i32::from(before.is_some()), if now.is_some() { 1 } else { 2 });
        write!(
            sql,
            "INSERT INTO term (text) VALUES ('{name}') ON CONFLICT DO NOTHING;\
             INSERT INTO directory (type, id) VALUES ({term}, '{id}');\
             INSERT INTO resource (key, type, version, updated, method, clinical_ms, body) \
             VALUES ({key}, {term}, {version}, 2000, {method}, -5, {});",
            blob(now)
        )
        .unwrap();
        if before.is_some() {
            write!(
                sql,
                "INSERT INTO history (key, version, updated, method, body) \
                 VALUES ({key}, 1, 1000, 0, {});",
                blob(before)
            )
            .unwrap();
        }
    }
    // A row of what searches relied on then.
    sql += "INSERT INTO token (param, code, clinical_ms, key, system) VALUES (1, 'old', 0, 1, 0);";
    run(url, &sql).await;
}

async fn a_record_of_the_first_schema_is_searched_once_its_index_is_whole(kit: Kit) {
    let own = |text: String, version: u32| {
        let (head, rest) = text.split_once(r#","id":"#).unwrap();
        let (id, rest) = rest.split_once(',').unwrap();
        let meta = format!(
            r#""meta":{{"versionId":"{version}","lastUpdated":"1970-01-01T00:00:00.00{version}Z"}}"#
        );
        Some(format!(r#"{head},"id":{id},{meta},{rest}"#))
    };
    let resources = [
        ("Patient", "p1", own(patient("p1", "Newer"), 2), own(patient("p1", "Older"), 1)),
        ("Patient", "gone", None, own(patient("gone", "Gone"), 1)),
        ("Observation", "o1", own(observation("o1", "p1", 60), 1), None),
        ("Observation", "o2", own(observation("o2", "p1", 70), 1), None),
    ];
    let kit = kit.rewritten(async |url| as_first_schema(url, &resources).await).await;
    assert!(refused(&kit, "Patient?family=Newer").await.contains("0 %"));
    assert_eq!(kit.get("Patient/p1").await.json()["name"][0]["family"], "Newer");
    assert_eq!(kit.search("Patient/p1/_history").await["total"], 2);
    put(&kit, "Observation/o2", &observation("o2", "p1", 90)).await;
    put(&kit, "Observation/o3", &observation("o3", "p1", 30)).await;
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(kit.ids("Patient?family=newer").await, ["p1"]);
    assert!(kit.ids("Patient?family=older").await.is_empty());
    assert!(kit.ids("Patient?family=gone").await.is_empty());
    let sorted = kit.ids("Observation?patient=p1&code=1-8&_sort=value-quantity").await;
    assert_eq!(sorted, ["o3", "o1", "o2"]);
    // By their clinical time, which is computed anew, too.
    assert_eq!(kit.ids("Observation?patient=p1&_sort=-date").await, ["o2", "o1", "o3"]);
    let composite = "Observation?code-value-quantity=1-8$gt80";
    assert_eq!(kit.ids(composite).await, ["o2"]);
    assert_eq!(kit.ids("Patient?_has:Observation:patient:code=1-8").await, ["p1"]);
    let made = rows(&kit).await;
    assert!(!made.iter().any(|row| row.contains(" old ")));
    begin(&kit).await;
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(rows(&kit).await, made);
}

async fn what_rests_on_the_index_is_refused_until_it_is_whole(kit: Kit) {
    fill(&kit, 10).await;
    begin_emptied(&kit).await;
    kit.hub.store.walk(10).await.unwrap();
    let standing = kit.hub.store.generation().standing;
    assert!(!standing.is_whole() && standing.cursor > 0, "{standing:?}");
    let percent = format!("{} %", standing.percent());
    for path in [
        "Patient?family=Family1",
        "Patient?_id=p1",
        "Patient?_summary=count",
        "?_type=Patient",
        "Patient/p1/*",
        "Patient/p1/Observation",
        "Patient/p1/$everything",
        "Observation/$lastn?patient=p1",
        "Observation?subject:Patient.family=Family1",
    ] {
        assert!(refused(&kit, path).await.contains(&percent), "{path}");
    }
    let unchanged = kit.search("Patient/_history?_count=1").await["total"].clone();
    let header = [("if-none-exist", "family=Nobody")];
    for response in [
        kit.with_body("POST", "Patient", &patient("x", "x"), &header).await,
        kit.put("Patient?family=Family1", r#"{"resourceType":"Patient"}"#).await,
        kit.delete("Patient?family=Family1").await,
        kit.post("", r#"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?family=Family1"}},"request":{"method":"POST","url":"Observation"}}]}"#).await,
    ] {
        response.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
        assert!(!response.header("retry-after").is_empty(), "{}", response.text);
    }
    assert_eq!(kit.search("Patient/_history?_count=1").await["total"], unchanged);
    let problem = |checks: Vec<service::admin::Check>| {
        checks.into_iter().find(|check| check.name == "index").unwrap().problem
    };
    assert!(problem(kit.hub.checks().await).unwrap().contains(&percent));
    let percent = standing.percent();
    assert!(kit.hub.metrics().await.contains(&format!("hub_index_percent {percent}\n")));
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(problem(kit.hub.checks().await), None);
    assert_eq!(kit.ids("Observation?subject:Patient.family=Family1").await, ["o1"]);
}

async fn an_index_made_anew_is_the_same(kit: Kit) {
    fill(&kit, 40).await;
    kit.delete("Patient/p3").await;
    put(&kit, "Patient/p4", &patient("p4", "Other")).await;
    let before = rows(&kit).await;
    assert!(before.len() > 400, "{}", before.len());
    begin_emptied(&kit).await;
    assert!(rows(&kit).await.is_empty());
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(rows(&kit).await, before);
    assert_eq!(kit.hub.store.generation().done, 80);
}

async fn a_rebuild_goes_on_where_it_was(kit: Kit) {
    fill(&kit, 40).await;
    let before = rows(&kit).await;
    begin(&kit).await;
    // Ended before it is emptied, and again when it is half done.
    let kit = kit.rewritten(async |_| {}).await;
    assert!(!kit.hub.store.generation().standing.is_emptied());
    kit.hub.store.empty(2).await.unwrap();
    let kit = kit.rewritten(async |_| {}).await;
    while !kit.hub.store.generation().standing.is_emptied() {
        kit.hub.store.empty(512).await.unwrap();
    }
    for _ in 0..3 {
        kit.hub.store.walk(13).await.unwrap();
    }
    let reached = kit.hub.store.generation();
    assert_eq!(reached.done, 39);
    let kit = kit.rewritten(async |_| {}).await;
    assert_eq!(kit.hub.store.generation(), reached);
    refused(&kit, "Patient").await;
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(kit.hub.store.generation().done, 80);
    assert_eq!(rows(&kit).await, before);
}

async fn what_is_written_meanwhile_is_found_afterwards(kit: Kit) {
    fill(&kit, 30).await;
    // Only mentioned so far: its key is within what is walked.
    put(&kit, "Observation/m", &observation("m", "mentioned", 1)).await;
    fill(&kit, 31).await;
    let update = async |kit: &Kit, turn: usize| {
        for n in [1, 15, 29] {
            let (id, family) = (format!("p{n}"), format!("Turn{turn}"));
            put(kit, &format!("Patient/{id}"), &patient(&id, &family)).await;
        }
        let id = format!("new{turn}");
        put(kit, &format!("Patient/{id}"), &patient(&id, "New")).await;
        let id = format!("o{}", turn * 9);
        assert_eq!(kit.delete(&format!("Observation/{id}")).await.status, StatusCode::NO_CONTENT);
    };
    begin(&kit).await;
    update(&kit, 0).await;
    kit.hub.store.empty(2).await.ok();
    update(&kit, 1).await;
    while !kit.hub.store.generation().standing.is_emptied() {
        kit.hub.store.empty(512).await.unwrap();
    }
    update(&kit, 2).await;
    kit.hub.store.walk(30).await.unwrap();
    update(&kit, 3).await;
    put(&kit, "Patient/mentioned", &patient("mentioned", "Mentioned")).await;
    put(&kit, "Patient/p2", &patient("p2", "Early")).await;
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(kit.ids("Patient?family=Turn3&_sort=_id").await, ["p1", "p15", "p29"]);
    for turn in 0..3 {
        assert!(kit.ids(&format!("Patient?family=Turn{turn}")).await.is_empty());
        assert!(kit.ids(&format!("Observation?_id=o{}", turn * 9)).await.is_empty());
    }
    let new = ["new0", "new1", "new2", "new3"];
    assert_eq!(kit.ids("Patient?family=New&_sort=_id").await, new);
    assert_eq!(kit.ids("Observation?subject:Patient.family=Mentioned").await, ["m"]);
    assert_eq!(kit.ids("Patient?family=Early").await, ["p2"]);
    let made = rows(&kit).await;
    begin(&kit).await;
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(rows(&kit).await, made);
}

async fn a_resource_that_moved_under_the_walk_is_walked_again(kit: Kit) {
    fill(&kit, 60).await;
    begin_emptied(&kit).await;
    let (writer, walker) = tokio::join!(
        async {
            for turn in 0..60 {
                let id = format!("p{}", turn * 7 % 60);
                put(&kit, &format!("Patient/{id}"), &patient(&id, "Moved")).await;
                if turn % 10 == 0 {
                    let id = format!("fresh{turn}");
                    put(&kit, &format!("Patient/{id}"), &patient(&id, "Fresh")).await;
                }
            }
        },
        walk(&kit.hub.store),
    );
    walker.unwrap();
    let () = writer;
    assert_eq!(kit.search("Patient?family=Moved&_summary=count").await["total"], 60);
    assert_eq!(kit.search("Patient?family=Fresh&_summary=count").await["total"], 6);
    assert!(kit.ids("Patient?family=Family").await.is_empty());
    let made = rows(&kit).await;
    begin(&kit).await;
    walk(&kit.hub.store).await.unwrap();
    assert_eq!(rows(&kit).await, made);
}

async fn what_was_prepared_for_the_index_before_is_prepared_again(kit: Kit) {
    fill(&kit, 1).await;
    let terms = kit.hub.store.terms();
    let own = r#","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000050","period":{"end":"2020"}}]}"#;
    let text = patient("late", "Late");
    let text = format!("{}{own}", text.strip_suffix('}').unwrap());
    let write = hub::interaction::content::content(
        text.as_bytes(),
        ("Patient".parse().unwrap(), "late"),
        "Patient",
        &Custodian::default(),
        hub::interaction::content::Basis {
            terms: &terms,
            now: kit.hub.clock.now_micros(),
            region: &kit.hub.config.region.ods,
        },
    );
    let mut write = hub::store::write::Write {
        resource_type: "Patient".parse().unwrap(),
        id: "late".into(),
        action: hub::store::write::Action::Create(write.unwrap()),
        if_match: None,
        hand: Hand { organisation: Custodian::default(), may: May::All },
    };
    begin(&kit).await;
    walk(&kit.hub.store).await.unwrap();
    let audit = || AuditEntry::of("r", Asker::default(), "create", &[]);
    let batch = |write| Batch { writes: vec![write], expected: vec![], once: None, audit: audit() };
    let result = kit.hub.store.write(batch(write.clone())).await;
    assert!(matches!(result, Err(hub::store::StoreError::Moved)), "{result:?}");
    assert_eq!(kit.get("Patient/late").await.status, StatusCode::NOT_FOUND);
    write.index_by(&kit.hub.store.terms());
    kit.hub.store.write(batch(write)).await.unwrap();
    assert_eq!(kit.ids("Patient?family=Late").await, ["late"]);
    // Its number had ended, and is another's to carry.
    let text = text.replace("late", "next").replace(r#","period":{"end":"2020"}"#, "");
    put(&kit, "Patient/next", &text).await;
}

async fn one_hub_walks_and_the_other_learns(kit: Kit) {
    let Some(other) = kit.beside().await else { return };
    fill(&kit, 10).await;
    assert_eq!(other.ids("Patient?family=Family3").await, ["p3"]);
    begin_emptied(&kit).await;
    // The other has not been told.
    let known = other.hub.store.generation().standing;
    assert!(known.is_whole());
    refused(&other, "Patient?family=Family3").await;
    let other = other.beside().await.unwrap();
    begin_emptied(&kit).await;
    put(&other, "Patient/p4", &patient("p4", "Other")).await;
    assert_eq!(other.delete("Patient/p5").await.status, StatusCode::NO_CONTENT);
    let turn = other.hub.store.turn_to_walk().await.unwrap().unwrap();
    assert!(kit.hub.store.turn_to_walk().await.unwrap().is_none());
    // It is not this one's turn.
    walk(&kit.hub.store).await.unwrap();
    refused(&kit, "Patient").await;
    drop(turn);
    loop {
        walk(&other.hub.store).await.unwrap();
        if other.hub.store.generation().standing.is_whole() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(kit.ids("Patient?family=Other").await, ["p4"]);
    assert!(kit.ids("Patient?family=Family5").await.is_empty());
    put(&kit, "Patient/p4", &patient("p4", "Again")).await;
    assert!(other.ids("Patient?family=Other").await.is_empty());
    let made = rows(&kit).await;
    begin(&other).await;
    walk(&other.hub.store).await.unwrap();
    assert_eq!(rows(&kit).await, made);
}

async fn an_index_of_a_later_version_is_left_alone(kit: Kit) {
    fill(&kit, 2).await;
    let url = kit.hub.config.store.url.clone();
    let before = rows(&kit).await;
    let sql = "UPDATE index_state SET rules = '9999 x', generation = generation + 1";
    if sqlite_file(&url).is_none() {
        // While this hub serves the record, another that is newer takes it over.
        run(&url, sql).await;
        refused(&kit, "Patient?family=Family1").await;
        let response = kit.put("Patient/p1", &patient("p1", "Old")).await;
        response.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
        kit.delete("Patient/p1").await.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
        walk(&kit.hub.store).await.unwrap();
        assert_eq!(kit.get("Patient/p1").await.etag(), "W/\"1\"");
    }
    kit.hub.store.close().await;
    assert_eq!(rows(&kit).await, before);
    let config = kit.hub.config.clone();
    let _folder = kit.released();
    run(&url, sql).await;
    let opened = hub::store::Store::open(&url, config.server.base(), Clock::System).await;
    assert!(matches!(opened, Err(hub::store::StoreError::Outdated)));
}
