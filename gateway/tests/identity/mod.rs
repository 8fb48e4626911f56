//! Whose record it is: numbers of three nations, links between them, numbers out of use, and
//! Patients who cannot be one person.

use fhir::identifier::{CHI_NUMBER, HC_NUMBER, NHS_NUMBER};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::world::{Fake, NUMBER, Reply, World, hub, locator, observation, patient, searchset};

const CHI: &str = "0101900041";
const CHI_OID: &str = "urn:oid:2.16.840.1.113883.2.1.3.2.4.16.53";
const OTHER: &str = "9876543210";

/// A Patient with more identifiers: system, value, whether it is out of use.
fn known_as(id: &str, numbers: &[(&str, &str, bool)]) -> Value {
    let identifier: Vec<_> = numbers
        .iter()
        .map(|(system, value, old)| {
            let usage = if *old { "old" } else { "official" };
            json!({"use": usage, "system": system, "value": value})
        })
        .collect();
    json!({"resourceType": "Patient", "id": id, "identifier": identifier})
}

/// A searchset of these resources; Patients stand beside the matches unless they are asked for.
fn bundle(resources: &[Value], patients_match: bool) -> Value {
    let entry = |resource: &Value| {
        let of_patient = resource["resourceType"] == "Patient" && !patients_match;
        let mode = if of_patient { "include" } else { "match" };
        json!({"resource": resource, "search": {"mode": mode}})
    };
    let entries: Vec<_> = resources.iter().map(entry).collect();
    json!({"resourceType": "Bundle", "type": "searchset", "entry": entries})
}

/// A hub with these Patients, who have no records, or a hub of records and the patient beside them.
async fn register(patients: Vec<Value>) -> Fake {
    Fake::start(move |request| {
        let of_patients = request.target.contains("Patient");
        Reply::Json(200, if of_patients { bundle(&patients, true) } else { searchset(&[]) })
    })
    .await
}

async fn records(patient: Value, ids: &'static [&'static str]) -> Fake {
    Fake::start(move |_| {
        let mut resources: Vec<_> = ids.iter().map(|id| observation(id, "2026-01-01")).collect();
        resources.push(patient.clone());
        Reply::Json(200, bundle(&resources, false))
    })
    .await
}

fn by(system: &str, value: &str) -> String {
    format!("Observation?patient.identifier={system}|{value}")
}

#[tokio::test]
async fn a_chi_number_in_any_spelling_of_its_system_reaches_records_under_the_nhs_number() {
    let linked = known_as("p", &[(NHS_NUMBER, NUMBER, false), (CHI_OID, CHI, false)]);
    let home = register(vec![linked]).await;
    let far = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    for system in [CHI_NUMBER, CHI_OID] {
        let answer = world.get(&by(system, CHI)).await;
        assert_eq!((answer.status, answer.ids()), (200, vec!["FAR/a".to_owned()]));
        assert_eq!(answer.header("x-federation-complete"), "true");
        assert!(answer.issues().is_empty());
    }
    for seen in far.seen() {
        assert!(seen.body.contains("chi-number%7C0101900041%2C"), "{}", seen.body);
        assert!(seen.body.contains(NUMBER) && !seen.body.contains("oid"), "{}", seen.body);
    }
}

#[tokio::test]
async fn an_nhs_number_reaches_records_under_the_chi_number() {
    let linked = known_as("p", &[(NHS_NUMBER, NUMBER, false), (CHI_NUMBER, CHI, false)]);
    let home = register(vec![linked]).await;
    let scotland = records(known_as("p", &[(CHI_OID, CHI, false)]), &["a"]).await;
    let locator = locator(&["S08"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), scotland.region("S08")]).await;
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.ids()), (200, vec!["S08/a".to_owned()]));
    assert_eq!(answer.header("x-federation-complete"), "true");
    assert!(scotland.seen()[0].body.contains(CHI));
    assert_eq!(home.asked().len(), 1, "its own search already finds that Patient");
}

