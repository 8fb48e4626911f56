//! What keeps the trail while a hub serves: it moves the journal's lines in every second, and makes a
//! head every minute and at the end.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service::clock::Clock;
use service::journal::Journal;
use service::program::ProgramError;
use service::serve::Shutdown;
use service::tls::Tls;

use super::chain::Tip;
use super::head::{Head, SigningKey};
use super::lines::{self, LinesError};
use super::subject;
use super::witness::Witnesses;
use crate::config::HubConfig;
use crate::store::{Store, StoreError, sqlite_path};

/// How often lines are moved.
const MOVE_EVERY: Duration = Duration::from_secs(1);
/// After how many moves a head is made.
const MOVES_PER_HEAD: u32 = 60;

/// A hub's keeper of the trail.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    journal: Journal,
    clock: Clock,
    region: String,
    key: Option<SigningKey>,
    heads: PathBuf,
    witnesses: Witnesses,
    /// Where the lanes ended when the last head was made.
    last: Mutex<Vec<Tip>>,
}

impl Keeper {
    /// A keeper of the configured record's trail.
    pub fn new(
        config: &HubConfig,
        store: Store,
        journal: Journal,
        clock: Clock,
        tls: Option<Arc<Tls>>,
    ) -> Result<Self, ProgramError> {
        let key = config.audit.signing_key_file.as_deref().map(SigningKey::load).transpose()?;
        if key.is_none() {
            tracing::warn!(
                "audit.signing_key_file is not set: the audit trail's heads are unsigned"
            );
        }
        let region = config.region.ods.as_str().to_owned();
        let (heads, last) = (beside_journal(config, "heads"), Mutex::default());
        let witnesses = Witnesses::new(&config.audit.witnesses, tls)?;
        Ok(Self { store, journal, clock, region, key, heads, witnesses, last })
    }

    /// Keeps the trail until `shutdown`.
    pub async fn run(&self, shutdown: Shutdown) {
        loop {
            for _ in 0..MOVES_PER_HEAD {
                self.move_told().await;
                tokio::select! {
                    () = shutdown.triggered() => return,
                    () = tokio::time::sleep(MOVE_EVERY) => {}
                }
            }
            self.head_told().await;
        }
    }

    /// Moves what is left and makes the last head, once no one is answered any more.
    pub async fn end(&self) {
        self.move_told().await;
        self.head_told().await;
    }

    async fn move_told(&self) {
        if let Err(error) = self.move_lines().await {
            tracing::warn!(cause = %error, "lines of the journal are not in the audit trail yet");
        }
        if let Err(error) = self.index().await {
            tracing::warn!(cause = %error, "the audit trail's newest entries are not found by patient");
        }
    }

    async fn head_told(&self) {
        if let Err(error) = self.make_head().await {
            tracing::warn!(cause = %error, "no head of the audit trail was made");
        }
        self.witnesses.send().await;
    }

    /// Moves the lines that the journal has; gives how many.
    pub async fn move_lines(&self) -> Result<usize, LinesError> {
        let journal = self.journal.clone();
        let closed = move || journal.close_file().and_then(|()| journal.closed_files());
        let closed =
            tokio::task::spawn_blocking(closed).await.map_err(io::Error::other).flatten()?;
        let mut moved = 0;
        for file in closed {
            moved += lines::move_file(&self.store, &file).await?;
        }
        Ok(moved)
    }

    /// Finds whom the newest entries are about; gives how many were looked at.
    pub async fn index(&self) -> Result<usize, StoreError> {
        subject::index(&self.store, &self.region).await
    }

    /// Makes a head, unless the last one says the same; gives its document.
    pub async fn make_head(&self) -> Result<Option<String>, LinesError> {
        let tips = self.store.audit_tips().await?;
        if tips == *self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(None);
        }
        let now = self.clock.now_micros();
        let document = Head::of(now, &self.region, &tips).document(self.key.as_ref());
        self.store.keep_head(now, document.clone()).await?;
        let (file, line) = (self.heads.clone(), format!("{document}\n"));
        let written = tokio::task::spawn_blocking(move || append(&file, &line)).await;
        written.map_err(io::Error::other).flatten()?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = tips;
        self.witnesses.owe(&document);
        Ok(Some(document))
    }
}

/// A file of heads, beside the journal.
pub(super) fn beside_journal(config: &HubConfig, what: &str) -> PathBuf {
    let (dir, store) = (config.audit.dir.as_deref(), sqlite_path(&config.store.url));
    let journal = Journal::place(dir, store.as_deref(), "hub", config.region.ods.as_str());
    let name = journal.file_name().unwrap_or_default().to_string_lossy();
    journal.with_file_name(name.replace("-audit.ndjson", &format!("-{what}.ndjson")))
}

/// Adds a line to a file of heads; it is on the disk when this returns.
pub(super) fn append(file: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()
}
