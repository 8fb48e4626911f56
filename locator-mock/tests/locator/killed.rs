//! A locator that is killed while it writes has every pointer it acknowledged.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::requests::talk;
use crate::world::{CONSUMER, NUMBER, PRODUCER, pointer, subject};

/// How long a locator may take to answer once it is started.
const READY_TIME_MAX: Duration = Duration::from_secs(20);
/// Pointers acknowledged before the kill.
const ACKNOWLEDGED_MIN: usize = 25;

/// A locator in a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts one, on a port that was free a moment ago.
    async fn start(folder: &Path) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, admin) = (free(), free());
        let config = folder.join("locator.toml");
        let text = format!(
            "server = {{ listen = \"{address}\", public_url = \"http://{address}\" }}\n\
             admin = {{ listen = \"{admin}\" }}\nsecurity = {{ mode = \"open\" }}\n\
             store = {{ url = \"sqlite://{}\" }}\n",
            folder.join("locator.db").display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_locator-mock"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, address };
        let began = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(began.elapsed() < READY_TIME_MAX, "the locator does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_locator_has_every_pointer_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path()).await;
    let address = process.address;
    let (acknowledged, mut arrived) = tokio::sync::mpsc::unbounded_channel::<String>();
    let mut producers = JoinSet::new();
    for _ in 0..4 {
        let (acknowledged, body) = (acknowledged.clone(), pointer("QWO", NUMBER).to_string());
        producers.spawn(async move {
            while let Ok(answer) = talk(address, "POST", PRODUCER, &body).await {
                let location = answer.lines().find_map(|line| line.strip_prefix("location: "));
                let Some(location) = location else { break };
                let id = location.trim().rsplit('/').next().unwrap_or_default();
                // An answer that was cut off in its headers acknowledges nothing.
                if !answer.contains("RESOURCE_CREATED") || acknowledged.send(id.to_owned()).is_err()
                {
                    break;
                }
            }
        });
    }
    drop(acknowledged);
    let mut ids = HashSet::new();
    while let Some(id) = arrived.recv().await {
        ids.insert(id);
        if ids.len() == ACKNOWLEDGED_MIN {
            process.kill();
        }
    }
    assert!(ids.len() >= ACKNOWLEDGED_MIN, "only {} pointers were acknowledged", ids.len());

    let process = Process::start(folder.path()).await;
    let url = format!("{CONSUMER}?{}", subject(NUMBER));
    let answer = talk(process.address, "GET", &url, "").await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let found: Value = serde_json::from_str(body).unwrap();
    let entries = found["entry"].as_array().unwrap();
    let kept: HashSet<String> =
        entries.iter().map(|e| e["resource"]["id"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<&String> = ids.difference(&kept).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    // One more for each producer may have been written and not acknowledged.
    assert!(kept.len() <= ids.len() + 4, "{} kept, {} acknowledged", kept.len(), ids.len());
}
