//! Regions and locators that are stopped or dead: what is missing is told by code and by name, in
//! time, and is never an empty 200.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::kit::{
    Answer, Http, Place, PortTaken, Process, READY_TIME_MAX, REGIONS, REGISTRATION_TIME_MAX,
    eventually, in_mode, numbers, on_free_ports, record, token,
};

pub(crate) const DEADLINE_MS: u64 = 1_500;
/// What an answer may take over its deadline on a busy machine.
pub(crate) const GRACE_MS: u64 = 500;
const STATUS_SYSTEM: &str = "urn:shared-record:region-status";

/// Three regions and a locator, each a process; one patient whom every region knows.
pub(crate) struct Cluster {
    pub(crate) place: Place,
    locator: Process,
    regions: Vec<Process>,
    http: Http,
    number: String,
    folder: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let start = async |base| {
            let (place, folder) = (Place(base), TempDir::new().unwrap());
            let locator = place.start_locator(folder.path()).await?;
            let mut regions = Vec::new();
            for region in 0..REGIONS.len() {
                regions.push(start_region(place, region, folder.path()).await?);
            }
            let number = numbers().next().unwrap();
            Ok(Self { place, locator, regions, http: Http::new(), number, folder })
        };
        let cluster = on_free_ports(Place::PORTS, start).await;
        for region in 0..REGIONS.len() {
            let values = ["36.60", "37.0", "38"];
            let bundle = record(&cluster.number, &values[..=region]);
            cluster.http.transact(&cluster.place.hub(region), bundle).await.unwrap().ok();
        }
        eventually("the locator knows three regions", REGISTRATION_TIME_MAX, async || {
            let locator = cluster.place.locator();
            let known = cluster.http.custodians(&locator, &cluster.number).await;
            (known.len() == 3).then_some(())
        })
        .await;
        let whole = cluster.ask(0).await;
        assert_eq!(whole.header("x-federation-regions"), "total=3,ok=3");
        assert_eq!(whole.json()["total"], 6);
        cluster
    }

    /// Starts a gateway as a process of its own, in the place of a fourth region's.
    async fn start_gateway(&self, ods: &str, federation: &str) -> (Process, String) {
        self.start_gateway_with(|place| place.gateway_config(0, ods, federation)).await
    }

    /// The same, with a configuration for the place of the first region's gateway.
    pub(crate) async fn start_gateway_with(
        &self,
        config: impl Fn(Place) -> String,
    ) -> (Process, String) {
        let start = async |base| {
            // Its own ports; the other services' are the cluster's.
            let config = config(self.place);
            let (from, to) = (self.place.gateway(0), Place(base).gateway(0));
            let config = config.replace(authority(&from), authority(&to));
            let admin = |place: Place| format!("127.0.0.1:{}", place.0 + 14);
            let config = config.replace(&admin(self.place), &admin(Place(base)));
            let probe = to.replace("/FHIR/R4", "/ready");
            let process = Process::serve(self.folder.path(), "gateway", &config, &probe).await?;
            Ok((process, to))
        };
        on_free_ports(Place::PORTS, start).await
    }

    /// Kills a region and starts it again.
    pub(crate) async fn restart(&mut self, region: usize) {
        self.regions[region].kill();
        let again = start_region(self.place, region, self.folder.path()).await;
        self.regions[region] = again.expect("the port is still the region's");
    }

    /// Adds so many Observations of the patient to a region's record.
    pub(crate) async fn add(&self, region: usize, observations: usize) {
        let observation = serde_json::json!({
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]},
            "subject": {"reference": format!("Patient?identifier={}", token(&self.number))},
            "effectiveDateTime": "2026-04-01",
        });
        let entry = serde_json::json!({
            "resource": observation,
            "request": {"method": "POST", "url": "Observation"},
        });
        let entries = vec![entry; observations];
        let bundle = serde_json::json!({
            "resourceType": "Bundle", "type": "transaction", "entry": entries,
        });
        let hub = self.place.hub(region);
        self.http.transact(&hub, bundle.to_string()).await.unwrap().ok();
    }

    /// Asks a region's gateway for the patient's Observations.
    pub(crate) async fn ask(&self, region: usize) -> Answer {
        self.http.observations(&self.place.gateway(region), &self.number).await
    }

    /// Asks a gateway, and asserts that it answers by its deadline.
    pub(crate) async fn ask_in_time(&self, gateway: &str) -> Answer {
        let started = Instant::now();
        let answer = self.http.observations(gateway, &self.number).await;
        let bound = Duration::from_millis(DEADLINE_MS + GRACE_MS);
        assert!(started.elapsed() < bound, "answered after {:?}", started.elapsed());
        answer
    }
}

