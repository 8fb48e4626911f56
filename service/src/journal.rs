//! The audit journal: one line for every interaction, written before its answer leaves.
//!
//! A line survives a killed process as soon as it is written (the kernel has it) and a power cut
//! within [`SYNC_EVERY`]. The file is append-only and readable by its owner alone: a line may hold
//! the query that was asked, and so a patient's number.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fhir::instant::format_instant;
use fhir::outcome::IssueCode;
use http::StatusCode;
use serde::Serialize;

use crate::caller::Caller;
use crate::clock::Clock;
use crate::refusal::Refusal;

/// Longest time a written line may wait for the disk.
pub const SYNC_EVERY: Duration = Duration::from_millis(100);

/// An open journal; clones share the file.
#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    dirty: AtomicBool,
    /// Set for good once lines that were written may not have reached the disk.
    failed: AtomicBool,
    clock: Clock,
}

/// What a handler adds to its interaction's line, put into the response's extensions: the form of
/// a POST search, or the versions a transaction wrote.
#[derive(Debug, Clone)]
pub struct Detail(pub String);

/// Put into a response's extensions by a handler whose store has audited the interaction in its
/// own transaction: no second line is written.
#[derive(Debug, Clone, Copy)]
pub struct InStore;

#[derive(Serialize)]
struct Line<'a> {
    recorded: &'a str,
    request: &'a str,
    organisation: &'a str,
    method: &'a str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    status: u16,
}

impl Journal {
    /// Opens `file` for appending, creating it if need be, and starts the thread that syncs it.
    pub fn open(file: &Path, clock: Clock) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let (dirty, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        let inner = Inner { file: options.open(file)?, dirty, failed, clock };
        let inner = Arc::new(inner);
        let watched = Arc::downgrade(&inner);
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || sync_while_open(&watched))?;
        Ok(Self { inner })
    }

    /// Where a service's journal lives: in the configured folder, else beside its SQLite file, else
    /// in the service's state directory.
    pub fn place(dir: Option<&Path>, store: Option<&Path>, service: &str, ods: &str) -> PathBuf {
        let name = format!("{service}-{ods}-audit.ndjson");
        if let Some(dir) = dir {
            return dir.join(name);
        }
        if let Some(store) = store {
            let mut path = store.as_os_str().to_owned();
            path.push("-audit.ndjson");
            return path.into();
        }
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let root = std::env::var_os("STATE_DIRECTORY")
            .or_else(|| std::env::var_os("XDG_STATE_HOME"))
            .map(PathBuf::from)
            .or_else(home)
            .unwrap_or_else(std::env::temp_dir);
        root.join("shared-record").join(name)
    }

    /// Whether everything that was written has reached the disk, or still may.
    pub fn is_sound(&self) -> bool {
        !self.inner.failed.load(Ordering::Relaxed)
    }

    /// Writes a line of its own for what somebody has to look at: that it came to light while this
    /// caller was answered, about what URL, and what it is.
    pub fn alert(&self, caller: &Caller, target: &str, what: &str) {
        let recorded = format_instant(self.inner.clock.now_micros());
        let line = Line {
            recorded: &recorded,
            request: caller.correlation.request_id(),
            organisation: caller.organisation.as_str(),
            method: "ALERT",
            target,
            detail: Some(what),
            status: StatusCode::BAD_GATEWAY.as_u16(),
        };
        if let Err(error) = self.append(&line) {
            // The answer's own line meets the same journal, and withholds the answer.
            tracing::error!(cause = %error, "an alert could not be written to the audit journal");
        }
    }

    fn append(&self, line: &Line<'_>) -> io::Result<()> {
        if !self.is_sound() {
            return Err(io::Error::other("an earlier sync failed"));
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // One write to a file opened for appending: lines of concurrent requests never mix.
        (&self.inner.file).write_all(&text)?;
        self.inner.dirty.store(true, Ordering::Release);
        Ok(())
    }
}

fn sync_while_open(journal: &Weak<Inner>) {
    while let Some(inner) = journal.upgrade() {
        if inner.dirty.swap(false, Ordering::AcqRel)
            && let Err(error) = inner.file.sync_data()
        {
            tracing::error!(cause = %error, "the audit journal could not be synced");
            inner.failed.store(true, Ordering::Relaxed);
        }
        drop(inner);
        std::thread::sleep(SYNC_EVERY);
    }
}

/// Middleware: journals the interaction, and answers 507 or 503 instead if that cannot be done.
pub async fn record(
    State(journal): State<Journal>,
    caller: Option<axum::Extension<Caller>>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let response = next.run(request).await;
    if response.extensions().get::<InStore>().is_some() {
        return response;
    }
    let recorded = format_instant(journal.inner.clock.now_micros());
    let line = Line {
        recorded: &recorded,
        request: caller.as_ref().map_or("", |caller| caller.correlation.request_id()),
        organisation: caller.as_ref().map_or("", |caller| caller.organisation.as_str()),
        method: method.as_str(),
        target: &target,
        detail: response.extensions().get::<Detail>().map(|detail| detail.0.as_str()),
        status: response.status().as_u16(),
    };
    match journal.append(&line) {
        Ok(()) => response,
        Err(error) => unaudited(&error),
    }
}

/// What cannot be audited is not disclosed.
fn unaudited(error: &io::Error) -> Response {
    tracing::error!(cause = %error, "the audit journal could not be written");
    let status = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::error(
        status,
        IssueCode::NoStore,
        "The interaction could not be audited, so its answer is withheld. If it was a write, read \
         the resource before you repeat it.",
    )
    .into_response()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_journal_lives_where_it_is_told_or_beside_its_store() {
        let store = Some(Path::new("a/hub.db"));
        let path = Journal::place(None, store, "hub", "QWO");
        assert_eq!(path, Path::new("a/hub.db-audit.ndjson"));
        let path = Journal::place(Some(Path::new("b")), store, "hub", "QWO");
        assert_eq!(path, Path::new("b/hub-QWO-audit.ndjson"));
    }

    #[test]
    fn lines_are_whole_and_in_order() {
        let folder = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("journal");
        let journal = Journal::open(&file, Clock::fixed(0)).unwrap();
        for status in [200, 404] {
            let line = Line {
                recorded: "r",
                request: "q",
                organisation: "QWO",
                method: "GET",
                target: "/a",
                detail: None,
                status,
            };
            journal.append(&line).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().last().unwrap().contains("404"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
