//! A whole answer that is kept for a while: its pages show what was there when it was taken, whatever is
//! written meanwhile. `snapshot=true` asks for one.
//!
//! It is kept in this process's memory alone, for a quarter of an hour, and for who took it: the same
//! organisation with the same rights. So much may be kept at a time; when there is no room, a new one is
//! refused, and those that there are stay. A link carries nothing but the snapshot's name and a place.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fhir::bundle::{SearchMode, SearchsetWriter};
use fhir::identifier::OdsCode;
use fhir::outcome::{Issue, OperationOutcome};
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use service::caller::mandate::Mandate;
use service::seal::Seal;
use uuid::Uuid;

use super::PARAMETER;
use super::token::LIFE_MICROS;
use crate::Gateway;
use crate::compose::{Assembled, Composed, meta};
use crate::context::Context;
use crate::error::GatewayError;
use crate::fan_out::Collected;
use crate::linkage::linkages;
use crate::merge::{Merged, Shown};
use crate::outcome::RegionStatus;
use crate::question::Question;

/// Most matches of a snapshot.
const MATCHES_MAX: usize = 10_000;
/// Largest snapshot, in bytes.
const BYTES_MAX: usize = 32 << 20;
/// What an entry takes beside its resource and its URLs, in bytes.
const ENTRY_BYTES: usize = 160;

const NONE_TAKEN: &str = "This gateway takes no snapshots: ask without snapshot=true.";

/// A whole answer.
struct Snapshot {
    organisation: Arc<OdsCode>,
    mandate: Arc<Mandate>,
    taken: i64,
    /// What was asked, as a form.
    asked: String,
    kind: &'static str,
    own: String,
    page: usize,
    complete: bool,
    total: Option<u64>,
    regions: HeaderValue,
    issues: Vec<Issue>,
    matches: Vec<Kept>,
    patients: Vec<Kept>,
    /// Linkages, each with the place of the first match that it is about.
    linkages: Vec<(usize, Vec<u8>)>,
    bytes: usize,
}

/// An entry.
struct Kept {
    full_url: String,
    canonical: String,
    resource: Box<[u8]>,
}

impl Kept {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.resource.len() + self.full_url.len() + self.canonical.len()
    }
}

/// What a snapshot is called.
type Name = [u8; 16];

/// What a link carries.
#[derive(Debug, Serialize, Deserialize)]
struct Handle {
    snapshot: Name,
    /// How many matches come before the page.
    at: usize,
}

/// The snapshots that are kept.
pub struct Snapshots {
    bytes_max: usize,
    kept: Mutex<HashMap<Name, Arc<Snapshot>>>,
}

impl fmt::Debug for Snapshots {
    /// How many there are; they hold clinical data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("kept", &self.kept().len()).finish_non_exhaustive()
    }
}

impl Snapshots {
    /// None yet, and never more than so many MiB.
    pub fn new(mib_max: usize) -> Self {
        Self { bytes_max: mib_max << 20, kept: Mutex::default() }
    }

    /// Forgets what has served its time.
    pub fn forget_old(&self, now: i64) {
        self.kept().retain(|_, snapshot| !snapshot.is_old(now));
    }

    fn keep(&self, snapshot: Arc<Snapshot>, now: i64) -> Result<Name, GatewayError> {
        if snapshot.matches.len() > MATCHES_MAX || snapshot.bytes > BYTES_MAX {
            return Err(GatewayError::SnapshotTooLarge);
        }
        self.forget_old(now);
        let mut kept = self.kept();
        let held: usize = kept.values().map(|snapshot| snapshot.bytes).sum();
        if held + snapshot.bytes > self.bytes_max {
            return Err(GatewayError::SnapshotsFull);
        }
        let name = Uuid::new_v4().into_bytes();
        kept.insert(name, snapshot);
        Ok(name)
    }

