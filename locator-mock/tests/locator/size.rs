//! A registry of a nation's size. `LOCATOR_POINTERS` says how many pointers; by itself the test takes
//! as many as a debug build loads in a few seconds. For figures:
//!
//! ```text
//! LOCATOR_POINTERS=10000000 cargo test --release -p locator-mock --test locator size -- --nocapture
//! ```

use std::io::{BufRead, Read};
use std::time::Instant;

use http::StatusCode;
use locator_mock::load;
use serde_json::json;
use service::clock::Clock;
use uuid::Uuid;

use crate::world::{CONSUMER, NOW_MICROS, World, config, pointer, with};

const POINTERS: u64 = 10_000;
const LOOKUPS: u64 = 2_000;
/// Organisations that publish, about as many as England has integrated care boards.
const CUSTODIANS: u64 = 42;

/// The n-th number; numbers follow each other in no order, as patients come.
fn number(n: u64) -> Option<String> {
    const PRIME: u64 = 999_999_937;
    let first = n * 733_373_327 % PRIME;
    let digits = format!("{first:09}");
    let sum: u64 = digits.bytes().zip((2..=10).rev()).map(|(d, w)| u64::from(d - b'0') * w).sum();
    let check = (11 - sum % 11) % 11;
    (check < 10).then(|| format!("{digits}{check}"))
}

fn custodian(n: u64) -> String {
    format!("Q{:02}", n % CUSTODIANS)
}

fn id(n: u64) -> String {
    // Scattered, as random ids are.
    let high = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{}-{}", custodian(n), Uuid::from_u64_pair(high, n))
}

/// Pointers as NDJSON, made as they are read.
struct Lines {
    templates: Vec<String>,
    next: u64,
    left: u64,
    line: Vec<u8>,
    read: usize,
}

impl Lines {
    fn new(count: u64) -> Self {
        let template = |n| {
            let custodian = custodian(n);
            let template = with(pointer(&custodian, "NUMBER"), "/id", json!("ID"));
            format!("{template}\n")
        };
        let templates = (0..CUSTODIANS).map(template).collect();
        Self { templates, next: 1, left: count, line: Vec::new(), read: 0 }
    }
}

impl BufRead for Lines {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        while self.read == self.line.len() && self.left > 0 {
            let n = self.next;
            self.next += 1;
            let Some(number) = number(n) else { continue };
            let template = &self.templates[(n % CUSTODIANS) as usize];
            let text = template.replacen("NUMBER", &number, 1).replacen("ID", &id(n), 1);
            (self.line, self.read) = (text.into_bytes(), 0);
            self.left -= 1;
        }
        Ok(&self.line[self.read..])
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
    }
}

impl Read for Lines {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let line = self.fill_buf()?;
        let amount = line.len().min(out.len());
        out[..amount].copy_from_slice(&line[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

/// Kilobytes this process holds, where the system tells.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn every_patients_pointer_is_found_among_all_of_a_nation() {
    let count = std::env::var("LOCATOR_POINTERS").map_or(POINTERS, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let clock = Clock::fixed(NOW_MICROS);
    let refused = |line, why: &str| panic!("line {line}: {why}");
    let loaded = load(&config(&folder), Lines::new(count), &clock, refused).unwrap();
    assert_eq!((loaded.added, loaded.known), (count, 0));
    let took = began.elapsed();
    let bytes = std::fs::metadata(folder.path().join("locator.db")).unwrap().len();
    let world = World::reopen(folder);
    eprintln!(
        "{count} pointers: loaded in {took:.1?} ({:.0}/s), {} MB on disk ({} bytes each)",
        count as f64 / took.as_secs_f64(),
        bytes / 1_000_000,
        bytes / count,
    );

    let resident = resident_kb();
    let mut times = Vec::new();
    for n in (0..LOOKUPS.min(count)).map(|n| 1 + n * (count / LOOKUPS.min(count))) {
        let Some(number) = number(n) else { continue };
        let began = Instant::now();
        let found = world.find(&number, "").await;
        times.push(began.elapsed());
        assert_eq!(found.ids(), [id(n).as_str()], "{number}");
    }
    times.sort();
    eprintln!(
        "lookup through the API: p50 {:.0?}, p99 {:.0?}; resident {resident} kB before them, {} kB after",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        resident_kb(),
    );
    // A pointer more takes its place beside them.
    let new = with(pointer("QWO", "9434765919"), "/description", json!("one more"));
    let began = Instant::now();
    let id = world.create("QWO", &new).await;
    eprintln!("create: {:.1?}", began.elapsed());
    assert_eq!(world.get("X", &format!("{CONSUMER}/{id}")).await.status, StatusCode::OK);
}
