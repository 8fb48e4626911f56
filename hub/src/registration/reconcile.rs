//! Whether the locator holds what the record says, number by number and in both directions; what it does
//! not is given back to the outbox.
//!
//! A producer can look for its pointers by NHS number only, never list them: a pointer of ours is found
//! if its number is carried by a Patient now or was ever registered from this record. One that was
//! registered from another database, for a number that this one never had, is not.

use std::collections::BTreeMap;
use std::fmt;

use futures::StreamExt;
use futures::stream::iter;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::locator::{LocatorError, Pointer};
use super::outbox::{Known, KnownRow, Outcome, Settled, State};
use super::sender::Sender;
use super::wish::registrable;
use crate::store::query::Query;
use crate::store::{Store, StoreError};

/// Numbers compared at a time: what is held in memory.
const PAGE: i64 = 128;
/// Numbers that the locator is asked for at the same time.
const CONCURRENT_MAX: usize = 8;
/// Parked numbers that are listed at most.
const LISTED_MAX: usize = 1_000;
/// How often a page that writes hold up is tried.
const ATTEMPTS_MAX: usize = 50;

/// Why it was given up; what was compared by then stays so.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The locator could not be asked.
    #[error(transparent)]
    Locator(#[from] LocatorError),
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Numbers that a Patient carries, or that were registered once.
    pub checked: u64,
    /// Of these, registered as they should be.
    pub right: u64,
    /// Of these, not to be registered: given up, of patients who died, or not verified.
    pub without: u64,
    /// Registered here, unknown to the locator: registered again.
    pub missing: u64,
    /// Known to the locator and not to be, twice, or under a former URL: put right.
    pub surplus: u64,
    /// The outbox wanted something other than what the record says: put right.
    pub misaligned: u64,
    /// Waiting to be sent anyway.
    pub waiting: u64,
    /// The locator could not say: looked for again the next time.
    pub unanswered: u64,
    /// Parked before, by what the locator said: tried again.
    pub parked: BTreeMap<String, u64>,
    /// The first of the parked numbers; only for who asks for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parked_numbers: Vec<String>,
    /// Patients that carry no NHS number, replaced ones included: no other region will ask for them.
    pub patients_without_number: i64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (problem, count) in &self.parked {
            writeln!(f, "{count} were parked and are tried again: {problem}")?;
        }
        for number in &self.parked_numbers {
            writeln!(f, "parked: {number}")?;
        }
        let without = self.patients_without_number;
        writeln!(f, "{without} patients carry no NHS number and are not registered")?;
        let Self { checked, right, without, waiting, unanswered, .. } = self;
        writeln!(f, "{checked} numbers compared: {right} registered, {without} rightly not")?;
        writeln!(f, "{waiting} wait to be sent; for {unanswered} the locator gave no answer")?;
        let Self { missing, surplus, misaligned, .. } = self;
        write!(
            f,
            "put right: {missing} missing, {surplus} surplus, {misaligned} that the outbox had missed"
        )
    }
}

/// Compares everything. `told` hears how many numbers were compared so far.
pub async fn reconcile(
    sender: &Sender,
    told: impl Fn(u64),
    wake: impl Fn(),
) -> Result<Report, ReconcileError> {
    let mut report = Report::default();
    let mut after = String::new();
    loop {
        let page = sender.store.known_registrations(&after, PAGE).await?;
        let Some(last) = page.last() else { break };
        last.number.clone_into(&mut after);
        let outcomes = compare(sender, page, &mut report).await?;
        if !outcomes.is_empty() {
            settle(&sender.store, outcomes).await?;
            wake();
        }
        told(report.checked);
    }
    report.patients_without_number = patients_without_number(&sender.store).await?;
    Ok(report)
}

