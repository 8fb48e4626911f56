//! Two hub processes on one PostgreSQL are one record: whichever is asked, the answer is the same, and
//! what is raced between them has one winner.

use futures::future::join_all;
use serde_json::Value;
use sqlx::Connection;
use tempfile::TempDir;
use url::Url;

use crate::kit::{Answer, Http, Place, PortTaken, Process, numbers, on_free_ports};

const HEADERS_NONE: &[(&str, &str)] = &[];

/// Two hubs, called by one name, as behind a load balancer.
struct Pair {
    bases: [String; 2],
    http: Http,
    _hubs: [Process; 2],
    _folder: TempDir,
}

impl Pair {
    /// Nothing without a server.
    async fn start() -> Option<Self> {
        let store = database().await?;
        Some(on_free_ports(Place::PORTS, async |base| Self::start_at(&store, base).await).await)
    }

    async fn start_at(store: &str, base: u16) -> Result<Self, PortTaken> {
        let (folder, place) = (TempDir::new().unwrap(), Place(base));
        let start = async |hub: usize| {
            let audit = folder.path().join(format!("audit-{hub}"));
            std::fs::create_dir(&audit).unwrap();
            let mut config = place.hub_config(0, store, &audit);
            for offset in [11, 13] {
                let listen = |port: usize| format!("listen = \"127.0.0.1:{port}\"");
                let port = usize::from(base) + offset;
                config = config.replace(&listen(port), &listen(port + 10 * hub));
            }
            let probe = place.hub(hub).replace("/FHIR/R4", "/ready");
            Process::serve(folder.path(), "hub", &config, &probe).await
        };
        let hubs = [start(0).await?, start(1).await?];
        let bases = [place.hub(0), place.hub(1)];
        Ok(Self { bases, http: Http::new(), _hubs: hubs, _folder: folder })
    }

    /// Sends a request to one of the two; which, goes by turns.
    async fn send(
        &self,
        turn: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let base = &self.bases[turn % 2];
        let url = format!("{base}/{path}");
        let answer = self.http.send(method, &url, headers, body.to_owned()).await;
        answer.unwrap_or_else(|| panic!("no answer from {url}"))
    }

    async fn search(&self, hub: usize, path: &str) -> Value {
        self.http.get(&format!("{}/{path}", self.bases[hub])).await.ok().json()
    }

