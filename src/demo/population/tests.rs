#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{HashMap, HashSet};

use fhir::identifier::{CHI_NUMBER, NHS_NUMBER, PatientNumber};
use serde_json::Value;

use super::*;

const TODAY: Date = Date::constant(2026, 11, 23);
const REGIONS: [Region<'static>; 3] = [
    Region { ods: "QWO", name: "West Yorkshire", nation: Nation::England },
    Region { ods: "QHM", name: "North East and North Cumbria", nation: Nation::England },
    Region { ods: "S08", name: "Highland", nation: Nation::Scotland },
];

fn people(count: usize) -> Vec<Person> {
    population(42, count, &REGIONS, TODAY)
}

fn bundle(record: &Record) -> Value {
    serde_json::from_str(&record.bundle).unwrap()
}

fn resources<'a>(bundle: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let entries = bundle["entry"].as_array().unwrap();
    entries.iter().map(|entry| &entry["resource"]).filter(move |r| r["resourceType"] == kind)
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("reference").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn numbers_of(bundle: &Value) -> Vec<(String, String)> {
    let patient = resources(bundle, "Patient").next().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let identifiers = patient["identifier"].as_array().unwrap();
    identifiers.iter().map(|i| (text(&i["system"]), text(&i["value"]))).collect()
}

#[test]
fn every_reference_resolves_inside_its_bundle() {
    for record in people(60).iter().flat_map(|person| &person.records) {
        let bundle = bundle(record);
        let entries = bundle["entry"].as_array().unwrap();
        let full_urls: HashSet<_> =
            entries.iter().map(|entry| entry["fullUrl"].as_str().unwrap()).collect();
        assert_eq!(full_urls.len(), entries.len());
        let mut found = Vec::new();
        references(&bundle, &mut found);
        assert!(found.len() > entries.len());
        assert!(found.iter().all(|reference| full_urls.contains(reference.as_str())));
        for entry in entries {
            let (request, resource) = (&entry["request"], &entry["resource"]);
            let kind = resource["resourceType"].as_str().unwrap();
            match resource["id"].as_str() {
                None => assert_eq!(
                    (&request["method"], &request["url"]),
                    (&"POST".into(), &kind.into())
                ),
                Some(id) => {
                    let url = format!("{kind}/{id}");
                    assert_eq!((&request["method"], &request["url"]), (&"PUT".into(), &url.into()));
                }
            }
        }
    }
}

#[test]
fn every_resource_is_valid_r4() {
    for record in people(30).iter().flat_map(|person| &person.records) {
        for entry in bundle(record)["entry"].as_array().unwrap() {
            let resource = entry["resource"].to_string();
            let survey = fhir::validate::validate(resource.as_bytes()).unwrap();
            assert_eq!(format!("{:?}", survey.issues), "[]", "{resource}");
        }
        let survey = fhir::validate::validate(record.bundle.as_bytes()).unwrap();
        assert_eq!(format!("{:?}", survey.issues), "[]");
    }
}

#[test]
fn every_number_passes_its_own_digit_rules_and_is_given_once() {
    let mut seen = HashMap::new();
    for (index, person) in people(200).iter().enumerate() {
        for record in &person.records {
            for (system, value) in numbers_of(&bundle(record)) {
                PatientNumber::parse(&system, &value).unwrap();
                assert!(system == CHI_NUMBER || value.starts_with("999"));
                assert_eq!(*seen.entry((system, value)).or_insert(index), index);
            }
        }
    }
}

