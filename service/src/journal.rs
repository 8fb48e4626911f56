//! The audit journal: one line for every interaction, written before its answer leaves.
//!
//! A line survives a killed process as soon as it is written (the kernel has it) and a power cut
//! within [`SYNC_EVERY`], or at once if it was opened [to disk](Journal::to_disk). A file is closed when
//! its lines are to be moved to where they stay; a closed file never changes. Files are append-only and
//! readable by their owner alone: a line may hold the query that was asked, and so a patient's number.
//!
//! [`record`] goes around [`identify`](crate::caller::identify): who is refused there has a line too.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fhir::instant::format_instant;
use fhir::outcome::IssueCode;
use http::StatusCode;
use serde::Serialize;

use crate::caller::Caller;
use crate::caller::mandate::Asker;
use crate::clock::Clock;
use crate::refusal::Refusal;

/// Longest time a written line may wait for the disk.
pub const SYNC_EVERY: Duration = Duration::from_millis(100);

/// An open journal; clones share the file.
#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
    to_disk: bool,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Held for reading while a line is written: a file is closed between lines.
    file: RwLock<Arc<File>>,
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

/// Put into a response's extensions by a service whose answer is about these patients: their ids there.
#[derive(Debug, Clone)]
pub struct Patients(pub Vec<String>);

/// Put into a response's extensions where it could not be told who asks.
#[derive(Debug, Clone)]
pub struct Unidentified {
    /// The request's id.
    pub request: String,
    /// The organisation that the client certificate names, if there was one.
    pub connected: Option<String>,
    /// Why.
    pub cause: String,
}

#[derive(Serialize)]
struct Line<'a> {
    recorded: &'a str,
    request: &'a str,
    #[serde(flatten)]
    asker: &'a Asker,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected: Option<&'a str>,
    method: &'a str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    patients: &'a [String],
}

impl Journal {
    /// Opens `file` for appending, creating it if need be, and starts the thread that syncs it.
    pub fn open(file: &Path, clock: Clock) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let (dirty, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        let opened = RwLock::new(Arc::new(open_whole(file)?));
        let inner = Inner { path: file.to_owned(), file: opened, dirty, failed, clock };
        let inner = Arc::new(inner);
        let watched = Arc::downgrade(&inner);
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || sync_while_open(&watched))?;
        Ok(Self { inner, to_disk: false })
    }

    /// The same journal, but an answer waits until its line is on the disk.
    #[must_use]
    pub fn to_disk(self) -> Self {
        Self { to_disk: true, ..self }
    }

    /// Closes the file that is written to, if it has lines, and goes on in a new one. It is on the disk
    /// under its new name when this returns.
    pub fn close_file(&self) -> io::Result<()> {
        let Inner { path, file, .. } = &*self.inner;
        let mut open = file.write().unwrap_or_else(PoisonError::into_inner);
        if open.metadata()?.len() == 0 {
            return Ok(());
        }
        let mut closed = path.as_os_str().to_owned();
        closed.push(format!(".{}", uuid::Uuid::now_v7()));
        std::fs::rename(path, &closed)?;
        let next = open_whole(path).inspect_err(|_| {
            // What is written meanwhile is found with the rest when the file is closed.
            let _ = std::fs::rename(&closed, path);
        })?;
        let last = std::mem::replace(&mut *open, Arc::new(next));
        drop(open);
        last.sync_data()?;
        match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    }

    /// The closed files, oldest first.
    pub fn closed_files(&self) -> io::Result<Vec<PathBuf>> {
        let path = &self.inner.path;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_closed = |file: &PathBuf| {
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            let end = file.strip_prefix(&*name).and_then(|end| end.strip_prefix('.'));
            end.is_some_and(|end| uuid::Uuid::try_parse(end).is_ok())
        };
        let files = std::fs::read_dir(folder.unwrap_or(Path::new(".")))?;
        let files =
            files.map(|file| file.map(|file| file.path())).collect::<io::Result<Vec<_>>>()?;
        let mut closed: Vec<PathBuf> = files.into_iter().filter(is_closed).collect();
        // Names of one journal differ by a UUID that begins with the time.
        closed.sort();
        Ok(closed)
    }

    /// Where the journal is written.
    pub fn path(&self) -> &Path {
        &self.inner.path
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
        let line = Line {
            recorded: &format_instant(self.inner.clock.now_micros()),
            request: caller.correlation.request_id(),
            asker: &caller.into(),
            connected: None,
            method: "ALERT",
            target,
            detail: Some(what),
            status: StatusCode::BAD_GATEWAY.as_u16(),
            refused: None,
            patients: &[],
        };
        if let Err(error) = self.append(&line) {
            // The answer's own line meets the same journal, and withholds the answer.
            tracing::error!(cause = %error, "an alert could not be written to the audit journal");
        }
    }

    /// Writes a line; gives the file that it is in.
    fn append(&self, line: &Line<'_>) -> io::Result<Arc<File>> {
        if !self.is_sound() {
            return Err(io::Error::other("an earlier sync failed"));
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // One write to a file opened for appending: lines of concurrent requests never mix.
        let open = self.inner.file.read().unwrap_or_else(PoisonError::into_inner);
        (&**open).write_all(&text)?;
        self.inner.dirty.store(true, Ordering::Release);
        Ok(open.clone())
    }

    /// Writes a line as safely as was asked for.
    async fn keep(&self, line: &Line<'_>) -> io::Result<()> {
        let file = self.append(line)?;
        if self.to_disk {
            let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
            let synced = synced.map_err(io::Error::other).flatten();
            return synced.inspect_err(|error| self.inner.fail(error));
        }
        Ok(())
    }
}