#[tokio::test]
async fn a_file_links_numbers_that_no_hub_here_knows() {
    let mut line = known_as("x", &[(NHS_NUMBER, NUMBER, false), (CHI_NUMBER, CHI, false)]);
    line["identifier"].as_array_mut().unwrap().push(json!({"system": HC_NUMBER, "value": "oops"}));
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{line}\n")).unwrap();
    let more = format!("deadline_ms = 8000\n[identity]\nlinks_file = {:?}\n", file.path());
    let scotland = records(known_as("p", &[(CHI_NUMBER, CHI, false)]), &["a"]).await;
    let england = hub(vec![observation("b", "2026-01-02")]).await;
    let locator = locator(&["S08", "QHM"]).await;
    let regions = [scotland.region("S08"), england.region("QHM")];
    let query_client = World::configured(&locator.origin, &more, &regions).await;
    for (system, value) in [(NHS_NUMBER, NUMBER), (CHI_NUMBER, CHI)] {
        let answer = query_client.get(&by(system, value)).await;
        assert_eq!((answer.status, answer.ids()), (200, vec!["QHM/b".into(), "S08/a".into()]));
        assert_eq!(answer.header("x-federation-complete"), "true");
    }
}

#[tokio::test]
async fn a_number_out_of_use_is_followed_and_the_caller_told() {
    let renamed = known_as("p", &[(NHS_NUMBER, NUMBER, false), (NHS_NUMBER, OTHER, true)]);
    let home = register(vec![renamed]).await;
    let far = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let answer = world.get(&by(NHS_NUMBER, OTHER)).await;
    assert_eq!((answer.status, answer.ids()), (200, vec!["FAR/a".to_owned()]));
    assert!(answer.says("no longer in use"), "{}", answer.body);
    let lookups = locator.seen();
    assert!(lookups.iter().any(|seen| seen.body.contains(NUMBER)), "the new number is located");
    assert!(far.seen()[0].body.contains(OTHER) && far.seen()[0].body.contains(NUMBER));
    assert!(!world.observations("").await.says("no longer in use"));
    assert!(!far.asked()[1].body.contains(OTHER), "nothing leads back to a former number");
}

#[tokio::test]
async fn a_patient_who_was_replaced_leads_to_the_one_in_its_place_at_home_too() {
    let mut old = known_as("p", &[(NHS_NUMBER, OTHER, false)]);
    old["link"] = json!([{"type": "replaced-by", "other": {"reference": "Patient/q"}}]);
    let new = known_as("q", &[(NHS_NUMBER, NUMBER, false)]);
    let home = Fake::start(move |request| {
        let of_new = request.body.contains(NUMBER);
        let mut about_new = observation("n", "2026-01-01");
        about_new["subject"] = json!({"reference": "Patient/q"});
        Reply::Json(
            200,
            match (request.target.contains("Patient"), of_new) {
                (true, _) => bundle(&[old.clone(), new.clone()], true),
                (false, true) => bundle(&[about_new, old.clone(), new.clone()], false),
                (false, false) => searchset(&[]),
            },
        )
    })
    .await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let answer = world.get(&by(NHS_NUMBER, OTHER)).await;
    assert_eq!((answer.status, answer.ids()), (200, vec!["HOME/n".to_owned()]));
    assert!(answer.says("no longer in use"));
    assert_eq!(answer.header("x-federation-regions"), "total=1,ok=1");
}

#[tokio::test]
async fn a_number_that_leads_to_several_nhs_numbers_leads_to_none() {
    let two = known_as("p", &[(NHS_NUMBER, NUMBER, false), (NHS_NUMBER, OTHER, false)]);
    let home = register(vec![two.clone()]).await;
    let mut three = two;
    three["identifier"].as_array_mut().unwrap().push(json!({"system": CHI_NUMBER, "value": CHI}));
    let chi_home = register(vec![three]).await;
    let far = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.ids().len()), (200, 1));
    assert_eq!(answer.header("x-federation-complete"), "false");
    assert!(answer.says("carries another NHS number too") && !far.seen()[0].body.contains(OTHER));
    let world = World::start(&locator.origin, &[chi_home.region("HOME"), far.region("FAR")]).await;
    let answer = world.get(&by(CHI_NUMBER, CHI)).await;
    assert_eq!(answer.header("x-federation-complete"), "false");
    assert!(answer.says("several NHS numbers"));
    assert_eq!(far.seen().len(), 1, "nobody else is asked by a number that may be wrong");
}

#[tokio::test]
async fn a_home_hub_that_does_not_link_in_time_holds_nobody_up_and_is_told() {
    let home = Fake::start(|request| {
        if request.target.contains("Patient") {
            return Reply::Silence;
        }
        Reply::Json(200, searchset(&[]))
    })
    .await;
    let far = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["FAR"]).await;
    let regions = [home.region("HOME"), far.region("FAR")];
    let more = "deadline_ms = 8000\n[identity]\nwait_ms = 100\n";
    let world = World::configured(&locator.origin, more, &regions).await;
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.ids().len()), (200, 1));
    assert_eq!(answer.header("x-federation-complete"), "false");
    assert!(answer.says("which other numbers this patient has"));
    let alone = "deadline_ms = 8000\n[identity]\nhome = false\n";
    let world = World::configured(&locator.origin, alone, &regions).await;
    assert_eq!(world.observations("").await.header("x-federation-complete"), "true");
}

