//! What stories share: processes that end with their test, ports, requests, records and waiting.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fhir::identifier::{NHS_NUMBER, NhsNumber};
use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// How long a service may take to be ready, or to end when told to.
pub(crate) const READY_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the locator may take to learn of a patient.
pub(crate) const REGISTRATION_TIME_MAX: Duration = Duration::from_mins(1);

/// Asks again and again until there is something to have; `what` was waited for in vain otherwise.
pub(crate) async fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let until = Instant::now() + within;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Another program took a port between our look at it and the service's.
#[derive(Debug)]
pub(crate) struct PortTaken;

/// Starts something on consecutive ports that nobody listens on; on others, should a port be taken
/// meanwhile.
pub(crate) async fn on_free_ports<T>(
    count: u16,
    start: impl AsyncFn(u16) -> Result<T, PortTaken>,
) -> T {
    for _ in 0..10 {
        if let Ok(started) = start(free_ports(count)).await {
            return started;
        }
    }
    panic!("no free ports were had in ten attempts");
}

/// The first of `count` consecutive ports that nobody listens on. They lie below those that systems
/// give to outgoing connections, so that a service that restarts finds its port as it left it.
pub(crate) fn free_ports(count: u16) -> u16 {
    const FIRST: u32 = 10_240;
    const PORTS: u32 = 22_000;
    const STEP: u32 = 50;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    assert!(u32::from(count) <= STEP);
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..PORTS / STEP {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() * 7);
        let base = (FIRST + turn % (PORTS / STEP) * STEP) as u16;
        if (base..base + count).all(free) {
            return base;
        }
    }
    panic!("{count} free ports in a row are not to be had");
}

/// A program of ours: `shared-record`, or one of the services' own, which lie beside it.
pub(crate) fn program(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let root = Path::new(env!("CARGO_BIN_EXE_shared-record"));
    if name == "shared-record" {
        return root.to_owned();
    }
    let path = root.with_file_name(name);
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !path.exists() {
        let folder = root.parent().unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--package", name, "--profile", profile, "--target-dir"]);
        build.arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(build.status().unwrap().success(), "building {name} failed");
    }
    path
}

/// A process that is killed when its story ends, however it ends.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either may fail only because the process is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts `program` with `arguments`; what it prints is kept in `folder`.
    pub(crate) fn start(folder: &Path, program: &str, arguments: &[&str]) -> Self {
        Self::start_with(folder, program, arguments, |_| ())
    }

    /// The same, with more said about the command.
    pub(crate) fn start_with(
        folder: &Path,
        program: &str,
        arguments: &[&str],
        more: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new(self::program(program));
        command.args(arguments).current_dir(folder).env("XDG_STATE_HOME", folder.join("state"));
        command.env_remove("STATE_DIRECTORY").env_remove("RUST_LOG");
        more(&mut command);
        Self::spawn(folder, program, command)
    }

    /// Starts what `command` says, which need not be a program of ours.
    pub(crate) fn spawn(folder: &Path, name: &str, mut command: Command) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let turn = STARTED.fetch_add(1, Ordering::Relaxed);
        let file = |ending: &str| folder.join(format!("{name}-{turn}.{ending}"));
        let (stdout, stderr) = (file("out"), file("err"));
        command.stdin(Stdio::null());
        command.stdout(std::fs::File::create(&stdout).unwrap());
        command.stderr(std::fs::File::create(&stderr).unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { child, name: name.to_owned(), stdout, stderr }
    }

    /// Starts a service with a configuration and waits until `probe` answers 200.
    pub(crate) async fn serve(
        folder: &Path,
        program: &str,
        config: &str,
        probe: &str,
    ) -> Result<Self, PortTaken> {
        let file = write_config(folder, config);
        let command = if program == "shared-record" { "region" } else { "serve" };
        let mut process = Self::start(folder, program, &[command, "--config", &file]);
        process.ready(probe).await?;
        Ok(process)
    }

    /// Waits until `probe` answers 200.
    pub(crate) async fn ready(&mut self, probe: &str) -> Result<(), PortTaken> {
        let http = Http::new();
        let what = format!("{} is ready", self.name);
        eventually(&what, READY_TIME_MAX, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let stderr = self.stderr();
                assert!(stderr.contains("listening on"), "{}: {status}: {stderr}", self.name);
                return Some(Err(PortTaken));
            }
            let answer = http.try_get(probe).await?;
            (answer.status == 200).then_some(Ok(()))
        })
        .await
    }

    /// Sends a signal: `TERM`, `INT`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -s {name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(sent.success(), "{command} of {} failed", self.name);
    }

    /// Kills it at once: SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} has ended", self.name);
        eventually(&what, within, async || self.child.try_wait().unwrap()).await
    }

    /// Asks it to stop, and asserts that it does so of its own accord.
    pub(crate) async fn stop(mut self) {
        self.signal("TERM");
        let status = self.ended(READY_TIME_MAX).await;
        assert_eq!(status.code(), Some(0), "{}: {}", self.name, self.stderr());
    }

    /// What it printed so far.
    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap()
    }

    /// What it logged so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// The memory it has taken, in bytes: resident, but for the pages of its program, of which a debug
    /// build has twice as many.
    pub(crate) fn taken_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        Some(kib << 10)
    }
}

