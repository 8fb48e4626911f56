//! A primary dies under load and its standby takes its place at the same address. Every acknowledged
//! write is there once, nothing that was refused is, and the hub needs no restart.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::kit::{Answer, Http, Place, Process, eventually, on_free_ports};

const WRITERS: usize = 8;
/// Requests at the same time while the record is verified.
const CONCURRENT: usize = 16;
/// How long anything here may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// The folder of the newest PostgreSQL server's programs here.
fn programs() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = folders.map(|folder| folder.path().join("bin")).collect();
    debian.sort_by_key(|path| {
        let version = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.into_iter().rev().chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
}

/// A primary and its synchronous standby. Each listens on a socket in its own folder, and `service` is
/// the address of whichever serves.
struct Servers {
    folder: TempDir,
    programs: PathBuf,
}

impl Drop for Servers {
    fn drop(&mut self) {
        for name in ["a", "b"] {
            self.control(name, &["stop", "--mode=immediate"]);
        }
    }
}

impl Servers {
    async fn start(programs: PathBuf) -> Self {
        // A socket's path may have 107 bytes.
        let folder = tempfile::Builder::new().prefix("standby").tempdir_in("/tmp").unwrap();
        let servers = Self { folder, programs };
        for name in ["a", "b"] {
            std::fs::create_dir(servers.path(name)).unwrap();
        }
        if is_root() {
            let mut chown = Command::new("chown");
            chown.arg("-R").arg("postgres:").arg(servers.folder.path());
            assert!(chown.status().unwrap().success());
        }
        let data = format!("--pgdata={}", servers.path("a/data").display());
        let how = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"];
        assert!(servers.run("initdb", &[&[data.as_str(), "--no-sync"], &how[..]].concat()));
        servers.configure("a", "listen_addresses = ''\nmax_connections = 60\n");
        assert!(servers.control("a", &["start"]));
        let data = format!("--pgdata={}", servers.path("b/data").display());
        let host = format!("--host={}", servers.path("a").display());
        let how =
            ["--username=postgres", "--checkpoint=fast", "--write-recovery-conf", "--no-sync"];
        assert!(servers.run("pg_basebackup", &[&[data.as_str(), &host], &how[..]].concat()));
        servers.configure("b", "");
        assert!(servers.control("b", &["start"]));
        let mut primary = servers.connect("a").await;
        // From here on the primary acknowledges nothing that the standby has not flushed.
        for sql in [
            "CREATE DATABASE record",
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::query(sql).execute(&mut primary).await.unwrap();
        }
        eventually("the standby is synchronous", TIME_MAX, async || {
            let sql = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
            sqlx::query(sql).fetch_optional(&mut primary).await.unwrap()
        })
        .await;
        servers.serve("a");
        servers
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, name: &str, more: &str) {
        let file = self.path(name).join("data/postgresql.conf");
        let mut text = std::fs::read_to_string(&file).unwrap();
        let sockets = self.path(name);
        writeln!(text, "{more}unix_socket_directories = '{}'", sockets.display()).unwrap();
        std::fs::write(&file, text).unwrap();
    }

    /// Runs a program of the server; PostgreSQL refuses to run as root.
    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let program = self.programs.join(program);
        let mut command = Command::new(&program);
        if is_root() {
            command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]);
            command.arg(&program);
        }
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    }

    fn control(&self, name: &str, what: &[&str]) -> bool {
        let data = format!("--pgdata={}", self.path(name).join("data").display());
        let log = format!("--log={}", self.path(name).join("log").display());
        self.run("pg_ctl", &[what, &["--wait", "--silent", &data, &log]].concat())
    }

    fn url(&self, name: &str, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.path(name).display())
    }

    async fn connect(&self, name: &str) -> PgConnection {
        PgConnection::connect(&self.url(name, "postgres")).await.unwrap()
    }

    /// Lets the address that clients know lead to this server.
    fn serve(&self, name: &str) {
        let (link, service) = (self.path("link"), self.path("service"));
        symlink(self.path(name), &link).unwrap();
        std::fs::rename(link, service).unwrap();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// What a writer was told of its write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Stored,
    Refused,
    Unknown,
}

struct Story {
    hub: String,
    http: Http,
    written: Mutex<Vec<(String, Told)>>,
    stored: AtomicUsize,
    unavailable: AtomicUsize,
    is_over: AtomicBool,
}

