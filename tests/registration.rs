//! The locator learns of every patient and of every deletion, whenever it comes up and whoever
//! restarts meanwhile; a write never waits for it.

use tempfile::TempDir;

use crate::kit::{
    Http, Place, PortTaken, Process, REGISTRATION_TIME_MAX, eventually, numbers, on_free_ports,
    record,
};

const PATIENTS: usize = 5;

struct Site {
    place: Place,
    folder: TempDir,
    http: Http,
}

impl Site {
    fn hub_config(&self) -> String {
        let store = format!("sqlite://{}", self.folder.path().join("hub.db").display());
        let config = self.place.hub_config(0, &store, self.folder.path());
        config + "registration = { check_s = 1 }\n"
    }

    async fn start_hub(&self) -> Result<Process, PortTaken> {
        let config = self.hub_config();
        let probe = self.place.hub(0).replace("/FHIR/R4", "/ready");
        Process::serve(self.folder.path(), "hub", &config, &probe).await
    }

    /// A site whose hub is there, and its locator not yet.
    async fn start() -> (Self, Process) {
        let start = async |base| {
            let folder = TempDir::new().unwrap();
            let site = Self { place: Place(base), folder, http: Http::new() };
            let hub = site.start_hub().await?;
            Ok((site, hub))
        };
        on_free_ports(Place::PORTS, start).await
    }

    /// Has the hub take its patients; their numbers.
    async fn fill(&self) -> Vec<String> {
        let numbers: Vec<String> = numbers().take(PATIENTS).collect();
        for number in &numbers {
            let bundle = record(number, &["36.60"]);
            self.http.transact(&self.place.hub(0), bundle).await.unwrap().ok();
        }
        numbers
    }

    /// Starts a locator that has forgotten everything.
    async fn start_empty_locator(&self) -> Process {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(self.folder.path().join(format!("locator.db{suffix}")));
        }
        self.start_locator().await
    }

    /// What `hub reconcile` prints.
    async fn reconcile(&self) -> String {
        let file = crate::kit::write_config(self.folder.path(), &self.hub_config());
        let arguments = ["reconcile", "--config", &file];
        let mut process = Process::start(self.folder.path(), "hub", &arguments);
        let status = process.ended(REGISTRATION_TIME_MAX).await;
        assert_eq!(status.code(), Some(0), "{}", process.stderr());
        process.stdout()
    }

    async fn start_locator(&self) -> Process {
        let started = self.place.start_locator(self.folder.path()).await;
        started.expect("the port was free a moment ago")
    }

    /// Waits until each number has as many pointers as expected.
    async fn pointers(&self, expected: &[(&String, usize)]) {
        let what = format!("pointers {:?}", expected.iter().map(|e| e.1).collect::<Vec<_>>());
        eventually(&what, REGISTRATION_TIME_MAX, async || {
            for (number, count) in expected {
                let found = self.http.custodians(&self.place.locator(), number).await;
                assert!(found.len() <= 1, "a number has several pointers");
                if found.len() != *count {
                    return None;
                }
                assert!(found.iter().all(|custodian| custodian == "QWO"));
            }
            Some(())
        })
        .await;
    }

    /// The logical id of the Patient with a number.
    async fn patient(&self, number: &str) -> String {
        let url = format!("{}/Patient?identifier={}", self.place.hub(0), crate::kit::token(number));
        let found = self.http.get(&url).await.ok().json();
        assert_eq!(found["total"].as_u64().unwrap_or(1), 1);
        found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_patient_is_registered_once_whoever_was_down_meanwhile() {
    let (site, hub) = Site::start().await;
    let numbers = site.fill().await;
    // Neither an orderly restart nor a kill loses what waits for the locator.
    hub.stop().await;
    let mut hub = site.start_hub().await.unwrap();
    hub.kill();
    let mut hub = site.start_hub().await.unwrap();
    let locator = site.start_locator().await;
    let all: Vec<(&String, usize)> = numbers.iter().map(|number| (number, 1)).collect();
    site.pointers(&all).await;
    // A deletion while the locator is down, and the hub killed before it is back.
    locator.stop().await;
    let deleted = site.patient(&numbers[0]).await;
    site.http.delete(&format!("{}/Patient/{deleted}", site.place.hub(0))).await.ok();
    hub.kill();
    let hub = site.start_hub().await.unwrap();
    let locator = site.start_locator().await;
    let mut remaining = all.clone();
    remaining[0].1 = 0;
    site.pointers(&remaining).await;
    // The patient comes back.
    let bundle = record(&numbers[0], &["36.61"]);
    site.http.transact(&site.place.hub(0), bundle).await.unwrap().ok();
    site.pointers(&all).await;
    hub.stop().await;
    locator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locator_that_forgot_everything_is_told_again() {
    let (site, hub) = Site::start().await;
    let locator = site.start_locator().await;
    let numbers = site.fill().await;
    let all: Vec<(&String, usize)> = numbers.iter().map(|number| (number, 1)).collect();
    site.pointers(&all).await;
    // By the hub itself, that looks now and then.
    locator.stop().await;
    let locator = site.start_empty_locator().await;
    site.pointers(&all).await;
    // By a command, that asks the hub.
    let whole = format!("{PATIENTS} numbers compared: {PATIENTS} registered, 0 rightly not");
    let printed = eventually("all is told to be right", REGISTRATION_TIME_MAX, async || {
        let printed = site.reconcile().await;
        printed.contains(&whole).then_some(printed)
    })
    .await;
    assert!(printed.contains("put right: 0 missing, 0 surplus"), "{printed}");
    let metrics = site.http.get(&site.place.hub_metrics(0)).await.ok();
    for name in [
        "hub_registrations_waiting 0",
        "hub_registrations_oldest_seconds 0",
        "hub_registrations_parked 0",
        "hub_patients_without_number 0",
        "hub_reconciled_timestamp_seconds ",
    ] {
        assert!(metrics.text().contains(&format!("\n{name}")), "{name}: {}", metrics.text());
    }
    // By a command alone, that sends what is missing, too.
    hub.stop().await;
    locator.stop().await;
    let locator = site.start_empty_locator().await;
    let printed = site.reconcile().await;
    assert!(printed.contains(&format!("put right: {PATIENTS} missing")), "{printed}");
    for number in &numbers {
        assert!(!printed.contains(number), "a number is printed");
        let found = site.http.custodians(&site.place.locator(), number).await;
        assert_eq!(found, ["QWO"]);
    }
    locator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locator_that_hangs_holds_up_no_write_and_is_told_afterwards() {
    let (site, hub) = Site::start().await;
    let locator = site.start_locator().await;
    locator.signal("STOP");
    let numbers = site.fill().await;
    // What waits, and for how long, is seen to rise.
    eventually("all of them wait", REGISTRATION_TIME_MAX, async || {
        let metrics = site.http.get(&site.place.hub_metrics(0)).await.ok();
        let value = |name: &str| {
            let line = metrics.text().lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
        };
        let waiting = value("hub_registrations_waiting ");
        (waiting == PATIENTS && value("hub_registrations_oldest_seconds ") >= 1).then_some(())
    })
    .await;
    locator.signal("CONT");
    let all: Vec<(&String, usize)> = numbers.iter().map(|number| (number, 1)).collect();
    site.pointers(&all).await;
    hub.stop().await;
    locator.stop().await;
}