    /// Sends the same to both hubs in turn, all at once; gives the answers' statuses, sorted.
    async fn race(
        &self,
        count: usize,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Vec<u16> {
        let sent = (0..count).map(|turn| self.send(turn, "POST", path, headers, body));
        let mut statuses: Vec<u16> = join_all(sent).await.iter().map(|a| a.status).collect();
        statuses.sort_unstable();
        statuses
    }
}

/// A database of its own on the server of `TEST_POSTGRES_URL`.
pub(crate) async fn database() -> Option<String> {
    let Ok(server) = std::env::var("TEST_POSTGRES_URL") else {
        eprintln!("skipped: TEST_POSTGRES_URL names no PostgreSQL (tests/run starts one)");
        return None;
    };
    let name = format!("story_{}", uuid::Uuid::new_v4().simple());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    let mut url = Url::parse(&server).unwrap();
    url.set_path(&name);
    Some(url.into())
}

fn patient(system: &str, value: &str) -> String {
    format!(
        r#"{{"resourceType":"Patient","identifier":[{{"system":"{system}","value":"{value}"}}]}}"#
    )
}

fn total(bundle: &Value) -> u64 {
    bundle["total"].as_u64().unwrap()
}

/// One `winner` and otherwise `other`, of 16.
fn one_of_16(winner: u16, other: u16) -> Vec<u16> {
    let mut statuses = vec![other; 15];
    statuses.push(winner);
    statuses.sort_unstable();
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_raced_between_two_hubs_has_one_winner() {
    let Some(pair) = Pair::start().await else { return };
    // Conditional creates; a round's system was never met before, or by one hub alone.
    for (round, system) in ["urn:a", "urn:b", "urn:b", "urn:c"].into_iter().enumerate() {
        let criteria = format!("identifier={system}%7C{round}");
        let headers = [("if-none-exist", criteria.as_str())];
        let body = patient(system, &round.to_string());
        assert_eq!(pair.race(16, "Patient", &headers, &body).await, one_of_16(201, 200));
        for hub in 0..2 {
            let found = pair.search(hub, &format!("Patient?{criteria}&_summary=count")).await;
            assert_eq!(total(&found), 1);
        }
    }
    // A national number.
    let number = numbers().next().unwrap();
    let body = patient(fhir::identifier::NHS_NUMBER, &number);
    let raced = pair.race(16, "Patient", HEADERS_NONE, &body).await;
    assert_eq!(raced, one_of_16(201, 409));
    // A version.
    pair.send(0, "PUT", "Basic/b", &[], r#"{"resourceType":"Basic","id":"b","code":{"text":"0"}}"#)
        .await
        .ok();
    let updates = (0..64).map(|writer| {
        let body = format!(r#"{{"resourceType":"Basic","id":"b","code":{{"text":"w{writer}"}}}}"#);
        let pair = &pair;
        async move {
            let headers = [("if-match", "W/\"1\"")];
            pair.send(writer, "PUT", "Basic/b", &headers, &body).await.status
        }
    });
    let statuses = join_all(updates).await;
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(412)), (1, 63), "{statuses:?}");
    for hub in 0..2 {
        assert_eq!(total(&pair.search(hub, "Basic/b/_history").await), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_hub_has_written_the_other_finds_at_once() {
    let Some(pair) = Pair::start().await else { return };
    for turn in 0..10 {
        let body = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"urn:new{turn}","code":"c"}}]}},"valueQuantity":{{"value":5,"unit":"u{turn}"}}}}"#
        );
        pair.send(turn, "POST", "Observation", &[], &body).await.ok();
        let other = (turn + 1) % 2;
        for search in [
            format!("code=urn:new{turn}%7C"),
            format!("code=urn:new{turn}%7Cc"),
            format!("value-quantity=5%7C%7Cu{turn}"),
        ] {
            let found = pair.search(other, &format!("Observation?{search}&_summary=count")).await;
            assert_eq!(total(&found), 1, "{search}");
        }
        // What the other has only met by now it takes away again.
        let found = pair.search(other, &format!("Observation?code=urn:new{turn}%7Cc")).await;
        let id = found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
        pair.send(other, "DELETE", &format!("Observation/{id}"), &[], "").await.ok();
        let gone = format!("Observation?code=urn:new{turn}%7Cc&_summary=count");
        assert_eq!(total(&pair.search(turn % 2, &gone).await), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_kept_answers_of_one_hub_are_the_others_too() {
    let Some(pair) = Pair::start().await else { return };
    for turn in 0..10 {
        let body = patient("urn:s", &turn.to_string());
        pair.send(turn, "POST", "Patient", &[], &body).await.ok();
    }
    // A walk whose every page is another hub's: the links name the first's address.
    let (mut page, mut ids, mut turn) = (pair.search(0, "Patient?_count=3").await, vec![], 0);
    loop {
        let entries = page["entry"].as_array().unwrap();
        ids.extend(entries.iter().map(|entry| entry["resource"]["id"].to_string()));
        let links = page["link"].as_array().unwrap();
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
        turn += 1;
        let path = next["url"].as_str().unwrap().strip_prefix(&pair.bases[0]).unwrap();
        page = pair.search(turn % 2, path.trim_start_matches('/')).await;
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), turn), (10, 3));
    // One key, sent to both at once, and again.
    let headers = [("idempotency-key", "k"), ("prefer", "return=representation")];
    let send =
        async |hub| pair.send(hub, "POST", "Patient", &headers, &patient("urn:k", "1")).await.ok();
    let first = join_all((0..16).map(&send)).await;
    for answer in first.iter().chain(&[send(0).await, send(1).await]) {
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("location"), first[0].header("location"));
        assert_eq!(answer.body, first[0].body);
    }
    assert_eq!(total(&pair.search(1, "Patient?identifier=urn:k%7C1&_summary=count").await), 1);
}
