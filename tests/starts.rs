//! Each service starts from the fixed keys alone, from any working directory, and stops when told;
//! what it must not do, it refuses in one sentence.

use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;

use crate::kit::{
    Http, Place, PortTaken, Process, READY_TIME_MAX, free_ports, on_free_ports, write_config,
};

/// Most memory that an idle service may take: 60 MiB less the 12 of an optimised program's own pages.
const IDLE_BYTES_MAX: u64 = 48 << 20;
const USAGE: i32 = 64;
const FAILURE: i32 = 1;

fn hub(port: u16, folder: &Path) -> String {
    let (admin, file) = (port + 1, folder.join("hub.db"));
    format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}/FHIR/R4"
[admin]
listen = "127.0.0.1:{admin}"
[region]
ods = "QWO"
name = "West Yorkshire"
nation = "england"
[store]
url = "sqlite://{}"
[locator]
url = "http://127.0.0.1:{port}"
[security]
mode = "open"
"#,
        file.display()
    )
}

fn gateway(port: u16) -> String {
    let admin = port + 1;
    format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}/FHIR/R4"
[admin]
listen = "127.0.0.1:{admin}"
[region]
ods = "QWO"
name = "West Yorkshire"
nation = "england"
[locator]
url = "http://127.0.0.1:{port}"
[security]
mode = "open"
[federation]
deadline_ms = 8000
page_size = 1000
[[regions]]
ods = "QWO"
name = "West Yorkshire"
nation = "england"
url = "http://127.0.0.1:{port}/FHIR/R4"
[[regions]]
ods = "S08"
name = "NHS Highland"
nation = "scotland"
url = "http://127.0.0.1:{port}/FHIR/R4"
"#
    )
}

fn locator(port: u16, folder: &Path) -> String {
    let (admin, file) = (port + 1, folder.join("locator.db"));
    format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
[admin]
listen = "127.0.0.1:{admin}"
[store]
url = "sqlite://{}"
[security]
mode = "open"
"#,
        file.display()
    )
}