#[test]
fn a_chi_number_agrees_with_birth_date_and_sex() {
    let mut checked = 0;
    for record in people(200).iter().flat_map(|person| &person.records) {
        let bundle = bundle(record);
        let patient = resources(&bundle, "Patient").next().unwrap();
        let birth = patient["birthDate"].as_str().unwrap();
        let date = format!("{}{}{}", &birth[8..10], &birth[5..7], &birth[2..4]);
        for (_, value) in numbers_of(&bundle).into_iter().filter(|(s, _)| s == CHI_NUMBER) {
            assert_eq!(&value[..6], date);
            let odd = value.as_bytes()[8] % 2 == 1;
            assert_eq!(odd, patient["gender"] == "male");
            // Modulus 11, like an NHS number: not the newer modulus 10 alone.
            assert!(value.parse::<NhsNumber>().is_ok());
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn the_first_person_is_known_in_every_region_under_one_nhs_number() {
    let first = &people(1)[0];
    assert_eq!(first.records.iter().map(|r| r.region).collect::<Vec<_>>(), [0, 1, 2]);
    let number = first.nhs_number.unwrap();
    for record in &first.records {
        let expected = (NHS_NUMBER.to_owned(), number.as_str().to_owned());
        assert!(numbers_of(&bundle(record)).contains(&expected));
    }
}

#[test]
fn the_second_person_lives_in_scotland_and_has_a_record_in_england() {
    let second = &people(2)[1];
    assert_eq!(second.records.iter().map(|r| r.region).collect::<Vec<_>>(), [2, 0]);
    let at_home: Vec<_> = numbers_of(&bundle(&second.records[0]));
    assert_eq!(at_home[0].0, CHI_NUMBER);
    assert_eq!(at_home[1].1, second.nhs_number.unwrap().as_str());
    let away: Vec<_> = numbers_of(&bundle(&second.records[1]));
    assert_eq!(away, [at_home[1].clone()]);
}

#[test]
fn every_seventh_of_the_others_is_known_in_two_regions() {
    let people = people(71);
    let travelled: Vec<_> = (2..71).filter(|&index| people[index].records.len() == 2).collect();
    assert_eq!(travelled, (7..71).step_by(7).collect::<Vec<_>>());
}

#[test]
fn two_regions_hold_the_same_result_and_allergy_and_disagree_about_a_dose() {
    let first = &people(1)[0];
    let (home, away) = (bundle(&first.records[0]), bundle(&first.records[1]));
    let common = |kind| {
        let other: HashMap<_, _> =
            resources(&away, kind).map(|r| (r["identifier"].to_string(), r.clone())).collect();
        let pairs = resources(&home, kind)
            .filter_map(|r| Some((r.clone(), other.get(&r["identifier"].to_string())?.clone())));
        pairs.collect::<Vec<_>>()
    };
    for (kind, subject) in [("Observation", "subject"), ("AllergyIntolerance", "patient")] {
        let mut pairs = common(kind);
        assert_eq!(pairs.len(), 1, "{kind}");
        let (mine, theirs) = pairs
            .pop()
            .map(|(mut a, mut b)| {
                a[subject].take();
                b[subject].take();
                (a, b)
            })
            .unwrap();
        assert_eq!(mine, theirs);
    }
    let (mine, theirs) = common("MedicationRequest").pop().unwrap();
    assert_eq!(mine["medicationCodeableConcept"], theirs["medicationCodeableConcept"]);
    assert_ne!(mine["dosageInstruction"][0]["text"], theirs["dosageInstruction"][0]["text"]);
}

#[test]
fn a_record_has_ten_to_forty_clinical_resources_and_none_from_the_future() {
    for record in people(150).iter().flat_map(|person| &person.records) {
        let bundle = bundle(record);
        let kinds = bundle["entry"].as_array().unwrap().iter().map(|e| &e["request"]["url"]);
        let clinical = kinds.filter(|k| {
            !["Patient", "Organization", "Practitioner"].contains(&k.as_str().unwrap())
        });
        let count = clinical.count();
        assert!((10..=40).contains(&count), "{count}");
        let patient = resources(&bundle, "Patient").next().unwrap();
        let birth = patient["birthDate"].as_str().unwrap();
        for kind in ["Observation", "Immunization", "MedicationRequest", "Condition"] {
            for resource in resources(&bundle, kind) {
                let members =
                    ["effectiveDateTime", "occurrenceDateTime", "authoredOn", "abatementDateTime"];
                for date in members.iter().filter_map(|member| resource[*member].as_str()) {
                    assert!(date[..10] <= *"2026-11-23" && date[..10] >= *birth, "{date}");
                }
            }
        }
    }
}

#[test]
fn a_decimal_keeps_its_last_zero() {
    assert_eq!(json::Json::decimal(540, 2).into_text(), "5.40");
    assert_eq!(json::Json::decimal(805, 1).into_text(), "80.5");
    assert_eq!(json::Json::decimal(7, 2).into_text(), "0.07");
    assert_eq!(json::Json::decimal(62, 0).into_text(), "62");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let texts = |seed| -> Vec<String> {
        let people = population(seed, 12, &REGIONS, TODAY);
        people.into_iter().flat_map(|p| p.records).map(|r| r.bundle).collect()
    };
    assert_eq!(texts(7), texts(7));
    assert_ne!(texts(7), texts(8));
}

#[test]
fn one_region_is_enough_and_none_gives_nobody() {
    let alone = population(1, 3, &REGIONS[..1], TODAY);
    assert!(alone.iter().all(|person| person.records.len() == 1));
    assert!(population(1, 3, &[], TODAY).is_empty());
}