fn authority(base: &str) -> &str {
    base.trim_start_matches("http://").trim_end_matches("/FHIR/R4")
}

pub(crate) fn federation() -> String {
    format!("deadline_ms = {DEADLINE_MS}")
}

pub(crate) async fn start_region(
    place: Place,
    region: usize,
    folder: &Path,
) -> Result<Process, PortTaken> {
    let store = format!("sqlite://{}", folder.join(format!("hub-{region}.db")).display());
    let hub = place.hub_config(region, &store, folder);
    let gateway = place.gateway_config(region, REGIONS[region].0, &federation());
    let config = format!("[hub]\n{hub}\n[gateway]\n{gateway}");
    let probe = place.gateway(region).replace("/FHIR/R4", "/ready");
    Process::serve(folder, "shared-record", &config, &probe).await
}

/// (status code, R4 issue code, words) of each issue that is more than information.
pub(crate) fn told(outcome: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let issues = outcome["issue"].as_array().unwrap().iter();
    issues
        .filter(|issue| issue["severity"] != "information")
        .map(|issue| {
            let coding = &issue["details"]["coding"][0];
            assert!(coding.is_null() || coding["system"] == STATUS_SYSTEM, "{issue}");
            (text(&coding["code"]), text(&issue["code"]), text(&issue["diagnostics"]))
        })
        .collect()
}

/// Asserts that `told` names this region, with these codes, once.
pub(crate) fn assert_named(
    told: &[(String, String, String)],
    region: usize,
    status: &str,
    code: &str,
) {
    let (ods, _) = REGIONS[region];
    let of_region: Vec<_> = told.iter().filter(|(.., words)| words.contains(ods)).collect();
    assert_eq!(of_region.len(), 1, "{ods} is named once: {told:?}");
    assert_eq!((of_region[0].0.as_str(), of_region[0].1.as_str()), (status, code), "{told:?}");
}

