//! The index of a record is made anew while hubs serve it: by the command, over a hub that is killed,
//! and for two hubs that share the record.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::database;
use crate::kit::{Http, Place, PortTaken, Process, eventually, on_free_ports, write_config};

const PATIENTS: usize = 3_000;
/// Entries of one transaction.
const ENTRIES: usize = 500;
const REBUILD_TIME_MAX: Duration = Duration::from_mins(3);

/// Hubs on one record, each with its configuration.
struct Story {
    place: Place,
    folder: TempDir,
    configs: Vec<String>,
    hubs: Vec<Process>,
    http: Http,
}

impl Story {
    async fn start(store: Option<String>, hubs: usize) -> Self {
        let start = async |base| Self::start_at(store.clone(), hubs, base).await;
        on_free_ports(Place::PORTS, start).await
    }

    async fn start_at(store: Option<String>, hubs: usize, base: u16) -> Result<Self, PortTaken> {
        let (folder, place) = (TempDir::new().unwrap(), Place(base));
        let file = || format!("sqlite://{}", folder.path().join("hub.db").display());
        let store = store.unwrap_or_else(file);
        let config = |hub: usize| {
            let audit = folder.path().join(format!("audit-{hub}"));
            std::fs::create_dir(&audit).unwrap();
            let mut config = place.hub_config(0, &store, &audit);
            for offset in [11, 13] {
                let listen = |port: usize| format!("listen = \"127.0.0.1:{port}\"");
                let port = usize::from(base) + offset;
                config = config.replace(&listen(port), &listen(port + 10 * hub));
            }
            config
        };
        let configs = (0..hubs).map(config).collect();
        let mut story = Self { place, folder, configs, hubs: Vec::new(), http: Http::new() };
        for hub in 0..hubs {
            let process = story.serve(hub).await?;
            story.hubs.push(process);
        }
        Ok(story)
    }

    /// Starts a hub; it is ready when the index is whole.
    async fn serve(&self, hub: usize) -> Result<Process, PortTaken> {
        let probe = self.base(hub).replace("/FHIR/R4", "/ready");
        Process::serve(self.folder.path(), "hub", &self.configs[hub], &probe).await
    }

    fn base(&self, hub: usize) -> String {
        self.place.hub(hub)
    }

    fn admin(&self, hub: usize) -> String {
        format!("http://127.0.0.1:{}/reindex", usize::from(self.place.0) + 13 + 10 * hub)
    }

    async fn send(&self, hub: usize, method: &str, path: &str, body: &Value) -> u16 {
        let url = format!("{}/{path}", self.base(hub));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.http.send(method, &url, &[], body).await.unwrap().status
    }

    async fn load(&self) {
        let ids: Vec<usize> = (0..PATIENTS).collect();
        for part in ids.chunks(ENTRIES) {
            let entry = |n: &usize| {
                let (id, family) = (format!("p{n}"), format!("Family{}", n % 100));
                json!({"resource": patient(&id, &family),
                    "request": {"method": "PUT", "url": format!("Patient/{id}")}})
            };
            let entries: Vec<Value> = part.iter().map(entry).collect();
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
            self.http.transact(&self.base(0), bundle.to_string()).await.unwrap().ok();
        }
    }

    async fn total(&self, hub: usize, search: &str) -> Value {
        let url = format!("{}/Patient?{search}&_summary=count", self.base(hub));
        self.http.get(&url).await.ok().json()["total"].clone()
    }

    /// Starts the command.
    fn command(&self, hub: usize) -> Process {
        let file = write_config(self.folder.path(), &self.configs[hub]);
        Process::start(self.folder.path(), "hub", &["reindex", "--config", &file])
    }

