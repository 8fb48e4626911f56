//! Whom an entry is about: found after it was recorded, so that neither a write nor a read waits for it.
//!
//! A patient is one whom the entry names (a write those whose its resources are, a read those whom its
//! answer was about), whom the URL or the query names, by id or by identifier, or whose was what was asked
//! for, as it was then.

use std::collections::{BTreeSet, HashMap};

use fhir::definitions::{Compartment, ResourceType};
use fhir::reference::is_id;
use fhir::tree::Tree;

use super::event::Entry;
use crate::interaction::search::decode;
use crate::store::index::Index;
use crate::store::query::Query;
use crate::store::trail::{Recorded, Subject, Subjects};
use crate::store::write::Version;
use crate::store::{Store, StoreError};

/// Entries that are looked at together.
const PAGE: i64 = 256;

/// Finds whom the entries are about that were not looked at yet; gives how many were. `own` is the region's
/// organisation: it is an agent of so many that they are not listed.
pub async fn index(store: &Store, own: &str) -> Result<usize, StoreError> {
    let mut query = Query::default();
    query.push("SELECT lane, seq, seq, '', '' FROM audit_indexed");
    let known = store.audit_entries(&query).await?;
    let known: HashMap<i64, i64> = known.iter().map(|at| (at.lane, at.seq)).collect();
    let mut count = 0;
    for tip in store.audit_tips().await? {
        let mut from = known.get(&tip.lane).copied().unwrap_or_default();
        while from < tip.seq {
            let mut query = Query::default();
            query.push("SELECT lane, seq, recorded, entry, '' FROM audit WHERE lane = ");
            query.number(tip.lane).push(" AND seq > ").number(from);
            query.push(" ORDER BY seq LIMIT ").number(PAGE);
            let page = store.audit_entries(&query).await?;
            let Some(last) = page.last() else { break };
            let (lane, to) = (tip.lane, last.seq);
            let mut entries = Vec::with_capacity(page.len());
            for at in &page {
                entries.push(subject(store, at, own).await?);
            }
            store.take_subjects(Subjects { lane, to, entries }).await?;
            (from, count) = (to, count + page.len());
        }
    }
    Ok(count)
}

/// What one entry is found by.
async fn subject(store: &Store, at: &Recorded, own: &str) -> Result<Subject, StoreError> {
    let entry = Entry::read(&at.entry);
    let patients = patients(store, &entry).await?;
    let mut about: Vec<String> = patients.iter().map(|id| format!("Patient/{id}")).collect();
    about.extend(entry.agents().filter(|ods| *ods != own).map(|ods| format!("agent/{ods}")));
    let patients = Vec::from_iter(patients).join(" ");
    Ok(Subject { recorded: at.recorded, seq: at.seq, patients, about })
}

/// The ids of the patients that an entry is about: those that it names, and those whom its URL names.
async fn patients(store: &Store, entry: &Entry) -> Result<BTreeSet<String>, StoreError> {
    let mut found: BTreeSet<String> = entry.patients.iter().cloned().collect();
    if found.is_empty() {
        for written in &entry.entity {
            if let [of_type, id, _, version] = written.split('/').collect::<Vec<_>>()[..]
                && let (Ok(of_type), Ok(version)) = (of_type.parse(), version.parse())
            {
                of_version(store, of_type, id, Some(version), &mut found).await?;
            }
        }
    }
    let (path, _) = entry.url();
    let path: Vec<&str> = path.split('/').collect();
    if let [of_type, id, ..] = path[..]
        && let Ok(of_type) = of_type.parse::<ResourceType>()
        && is_id(id)
        && (found.is_empty() || of_type == ResourceType::PATIENT)
        && !of_type.compartment(Compartment::Patient).is_empty()
    {
        let version = path.get(3).and_then(|version| version.parse().ok());
        of_version(store, of_type, id, version, &mut found).await?;
    }
    for (name, value) in entry.pairs() {
        if name.ends_with("identifier") {
            identified(store, &value, &mut found).await?;
        } else {
            named(path.first().copied(), &name, &value, &mut found);
        }
    }
    Ok(found)
}

/// Patients whom a parameter names by id.
fn named(of_type: Option<&str>, name: &str, value: &str, found: &mut BTreeSet<String>) {
    let parameter = name.split([':', '.']).next().unwrap_or_default();
    let is_patient = parameter == "patient" || name == "subject:Patient";
    let is_own = of_type == Some("Patient") && parameter == "_id";
    for value in value.split(',') {
        let id = match value.strip_prefix("Patient/") {
            Some(id) if is_patient || parameter == "subject" => id,
            None if is_patient || is_own => value,
            _ => continue,
        };
        if is_id(id) {
            found.insert(id.to_owned());
        }
    }
}

/// Patients whom a parameter names by an identifier of a unique system.
async fn identified(
    store: &Store,
    value: &str,
    found: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    for (system, value) in value.split(',').filter_map(|value| value.split_once('|')) {
        let mut query = Query::default();
        query.push("SELECT d.id FROM unique_identifier u ");
        query.push("JOIN directory d ON d.key = u.key WHERE u.type = ");
        query.number(store.terms().resource_type(ResourceType::PATIENT));
        query.push(" AND u.system = ").text(system).push(" AND u.value = ").text(value);
        found.extend(store.audit_patients(&query).await?);
    }
    Ok(())
}

/// Patients in whose compartment a version is, the current one if none is named; of a deletion, those of
/// the version before.
async fn of_version(
    store: &Store,
    of_type: ResourceType,
    id: &str,
    version: Option<i64>,
    found: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    if of_type == ResourceType::PATIENT {
        found.insert(id.to_owned());
        return Ok(());
    }
    let mut seen = match version {
        Some(version) => store.vread(of_type, id, version).await?,
        None => store.read(of_type, id).await?,
    };
    if let Some(Version { version, body: None, .. }) = seen {
        seen = store.vread(of_type, id, version - 1).await?;
    }
    let body = seen.and_then(|version| version.body);
    if let Some(Ok(tree)) = body.as_deref().map(Tree::parse) {
        found.extend(Index::of(of_type, id, &tree, &store.terms(), 0).patients);
    }
    Ok(())
}

impl Entry {
    /// The parameters that were asked by.
    fn pairs(&self) -> Vec<(String, String)> {
        let (path, query) = self.url();
        let mut pairs = decode(query.as_bytes());
        if path.ends_with("_search") {
            pairs.extend(decode(self.detail.as_bytes()));
        }
        pairs
    }
}