/// What is to be done about a page of numbers.
async fn compare(
    sender: &Sender,
    page: Vec<Known>,
    report: &mut Report,
) -> Result<Vec<Outcome>, ReconcileError> {
    report.checked += page.len() as u64;
    let mut outcomes = Vec::new();
    let mut settled: Vec<(String, KnownRow)> = Vec::new();
    for known in page {
        let is_aligned = known.is_aligned();
        let Known { number, row, .. } = known;
        let generation = row.as_ref().map_or(0, |row| row.generation);
        let outcome = |number, result| Outcome { number, generation, result };
        match row {
            _ if !is_aligned => {
                report.misaligned += 1;
                outcomes.push(outcome(number, Settled::Aligned));
            }
            None => {}
            Some(KnownRow { state: State::Waiting, .. }) => report.waiting += 1,
            Some(KnownRow { state: State::Parked, problem, .. }) => {
                *report.parked.entry(problem.unwrap_or_default()).or_default() += 1;
                if report.parked_numbers.len() < LISTED_MAX {
                    report.parked_numbers.push(number.clone());
                }
                outcomes.push(outcome(number, Settled::Again));
            }
            Some(row) => settled.push((number, row)),
        }
    }
    let wanted = settled.iter().filter(|(_, row)| row.wanted);
    let wanted: Vec<(&str, i64)> = wanted.map(|(n, row)| (n.as_str(), row.holder)).collect();
    let now = sender.clock.now_micros();
    let registrable = registrable(&sender.store, sender.only_verified, &wanted, now).await?;
    let locator = &sender.locator;
    let asked = iter(settled)
        .map(async |(number, row)| {
            let found = locator.find(&number).await;
            (number, row, found)
        })
        .buffer_unordered(CONCURRENT_MAX);
    let mut asked = std::pin::pin!(asked);
    while let Some((number, row, found)) = asked.next().await {
        let found = match found {
            Ok(found) => found,
            Err(error) if error.is_general() => return Err(error.into()),
            Err(_) => {
                report.unanswered += 1;
                continue;
            }
        };
        let wanted = row.wanted && registrable.contains(&number);
        let result = judge(wanted, &row, &found, report);
        outcomes.extend(result.map(|result| Outcome {
            number,
            generation: row.generation,
            result,
        }));
    }
    Ok(outcomes)
}

/// What is to be done about a number, given what the locator holds for it.
fn judge(wanted: bool, row: &KnownRow, found: &[Pointer], report: &mut Report) -> Option<Settled> {
    match (wanted, found) {
        (false, []) => report.without += 1,
        (true, [Pointer { id, is_current: true }]) => {
            report.right += 1;
            let known = row.pointer.as_ref() == Some(id);
            return (!known).then(|| Settled::Registered { pointer: id.clone() });
        }
        (true, []) => {
            report.missing += 1;
            return Some(Settled::Again);
        }
        _ => {
            report.surplus += 1;
            return Some(Settled::Again);
        }
    }
    None
}

/// Writes outcomes down; writes of patients go first.
async fn settle(store: &Store, outcomes: Vec<Outcome>) -> Result<(), StoreError> {
    for _ in 1..ATTEMPTS_MAX {
        match store.settle_registrations(outcomes.clone()).await {
            Err(StoreError::Overloaded) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            settled => return settled,
        }
    }
    store.settle_registrations(outcomes).await
}

async fn patients_without_number(store: &Store) -> Result<i64, StoreError> {
    use fhir::definitions::ResourceType;
    use fhir::identifier::NHS_NUMBER;
    let patient = store.terms().resource_type(ResourceType::PATIENT);
    let mut query = Query::default();
    query.push("SELECT (SELECT count(*) FROM resource WHERE method < 2 AND type = ");
    query.number(patient);
    query.push(") - (SELECT count(DISTINCT key) FROM unique_identifier WHERE type = ");
    query.number(patient).push(" AND system = ").text(NHS_NUMBER).push(")");
    query.mark_long();
    Ok(store.numbers(&query).await?.first().copied().unwrap_or_default())
}
