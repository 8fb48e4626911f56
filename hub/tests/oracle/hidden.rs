//! Two records that differ only in what is hidden from a caller answer every question of its alike, byte
//! for byte: on every page, in every total, by every name.
//!
//! In one record resources are labelled, and a patient has dissented; in the other they never were. Of
//! a patient who must not be found, each record says something else. Page links are sealed, so only
//! what they lead to is compared. Both records have met all names in the same order, for that is what
//! decides between equals.

use axum::body::Body;
use serde_json::{Value, json};
use service::clock::Clock;

use super::dice::Dice;
use super::question;
use super::world::{self, TYPES, World};
use super::{put, seeds, send};
use crate::access::clinician;
use crate::kit::{Kit, link};

const QUESTIONS: usize = 120;
/// The patient who has dissented, and the one who must not be found.
const DISSENTING: &str = "Patient/p3";
const UNFINDABLE: &str = "Patient/p1";
/// What tells where somebody is, in Patients and Encounters.
const PLACES: [&str; 8] = [
    "address",
    "telecom",
    "contact",
    "generalPractitioner",
    "managingOrganization",
    "location",
    "serviceProvider",
    "hospitalization",
];

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_tells_nothing_of_what_is_hidden() {
    for seed in seeds() {
        compare([Kit::sqlite().await, Kit::sqlite().await], seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tells_nothing_of_what_is_hidden() {
    for seed in seeds() {
        let (Some(one), Some(other)) = (Kit::postgres().await, Kit::postgres().await) else {
            return;
        };
        compare([one, other], seed).await;
    }
}

async fn compare([with, without]: [Kit; 2], seed: u64) {
    let mut dice = Dice::new(seed);
    let clock = || Clock::fixed(1_700_000_000_000_000);
    let with = with.reopened(|_| (), clock()).await;
    let without = without.reopened(|_| (), clock()).await;
    let (seen, hidden) = split(&mut dice);
    let told_otherwise: World = seen.iter().map(|(n, r)| (n.clone(), elsewhere(r))).collect();
    for (kit, world) in [(&with, &seen), (&without, &told_otherwise)] {
        send(kit, vec![put(&everyone())]).await;
        send(kit, world.values().map(put).collect()).await;
    }
    send(&with, hidden.values().map(put).chain([put(&dissent())]).collect()).await;
    for kit in [&with, &without] {
        let changed: Vec<_> =
            seen.iter().filter(|(_, r)| !is_about(r, UNFINDABLE)).step_by(5).collect();
        send(kit, changed.into_iter().map(|(_, resource)| put(&touched(resource))).collect()).await;
    }
    assert!(hidden.len() > 8 && seen.len() > 25, "{} hidden, {} not", hidden.len(), seen.len());
    let mut asked = Vec::new();
    for (of, id) in seen.keys().chain(hidden.keys()) {
        for rest in ["", "/_history", "/_history/1", "/$meta"] {
            asked.push(format!("{of}/{id}{rest}"));
        }
    }
    for number in 0..8 {
        asked.push(format!("Patient/p{number}/$everything?_count=7"));
        asked.push(format!("Observation/$lastn?patient=p{number}"));
    }
    asked.extend(TYPES.map(|(of, _)| format!("{of}/_history?_count=4&_total=accurate")));
    asked.push("_history?_count=9&_total=accurate".into());
    asked.extend((0..QUESTIONS).map(|_| question::thrown(&mut dice).url()));
    for url in asked {
        alike(&with, &without, &url, seed).await;
    }
}

/// Asks both, page by page.
async fn alike(with: &Kit, without: &Kit, url: &str, seed: u64) {
    let caller = clinician("RX2");
    let mut next = Some([url.to_owned(), url.to_owned()]);
    while let Some([one, other]) = next {
        let one = with.send_as(&caller, "GET", &one, &[], Body::empty()).await;
        let other = without.send_as(&caller, "GET", &other, &[], Body::empty()).await;
        assert_eq!(one.status, other.status, "seed {seed}: {url}: {} {}", one.text, other.text);
        assert_eq!(unsealed(&one.text), unsealed(&other.text), "seed {seed}: {url}");
        assert_eq!(one.headers, other.headers, "seed {seed}: {url}");
        let links = (link(&one.json(), "next"), link(&other.json(), "next"));
        next = links.0.zip(links.1).map(|(one, other)| [one, other]);
    }
}

/// Without what is sealed in links.
fn unsealed(text: &str) -> String {
    let mut parts = text.split("_cursor=");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("_cursor=");
        out.push_str(part.find('"').map_or("", |end| &part[end..]));
    }
    out
}

/// A world, and what of it is hidden.
fn split(dice: &mut Dice) -> (World, World) {
    let (mut seen, mut hidden) = (World::new(), World::new());
    for (name, mut resource) in world::made(dice) {
        let full = format!("{}/{}", name.0, name.1);
        if full == UNFINDABLE {
            resource["meta"] = label("R");
        }
        let labelled = full != UNFINDABLE && dice.percent(20);
        if labelled {
            resource["meta"] = label(if name.0 == "Patient" { "V" } else { "R" });
        }
        let away = labelled || full == DISSENTING || is_about(&resource, DISSENTING);
        if away { &mut hidden } else { &mut seen }.insert(name, resource);
    }
    (seen, hidden)
}

fn label(code: &str) -> Value {
    let system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
    json!({"security": [{"system": system, "code": code}]})
}

fn is_about(resource: &Value, patient: &str) -> bool {
    let own = format!("{}/{}", resource["resourceType"], resource["id"]).replace('"', "");
    // Another record's patient of the same id is someone else.
    let text = resource.to_string().replace("http://other.test/fhir/Patient", "");
    own == patient || text.contains(patient)
}

/// The same, but the one who must not be found is somewhere else.
fn elsewhere(resource: &Value) -> Value {
    let mut resource = resource.clone();
    let tells = ["Patient", "Encounter"].iter().any(|of| resource["resourceType"] == **of);
    if tells && is_about(&resource, UNFINDABLE) {
        let members = resource.as_object_mut().unwrap();
        members.retain(|name, _| !PLACES.contains(&name.as_str()));
        if members["resourceType"] == "Patient" {
            members.insert("address".into(), json!([{"city": "Elsewhere", "postalCode": "ZZ1"}]));
        }
    }
    resource
}

fn touched(resource: &Value) -> Value {
    let mut resource = resource.clone();
    resource["language"] = "cy".into();
    resource
}

/// Names everyone but who has dissented, so that all are known in the same order.
fn everyone() -> Value {
    let names = TYPES.iter().flat_map(|(of, count)| {
        (0..*count).map(move |n| format!("{of}/{}{n}", of[..1].to_lowercase()))
    });
    let entry: Vec<Value> = names
        .filter(|name| name != DISSENTING)
        .map(|name| json!({"item": {"reference": name}}))
        .collect();
    json!({"resourceType": "List", "id": "all", "status": "current", "mode": "working",
        "entry": entry})
}

fn dissent() -> Value {
    json!({"resourceType": "Consent", "id": "dissent", "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"text": "x"}], "policyRule": {"coding": [{"code": "OPTOUT"}]},
        "patient": {"reference": DISSENTING}, "provision": {"type": "deny"}})
}
