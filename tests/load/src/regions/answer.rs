//! What a region answers: a searchset, made once, of a size as they have.

use std::collections::HashMap;

use axum::body::Bytes;
use serde_json::{Value, json};

use super::{PATIENT, code};

const NHS_NUMBER: &str = "https://fhir.nhs.uk/Id/nhs-number";
const ORGANISATION: &str = "https://fhir.nhs.uk/Id/ods-organization-code";
const KINDS: [&str; 3] = ["Observation", "MedicationRequest", "AllergyIntolerance"];

/// A region's answers, by resource type.
#[derive(Debug)]
pub(super) struct Answers {
    by_kind: HashMap<&'static str, Bytes>,
    patient: Bytes,
}

impl Answers {
    /// The answers of a region that holds so many resources of each type.
    pub(super) fn new(region: u16, entries: usize) -> Self {
        let base = format!("http://{}.invalid/FHIR/R4", code(region));
        let of_kind = |kind| {
            let matches = (0..entries).map(|number| (resource(kind, region, number), "match"));
            (kind, searchset(&base, matches.chain([(patient(region), "include")]).collect()))
        };
        Self {
            by_kind: KINDS.into_iter().map(of_kind).collect(),
            patient: searchset(&base, vec![(patient(region), "match")]),
        }
    }

    /// The answer to any search of a type.
    pub(super) fn of(&self, kind: &str) -> Bytes {
        self.by_kind.get(kind).unwrap_or(&self.patient).clone()
    }
}

/// What a locator answers: a pointer of each organisation to its base.
pub(super) fn pointers(regions: impl Iterator<Item = (String, String)>) -> Bytes {
    let pointer = |(organisation, base): (String, String)| {
        json!({
            "resourceType": "DocumentReference",
            "id": organisation,
            "status": "current",
            "subject": {"identifier": {"system": NHS_NUMBER, "value": PATIENT}},
            "custodian": {"identifier": {"system": ORGANISATION, "value": organisation}},
            "content": [{"attachment": {"contentType": "application/fhir+json", "url": base}}],
        })
    };
    searchset("http://locator.invalid", regions.map(|region| (pointer(region), "match")).collect())
}

fn searchset(base: &str, resources: Vec<(Value, &str)>) -> Bytes {
    let total = resources.iter().filter(|(_, mode)| *mode == "match").count();
    let entries: Vec<_> = resources
        .into_iter()
        .map(|(resource, mode)| {
            let part = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
            json!({
                "fullUrl": format!("{base}/{}/{}", part("resourceType"), part("id")),
                "resource": resource,
                "search": {"mode": mode},
            })
        })
        .collect();
    let bundle =
        json!({"resourceType": "Bundle", "type": "searchset", "total": total, "entry": entries});
    bundle.to_string().into()
}

fn patient(region: u16) -> Value {
    json!({
        "resourceType": "Patient",
        "id": format!("{region}-p"),
        "meta": {"versionId": "1", "lastUpdated": "2026-01-05T09:00:00.000Z"},
        "identifier": [{"system": NHS_NUMBER, "value": PATIENT}],
        "name": [{"family": "Load", "given": ["Ann"]}],
        "gender": "female",
        "birthDate": "1970-01-01",
    })
}

/// A resource of about a kilobyte, with a date of its own.
fn resource(kind: &str, region: u16, number: usize) -> Value {
    let day = format!("2026-{:02}-{:02}", number / 28 % 12 + 1, number % 28 + 1);
    let at = format!("{day}T{:02}:{:02}:00Z", region % 24, number % 60);
    let note = "Taken at rest, after five minutes of sitting, by the practice nurse; the patient had \
                been well, with no fever, no pain and no change of medication since the last visit. \
                To be looked at again in three months, or earlier if symptoms return.";
    let mut resource = json!({
        "resourceType": kind,
        "id": format!("{region}-{number}"),
        "meta": {"versionId": "1", "lastUpdated": at},
        "identifier": [{
            "system": format!("https://{}.example.org/id", code(region)),
            "value": format!("{region}-{number}"),
        }],
        "note": [{"text": note}],
    });
    let of = json!({"reference": format!("Patient/{region}-p")});
    let coded = |code: &str, display: &str| json!({"coding": [{"system": "http://snomed.info/sct", "code": code, "display": display}], "text": display});
    let members = match kind {
        "MedicationRequest" => json!({
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": coded("322236009", "Paracetamol 500mg tablets"),
            "subject": of,
            "authoredOn": at,
            "dosageInstruction": [{"text": "Two tablets up to four times a day", "asNeededBoolean": true}],
        }),
        "AllergyIntolerance" => json!({
            "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]},
            "code": coded("294505008", "Amoxicillin allergy"),
            "patient": of,
            "recordedDate": at,
            "reaction": [{"manifestation": [coded("247472004", "Weal")]}],
        }),
        _ => json!({
            "status": "final",
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs", "display": "Vital Signs"}]}],
            "code": coded("75367002", "Blood pressure"),
            "subject": of,
            "effectiveDateTime": at,
            "performer": [{"reference": "Practitioner/1", "display": "Nurse B. Load"}],
            "valueQuantity": {"value": 120 + number, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        }),
    };
    if let (Value::Object(whole), Value::Object(members)) = (&mut resource, members) {
        whole.extend(members);
    }
    resource
}