/// Starts a service in a folder that has nothing to do with its files, looks at it, and stops it.
async fn starts(program: &str, config: impl Fn(u16, &Path) -> String, own: &str) {
    let (files, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let start = async |port: u16| {
        let file = write_config(files.path(), &config(port, files.path()));
        let mut process = Process::start(elsewhere.path(), program, &["serve", "--config", &file]);
        process.ready(&format!("http://127.0.0.1:{port}/ready")).await?;
        Ok((process, port))
    };
    let (process, port) = on_free_ports(2, start).await;
    let http = Http::new();
    for path in ["/live", "/ready", own] {
        let answer = http.get(&format!("http://127.0.0.1:{port}{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    for path in ["/live", "/ready", "/metrics"] {
        let answer = http.get(&format!("http://127.0.0.1:{}{path}", port + 1)).await;
        assert_eq!(answer.status, 200, "admin {path}");
    }
    match process.taken_bytes() {
        Some(bytes) => assert!(bytes < IDLE_BYTES_MAX, "{program} holds {} KiB", bytes >> 10),
        None => eprintln!("skipped: this system does not tell how much memory a process holds"),
    }
    process.stop().await;
}

#[tokio::test]
async fn a_hub_starts_from_the_fixed_keys_alone() {
    starts("hub", hub, "/FHIR/R4/metadata").await;
}

#[tokio::test]
async fn a_gateway_starts_from_the_fixed_keys_alone() {
    starts("gateway", |port, _| gateway(port), "/FHIR/R4/metadata").await;
}

#[tokio::test]
async fn a_locator_starts_from_the_fixed_keys_alone() {
    starts("locator-mock", locator, "/_status").await;
}

/// The same keys as the two services' own files, in a table each.
fn region(port: u16, folder: &Path) -> String {
    let within = |table: &str, keys: String| {
        let keys = keys.replace("\n[[", "\n<<").replace("\n[", &format!("\n[{table}."));
        keys.replace("\n<<", &format!("\n[[{table}."))
    };
    within("hub", hub(port, folder)) + &within("gateway", gateway(port + 2))
}

#[tokio::test]
async fn a_region_starts_from_the_fixed_keys_alone_in_one_process() {
    let folder = TempDir::new().unwrap();
    let start = async |port: u16| {
        let config = region(port, folder.path());
        let probe = format!("http://127.0.0.1:{}/ready", port + 2);
        let process = Process::serve(folder.path(), "shared-record", &config, &probe).await?;
        Ok((process, port))
    };
    let (process, port) = on_free_ports(4, start).await;
    let http = Http::new();
    for (port, path) in [(port, "/FHIR/R4/metadata"), (port + 2, "/FHIR/R4/metadata")] {
        assert_eq!(http.get(&format!("http://127.0.0.1:{port}{path}")).await.status, 200);
    }
    for admin in [port + 1, port + 3] {
        assert_eq!(http.get(&format!("http://127.0.0.1:{admin}/metrics")).await.status, 200);
    }
    process.stop().await;
}

#[tokio::test]
async fn what_a_service_refuses_a_region_refuses() {
    let folder = TempDir::new().unwrap();
    let good = region(free_ports(4), folder.path());
    for table in ["hub", "gateway"] {
        let security = format!("[{table}.security]\n");
        let unknown = good.replace(&security, &format!("{security}wibble = 1\n"));
        refused("shared-record", "region", &unknown, USAGE, "wibble").await;
        let server = format!("[{table}.server]\nlisten = \"127.0.0.1");
        let open = good.replace(&server, &server.replace("127.0.0.1", "0.0.0.0"));
        assert_ne!(open, good);
        refused("shared-record", "region", &open, USAGE, "loopback").await;
    }
    let missing = region(free_ports(4), &folder.path().join("missing"));
    refused("shared-record", "region", &missing, FAILURE, "missing").await;
}

#[tokio::test]
async fn a_table_that_a_regions_file_does_not_have_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let config = region(free_ports(4), folder.path()) + "\n[wibble]\nlisten = 1\n";
    refused("shared-record", "region", &config, USAGE, "wibble").await;
}

/// Asserts that the program ends at once, with this code and one sentence that holds `words`.
async fn refused(program: &str, command: &str, config: &str, code: i32, words: &str) {
    let folder = TempDir::new().unwrap();
    let file = write_config(folder.path(), config);
    let mut process = Process::start(folder.path(), program, &[command, "--config", &file]);
    let status = process.ended(READY_TIME_MAX).await;
    let stderr = process.stderr();
    assert_eq!(status.code(), Some(code), "{program}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{program} should say one sentence: {stderr}");
    assert!(stderr.starts_with(&format!("{program}: ")), "{stderr}");
    assert!(stderr.contains(words), "{program} should speak of {words}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// The three services' configurations.
fn all(folder: &Path) -> [(&'static str, String); 3] {
    let port = free_ports(2);
    [
        ("hub", hub(port, folder)),
        ("gateway", gateway(port)),
        ("locator-mock", locator(port, folder)),
    ]
}

#[tokio::test]
async fn an_unknown_key_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    for (program, config) in all(folder.path()) {
        for command in ["serve", "check"] {
            let top = format!("wibble = 1\n{config}");
            refused(program, command, &top, USAGE, "wibble").await;
            let within = config.replace("mode = \"open\"", "mode = \"open\"\nwibble = 1");
            refused(program, command, &within, USAGE, "wibble").await;
        }
    }
}

#[tokio::test]
async fn open_mode_is_refused_where_others_can_reach_it() {
    let folder = TempDir::new().unwrap();
    for (program, config) in all(folder.path()) {
        let config = config.replacen("127.0.0.1", "0.0.0.0", 1);
        refused(program, "serve", &config, USAGE, "loopback").await;
    }
}

/// Nobody can reach a port that is refused: it is not even opened.
#[tokio::test]
async fn open_mode_is_refused_before_a_port_is_opened() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let mut configs: Vec<_> = all(folder.path()).map(|(p, c)| (p, "serve", c)).into();
    configs.push(("shared-record", "region", region(free_ports(4), folder.path())));
    for (program, command, config) in configs {
        let (before, after) = config.split_once("listen = \"").unwrap();
        let (_, rest) = after.split_once('"').unwrap();
        let config = format!("{before}listen = \"0.0.0.0:{taken}\"{rest}");
        refused(program, command, &config, USAGE, "loopback").await;
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing");
    for (program, config) in all(&missing) {
        if config.contains("[store]") {
            refused(program, "serve", &config, FAILURE, "missing").await;
        }
    }
}

#[tokio::test]
async fn a_configuration_that_is_not_there_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    for program in ["hub", "gateway", "locator-mock"] {
        let arguments = ["serve", "--config", "nowhere.toml"];
        let mut process = Process::start(folder.path(), program, &arguments);
        assert_eq!(process.ended(READY_TIME_MAX).await.code(), Some(USAGE));
        assert!(process.stderr().contains("nowhere.toml"), "{}", process.stderr());
    }
}

#[tokio::test]
async fn a_record_has_one_hub_and_is_not_begun_anew_when_its_file_is_gone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hub.db");
    let start = async |port| {
        let config = hub(port, folder.path());
        let probe = format!("http://127.0.0.1:{port}/ready");
        Process::serve(folder.path(), "hub", &config, &probe).await
    };
    let first = on_free_ports(2, start).await;
    let again = hub(free_ports(2), folder.path());
    refused("hub", "serve", &again, FAILURE, "in use").await;
    first.stop().await;
    std::fs::remove_file(&file).unwrap();
    refused("hub", "serve", &again, FAILURE, "backup").await;
    assert!(!file.exists());
}

/// The commands of README.md's "Deploy a region", moved to free ports by the environment.
#[tokio::test]
async fn the_shipped_files_start_as_they_are_but_for_ports_and_places() {
    let folder = TempDir::new().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let services = [
        ("hub", "HUB", Some("hub.db"), "/FHIR/R4"),
        ("gateway", "GATEWAY", None, "/FHIR/R4"),
        ("locator-mock", "LOCATOR", Some("locator.db"), ""),
    ];
    for (program, prefix, store, path) in services {
        let start = async |port: u16| -> Result<Process, PortTaken> {
            let origin = Place(port).locator();
            let file = format!("{shipped}/{program}.toml");
            let arguments = ["serve", "--config", &file];
            let mut process = Process::start_with(folder.path(), program, &arguments, |command| {
                let mut set = |key: &str, value: String| {
                    command.env(format!("{prefix}__{key}"), value);
                };
                set("SERVER__LISTEN", format!("127.0.0.1:{port}"));
                set("SERVER__PUBLIC_URL", format!("{origin}{path}"));
                set("ADMIN__LISTEN", format!("127.0.0.1:{}", port + 1));
                if let Some(store) = store {
                    set("STORE__URL", format!("sqlite://{}", folder.path().join(store).display()));
                }
            });
            process.ready(&format!("{origin}/ready")).await?;
            Ok(process)
        };
        on_free_ports(2, start).await.stop().await;
    }
}