/// Writes a configuration to a file of its own in `folder` and gives its path.
pub(crate) fn write_config(folder: &Path, text: &str) -> String {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    let turn = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let file = folder.join(format!("{turn}.toml"));
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Organisation code and name of the three regions of a story.
pub(crate) const REGIONS: [(&str, &str); 3] =
    [("QWO", "West Yorkshire"), ("QHM", "North East and North Cumbria"), ("S08", "NHS Highland")];

/// Where the services of a story listen: as the demonstration's do, from a base port on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(pub(crate) u16);

impl Place {
    /// Ports that a whole story takes.
    pub(crate) const PORTS: u16 = 40;

    fn url(self, offset: usize) -> String {
        format!("http://127.0.0.1:{}", usize::from(self.0) + offset)
    }

    pub(crate) fn locator(self) -> String {
        self.url(0)
    }

    /// The FHIR base of a region's hub.
    pub(crate) fn hub(self, region: usize) -> String {
        self.url(10 * region + 11) + "/FHIR/R4"
    }

    /// The metrics of a region's hub.
    pub(crate) fn hub_metrics(self, region: usize) -> String {
        self.url(10 * region + 13) + "/metrics"
    }

    /// The FHIR base of a region's gateway.
    pub(crate) fn gateway(self, region: usize) -> String {
        self.url(10 * region + 12) + "/FHIR/R4"
    }

    fn listeners(self, offset: usize, admin: usize, path: &str) -> String {
        let (server, admin) = (self.url(offset), self.url(admin));
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        format!(
            "server = {{ listen = \"{}\", public_url = \"{server}{path}\" }}\n\
             admin = {{ listen = \"{}\" }}\nsecurity = {{ mode = \"open\" }}\n",
            address(&server),
            address(&admin)
        )
    }

    pub(crate) fn locator_config(self, folder: &Path) -> String {
        let file = folder.join("locator.db");
        let store = format!("store = {{ url = \"sqlite://{}\" }}\n", file.display());
        self.listeners(0, 9, "") + &store
    }

    /// A hub's keys, for a file or a table of one.
    pub(crate) fn hub_config(self, region: usize, store: &str, folder: &Path) -> String {
        let (ods, name) = REGIONS[region];
        self.listeners(10 * region + 11, 10 * region + 13, "/FHIR/R4")
            + &format!(
                "region = {{ ods = \"{ods}\", name = \"{name}\", nation = \"england\" }}\n\
                 store = {{ url = \"{store}\" }}\nlocator = {{ url = \"{}\" }}\n\
                 audit = {{ dir = \"{}\" }}\n",
                self.locator(),
                folder.display()
            )
    }

    /// A gateway's keys. It belongs to `ods`; it may ask all three regions.
    pub(crate) fn gateway_config(self, region: usize, ods: &str, federation: &str) -> String {
        let entry = |(place, (ods, name)): (usize, &(&str, &str))| {
            let url = self.hub(place);
            format!(
                "{{ ods = \"{ods}\", name = \"{name}\", nation = \"england\", url = \"{url}\" }}"
            )
        };
        let regions: Vec<String> = REGIONS.iter().enumerate().map(entry).collect();
        self.listeners(10 * region + 12, 10 * region + 14, "/FHIR/R4")
            + &format!(
                "region = {{ ods = \"{ods}\", name = \"{ods}\", nation = \"england\" }}\n\
                 locator = {{ url = \"{}\" }}\nfederation = {{ {federation} }}\n\
                 regions = [{}]\n",
                self.locator(),
                regions.join(", ")
            )
    }

    pub(crate) async fn start_locator(self, folder: &Path) -> Result<Process, PortTaken> {
        let probe = self.locator() + "/ready";
        Process::serve(folder, "locator-mock", &self.locator_config(folder), &probe).await
    }
}

/// An HTTP client.
#[derive(Debug, Clone)]
pub(crate) struct Http(reqwest::Client);

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts success.
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        self
    }
}

impl Http {
    pub(crate) fn new() -> Self {
        Self(service::client::build().unwrap())
    }

