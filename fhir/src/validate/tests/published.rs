//! What others have published: examples that must pass, and cases with the reference validator's verdict.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::super::validate;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");

/// The files of a shared folder; none, and a word about it, where there is no such folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(SHARED).join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        let _ = writeln!(std::io::stderr(), "skipped: there is no shared data here");
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Published, and yet not R4: a DeviceMetric's parent must be a Device, and is a DeviceDefinition.
const FAULTY: &str = "DeviceMetric-example.json";

fn every_file_is_well_formed(folder: &str) {
    let mut faulty = Vec::new();
    for file in files(folder) {
        if file.ends_with(FAULTY) {
            continue;
        }
        let text = std::fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        match validate(&text) {
            Ok(survey) => {
                let issues = survey.issues.iter();
                faulty.extend(issues.map(|i| format!("{name}: {}: {}", i.expression, i.message)));
            }
            Err(malformed) => faulty.push(format!("{name}: {malformed}")),
        }
    }
    assert!(faulty.is_empty(), "{}", faulty.join("\n"));
}

#[test]
fn the_examples_of_hl7_are_well_formed() {
    every_file_is_well_formed("hl7-examples");
}

#[test]
fn the_examples_of_uk_core_are_well_formed() {
    every_file_is_well_formed("uk-core");
}

#[test]
fn the_bundles_of_synthea_are_well_formed() {
    every_file_is_well_formed("synthea");
}

#[test]
fn the_reference_validators_cases_are_judged_alike() {
    for file in files("validator") {
        let text = std::fs::read(&file).unwrap();
        let cases: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let survey = validate(text.as_bytes());
            let passes = survey.as_ref().is_ok_and(|survey| survey.issues.is_empty());
            assert_eq!(Some(passes), case["valid"].as_bool(), "{}: {survey:?}", case["name"]);
        }
    }
}

#[test]
#[ignore = "a measurement, for an optimised build: --release -- --ignored --nocapture"]
fn how_long_the_bundles_of_synthea_take() {
    let texts: Vec<_> = files("synthea").iter().map(|file| std::fs::read(file).unwrap()).collect();
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let round = || {
        let start = std::time::Instant::now();
        let issues = texts.iter().map(|text| validate(text).unwrap().issues.len());
        assert_eq!(issues.sum::<usize>(), 0);
        start.elapsed()
    };
    let best = (0..10).map(|_| round()).min().unwrap();
    let _ = writeln!(
        std::io::stderr(),
        "{} Bundles, {bytes} bytes: {best:?}, {:.0} MB/s",
        texts.len(),
        bytes as f64 / 1e6 / best.as_secs_f64()
    );
}
