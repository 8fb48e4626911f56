//! The directory file, looked at again while the gateway serves. What cannot be trusted is refused,
//! loudly, and what was good last stays.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use fhir::identifier::OdsCode;
use service::config::ConfigError;
use service::serve::Shutdown;

use super::Directory;
use super::signed::{Listed, PublicKey, read_file};
use crate::config::{DirectoryConfig, Federation, GatewayConfig};

/// The directory as it is now, and where it comes from.
#[derive(Debug)]
pub struct Keeper {
    current: RwLock<Arc<Directory>>,
    home: OdsCode,
    federation: Federation,
    file: Option<Source>,
    serial: AtomicU64,
    refused: AtomicBool,
}

#[derive(Debug)]
struct Source {
    file: PathBuf,
    key_file: PathBuf,
    every: Duration,
    /// The text that was taken last.
    taken: Mutex<String>,
}

impl Keeper {
    /// The directory of a configuration. A file that is configured must be good at the start.
    pub fn open(config: &GatewayConfig) -> Result<Self, ConfigError> {
        let home = config.region.ods.clone();
        let regions = if config.directory.is_some() { Vec::new() } else { config.regions.clone() };
        let directory = Directory::new(regions, &home, &config.federation);
        let source = |directory: &DirectoryConfig| Source {
            file: directory.file.clone(),
            key_file: directory.key_file.clone(),
            every: Duration::from_secs(directory.reload_s),
            taken: Mutex::default(),
        };
        let keeper = Self {
            current: RwLock::new(Arc::new(directory)),
            home,
            federation: config.federation.clone(),
            file: config.directory.as_ref().map(source),
            serial: AtomicU64::new(0),
            refused: AtomicBool::new(false),
        };
        if let Some(source) = &keeper.file {
            let failed = |error| {
                let file = source.file.display();
                ConfigError::Refused(format!("the directory {file} cannot be used: {error}"))
            };
            keeper.take(source).map_err(failed)?;
        }
        Ok(keeper)
    }

    /// The directory as it is now.
    pub fn current(&self) -> Arc<Directory> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The serial number of the file in use; 0 without one.
    pub fn serial(&self) -> u64 {
        self.serial.load(Ordering::Relaxed)
    }

    /// Whether the file as it is now was refused.
    pub fn is_refusing(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Looks at the file again and again, until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let Some(every) = self.file.as_ref().map(|source| source.every) else { return };
        loop {
            tokio::select! {
                () = shutdown.triggered() => return,
                () = tokio::time::sleep(every) => {}
            }
            let keeper = self.clone();
            // A file may lie on a disk that is slow.
            let looked = tokio::task::spawn_blocking(move || keeper.look()).await;
            if looked.is_err() {
                tracing::error!("looking at the directory of regions failed");
            }
        }
    }

    /// Takes the file if it is better than what is in use.
    fn look(&self) {
        let Some(source) = &self.file else { return };
        let taken = self.take(source);
        self.refused.store(taken.is_err(), Ordering::Relaxed);
        match taken {
            Ok(false) => {}
            Ok(true) => tracing::info!(serial = self.serial(), "the directory of regions is new"),
            Err(error) => tracing::error!(
                cause = %error,
                serial = self.serial(),
                "ALERT: the directory of regions is refused; the one before stays in use"
            ),
        }
    }

    /// Whether there was anything new.
    fn take(&self, source: &Source) -> Result<bool, ConfigError> {
        let text = read_file(&source.file)?;
        let mut taken = source.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken == text {
            return Ok(false);
        }
        let Listed { serial, regions, suspended } =
            PublicKey::load(&source.key_file)?.open(&text)?;
        let known = self.serial();
        if !taken.is_empty() && serial <= known {
            let text = format!("its serial number is {serial}, and {known} is in use");
            return Err(ConfigError::Refused(text));
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let next = current.replaced_by(regions, &suspended, &self.home, &self.federation);
        *current = Arc::new(next);
        self.serial.store(serial, Ordering::Relaxed);
        *taken = text;
        Ok(true)
    }
}