    fn find(&self, name: Name, now: i64) -> Option<Arc<Snapshot>> {
        self.kept().get(&name).filter(|snapshot| !snapshot.is_old(now)).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Name, Arc<Snapshot>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a whole answer, and gives its first page.
pub fn take(
    gateway: &Gateway,
    context: &Context,
    question: &Question,
    collected: &Collected,
    assembled: Assembled<'_>,
) -> Result<Composed, GatewayError> {
    if gateway.snapshots().bytes_max == 0 {
        return Err(GatewayError::NotSupported("snapshot".to_owned(), NONE_TAKEN));
    }
    let failures = collected.answers.iter().filter_map(|answer| answer.result.as_ref().err());
    if failures.into_iter().any(|failure| failure.status == RegionStatus::TooLarge) {
        return Err(GatewayError::SnapshotTooLarge);
    }
    let snapshot = Arc::new(Snapshot::of(gateway, context, question, assembled));
    let mut name = None;
    // Nothing would lead to one of a single page.
    if snapshot.matches.len() > snapshot.page {
        name = Some(gateway.snapshots().keep(snapshot.clone(), snapshot.taken)?);
    }
    Ok(snapshot.page(gateway, name, 0))
}

/// The page that a link leads to, if it leads to one of a snapshot.
pub fn resume(
    gateway: &Gateway,
    context: &Context,
    type_name: &str,
    link: &str,
) -> Option<Result<Composed, GatewayError>> {
    let Handle { snapshot: name, at } =
        Handle::open(link, gateway.seal(), &context.caller.organisation)?;
    let Some(snapshot) = gateway.snapshots().find(name, gateway.now_micros()) else {
        return Some(Err(GatewayError::SnapshotGone));
    };
    if snapshot.organisation != context.caller.organisation
        || snapshot.mandate != context.caller.mandate
    {
        return Some(Err(GatewayError::ForgedPage));
    }
    if snapshot.kind != type_name {
        return Some(Err(GatewayError::PageNotAlone));
    }
    let page = snapshot.page(gateway, Some(name), at);
    Some(Ok(Composed { behind_link: Some(snapshot.asked.clone()), ..page }))
}

impl Handle {
    fn seal(&self, seal: &Seal, organisation: &OdsCode) -> String {
        let content = serde_json::to_vec(self).expect("a name and a number always serialise");
        seal.seal(&content, bound_to(organisation).as_bytes())
    }

    /// Opens a link's secret; nothing if it is none of a snapshot, or another organisation's.
    fn open(text: &str, seal: &Seal, organisation: &OdsCode) -> Option<Self> {
        let content = seal.open(text, bound_to(organisation).as_bytes())?;
        serde_json::from_slice(&content).ok()
    }
}

/// No organisation's code has a space in it: a page's token is never taken for a snapshot's.
fn bound_to(organisation: &OdsCode) -> String {
    format!("{organisation} snapshot")
}

impl Snapshot {
    fn of(
        gateway: &Gateway,
        context: &Context,
        question: &Question,
        assembled: Assembled<'_>,
    ) -> Self {
        let Assembled { merged, complete, total, regions, issues, left_out } = assembled;
        let base = gateway.base();
        let kept = |shown: &Shown<'_>| Kept {
            full_url: shown.full_url(base),
            canonical: shown.canonical_url(),
            resource: question
                .part(&shown.candidate.key.resource_type, shown.candidate.resource)
                .into(),
        };
        let matches: Vec<_> = merged.shown().map(kept).collect();
        let patients = merged.patients.iter().filter(|_| question.show_patient);
        let patients: Vec<_> = patients.map(kept).collect();
        let linkages: Vec<_> =
            first_places(&merged).zip(linkages(&merged, gateway.ods())).collect();
        let entries = matches.iter().chain(&patients).map(Kept::bytes);
        let beside = linkages.iter().map(|(_, text)| text.len());
        let bytes = entries.chain(beside).sum();
        let most = gateway.federation().page_size;
        Self {
            organisation: context.caller.organisation.clone(),
            mandate: context.caller.mandate.clone(),
            taken: gateway.now_micros(),
            asked: question.form(),
            kind: question.kind.name(),
            own: question.self_url(base, &left_out),
            page: question.count.unwrap_or(most).min(most) as usize,
            matches,
            patients,
            linkages,
            bytes,
            complete,
            total,
            regions,
            issues,
        }
    }

    fn is_old(&self, now: i64) -> bool {
        now - self.taken > LIFE_MICROS
    }

    /// The page after so many matches.
    fn page(&self, gateway: &Gateway, name: Option<Name>, at: usize) -> Composed {
        let places = at..(at + self.page).min(self.matches.len());
        let links = self.links(gateway, name, at);
        let links: Vec<_> = links.iter().map(|(relation, url)| (*relation, url.as_str())).collect();
        let shown = self.matches.get(places.clone()).unwrap_or_default();
        let bytes: usize = shown.iter().map(|entry| entry.resource.len() + 320).sum();
        let meta = meta(self.complete, self.taken);
        let mut writer = SearchsetWriter::new(&meta, self.total, &links, bytes);
        if !self.issues.is_empty() {
            writer.outcome(&OperationOutcome { issue: self.issues.clone() });
        }
        let mut entry = |entry: &Kept, mode| {
            let links = [("canonical", entry.canonical.as_str())];
            writer.entry(&entry.full_url, &links, &entry.resource, mode);
        };
        for kept in shown {
            entry(kept, SearchMode::Match);
        }
        self.patients.iter().for_each(|kept| entry(kept, SearchMode::Include));
        for (_, linkage) in self.linkages.iter().filter(|(place, _)| places.contains(place)) {
            writer.transient(linkage, SearchMode::Include);
        }
        Composed {
            body: writer.finish(),
            complete: self.complete,
            regions: self.regions.clone(),
            behind_link: None,
        }
    }

    /// The links of the page after so many matches.
    fn links(
        &self,
        gateway: &Gateway,
        name: Option<Name>,
        at: usize,
    ) -> Vec<(&'static str, String)> {
        let mut links = vec![("self", self.own.clone())];
        let Some(snapshot) = name else { return links };
        let url = |at| {
            let handle = Handle { snapshot, at };
            let text = handle.seal(gateway.seal(), &self.organisation);
            format!("{}/{}?{PARAMETER}={text}", gateway.base(), self.kind)
        };
        links.push(("first", url(0)));
        if at > 0 {
            links.push(("previous", url(at.saturating_sub(self.page))));
        }
        if at + self.page < self.matches.len() {
            links.push(("next", url(at + self.page)));
        }
        links
    }
}

/// For each group of entries that are, or may be, one fact: where the first of them is shown.
fn first_places<'a>(merged: &'a Merged<'_>) -> impl Iterator<Item = usize> + 'a {
    let shown_before = |place: usize| {
        let before = &merged.folded[..place.min(merged.folded.len())];
        before.iter().filter(|folded| !**folded).count()
    };
    merged.groups.iter().map(move |group| shown_before(group[0].0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn snapshot(taken: i64, bytes: usize) -> Arc<Snapshot> {
        let (full_url, canonical) = (String::new(), String::new());
        let kept = Kept { full_url, canonical, resource: Box::default() };
        Arc::new(Snapshot {
            organisation: Arc::new("QWO".parse().unwrap()),
            mandate: Arc::new(Mandate::unlimited()),
            taken,
            asked: String::new(),
            kind: "Observation",
            own: String::new(),
            page: 1,
            complete: true,
            total: None,
            regions: HeaderValue::from_static("total=0"),
            issues: Vec::new(),
            matches: vec![kept],
            patients: Vec::new(),
            linkages: Vec::new(),
            bytes,
        })
    }

    #[test]
    fn what_there_is_no_room_for_is_refused_until_what_was_kept_is_old() {
        let snapshots = Snapshots::new(2);
        let first = snapshots.keep(snapshot(0, 1 << 20), 0).unwrap();
        let second = snapshots.keep(snapshot(5, 1 << 20), 5).unwrap();
        let full = snapshots.keep(snapshot(LIFE_MICROS, 1 << 20), LIFE_MICROS);
        assert!(matches!(full, Err(GatewayError::SnapshotsFull)));
        assert!(snapshots.find(first, LIFE_MICROS).is_some(), "those that there are stay");
        assert!(snapshots.find(first, LIFE_MICROS + 1).is_none());
        assert!(snapshots.find(second, LIFE_MICROS + 1).is_some());
        snapshots.keep(snapshot(LIFE_MICROS + 1, 1 << 20), LIFE_MICROS + 1).unwrap();
        snapshots.forget_old(LIFE_MICROS + 6);
        assert_eq!(snapshots.kept().len(), 1);
    }

    #[test]
    fn what_is_larger_than_a_snapshot_may_be_is_refused() {
        let snapshots = Snapshots::new(1_000);
        assert!(snapshots.keep(snapshot(0, BYTES_MAX), 0).is_ok());
        let large = snapshots.keep(snapshot(0, BYTES_MAX + 1), 0);
        assert!(matches!(large, Err(GatewayError::SnapshotTooLarge)));
    }

    #[test]
    fn a_handle_is_read_by_its_own_organisation_alone() {
        let seal = Seal::new([7; 32]);
        let (own, other) = ("QWO".parse().unwrap(), "QHM".parse().unwrap());
        let text = Handle { snapshot: [7; 16], at: 40 }.seal(&seal, &own);
        assert_eq!(Handle::open(&text, &seal, &own).unwrap().at, 40);
        assert!(Handle::open(&text, &seal, &other).is_none());
        assert!(seal.open(&text, b"QWO").is_none(), "it is taken for a page's token");
    }
}
