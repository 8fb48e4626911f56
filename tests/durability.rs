//! A hub is killed again and again while it imports, or the power of its disk is cut. After each restart
//! every transaction that was acknowledged is there, byte for byte; every other is there as a whole or
//! not at all; and the locator learns of every patient that is.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;
use tempfile::TempDir;
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::disk::Disk;
use crate::kit::{
    Answer, Http, Place, PortTaken, Process, REGISTRATION_TIME_MAX, TRANSACTION, eventually,
    numbers, on_free_ports, record, token,
};

const WORKERS: usize = 4;
const VALUES: [&str; 5] = ["36.60", "37", "38.0", "39.50", "36.9"];
/// Requests at the same time while the record is verified.
const CONCURRENT: usize = 16;
/// Acknowledged transactions that a story needs for each end.
const PER_END: usize = 10;
/// A hub that shares its store takes over what a dead one was sending only when its minute is over.
const TAKE_OVER_TIME_MAX: Duration = Duration::from_mins(1);

/// Chance from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A transaction that was acknowledged: what was promised to be there.
struct Promise {
    number: String,
    /// `Patient/id/_history/1` and its like, in the order of the Bundle.
    locations: Vec<String>,
    /// Of each, as it was first read.
    hashes: HashMap<String, u64>,
}

#[derive(Default)]
struct Ledger {
    promises: Vec<Promise>,
    /// Sent, and no answer came; not looked for yet.
    doubtful: Vec<String>,
    /// Known to be there as a whole, though never acknowledged.
    whole: Vec<String>,
    /// Known to be absent.
    absent: Vec<String>,
}

/// The hub, what it is started from, and the numbers that are left.
struct Story<'a> {
    place: Place,
    folder: &'a TempDir,
    store: String,
    http: Http,
    ledger: Mutex<Ledger>,
    acknowledged: AtomicUsize,
    /// The power is cut: what is answered now is a failure.
    cut: AtomicBool,
    numbers: Mutex<Box<dyn Iterator<Item = String> + Send>>,
}