    /// Sends a request; nothing if no whole answer came.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Option<Answer> {
        let response = request.timeout(Duration::from_secs(30)).send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Answer { status, headers, body: response.bytes().await.ok()?.into() })
    }

    pub(crate) async fn try_get(&self, url: &str) -> Option<Answer> {
        self.exchange(self.0.get(url)).await
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.try_get(url).await.unwrap_or_else(|| panic!("no answer from {url}"))
    }

    pub(crate) async fn delete(&self, url: &str) -> Answer {
        self.exchange(self.0.delete(url)).await.unwrap()
    }

    /// Sends a FHIR body with headers.
    pub(crate) async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Option<Answer> {
        let request = self.0.request(method.parse().unwrap(), url).body(body);
        let request = request.header("content-type", fhir::FHIR_JSON);
        let with =
            |request: RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
        self.exchange(headers.iter().fold(request, with)).await
    }

    /// Sends a transaction to a hub.
    pub(crate) async fn transact(&self, hub: &str, bundle: String) -> Option<Answer> {
        let request = self.0.post(hub).header("content-type", fhir::FHIR_JSON).body(bundle);
        self.exchange(request).await
    }

    /// Asks a hub or a gateway for a patient's Observations, by POST.
    pub(crate) async fn observations(&self, base: &str, number: &str) -> Answer {
        let form = format!("patient.identifier={}", token(number));
        let request = self.0.post(format!("{base}/Observation/_search")).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.exchange(request).await.unwrap()
    }

    /// The custodians of the pointers that the locator holds for a number.
    pub(crate) async fn custodians(&self, locator: &str, number: &str) -> Vec<String> {
        let url = format!(
            "{locator}/consumer/FHIR/R4/DocumentReference?subject:identifier={}",
            token(number)
        );
        let request = self.0.get(url).header("NHSD-End-User-Organisation-ODS", "RX898");
        let request = request.header("X-Request-ID", "0b91c4a2-3c64-4d7e-8a5f-6f2f5f0c7f11");
        let found = self.exchange(request).await.unwrap().ok().json();
        let entries = found["entry"].as_array().cloned().unwrap();
        let custodian =
            |entry: &Value| entry["resource"]["custodian"]["identifier"]["value"].clone();
        entries.iter().map(|entry| custodian(entry).as_str().unwrap().to_owned()).collect()
    }
}

/// An NHS number as a search parameter's value, encoded.
pub(crate) fn token(number: &str) -> String {
    url::form_urlencoded::byte_serialize(format!("{NHS_NUMBER}|{number}").as_bytes()).collect()
}

/// Valid NHS numbers of the test range, each once.
pub(crate) fn numbers() -> impl Iterator<Item = String> {
    (0_u32..1_000_000).filter_map(|serial| {
        let digits = |check| format!("999{serial:06}{check}");
        (0..10).map(digits).find(|number| number.parse::<NhsNumber>().is_ok())
    })
}

/// System of the identifier by which a [`record`]'s Observations are found without their Patient.
pub(crate) const TRANSACTION: &str = "https://example.org/transaction";

/// A transaction: the Patient with this number, and Observations whose values are `values`.
pub(crate) fn record(number: &str, values: &[&str]) -> String {
    let entry = |name: &str, kind: &str, members: String| {
        format!(
            r#"{{"fullUrl":"urn:uuid:{name}","resource":{{"resourceType":"{kind}",{members}}},"request":{{"method":"POST","url":"{kind}"}}}}"#
        )
    };
    let patient = "5c9f1a34-7f2b-4f0e-9b57-3a8a1f0f9a01";
    let identifier = format!(r#""identifier":[{{"system":"{NHS_NUMBER}","value":"{number}"}}]"#);
    let mut entries = vec![entry(patient, "Patient", identifier)];
    for (turn, value) in values.iter().enumerate() {
        let members = format!(
            r#""identifier":[{{"system":"{TRANSACTION}","value":"{number}"}}],"status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"8310-5"}}]}},"subject":{{"reference":"urn:uuid:{patient}"}},"effectiveDateTime":"2026-03-{:02}T10:00:00Z","valueQuantity":{{"value":{value},"unit":"Cel","system":"http://unitsofmeasure.org","code":"Cel"}}"#,
            turn + 1
        );
        let name = format!("5c9f1a34-7f2b-4f0e-9b57-3a8a1f0f9b{turn:02}");
        entries.push(entry(&name, "Observation", members));
    }
    format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(","))
}

/// The entries of a searchset with this mode.
pub(crate) fn in_mode(bundle: &Value, mode: &str) -> Vec<Value> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.into_iter().filter(|entry| entry["search"]["mode"] == mode).collect()
}
