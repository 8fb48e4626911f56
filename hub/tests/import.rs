//! Folders and files into the record.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use hub::import::{Counts, Options, Report};
use serde_json::Value;
use service::clock::Clock;
use service::program::ProgramError;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    what_is_refused_refuses_nothing_else,
    the_same_again_makes_no_version,
    a_resource_that_comes_twice_is_as_it_came_last,
    a_transaction_takes_place_once,
    a_transaction_that_is_refused_leaves_nothing,
    the_resources_of_a_collection_refer_to_each_other,
    a_rehearsal_counts_and_writes_nothing,
    a_record_that_is_served_is_left_alone_if_it_must_be,
    a_path_that_cannot_be_followed_imports_nothing,
);

const NUMBER: &str = "9990000050";

fn patient(id: &str, more: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}"{more}}}"#)
}

fn numbered(id: &str) -> String {
    let system = "https://fhir.nhs.uk/Id/nhs-number";
    patient(id, &format!(r#","identifier":[{{"system":"{system}","value":"{NUMBER}"}}]"#))
}

fn options(paths: &[PathBuf]) -> Options {
    Options { paths: paths.to_vec(), report: None, dry_run: false }
}

fn counts(report: &Report, of_type: &str) -> [u64; 3] {
    let Counts { stored, unchanged, refused } =
        report.counts().get(of_type).copied().unwrap_or_default();
    [stored, unchanged, refused]
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn what_is_refused_refuses_nothing_else(kit: Kit) {
    let mut lines: Vec<String> = (0..300).map(|n| patient(&format!("p{n}"), "")).collect();
    lines[7] = numbered("first");
    lines[50] = patient("bad", r#","birthDate":"the secret day""#);
    lines[120] = numbered("second");
    lines[121] = r#"{"resourceType":"Patient"}"#.into();
    lines[250] = "{".into();
    let file = kit.file("patients.ndjson.gz", zipped(&lines.join("\n")));
    let report = kit.file("report.ndjson", "");
    let options = Options { report: Some(report.clone()), ..options(&[file]) };
    let (kit, result) = kit.imported(&options).await;
    let result = result.unwrap();
    assert_eq!(counts(&result, "Patient"), [296, 0, 3]);
    assert_eq!(result.total(), Counts { stored: 296, unchanged: 0, refused: 4 });
    assert_eq!(kit.count("Patient").await, 296);
    assert_eq!(kit.ids(&format!("Patient?identifier={NUMBER}")).await, ["first"]);
    let text = std::fs::read_to_string(report).unwrap();
    assert!(!text.contains("secret") && !text.contains(NUMBER), "{text}");
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut refused: Vec<_> = told.iter().filter_map(|line| line["line"].as_u64()).collect();
    refused.sort_unstable();
    assert_eq!(refused, [51, 121, 122, 251]);
    let of = |line: u64| told.iter().find(|told| told["line"] == line).unwrap();
    assert_eq!(of(51)["expression"], "Patient.birthDate");
    assert_eq!(of(122)["expression"], "Patient.id");
    assert!(of(121)["sentence"].as_str().unwrap().contains("Patient/first"), "{text}");
    let total = told.iter().find(|line| line["type"] == "Patient").unwrap();
    assert_eq!(total["stored"], 296);
}

async fn the_same_again_makes_no_version(kit: Kit) {
    let file = kit.file("one.json", patient("a", r#","active":true"#));
    let (kit, first) = kit.imported(&options(std::slice::from_ref(&file))).await;
    assert_eq!(counts(&first.unwrap(), "Patient"), [1, 0, 0]);
    let (kit, second) = kit.imported(&options(&[file])).await;
    assert_eq!(counts(&second.unwrap(), "Patient"), [0, 1, 0]);
    assert_eq!(kit.get("Patient/a").await.etag(), "W/\"1\"");
    let file = kit.file("one.json", patient("a", r#","active":false"#));
    let (kit, third) = kit.imported(&options(&[file])).await;
    assert_eq!(counts(&third.unwrap(), "Patient"), [1, 0, 0]);
    assert_eq!(kit.ids("Patient?active=false").await, ["a"]);
}

async fn a_resource_that_comes_twice_is_as_it_came_last(kit: Kit) {
    let lines = [patient("a", r#","active":true"#), patient("b", ""), patient("a", "")];
    let file = kit.file("twice.ndjson", lines.join("\n"));
    let (kit, result) = kit.imported(&options(&[file])).await;
    assert_eq!(counts(&result.unwrap(), "Patient"), [3, 0, 0]);
    let read = kit.get("Patient/a").await;
    assert_eq!(read.etag(), "W/\"2\"");
    assert!(read.json()["active"].is_null());
}

const TRANSACTION: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[
    {"fullUrl":"urn:uuid:00000000-0000-4000-8000-000000000001","request":{"method":"POST","url":"Patient"},
     "resource":{"resourceType":"Patient","name":[{"family":"Import"}]}},
    {"request":{"method":"POST","url":"Organization","ifNoneExist":"identifier=u|o"},
     "resource":{"resourceType":"Organization","identifier":[{"system":"u","value":"o"}]}},
    {"request":{"method":"POST","url":"Observation"},
     "resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},
       "performer":[{"reference":"Organization?identifier=u|o"}],
       "subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000001"}}}]}"#;

async fn a_transaction_takes_place_once(kit: Kit) {
    // A conditional reference is to what is in the record already.
    kit.put(
        "Organization/o",
        r#"{"resourceType":"Organization","id":"o","identifier":[{"system":"u","value":"o"}]}"#,
    )
    .await;
    let file = kit.file("bundle.json", TRANSACTION);
    let (kit, result) = kit.imported(&options(&[file.clone(), file.clone()])).await;
    let report = result.unwrap();
    assert_eq!(counts(&report, "Patient"), [1, 1, 0], "{report}");
    assert_eq!(counts(&report, "Observation"), [1, 1, 0], "{report}");
    assert_eq!(counts(&report, "Organization"), [0, 2, 0], "{report}");
    let [patient] = kit.ids("Patient?family=import").await.try_into().unwrap();
    let observations = format!("Observation?subject=Patient/{patient}&performer=Organization/o");
    assert_eq!(kit.ids(&observations).await.len(), 1);
    // What has become of it since stays.
    let changed = format!(r#"{{"resourceType":"Patient","id":"{patient}","active":false}}"#);
    assert_eq!(kit.put(&format!("Patient/{patient}"), &changed).await.status, StatusCode::OK);
    let (kit, result) = kit.imported(&options(&[file])).await;
    assert_eq!(counts(&result.unwrap(), "Patient"), [0, 1, 0]);
    assert_eq!(kit.get(&format!("Patient/{patient}")).await.etag(), "W/\"2\"");
}

async fn a_transaction_that_is_refused_leaves_nothing(kit: Kit) {
    let file = kit.file("bundle.json", TRANSACTION.replace("\"final\"", "\"secret\""));
    let (kit, result) = kit.imported(&options(&[file])).await;
    let report = result.unwrap();
    assert_eq!(counts(&report, "Bundle"), [0, 0, 1]);
    assert!(report.to_string().contains("Bundle.entry[2].resource.status"), "{report}");
    assert!(!report.to_string().contains("secret"), "{report}");
    assert_eq!(kit.count("Patient").await, 0);
}

async fn the_resources_of_a_collection_refer_to_each_other(kit: Kit) {
    let urn = "urn:uuid:00000000-0000-4000-8000-000000000002";
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[
            {{"resource":{{"resourceType":"Observation","id":"o","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{urn}"}}}}}},
            {{"fullUrl":"{urn}","resource":{}}},
            {{"fullUrl":"https://other/fhir/Group/1"}}]}}"#,
        patient("p", "")
    );
    let file = kit.file("bundle.json", bundle);
    let (kit, result) = kit.imported(&options(&[file])).await;
    let report = result.unwrap();
    assert_eq!(report.total(), Counts { stored: 2, unchanged: 0, refused: 1 }, "{report}");
    assert!(report.to_string().contains("Bundle.entry[2]"), "{report}");
    assert_eq!(kit.ids("Observation?patient=p").await, ["o"]);
}

async fn a_rehearsal_counts_and_writes_nothing(kit: Kit) {
    let file = kit.file("a.json", patient("a", ""));
    let lines = [patient("b", ""), patient("c", r#","birthDate":"x""#)];
    let more = kit.file("b.ndjson", lines.join("\n"));
    let bundle = kit.file("bundle.json", TRANSACTION);
    let options = Options { dry_run: true, ..options(&[file, more, bundle]) };
    // The record is in use, and stays so.
    let report = hub::import::run(kit.hub.config.clone(), Clock::System, &options).await.unwrap();
    assert_eq!(counts(&report, "Patient"), [3, 0, 1], "{report}");
    assert_eq!(counts(&report, "Observation"), [1, 0, 0], "{report}");
    assert_eq!(kit.count("Patient").await, 0);
}

async fn a_record_that_is_served_is_left_alone_if_it_must_be(kit: Kit) {
    let file = kit.file("a.json", patient("a", ""));
    let config = kit.hub.config.clone();
    let served = config.store.url.starts_with("postgres");
    let result = hub::import::run(config, Clock::System, &options(&[file])).await;
    if served {
        assert_eq!(counts(&result.unwrap(), "Patient"), [1, 0, 0]);
    } else {
        let text = result.unwrap_err().to_string();
        assert!(text.contains("stop the hub"), "{text}");
    }
    assert_eq!(kit.count("Patient").await, i64::from(served));
}

async fn a_path_that_cannot_be_followed_imports_nothing(kit: Kit) {
    let good = kit.file("a.json", patient("a", ""));
    let mut kit = kit;
    for bad in [kit.file("b.xml", ""), good.with_file_name("none.json")] {
        let result;
        (kit, result) = kit.imported(&options(&[good.clone(), bad])).await;
        assert!(matches!(result, Err(ProgramError::Config(_))), "{result:?}");
    }
    assert_eq!(kit.count("Patient").await, 0);
}