impl Story<'_> {
    async fn start_hub(&self) -> Result<Process, PortTaken> {
        let config = self.place.hub_config(0, &self.store, self.folder.path());
        let probe = self.place.hub(0).replace("/FHIR/R4", "/ready");
        Process::serve(self.folder.path(), "hub", &config, &probe).await
    }

    /// Sends one transaction after another until the hub is gone or its disk is.
    async fn import(&self) {
        loop {
            let number = self.numbers.lock().unwrap().next().unwrap();
            let sent = self.http.transact(&self.place.hub(0), record(&number, &VALUES)).await;
            let failed = |answer: &Answer| answer.status != 200 && self.cut.load(Ordering::SeqCst);
            let mut ledger = self.ledger.lock().unwrap();
            let Some(answer) = sent.filter(|answer| !failed(answer)) else {
                ledger.doubtful.push(number);
                return;
            };
            ledger.promises.push(promise(number, &answer));
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Imports, and kills the hub or cuts the power at a moment left to chance; gives how many were
    /// acknowledged.
    async fn import_until_the_end(
        &self,
        hub: &mut Process,
        disk: Option<&Disk>,
        chance: &mut Chance,
    ) -> usize {
        let before = self.acknowledged.load(Ordering::Relaxed);
        let wanted = before + PER_END + chance.below(10) as usize;
        let moment = Duration::from_micros(chance.below(8_000));
        let killer = async {
            eventually("transactions are acknowledged", Duration::from_mins(1), async || {
                (self.acknowledged.load(Ordering::Relaxed) >= wanted).then_some(())
            })
            .await;
            // Chance, not waiting: the kill must not always fall right after an acknowledgement.
            tokio::time::sleep(moment).await;
            match disk {
                None => hub.kill(),
                Some(disk) => {
                    self.cut.store(true, Ordering::SeqCst);
                    disk.cut();
                }
            }
        };
        tokio::join!(killer, futures::future::join_all((0..WORKERS).map(|_| self.import())));
        if let Some(disk) = disk {
            hub.kill();
            disk.restore();
            self.cut.store(false, Ordering::SeqCst);
        }
        self.acknowledged.load(Ordering::Relaxed) - before
    }

    /// Asserts that the record is what was promised.
    async fn verify(&self) {
        let (doubtful, mut promises) = {
            let mut ledger = self.ledger.lock().unwrap();
            (std::mem::take(&mut ledger.doubtful), std::mem::take(&mut ledger.promises))
        };
        for number in doubtful {
            let there = self.is_whole(&number).await;
            let mut ledger = self.ledger.lock().unwrap();
            if there { &mut ledger.whole } else { &mut ledger.absent }.push(number);
        }
        stream::iter(&mut promises)
            .for_each_concurrent(CONCURRENT, |promise| self.verify_promise(promise))
            .await;
        self.ledger.lock().unwrap().promises = promises;
    }

    async fn verify_promise(&self, promise: &mut Promise) {
        let hub = self.place.hub(0);
        for location in &promise.locations {
            let answer = self.http.get(&format!("{hub}/{location}")).await;
            assert_eq!(answer.status, 200, "an acknowledged version is lost: {location}");
            let mut hasher = DefaultHasher::new();
            answer.body.hash(&mut hasher);
            let hash = hasher.finish();
            if let Some(first) = promise.hashes.insert(location.clone(), hash) {
                assert_eq!(first, hash, "an acknowledged version has changed: {location}");
                continue;
            }
            let sent: Value = serde_json::from_str(&record(&promise.number, &VALUES)).unwrap();
            let place = promise.locations.iter().position(|other| other == location).unwrap();
            let patient = promise.locations[0].split("/_history/").next().unwrap();
            assert_is(&answer, &sent["entry"][place]["resource"], patient);
        }
    }

    /// Whether a transaction that was never acknowledged is there; asserts that no part of one is.
    /// Its Observations are also looked for without their Patient, who might be the missing part.
    async fn is_whole(&self, number: &str) -> bool {
        let count = async |search: &str, value: &str| {
            let url = format!("{}/{search}={value}&_summary=count", self.place.hub(0));
            self.http.get(&url).await.ok().json()["total"].as_u64().unwrap()
        };
        let trace: String = byte_serialize(format!("{TRANSACTION}|{number}").as_bytes()).collect();
        let found = (
            count("Patient?identifier", &token(number)).await,
            count("Observation?patient.identifier", &token(number)).await,
            count("Observation?identifier", &trace).await,
        );
        let whole = (1, VALUES.len() as u64, VALUES.len() as u64);
        assert!(found == (0, 0, 0) || found == whole, "a transaction is there in part: {found:?}");
        found == whole
    }

    /// Waits until the locator holds one pointer for each patient who is there, and no other.
    async fn verify_pointers(&self, within: Duration) {
        let ledger = std::mem::take(&mut *self.ledger.lock().unwrap());
        let there = ledger.promises.iter().map(|promise| &promise.number).chain(&ledger.whole);
        let mut waiting: Vec<&String> = there.collect();
        eventually("the locator knows every patient", within, async || {
            let counts: Vec<(&String, usize)> = stream::iter(waiting.clone())
                .map(async |number| (number, self.pointers(number).await))
                .buffer_unordered(CONCURRENT)
                .collect()
                .await;
            let several = counts.iter().any(|(_, count)| *count > 1);
            assert!(!several, "a patient has several pointers");
            waiting = counts.into_iter().filter(|(_, c)| *c == 0).map(|(n, _)| n).collect();
            waiting.is_empty().then_some(())
        })
        .await;
        for number in &ledger.absent {
            assert_eq!(self.pointers(number).await, 0, "the locator knows who is not there");
        }
    }

    async fn pointers(&self, number: &str) -> usize {
        self.http.custodians(&self.place.locator(), number).await.len()
    }
}

/// What an acknowledgement promises.
fn promise(number: String, answer: &Answer) -> Promise {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let response = answer.json();
    let entries = response["entry"].as_array().unwrap();
    let location = |entry: &Value| {
        assert_eq!(entry["response"]["status"], "201 Created");
        entry["response"]["location"].as_str().unwrap().to_owned()
    };
    let locations: Vec<String> = entries.iter().map(location).collect();
    assert_eq!(locations.len(), 1 + VALUES.len());
    Promise { number, locations, hashes: HashMap::new() }
}

/// Asserts that a resource is what was sent, but for what the server adds.
fn assert_is(answer: &Answer, sent: &Value, patient: &str) {
    let mut found = answer.json();
    let members = found.as_object_mut().unwrap();
    assert!(members.remove("id").is_some() && members.remove("meta").is_some());
    let mut expected = sent.clone();
    if expected.get("subject").is_some() {
        expected["subject"]["reference"] = patient.into();
    }
    assert_eq!(found, expected);
}

/// `store` is in `{folder}`: on a disk that loses its power, if there is one.
async fn a_hub_keeps_its_word(store: &str, disk: Option<&Disk>, ends: usize, within: Duration) {
    let folder = TempDir::new().unwrap();
    let place = disk.map_or(folder.path(), Disk::folder);
    let store = store.replace("{folder}", place.to_str().unwrap());
    let start = async |base| {
        let story = Story {
            place: Place(base),
            folder: &folder,
            store: store.clone(),
            http: Http::new(),
            ledger: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
            numbers: Mutex::new(Box::new(numbers())),
        };
        let locator = story.place.start_locator(folder.path()).await?;
        let hub = story.start_hub().await?;
        Ok((story, locator, hub))
    };
    let (story, locator, mut hub) = on_free_ports(Place::PORTS, start).await;
    let given = std::env::var("STORY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("the moments come from STORY_SEED={seed}");
    let mut chance = Chance(seed);
    for _ in 0..ends {
        story.import_until_the_end(&mut hub, disk, &mut chance).await;
        hub = story.start_hub().await.expect("the port is still the hub's");
        story.verify().await;
    }
    let acknowledged = story.acknowledged.load(Ordering::Relaxed);
    {
        let ledger = story.ledger.lock().unwrap();
        let (whole, absent) = (ledger.whole.len(), ledger.absent.len());
        eprintln!("{acknowledged} acknowledged; of the others {whole} whole, {absent} absent");
    }
    assert!(acknowledged >= ends * PER_END);
    story.verify_pointers(within).await;
    hub.stop().await;
    locator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_hub_keeps_its_word_on_sqlite() {
    a_hub_keeps_its_word("sqlite://{folder}/hub.db", None, 20, REGISTRATION_TIME_MAX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_whose_power_is_cut_keeps_its_word() {
    let Some(disk) = Disk::new() else {
        eprintln!("skipped: a disk whose power can be cut needs root, mkfs.ext4 and a loop device");
        return;
    };
    let store = "sqlite://{folder}/hub.db";
    a_hub_keeps_its_word(store, Some(&disk), 6, REGISTRATION_TIME_MAX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_hub_keeps_its_word_on_postgresql() {
    use sqlx::Connection;
    let Ok(server) = std::env::var("TEST_POSTGRES_URL") else {
        eprintln!("skipped: TEST_POSTGRES_URL names no PostgreSQL (tests/run starts one)");
        return;
    };
    let name = format!("story_{}", uuid::Uuid::new_v4().simple());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    let mut url = Url::parse(&server).unwrap();
    url.set_path(&name);
    let within = TAKE_OVER_TIME_MAX + REGISTRATION_TIME_MAX;
    a_hub_keeps_its_word(url.as_str(), None, 5, within).await;
}
