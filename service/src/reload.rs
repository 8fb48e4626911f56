//! Files that are looked at again while a service runs: certificates, revocation lists, keys. What is
//! new and good is used from then on; what is broken is refused, loudly, and what was good last stays.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::serve::Shutdown;

/// Largest file, in bytes: a revocation list is the largest of them.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What files hold, in their order.
pub type Contents = Vec<Vec<u8>>;
type Load<T> = dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync;

/// What was made of some files, as they were when they were good last.
pub struct Reloaded<T> {
    what: &'static str,
    files: Vec<PathBuf>,
    load: Box<Load<T>>,
    taken: RwLock<(Contents, Arc<T>)>,
}

impl<T> fmt::Debug for Reloaded<T> {
    /// The files' names alone: one may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// Reads the files; they must be good at the start. `what` names them in logs.
    pub fn open(
        what: &'static str,
        files: Vec<PathBuf>,
        load: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let contents = read_all(&files)?;
        let first = Arc::new(load(&contents)?);
        Ok(Self { what, files, load: Box::new(load), taken: RwLock::new((contents, first)) })
    }

    /// What is in use now.
    pub fn current(&self) -> Arc<T> {
        self.taken.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Looks at the files now. Returns whether there was anything new.
    pub fn look(&self) -> Result<bool, String> {
        let contents = read_all(&self.files)?;
        if self.taken.read().unwrap_or_else(PoisonError::into_inner).0 == contents {
            return Ok(false);
        }
        let next = Arc::new((self.load)(&contents)?);
        *self.taken.write().unwrap_or_else(PoisonError::into_inner) = (contents, next);
        Ok(true)
    }

    /// Looks at the files again and again, and at once on SIGHUP, until `shutdown`.
    pub async fn keep(self: Arc<Self>, every: Duration, shutdown: Shutdown) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            let asked = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.triggered() => return,
                () = tokio::time::sleep(every) => {}
                _ = asked => {}
            }
            let own = self.clone();
            // A file may lie on a disk that is slow.
            match tokio::task::spawn_blocking(move || own.look()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("{} were replaced", self.what),
                Ok(Err(error)) => tracing::error!(
                    cause = error,
                    "ALERT: new {} are refused; those before stay in use",
                    self.what
                ),
                Err(_panic) => tracing::error!("looking at {} failed", self.what),
            }
        }
    }
}

/// Reads files; the error names the one at fault.
fn read_all(files: &[PathBuf]) -> Result<Contents, String> {
    let named = |file: &PathBuf, error| format!("{} cannot be read: {error}", file.display());
    files.iter().map(|file| read(file).map_err(|error| named(file, error))).collect()
}

/// Reads a file of at most [`FILE_BYTES_MAX`].
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_leaves_the_last_good_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        let number = |contents: &[Vec<u8>]| {
            let text = String::from_utf8_lossy(&contents[0]).into_owned();
            text.parse::<u32>().map_err(|error| error.to_string())
        };
        std::fs::write(&file, "7").unwrap();
        let kept = Reloaded::open("numbers", vec![file.clone()], number).unwrap();
        assert_eq!(kept.look(), Ok(false));
        for broken in ["seven", ""] {
            std::fs::write(&file, broken).unwrap();
            assert!(kept.look().is_err());
            assert_eq!(*kept.current(), 7);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(kept.look().unwrap_err().contains("number cannot be read"));
        std::fs::write(&file, "8").unwrap();
        assert_eq!((kept.look(), *kept.current()), (Ok(true), 8));
    }
}