    /// Waits until the second index is under way, as a hub tells.
    async fn under_way(&self, hub: usize) {
        eventually("the walk has begun", REBUILD_TIME_MAX, async || {
            let progress = self.http.try_get(&self.admin(hub)).await?.json();
            if progress["generation"] != 2 {
                return None;
            }
            assert_ne!(progress["percent"], 100, "it was over before it was seen: {progress}");
            (progress["walked"].as_i64()? > 0).then_some(())
        })
        .await;
    }
}

fn patient(id: &str, family: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "id": id,
        "name": [{"family": family}],
        "extension": [{"url": "http://x.test/eye", "valueCode": format!("eye-{family}")}],
    })
}

fn eye() -> Value {
    json!({
        "resourceType": "SearchParameter",
        "id": "eye",
        "url": "http://x.test/SearchParameter/eye",
        "name": "Eye",
        "status": "active",
        "description": "The colour of the eyes",
        "code": "eye",
        "base": ["Patient"],
        "type": "token",
        "expression": "Patient.extension.where(url='http://x.test/eye').value",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_killed_while_it_rebuilds_goes_on_where_it_was() {
    let mut story = Story::start(None, 1).await;
    story.load().await;
    assert_eq!(story.send(0, "PUT", "SearchParameter/eye", &eye()).await, 201);
    let mut command = story.command(0);
    story.under_way(0).await;
    assert_eq!(story.send(0, "GET", "Patient?family=Family7", &Value::Null).await, 503);
    assert_eq!(story.send(0, "GET", "Patient/p7", &Value::Null).await, 200);
    assert_eq!(story.send(0, "PUT", "Patient/p7", &patient("p7", "Late")).await, 200);
    story.hubs[0].kill();
    let restarted = story.serve(0).await;
    story.hubs[0] = restarted.unwrap_or_else(|_| panic!("its port was taken meanwhile"));
    let status = command.ended(REBUILD_TIME_MAX).await;
    assert_eq!(status.code(), Some(0), "{}", command.stderr());
    let walked = PATIENTS + 1;
    let told = command.stdout();
    assert!(told.contains("taken up: Patient?eye (SearchParameter/eye)"), "{told}");
    assert!(told.contains(&format!("{walked} resources indexed; 1 ")), "{told}");
    assert_eq!(story.total(0, "eye=eye-Late").await, 1);
    assert_eq!(story.total(0, "eye=eye-Family7&family=Family7").await, PATIENTS / 100 - 1);
    assert_eq!(story.total(0, "eye:missing=false").await, PATIENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_hub_began_the_other_ends_and_both_know() {
    let Some(store) = database().await else { return };
    let mut story = Story::start(Some(store), 2).await;
    story.load().await;
    assert_eq!(story.send(1, "PUT", "SearchParameter/eye", &eye()).await, 201);
    let begun = story.http.send("POST", &story.admin(0), &[], String::new()).await.unwrap();
    assert_eq!(begun.ok().json()["taken"][0]["search"], "Patient?eye");
    story.under_way(0).await;
    // The other has not been told, and has to find out.
    assert_eq!(story.send(1, "PUT", "Patient/p7", &patient("p7", "Late")).await, 200);
    assert_eq!(story.send(1, "PUT", "Patient/new", &patient("new", "Late")).await, 201);
    assert_eq!(story.send(1, "GET", "Patient?family=Late", &Value::Null).await, 503);
    story.hubs[0].kill();
    let mut command = story.command(1);
    let status = command.ended(REBUILD_TIME_MAX).await;
    assert_eq!(status.code(), Some(0), "{}", command.stderr());
    let restarted = story.serve(0).await;
    story.hubs[0] = restarted.unwrap_or_else(|_| panic!("its port was taken meanwhile"));
    for hub in 0..2 {
        assert_eq!(story.total(hub, "eye=eye-Late").await, 2);
        assert_eq!(story.total(hub, "eye:missing=false").await, PATIENTS + 1);
        assert_eq!(story.total(hub, "eye=eye-Family7").await, PATIENTS / 100 - 1);
    }
}
