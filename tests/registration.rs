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
    async fn start_hub(&self) -> Result<Process, PortTaken> {
        let store = format!("sqlite://{}", self.folder.path().join("hub.db").display());
        let config = self.place.hub_config(0, &store, self.folder.path());
        let probe = self.place.hub(0).replace("/FHIR/R4", "/ready");
        Process::serve(self.folder.path(), "hub", &config, &probe).await
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
    let start = async |base| {
        let folder = TempDir::new().unwrap();
        let site = Site { place: Place(base), folder, http: Http::new() };
        let hub = site.start_hub().await?;
        Ok((site, hub))
    };
    let (site, hub) = on_free_ports(Place::PORTS, start).await;
    let numbers: Vec<String> = numbers().take(PATIENTS).collect();
    for number in &numbers {
        let bundle = record(number, &["36.60"]);
        site.http.transact(&site.place.hub(0), bundle).await.unwrap().ok();
    }
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
