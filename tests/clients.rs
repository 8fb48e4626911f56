//! Public FHIR clients, unmodified, do with a hub what they are made for: a program of each, in
//! `tests/clients/`, runs against a real hub.
//!
//! `TEST_CLIENTS` is the folder where `tests/run` installed them. Without it these stories are
//! skipped; with it a client that is missing is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use crate::kit::{Http, Place, Process, numbers, on_free_ports, record};

/// Where the programs are.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// How long a client's stories may take, on a busy machine.
const CLIENT_TIME_MAX: Duration = Duration::from_mins(1);
/// Observations of the patient that the programs are told of: a few pages, and not a round number.
const OBSERVATIONS: usize = 25;
/// System of the identifiers of what the programs write.
const SYSTEM: &str = "https://example.org/client";

#[tokio::test]
async fn fhirclient_does_what_it_is_made_for() {
    tells(python, "with_fhirclient.py", &["fhirclient"]).await;
}

#[tokio::test]
async fn fhirpy_does_what_it_is_made_for() {
    tells(python, "with_fhirpy.py", &["fhirpy-sync", "fhirpy-async"]).await;
}

#[tokio::test]
async fn fhir_kit_client_does_what_it_is_made_for() {
    tells(node, "with_fhir_kit_client.js", &["fhir-kit-client"]).await;
}

/// Runs a client's program against a hub, and looks for the Patients that it leaves there.
async fn tells(run: impl Fn(&Path, &str) -> Command, program: &str, leaves: &[&str]) {
    let Some(clients) = std::env::var_os("TEST_CLIENTS").map(PathBuf::from) else {
        eprintln!("skipped: TEST_CLIENTS is not set; tests/run installs the clients and sets it");
        return;
    };
    assert!(clients.is_dir(), "{} is missing: run tests/run --setup", clients.display());
    let folder = TempDir::new().unwrap();
    let start = async |port: u16| {
        let (place, file) = (Place(port), folder.path().join(format!("{port}.db")));
        let store = format!("sqlite://{}", file.display());
        let config = place.hub_config(0, &store, folder.path());
        let hub = Process::serve(folder.path(), "hub", &config, &ready(place)).await?;
        Ok((hub, place.hub(0)))
    };
    let (hub, base) = on_free_ports(Place::PORTS, start).await;
    let number = seed(&base).await;
    let mut command = run(&clients, program);
    command.env("FHIR_BASE", &base).env("FHIR_NHS_NUMBER", number);
    command.env("FHIR_OBSERVATIONS", OBSERVATIONS.to_string()).env("NO_PROXY", "127.0.0.1");
    let mut client = Process::spawn(folder.path(), "client", command);
    let ended = tokio::time::timeout(CLIENT_TIME_MAX, client.ended(CLIENT_TIME_MAX * 2)).await;
    let succeeded = ended.as_ref().is_ok_and(ExitStatus::success);
    assert!(succeeded, "{program}: {ended:?}\n{}\n{}", client.stdout(), client.stderr());
    for value in leaves {
        let url = format!("{base}/Patient?identifier={SYSTEM}|{value}");
        let found = Http::new().get(&url).await.ok().json();
        assert_eq!(found["total"], 1, "{program} leaves a Patient {value}: {found}");
        assert_eq!(found["entry"][0]["resource"]["meta"]["versionId"], "2", "{value}");
    }
    hub.stop().await;
}

fn ready(place: Place) -> String {
    place.hub(0).replace("/FHIR/R4", "/ready")
}

/// Fills the hub with one patient's Observations, and another's, which no program is to find.
/// Gives the first one's number.
async fn seed(base: &str) -> String {
    let mut numbers = numbers();
    let (number, other) = (numbers.next().unwrap(), numbers.next().unwrap());
    for (number, count) in [(&number, OBSERVATIONS), (&other, 3)] {
        let bundle = record(number, &vec!["36.60"; count]);
        Http::new().transact(base, bundle).await.unwrap().ok();
    }
    number
}

/// The command that runs a Python program with the packages installed in `clients`.
fn python(clients: &Path, program: &str) -> Command {
    let mut command = Command::new(clients.join("python/bin/python"));
    command.arg("-B").arg(format!("{SOURCE}/python/{program}"));
    command
}

/// The command that runs a Node program with the packages installed in `clients`.
fn node(clients: &Path, program: &str) -> Command {
    // Node looks for packages beside the program, not where it was started.
    let beside = clients.join("node").join(program);
    std::fs::copy(format!("{SOURCE}/node/{program}"), &beside).unwrap();
    let mut command = Command::new("node");
    // The client says what it was answered only when asked to.
    command.arg(beside).env("DEBUG", "fhir-kit-client:error");
    command
}
