#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::path::Path;

use fhir::identifier::NhsNumber;

use super::*;

/// Every Bundle of the shared sample folder, or nothing where a clone has none.
fn samples() -> Vec<String> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/synthea"));
    let Ok(files) = std::fs::read_dir(folder) else {
        writeln!(std::io::stderr(), "skipped: there is no folder of sample Bundles").unwrap();
        return Vec::new();
    };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// The entries of a part, found again in the Bundle it was cut from.
fn found_in(whole: &Transaction<'_>, part: &Part) -> Vec<usize> {
    let places: HashMap<&str, usize> =
        whole.entries.iter().enumerate().map(|(place, entry)| (entry.text, place)).collect();
    let bundle = members(&part.bundle).unwrap();
    let entries: Vec<&RawValue> = serde_json::from_str(bundle["entry"].get()).unwrap();
    entries.iter().map(|entry| places[entry.get()]).collect()
}

fn small(patient: &str) -> String {
    format!(
        r#"{{ "resourceType": "Bundle", "id": "b", "type": "transaction", "entry": [ {{"fullUrl":"urn:uuid:1","resource":{patient},"request":{{"method":"POST","url":"Patient"}}}} ], "language": "en" }}"#
    )
}

#[test]
fn a_patient_without_a_national_number_gets_one_and_nothing_else_changes() {
    for patient in [
        r#"{"resourceType":"Patient","multipleBirthInteger":1.0e0}"#,
        r#"{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"7"}],"x":1.50}"#,
        r#"{"resourceType":"Patient","identifier": [ ]}"#,
    ] {
        let text = small(patient);
        let numbered = number(&text, 5).unwrap();
        let bundle: Value = serde_json::from_str(&numbered).unwrap();
        let first = &bundle["entry"][0]["resource"]["identifier"][0];
        assert_eq!(first["system"], NHS_NUMBER);
        let value: NhsNumber = first["value"].as_str().unwrap().parse().unwrap();
        assert_eq!(value, nhs_number_at(5));
        let added = numbered.len() - text.len();
        let at = text.bytes().zip(numbered.bytes()).position(|(a, b)| a != b).unwrap();
        assert_eq!(&numbered[at + added..], &text[at..]);
    }
}

#[test]
fn a_patient_with_a_national_number_keeps_it() {
    for identifier in [
        r#"{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000050"}"#,
        r#"{"system":"https://fhir.nhs.uk/Id/chi-number","value":"0101900015"}"#,
    ] {
        let text = small(&format!(r#"{{"resourceType":"Patient","identifier":[{identifier}]}}"#));
        assert_eq!(number(&text, 0).unwrap(), text);
    }
}

#[test]
fn a_bundle_of_organisations_stays_as_it_is() {
    let text = small(r#"{"resourceType":"Organization","name":"A"}"#);
    assert_eq!(number(&text, 0).unwrap(), text);
}

#[test]
fn what_is_not_a_transaction_is_refused_with_the_reason() {
    assert_eq!(number("[]", 0), Err(Unusable::NotJson));
    assert_eq!(number("{", 0), Err(Unusable::NotJson));
    let patient = r#"{"resourceType":"Patient"}"#;
    assert_eq!(cut(patient), Err(Unusable::NotTransaction));
    assert_eq!(
        cut(&small(patient).replace("transaction", "searchset")),
        Err(Unusable::NotTransaction)
    );
    assert_eq!(cut(&small("null")), Err(Unusable::NoResource));
}

#[test]
fn every_sample_gets_a_number_of_its_own_and_keeps_every_byte() {
    let mut seen = HashSet::new();
    for (index, text) in samples().iter().enumerate() {
        let numbered = number(text, index).unwrap();
        let given = nhs_number_at(index);
        assert!(seen.insert(given));
        let identifier = format!(r#"{{"system":"{NHS_NUMBER}","value":"{}"}},"#, given.as_str());
        assert_eq!(numbered.replacen(&identifier, "", 1), *text);
        assert_eq!(number(&numbered, index).unwrap(), numbered);
    }
}

#[test]
fn both_parts_of_every_sample_are_closed_and_together_hold_everything() {
    let (mut cut, mut original) = (0, 0);
    for text in samples() {
        let whole = Transaction::read(&text).unwrap();
        let references = whole.references();
        let (first, second) = whole.cut();
        let mut together = BTreeSet::new();
        for part in [&first, &second] {
            let found = found_in(&whole, part);
            assert_eq!(found.len(), part.entries);
            assert!(found.is_sorted());
            let present: BTreeSet<usize> = found.into_iter().collect();
            for &entry in &present {
                assert!(references[entry].iter().all(|to| present.contains(to)));
            }
            let patients = present.iter().filter(|&&entry| whole.entries[entry].kind == "Patient");
            assert_eq!(patients.count(), 1);
            cut += part.entries;
            together.extend(present);
        }
        assert_eq!(together.len(), whole.entries.len());
        original += whole.entries.len();
    }
    // What both parts hold is the little that both refer to.
    assert!((original..=original * 6 / 5).contains(&cut), "{original} became {cut}");
}

#[test]
fn encounters_are_halved_in_time_and_their_resources_follow() {
    let entry = |id: u32, resource: &str| {
        format!(r#"{{"fullUrl":"urn:uuid:{id}","resource":{resource},"request":{{}}}}"#)
    };
    let about = r#""subject":{"reference":"urn:uuid:1"}"#;
    let entries = [
        entry(1, r#"{"resourceType":"Patient"}"#),
        entry(
            2,
            &format!(
                r#"{{"resourceType":"Encounter",{about},"period":{{"start":"2020"}},"serviceProvider":{{"reference":"urn:uuid:9"}}}}"#
            ),
        ),
        entry(3, &format!(r#"{{"resourceType":"Encounter",{about},"period":{{"start":"2010"}}}}"#)),
        entry(
            4,
            &format!(
                r#"{{"resourceType":"Observation",{about},"encounter":{{"reference":"urn:uuid:2"}}}}"#
            ),
        ),
        entry(5, &format!(r#"{{"resourceType":"AllergyIntolerance",{about}}}"#)),
        entry(6, r#"{"resourceType":"Claim","item":[{"encounter":[{"reference":"urn:uuid:2"}]}]}"#),
        entry(7, r#"{"resourceType":"ExplanationOfBenefit","claim":{"reference":"urn:uuid:6"}}"#),
        entry(8, r#"{"resourceType":"Organization","name":"needed by nobody"}"#),
        entry(9, r#"{"resourceType":"Organization","name":"needed by the later encounter"}"#),
    ];
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#,
        entries.join(",")
    );
    let (first, second) = cut(&text).unwrap();
    let urls = |part: &Part| -> Vec<String> {
        let read = Transaction::read(&part.bundle).unwrap();
        read.entries.into_iter().map(|entry| entry.full_url.replace("urn:uuid:", "")).collect()
    };
    assert_eq!(urls(&first), ["1", "3", "5", "8"]);
    assert_eq!(urls(&second), ["1", "2", "4", "6", "7", "9"]);
}

#[test]
fn patients_are_dealt_in_turn_and_every_fourth_is_cut() {
    let dealt: Vec<Deal> = (0..8).map(|index| deal(index, 3)).collect();
    let expected = [
        Deal::Whole(0),
        Deal::Whole(1),
        Deal::Whole(2),
        Deal::Cut(0, 1),
        Deal::Whole(1),
        Deal::Whole(2),
        Deal::Whole(0),
        Deal::Cut(1, 2),
    ];
    assert_eq!(dealt, expected);
    assert_eq!(deal(3, 1), Deal::Whole(0));
}
