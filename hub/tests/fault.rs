//! What PostgreSQL does to a hub: backends that end, statements that are cancelled, locks, a server
//! that only reads. Every fault is told as what it is, and passes when its cause has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::StatusCode;
use sqlx::{Connection, PgConnection};

use crate::kit::{Kit, Response};

/// How long anything here may take.
const TIME_MAX: Duration = Duration::from_mins(1);
/// Writes that a hub runs at a time.
const WRITERS_MAX: usize = 12;

/// A hub on PostgreSQL, and a connection of our own to its database.
async fn kit() -> Option<(Arc<Kit>, PgConnection)> {
    let kit = Kit::postgres().await?;
    let connection = PgConnection::connect(&kit.hub.config.store.url).await.unwrap();
    Some((Arc::new(kit), connection))
}

/// An Observation that is found by its identifier.
fn observation(name: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"identifier":[{{"system":"urn:s","value":"{name}"}}]}}"#
    )
}

async fn found(kit: &Kit, name: &str) -> i64 {
    let url = format!("Observation?identifier=urn:s%7C{name}&_summary=count");
    kit.search(&url).await["total"].as_i64().unwrap()
}

/// Asserts a 503 that says when to come back, and gives its code.
fn come_back(response: &Response) -> String {
    let outcome = response.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    outcome["issue"][0]["code"].as_str().unwrap().to_owned()
}