/// Asserts that an answer is marked as partial in every way, and gives its outcome.
pub(crate) fn assert_partial(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-federation-complete"), "false");
    assert!(answer.header("cache-control").contains("no-store"));
    let bundle = answer.json();
    assert!(bundle.get("total").is_none(), "{}", answer.text());
    let tags = bundle["meta"]["tag"].as_array().unwrap();
    let completeness: Vec<&Value> =
        tags.iter().filter(|tag| tag["system"] == "urn:shared-record:completeness").collect();
    assert_eq!(completeness.len(), 1);
    assert_eq!(completeness[0]["code"], "partial");
    let first = &bundle["entry"][0];
    assert_eq!(first["search"]["mode"], "outcome");
    assert_eq!(first["resource"]["resourceType"], "OperationOutcome");
    first["resource"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_and_a_killed_region_are_named_by_the_deadline() {
    let mut cluster = Cluster::start().await;
    cluster.regions[1].signal("STOP");
    cluster.regions[2].kill();
    let gateway = cluster.place.gateway(0);
    // The second time no connection is left that was open before.
    for _ in 0..2 {
        let answer = cluster.ask_in_time(&gateway).await;
        let told = told(&assert_partial(&answer));
        assert_eq!(told.len(), 2, "{told:?}");
        assert_named(&told, 1, "timeout", "timeout");
        assert_named(&told, 2, "unreachable", "transient");
        assert_eq!(answer.header("x-federation-regions"), "total=3,ok=1,timeout=1,unreachable=1");
        let matches = in_mode(&answer.json(), "match");
        assert_eq!(matches.len(), 1, "the living region's entries are all there");
        assert!(matches[0]["fullUrl"].as_str().unwrap().contains("/at/QWO/"));
    }
    cluster.regions[1].signal("CONT");
    eventually("the stopped region is back", READY_TIME_MAX, async || {
        let answer = cluster.ask(0).await;
        (answer.header("x-federation-regions") == "total=3,ok=2,unreachable=1").then_some(())
    })
    .await;
    let again = start_region(cluster.place, 2, cluster.folder.path()).await;
    cluster.regions[2] = again.expect("the port is still the region's");
    eventually("everything is back", READY_TIME_MAX, async || {
        let answer = cluster.ask(0).await;
        (answer.header("x-federation-complete") == "true").then(|| {
            assert_eq!(answer.json()["total"], 6);
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_hub_that_is_dead_is_missing_like_any_other() {
    let mut cluster = Cluster::start().await;
    let (_gateway, url) = cluster.start_gateway("QWO", &federation()).await;
    cluster.regions[0].kill();
    let answer = cluster.ask_in_time(&url).await;
    let told = told(&assert_partial(&answer));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_named(&told, 0, "unreachable", "transient");
    assert_eq!(in_mode(&answer.json(), "match").len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_hub_answers_there_is_an_error_and_no_bundle() {
    let mut cluster = Cluster::start().await;
    // Belongs to no region of the directory: it only asks.
    let (_gateway, url) = cluster.start_gateway("Q99", &federation()).await;
    assert_eq!(cluster.http.observations(&url, &cluster.number).await.json()["total"], 6);
    let refused = async |status: u16, regions: &str, cluster: &Cluster| {
        let answer = cluster.ask_in_time(&url).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("x-federation-complete"), "false");
        assert_eq!(answer.header("x-federation-regions"), regions);
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
        told(&answer.json())
    };
    cluster.regions.iter().for_each(|region| region.signal("STOP"));
    let stopped = refused(504, "total=3,timeout=3", &cluster).await;
    (0..3).for_each(|region| assert_named(&stopped, region, "timeout", "timeout"));
    cluster.regions[0].kill();
    let mixed = refused(502, "total=3,timeout=2,unreachable=1", &cluster).await;
    assert_named(&mixed, 0, "unreachable", "transient");
    cluster.regions.iter_mut().for_each(Process::kill);
    let killed = refused(502, "total=3,unreachable=3", &cluster).await;
    (0..3).for_each(|region| assert_named(&killed, region, "unreachable", "transient"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_locator_an_answer_is_refused_or_marked_never_just_empty() {
    let mut cluster = Cluster::start().await;
    let home_only = format!("{}, without_locator = \"home-only\"", federation());
    let (_lenient, lenient) = cluster.start_gateway("QWO", &home_only).await;
    let strict = cluster.place.gateway(0);
    let nobody = numbers().nth(3).unwrap();
    cluster.locator.signal("STOP");
    without_locator(&cluster, &strict, &lenient).await;
    cluster.locator.kill();
    without_locator(&cluster, &strict, &lenient).await;
    // Of a patient whom the home hub does not know, either.
    let answer = cluster.http.observations(&strict, &nobody).await;
    assert_eq!(answer.status, 503);
    let answer = cluster.http.observations(&lenient, &nobody).await;
    assert_partial(&answer);
    let again = cluster.place.start_locator(cluster.folder.path()).await;
    cluster.locator = again.expect("the port is still the locator's");
    let answer = cluster.http.observations(&strict, &cluster.number).await;
    assert_eq!(answer.header("x-federation-regions"), "total=3,ok=3");
}

async fn without_locator(cluster: &Cluster, strict: &str, lenient: &str) {
    let answer = cluster.ask_in_time(strict).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    assert_eq!(told(&answer.json())[0].1, "transient");
    assert!(!answer.header("retry-after").is_empty());
    let answer = cluster.ask_in_time(lenient).await;
    let told = told(&assert_partial(&answer));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].2.contains("not known whether others hold"), "{told:?}");
    let matches = in_mode(&answer.json(), "match");
    assert_eq!(matches.len(), 1);
    assert!(matches[0]["fullUrl"].as_str().unwrap().contains("/at/QWO/"));
}
