//! Every test that `hazards.md` names is there.

use std::collections::BTreeSet;
use std::path::Path;

const HAZARDS: &str = include_str!("hazards.md");
/// Where tests live.
const FOLDERS: [&str; 6] = ["fhir", "service", "hub", "gateway", "locator-mock", "tests"];
/// Hazards that the table answers for.
const COUNT: usize = 22;

/// The functions of all sources below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let begun = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            found.extend(begun.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_hazard_has_its_control_and_every_test_that_shows_one_is_there() {
    let rows: Vec<&str> = HAZARDS.lines().filter(|line| line.starts_with("| H")).collect();
    assert_eq!(rows.len(), COUNT);
    let mut known = BTreeSet::new();
    for folder in FOLDERS {
        functions(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut known);
    }
    for (place, row) in rows.iter().enumerate() {
        let columns: Vec<&str> = row.trim_matches('|').split(" |").map(str::trim).collect();
        let [number, hazard, control, shown] = columns[..] else { panic!("{row}") };
        assert_eq!(number, format!("H{:02}", place + 1));
        assert!(!hazard.is_empty() && !control.is_empty(), "{row}");
        let tests: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty() || control.contains("**Open:**"), "{row} shows nothing");
        for test in tests {
            assert!(known.contains(test), "{number}: {test} is no test");
        }
    }
}
