//! What README.md tells people to type works: every command there is known here, and run.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::kit::{Place, PortTaken, Process, READY_TIME_MAX, eventually, in_mode, on_free_ports};

/// How long a demonstration may take until it invites, in a debug build on a busy machine.
const DEMO_TIME_MAX: Duration = Duration::from_mins(3);

/// Where a command of README.md is run by a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunBy {
    /// [`the_demonstration_stays_up_and_its_curl_lines_work`]
    Demonstration,
    /// The stories of [`crate::union`], or a smaller run of the same.
    Union,
    /// The stories of [`crate::starts`], on free ports.
    Starts,
    /// The stories of [`crate::query`], with a configuration of their own.
    Query,
    /// [`commands_that_only_print_succeed`]
    Printing,
    /// [`crate::registration`], on free ports.
    Registration,
    /// [`a_directory_is_signed_as_the_readme_says`]
    Directory,
    /// Whoever runs this test has run it.
    TheTester,
    /// `.ci/run`
    EveryChange,
}

const KNOWN: [(&str, RunBy); 16] = [
    ("cargo run --release", RunBy::Demonstration),
    ("tests/run", RunBy::TheTester),
    ("fuzz/run 30", RunBy::EveryChange),
    ("cargo run --release -- demo --once", RunBy::Union),
    ("cargo run --release -- demo --once --patients 500", RunBy::Printing),
    ("cargo run --release -- demo --once --data FOLDER", RunBy::Union),
    ("cargo build --release", RunBy::TheTester),
    ("target/release/hub check --config config/hub.toml", RunBy::Printing),
    ("target/release/hub serve --config config/hub.toml", RunBy::Starts),
    ("target/release/gateway serve --config config/gateway.toml", RunBy::Starts),
    ("target/release/gateway query 9990000050 --config config/gateway.toml", RunBy::Query),
    (
        "target/release/gateway query 9990000050 Observation Encounter --json --config \
         config/gateway.toml",
        RunBy::Query,
    ),
    ("target/release/hub reconcile --config config/hub.toml", RunBy::Registration),
    ("target/release/gateway make-directory-key directory-key", RunBy::Directory),
    ("target/release/gateway sign-directory --key directory-key directory.toml", RunBy::Directory),
    ("cargo run --release -p load -- --help", RunBy::Printing),
];

/// README.md's commands: the lines of its fenced `sh` blocks.
fn commands(readme: &str) -> Vec<&str> {
    let (mut commands, mut within) = (Vec::new(), false);
    for line in readme.lines() {
        match line.trim() {
            "```sh" => within = true,
            "```" => within = false,
            command if within && !command.is_empty() && !command.starts_with('#') => {
                commands.push(command);
            }
            _ => {}
        }
    }
    commands
}

fn readme() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn every_command_of_the_readme_is_known_here() {
    let readme = readme();
    let found = commands(&readme);
    for command in &found {
        let known = KNOWN.iter().any(|(line, _)| line == command);
        assert!(known, "README.md tells people to type {command:?}, which no test runs");
    }
    for (line, _) in KNOWN {
        assert!(found.contains(&line), "README.md no longer says {line:?}");
    }
}

/// The commands that print and end, by their programs in this build.
#[tokio::test]
async fn commands_that_only_print_succeed() {
    let folder = TempDir::new().unwrap();
    for (line, _) in KNOWN.iter().filter(|(_, by)| *by == RunBy::Printing) {
        let line = line.replace("config/", concat!(env!("CARGO_MANIFEST_DIR"), "/config/"));
        let line = line.replace("cargo run --release -p load --", "load");
        let line = line.replace("cargo run --release --", "shared-record");
        // As many people as are named would take a debug build its time.
        let line = line.replace("--once --patients 500", "--once --patients 3");
        let mut words = line.trim_start_matches("target/release/").split(' ');
        let (program, arguments) = (words.next().unwrap(), words.collect::<Vec<_>>());
        let run = async |port: u16| {
            let (port, mut arguments) = (port.to_string(), arguments.clone());
            if arguments.contains(&"demo") {
                arguments.extend(["--base-port", &port]);
            }
            let mut process = Process::start(folder.path(), program, &arguments);
            let status = process.ended(DEMO_TIME_MAX).await;
            if process.stderr().contains("listening on") {
                return Err(PortTaken);
            }
            assert_eq!(status.code(), Some(0), "{line}: {}", process.stderr());
            assert!(!process.stdout().is_empty(), "{line} printed nothing");
            Ok(())
        };
        on_free_ports(Place::PORTS, run).await;
    }
}