impl Story {
    /// Writes one resource after another until the story is over; every fourth write is refused.
    async fn write(&self, writer: usize) {
        for turn in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("{writer}-{turn}");
            let is_stale = turn % 4 == 3;
            let answer = self.send(&name, is_stale).await;
            let told = told(&answer, is_stale);
            self.written.lock().unwrap().push((name, told));
            match told {
                Told::Stored => self.stored.fetch_add(1, Ordering::Relaxed),
                _ if answer.status == 503 => self.unavailable.fetch_add(1, Ordering::Relaxed),
                _ => continue,
            };
            if answer.status == 503 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn send(&self, name: &str, is_stale: bool) -> Answer {
        let id = if is_stale { r#""id":"stale","# } else { "" };
        let body = format!(
            r#"{{"resourceType":"Basic",{id}"identifier":[{{"system":"urn:s","value":"{name}"}}],"code":{{"text":"x"}}}}"#
        );
        let (method, path) = if is_stale { ("PUT", "/stale") } else { ("POST", "") };
        let url = format!("{}/Basic{path}", self.hub);
        let headers: &[_] = if is_stale { &[("if-match", "W/\"9\"")] } else { &[] };
        let answer = self.http.send(method, &url, headers, body).await;
        answer.expect("a hub answers, whatever its server does")
    }

    async fn found(&self, name: &str) -> Option<u64> {
        let url = format!("{}/Basic?identifier=urn:s%7C{name}&_summary=count", self.hub);
        let answer = self.http.get(&url).await;
        if answer.status != 200 {
            come_back(&answer);
            return None;
        }
        answer.json()["total"].as_u64()
    }

    async fn reaches(&self, what: &str, count: &AtomicUsize, more: usize) {
        let wanted = count.load(Ordering::Relaxed) + more;
        eventually(what, TIME_MAX, async || {
            (count.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    /// Asserts that the record is what was told.
    async fn verify(&self) {
        let written = std::mem::take(&mut *self.written.lock().unwrap());
        let count = |wanted| written.iter().filter(|(_, told)| *told == wanted).count();
        let (stored, refused, unknown) =
            (count(Told::Stored), count(Told::Refused), count(Told::Unknown));
        eprintln!("{stored} stored, {refused} refused, {unknown} unknown");
        assert!(refused > 0 && unknown > 0);
        stream::iter(&written)
            .for_each_concurrent(CONCURRENT, async |(name, told)| {
                let found = self.found(name).await.unwrap();
                let is_true = match told {
                    Told::Stored => found == 1,
                    Told::Refused => found == 0,
                    Told::Unknown => found <= 1,
                };
                assert!(is_true, "{name}: {told:?}, and {found} found");
            })
            .await;
    }
}

/// Reads an answer to a write; a hub whose server is away says so and when to come back.
fn told(answer: &Answer, is_stale: bool) -> Told {
    match answer.status {
        201 if !is_stale => Told::Stored,
        412 if is_stale => Told::Refused,
        _ => match come_back(answer).as_str() {
            "throttled" => Told::Refused,
            _ => Told::Unknown,
        },
    }
}

/// Asserts a 503 that says when to come back, and gives its code.
fn come_back(answer: &Answer) -> String {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    answer.json()["issue"][0]["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_has_every_acknowledged_write() {
    let Some(programs) = programs() else {
        eprintln!("skipped: here are no PostgreSQL server programs (tests/run installs them)");
        return;
    };
    let servers = Servers::start(programs).await;
    let folder = TempDir::new().unwrap();
    let (hub, place) = on_free_ports(Place::PORTS, async |base| {
        let place = Place(base);
        let config = place.hub_config(0, &servers.url("service", "record"), folder.path());
        let probe = place.hub(0).replace("/FHIR/R4", "/ready");
        Ok((Process::serve(folder.path(), "hub", &config, &probe).await?, place))
    })
    .await;
    let story = Story {
        hub: place.hub(0),
        http: Http::new(),
        written: Mutex::default(),
        stored: AtomicUsize::new(0),
        unavailable: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    };
    let writers = futures::future::join_all((0..WRITERS).map(|writer| story.write(writer)));
    let (_, ()) = tokio::join!(writers, async {
        story.reaches("writes are stored", &story.stored, 60).await;
        let known = {
            let written = story.written.lock().unwrap();
            written.iter().find(|(_, told)| *told == Told::Stored).unwrap().0.clone()
        };
        assert!(servers.control("a", &["stop", "--mode=immediate"]));
        story.reaches("writes are told of the outage", &story.unavailable, WRITERS).await;
        assert_eq!(story.found(&known).await, None);
        // The standby serves, but only reads.
        servers.serve("b");
        eventually("reading is back", TIME_MAX, async || story.found(&known).await).await;
        let stored = story.stored.load(Ordering::Relaxed);
        story.reaches("writes are refused by a standby", &story.unavailable, WRITERS).await;
        assert_eq!(story.stored.load(Ordering::Relaxed), stored);
        let mut standby = servers.connect("b").await;
        sqlx::query("SELECT pg_promote()").execute(&mut standby).await.unwrap();
        story.reaches("writes are stored again", &story.stored, 40).await;
        story.is_over.store(true, Ordering::Relaxed);
    });
    story.verify().await;
    assert!(!hub.stderr().contains("panicked"), "{}", hub.stderr());
    hub.stop().await;
}