/// Waits until `count` backends wait for a lock, and gives them.
async fn blocked(connection: &mut PgConnection, count: usize) -> Vec<i32> {
    let until = Instant::now() + TIME_MAX;
    loop {
        let sql = "SELECT pid FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let pids: Vec<i32> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap();
        if pids.len() >= count {
            return pids;
        }
        assert!(Instant::now() < until, "{} of {count} wait for a lock", pids.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Does what the server does to a statement that takes too long.
async fn cancel(connection: &mut PgConnection, pid: i32) {
    sqlx::query("SELECT pg_cancel_backend($1)").bind(pid).execute(connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_backend_is_ended_is_done_once_or_not_at_all() {
    const TOLD_MIN: usize = 5;
    const MADE_MIN: usize = 20;
    let Some((kit, mut connection)) = kit().await else { return };
    let (told, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let until = Instant::now() + TIME_MAX;
    let is_enough = {
        let (told, made) = (told.clone(), made.clone());
        move || {
            assert!(Instant::now() < until, "no write was hit: {told:?} {made:?}");
            told.load(Ordering::Relaxed) >= TOLD_MIN && made.load(Ordering::Relaxed) >= MADE_MIN
        }
    };
    let writers = (0..8).map(|writer| {
        let (kit, told, made) = (kit.clone(), told.clone(), made.clone());
        let is_enough = is_enough.clone();
        tokio::spawn(async move {
            let mut sent = Vec::new();
            while !is_enough() {
                let name = format!("{writer}-{}", sent.len());
                let response = kit.post("Observation", &observation(&name)).await;
                let is_made = response.status == StatusCode::CREATED;
                if !is_made {
                    assert_eq!(come_back(&response), "transient");
                }
                if is_made { &made } else { &told }.fetch_add(1, Ordering::Relaxed);
                sent.push((name, is_made));
            }
            sent
        })
    });
    let writers: Vec<_> = writers.collect();
    while !is_enough() {
        let sql = "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid() \
                   AND state <> 'idle' LIMIT 1) AS one";
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let sent: Vec<_> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    // A connection that was idle when its backend ended is still to be found out.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for (name, is_made) in sent {
        let found = found(&kit, &name).await;
        assert!(found == 1 || (!is_made && found == 0), "{name}: {found}, made: {is_made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_over_the_same_resources_in_any_order_all_succeed() {
    const RESOURCES: usize = 10;
    const WRITERS: usize = 32;
    let Some((kit, _)) = kit().await else { return };
    let bundle = |writer: usize| {
        let entries = (0..RESOURCES).map(|turn| {
            let place = if writer.is_multiple_of(2) { turn } else { RESOURCES - 1 - turn };
            let id = (place + writer) % RESOURCES;
            // Whom they name is new, and the same to all.
            format!(
                r#"{{"resource":{{"resourceType":"Basic","id":"b{id}","code":{{"text":"w{writer}"}},"subject":{{"reference":"Patient/p{}"}}}},"request":{{"method":"PUT","url":"Basic/b{id}"}}}}"#,
                (id + writer) % RESOURCES
            )
        });
        let entries: Vec<String> = entries.collect();
        format!(
            r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#,
            entries.join(",")
        )
    };
    let writers = (0..WRITERS).map(|writer| {
        let (kit, bundle) = (kit.clone(), bundle(writer));
        tokio::spawn(async move { kit.post("", &bundle).await })
    });
    for response in join_all(writers.collect::<Vec<_>>()).await {
        let response = response.unwrap();
        assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    }
    for id in 0..RESOURCES {
        let history = kit.search(&format!("Basic/b{id}/_history")).await;
        assert_eq!(history["total"], WRITERS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_takes_too_long_is_told_so() {
    let Some((kit, mut connection)) = kit().await else { return };
    let url = kit.hub.config.store.url.clone();
    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE resource").execute(&mut *lock).await.unwrap();
    let searched = tokio::spawn({
        let kit = kit.clone();
        async move { kit.get("Observation?status=final").await }
    });
    let pids = blocked(&mut connection, 1).await;
    cancel(&mut connection, pids[0]).await;
    let outcome = searched.await.unwrap().assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(outcome["issue"][0]["code"], "too-costly");
    lock.rollback().await.unwrap();
    assert_eq!(kit.get("Observation?status=final").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_while_every_write_waits() {
    const WRITES: usize = 40;
    let Some((kit, mut connection)) = kit().await else { return };
    let known = kit.post("Observation", &observation("known")).await.id();
    let mut other = PgConnection::connect(&kit.hub.config.store.url).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE resource IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let writes: Vec<_> = (0..WRITES)
        .map(|write| {
            let kit = kit.clone();
            tokio::spawn(
                async move { kit.post("Observation", &observation(&write.to_string())).await },
            )
        })
        .collect();
    let pids = blocked(&mut connection, WRITERS_MAX).await;
    assert_eq!(pids.len(), WRITERS_MAX);
    let read = kit.get(&format!("Observation/{known}")).await;
    assert_eq!(read.status, StatusCode::OK, "{}", read.text);
    let is_refused = async || {
        while writes.iter().filter(|write| write.is_finished()).count() < WRITES - WRITERS_MAX {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TIME_MAX, is_refused()).await.unwrap();
    // One that is ended by the server was rolled back.
    cancel(&mut connection, pids[0]).await;
    while blocked(&mut connection, 1).await.len() == WRITERS_MAX {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    lock.rollback().await.unwrap();
    let mut made = 0;
    for (write, response) in join_all(writes).await.into_iter().enumerate() {
        let response = response.unwrap();
        let is_made = response.status == StatusCode::CREATED;
        if !is_made {
            assert_eq!(come_back(&response), "throttled");
        }
        assert_eq!(found(&kit, &write.to_string()).await, i64::from(is_made));
        made += usize::from(is_made);
    }
    assert_eq!(made, WRITERS_MAX - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_is_read_and_not_written() {
    let Some((kit, mut connection)) = kit().await else { return };
    let known = kit.post("Observation", &observation("known")).await.id();
    let name: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&mut connection).await.unwrap();
    let mut set = async |setting: &str| {
        let sql = sqlx::AssertSqlSafe(format!("ALTER DATABASE {name} {setting}"));
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        if setting.starts_with("SET") {
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        }
    };
    set("SET default_transaction_read_only = on").await;
    let until = Instant::now() + TIME_MAX;
    while kit.get(&format!("Observation/{known}")).await.status != StatusCode::OK {
        assert!(Instant::now() < until, "reading does not come back");
    }
    for write in 0..4 {
        let body = observation(&write.to_string());
        let refused = kit.post("Observation", &body).await;
        assert_eq!(come_back(&refused), "transient");
        let criteria = format!("identifier=urn:s%7C{write}");
        let headers = [("if-none-exist", criteria.as_str())];
        let refused = kit.with_body("POST", "Observation", &body, &headers).await;
        assert_eq!(come_back(&refused), "transient");
    }
    // What it reads is not in doubt.
    assert_eq!((found(&kit, "known").await, found(&kit, "1").await), (1, 0));
    set("RESET default_transaction_read_only").await;
    let until = Instant::now() + TIME_MAX;
    while kit.post("Observation", &observation("after")).await.status != StatusCode::CREATED {
        assert!(Instant::now() < until, "writing does not come back");
    }
    assert_eq!(found(&kit, "after").await, 1);
}