/// The key, the list as README.md shows it, and its signature.
#[tokio::test]
async fn a_directory_is_signed_as_the_readme_says() {
    let folder = TempDir::new().unwrap();
    let readme = readme();
    let (_, list) = readme.split_once("```toml\nserial").unwrap();
    let (list, _) = list.split_once("```").unwrap();
    let file = folder.path().join("directory.toml");
    std::fs::write(&file, format!("serial{list}")).unwrap();
    for (line, _) in KNOWN.iter().filter(|(_, by)| *by == RunBy::Directory) {
        let arguments: Vec<&str> = line.split(' ').skip(1).collect();
        let mut process = Process::start(folder.path(), "gateway", &arguments);
        let status = process.ended(READY_TIME_MAX).await;
        assert_eq!(status.code(), Some(0), "{line}: {}", process.stderr());
        assert!(!process.stdout().is_empty(), "{line} printed nothing");
    }
    let config =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/gateway.toml"));
    let directory = "directory = { file = \"directory.toml\", key_file = \"directory-key.pub\" }\n";
    let config =
        crate::kit::write_config(folder.path(), &(directory.to_owned() + &config.unwrap()));
    let check = async |code: i32| {
        let mut process = Process::start(folder.path(), "gateway", &["check", "--config", &config]);
        let status = process.ended(READY_TIME_MAX).await;
        assert_eq!(status.code(), Some(code), "{}", process.stderr());
    };
    check(0).await;
    let signed = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, signed.replace("\"active\"", "\"suspended\"")).unwrap();
    check(64).await;
}

#[tokio::test]
async fn the_demonstration_stays_up_and_its_curl_lines_work() {
    let folder = TempDir::new().unwrap();
    let start = async |port: u16| {
        let (base, patients) = (port.to_string(), "20");
        let arguments = ["--base-port", &base, "--patients", patients];
        let mut process = Process::start(folder.path(), "shared-record", &arguments);
        process.ready(&(Place(port).locator() + "/ready")).await?;
        Ok(process)
    };
    let mut demo = on_free_ports(Place::PORTS, start).await;
    let printed = eventually("the demonstration invites", DEMO_TIME_MAX, async || {
        let printed = demo.stdout();
        printed.contains("Ctrl-C stops it").then_some(printed)
    })
    .await;
    let curls: Vec<&str> =
        printed.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(curls.len(), 2, "{printed}");
    match Command::new("curl").arg("--version").output() {
        Ok(_) => curls.iter().for_each(|curl| assert_answers(curl)),
        Err(_) => eprintln!("skipped: the printed lines need curl, which is not here"),
    }
    demo.signal("INT");
    assert_eq!(demo.ended(READY_TIME_MAX).await.code(), Some(0), "{}", demo.stderr());
}

/// Runs a printed line as a person would, and asserts that it gives a complete searchset.
fn assert_answers(curl: &str) {
    let output = Command::new("sh").args(["-c", curl]).output().unwrap();
    assert!(output.status.success(), "{curl}: {output:?}");
    let bundle: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&"Bundle".into(), &"searchset".into()));
    assert_eq!(bundle["meta"]["tag"][0]["code"], "complete", "{bundle}");
    let matches = in_mode(&bundle, "match");
    assert!(!matches.is_empty());
    assert_eq!(bundle["total"], matches.len());
    let region =
        |url: &str| url.split("/at/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let mut regions: Vec<String> =
        matches.iter().map(|entry| region(entry["fullUrl"].as_str().unwrap())).collect();
    regions.sort();
    regions.dedup();
    assert!(regions.len() > 1, "{curl} is answered by several regions: {regions:?}");
}

#[test]
fn folders_that_the_readme_names_are_there() {
    let readme = readme();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("/` |"));
    let named: Vec<&str> = named.map(|(folder, _)| folder).collect();
    assert!(named.len() >= 5);
    for folder in named {
        assert!(root.join(folder).is_dir(), "README.md names {folder}/, which is not there");
    }
}