#[tokio::test]
async fn equal_digits_under_another_nations_system_are_another_person() {
    // Valid as an NHS number, as a CHI number and, with another first digit, as neither.
    let digits = "0101900015";
    let foreign = records(known_as("p", &[(CHI_NUMBER, digits, false)]), &["x"]).await;
    let home = hub(vec![]).await;
    let locator = locator_for(digits, &["S08"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), foreign.region("S08")]).await;
    let answer = world.get(&by(NHS_NUMBER, digits)).await;
    assert_eq!((answer.status, answer.ids().len()), (200, 0));
    assert_eq!(answer.statuses(), ["wrong-patient"]);
}

#[tokio::test]
async fn numbers_with_wrong_digits_are_refused_by_their_own_nations_rules() {
    let home = hub(vec![]).await;
    let locator = locator(&[]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    for (system, value, words) in [
        (NHS_NUMBER, "0101900041", "check digit"),
        (CHI_NUMBER, "0402568876", "check digit"),
        (CHI_NUMBER, "3202568876", "must be a date"),
        (HC_NUMBER, "9434765919", "range"),
        ("urn:x", "9434765919", "https://fhir.nhs.uk/Id/chi-number"),
    ] {
        let answer = world.get(&by(system, value)).await;
        assert_eq!(answer.status, 400, "{system} {value}");
        assert!(answer.says(words), "{}", answer.body);
        assert!(!answer.body.to_string().contains(value), "{system}");
    }
    assert!(home.seen().is_empty() && locator.seen().is_empty());
}

#[tokio::test]
async fn patients_who_cannot_be_one_person_are_shown_with_a_warning() {
    let born = |date: &str, gender: &str| {
        let mut patient = patient("p", NUMBER);
        patient["birthDate"] = json!(date);
        patient["gender"] = json!(gender);
        patient
    };
    let home = records(born("1990-01-01", "female"), &["a"]).await;
    let same = records(born("1990", "unknown"), &["b"]).await;
    let other = records(born("1971-05-05", "male"), &["c"]).await;
    let locator = locator(&["SAME", "OTHER"]).await;
    let regions = [home.region("HOME"), same.region("SAME"), other.region("OTHER")];
    let world = World::start(&locator.origin, &regions).await;
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.ids().len(), answer.issues().len()), (200, 3, 2));
    assert!(
        answer.says("Region HOME (HOME) and Region OTHER (OTHER) hold different dates of birth")
    );
    assert!(answer.says("hold different genders"));
    let issue = answer.issues()[0];
    assert_eq!((&issue["code"], &issue["severity"]), (&json!("conflict"), &json!("warning")));
    assert_eq!(issue["expression"][1], format!("{}/at/OTHER/Patient/p", world.base));
    assert!(!answer.body.to_string().contains("1971"), "no Patient was asked for");
}

#[tokio::test]
async fn a_region_that_knows_the_number_as_a_former_one_is_shown_with_a_warning() {
    let home = hub(vec![]).await;
    let renamed = known_as("p", &[(NHS_NUMBER, OTHER, false), (NHS_NUMBER, NUMBER, true)]);
    let far = records(renamed, &["a"]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.ids().len()), (200, 1));
    assert!(answer.says("Region FAR (FAR) knows this number as a former one"));
}

async fn locator_for(number: &'static str, custodians: &'static [&'static str]) -> Fake {
    let text = crate::world::pointers(custodians).to_string().replace(NUMBER, number);
    let answer: Value = serde_json::from_str(&text).unwrap();
    Fake::start(move |_| Reply::Json(200, answer.clone())).await
}

#[tokio::test]
async fn a_number_that_is_linked_with_none_leaves_the_answer_incomplete() {
    let home = hub(vec![]).await;
    let locator = locator(&["FAR"]).await;
    let chi = format!("Observation?patient.identifier={CHI_NUMBER}|{CHI}");
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let answer = world.get(&chi).await;
    assert_eq!((answer.status, answer.header("x-federation-complete")), (200, "false"));
    assert!(answer.says("No NHS number is known here"));
    let without_hub = World::start(&locator.origin, &[]).await;
    assert_eq!(without_hub.get(&chi).await.status, 400);
    assert!(locator.seen().is_empty());
}