impl Inner {
    fn fail(&self, error: &io::Error) {
        tracing::error!(cause = %error, "the audit journal could not be synced");
        self.failed.store(true, Ordering::Relaxed);
    }
}

/// Opens a file for appending, whole lines after whole lines: one that a power cut tore stays alone.
fn open_whole(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

fn sync_while_open(journal: &Weak<Inner>) {
    while let Some(inner) = journal.upgrade() {
        if inner.dirty.swap(false, Ordering::AcqRel) {
            let file = inner.file.read().unwrap_or_else(PoisonError::into_inner).clone();
            if let Err(error) = file.sync_data() {
                inner.fail(&error);
            }
        }
        drop(inner);
        std::thread::sleep(SYNC_EVERY);
    }
}

/// Middleware: journals the interaction, and answers 507 or 503 instead if that cannot be done.
pub async fn record(State(journal): State<Journal>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let response = next.run(request).await;
    if response.extensions().get::<InStore>().is_some() {
        return response;
    }
    let noted = response.extensions();
    let (caller, unidentified) = (noted.get::<Caller>(), noted.get::<Unidentified>());
    let request = caller.map(|caller| caller.correlation.request_id());
    let line = Line {
        recorded: &format_instant(journal.inner.clock.now_micros()),
        request: request.or(unidentified.map(|who| who.request.as_str())).unwrap_or_default(),
        asker: &caller.map(Asker::from).unwrap_or_default(),
        connected: unidentified.and_then(|who| who.connected.as_deref()),
        method: method.as_str(),
        target: &target,
        detail: noted.get::<Detail>().map(|detail| detail.0.as_str()),
        status: response.status().as_u16(),
        refused: unidentified.map(|who| who.cause.as_str()),
        patients: noted.get::<Patients>().map_or(&[], |patients| &patients.0),
    };
    match journal.keep(&line).await {
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

    fn line(asker: &Asker, status: u16) -> Line<'_> {
        Line {
            recorded: "r",
            request: "q",
            asker,
            connected: None,
            method: "GET",
            target: "/a",
            detail: None,
            status,
            refused: None,
            patients: &[],
        }
    }

    #[test]
    fn a_line_says_what_is_known_and_no_more() {
        let text = serde_json::to_string(&line(&Asker::default(), 401)).unwrap();
        let known = r#"{"recorded":"r","request":"q","organisation":"","method":"GET","target":"/a","status":401}"#;
        assert_eq!(text, known);
        let patients = ["a".to_owned(), "b".to_owned()];
        let asker = Asker { user: Some("dr".into()), ..Asker::default() };
        let line = Line { patients: &patients, ..line(&asker, 200) };
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.contains(r#""user":"dr""#) && text.ends_with(r#""patients":["a","b"]}"#));
    }

    #[test]
    fn lines_are_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        std::fs::write(&file, "torn").unwrap();
        let journal = Journal::open(&file, Clock::fixed(0)).unwrap();
        for status in [200, 404] {
            journal.append(&line(&Asker::default(), status)).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "torn");
        assert!(lines[2].contains("404"));
    }

    #[test]
    fn a_closed_file_has_what_was_written_before_and_nothing_after() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        std::fs::write(folder.path().join("journal.bak"), "{}").unwrap();
        let journal = Journal::open(&file, Clock::fixed(0)).unwrap();
        journal.close_file().unwrap();
        assert_eq!(journal.closed_files().unwrap(), Vec::<PathBuf>::new());
        for status in [200, 404] {
            journal.append(&line(&Asker::default(), status)).unwrap();
            journal.close_file().unwrap();
        }
        journal.append(&line(&Asker::default(), 500)).unwrap();
        let closed = journal.closed_files().unwrap();
        let read = |file: &PathBuf| std::fs::read_to_string(file).unwrap();
        let texts: Vec<String> = closed.iter().chain([&file]).map(read).collect();
        assert!(
            texts
                .iter()
                .zip(["200", "404", "500"])
                .all(|(text, status)| { text.lines().count() == 1 && text.contains(status) })
        );
        assert_eq!(texts.len(), 3);
    }

    #[tokio::test]
    async fn lines_to_disk_from_many_at_once_are_all_there_though_files_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        let journal = Journal::open(&file, Clock::fixed(0)).unwrap().to_disk();
        let writers = (200..216).map(|status| {
            let journal = journal.clone();
            tokio::spawn(async move {
                journal.keep(&line(&Asker::default(), status)).await.unwrap();
                journal.close_file().unwrap();
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let closed = journal.closed_files().unwrap();
        let lines =
            closed.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count());
        assert_eq!(lines.sum::<usize>(), 16);
    }
}
