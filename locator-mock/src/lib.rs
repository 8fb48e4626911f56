//! A record locator: it knows which organisations hold a record about a patient, never the record.
//!
//! It stands in for the National Record Locator (NRL) version 3 and adds nothing to its API:
//! producers publish pointers, consumers find them by NHS number.
//!
//! | room | what lives there |
//! |---|---|
//! | `routes` | URL to interaction, one screen |
//! | `producer`, `consumer` | one file for each interaction |
//! | `pointer` | what a pointer may look like and what it must say |
//! | `parameters`, `bundle` | searches in and out |
//! | `caller`, `permission` | who asks, and which types it may use |
//! | `token` | access tokens for signed JWTs |
//! | `registry` | pointers on SQLite |
//! | `load` | millions of pointers at once |
//! | `fault` | scripted misbehaviour |
//! | `error`, `outcome` | every refusal in one table; the NRL's codes and sentences |
//! | `config` | `locator-mock.toml` |
//!
//! **Invariants.** An acknowledged pointer is on disk. A pointer is served as it was received, but
//! for the id, the date and `meta.lastUpdated`, which are the server's. A producer touches its own
//! pointers only. What a caller sends can be refused, never break anything. No patient's number is
//! ever logged.

mod body;
mod bundle;
mod caller;
mod config;
mod consumer;
mod error;
mod fault;
mod health;
mod load;
mod outcome;
mod parameters;
mod permission;
mod pointer;
mod producer;
mod registry;
mod routes;
mod token;

use std::sync::Arc;
use std::time::Duration;

use service::clock::Clock;
use service::config::SecurityMode;
use service::program::ProgramError;
use service::serve::{Shutdown, serve};
use tokio::net::TcpListener;

pub use config::{
    AccessControl, Application, LocatorConfig, PermissionLists, Pointers, Store, Token,
};
pub use load::{Loaded, load, open as open_pointers};
pub use routes::{admin, router};

use error::LocatorError;
use fault::Faults;
use permission::Permissions;
use pointer::PracticeSettings;
use registry::{Filter, Registry};
use token::Issuer;

/// Checks a configuration, and the files that it names, without opening the store.
pub fn check(config: &LocatorConfig) -> Result<(), ProgramError> {
    config.check()?;
    Files::load(config).map(drop)
}

/// What is in the files that a configuration names.
#[derive(Debug)]
struct Files {
    permissions: Permissions,
    settings: PracticeSettings,
    issuer: Issuer,
}

impl Files {
    fn load(config: &LocatorConfig) -> Result<Self, ProgramError> {
        Ok(Self {
            permissions: Permissions::load(config.permissions.folder.as_deref())?,
            settings: config.practice_settings()?,
            issuer: Issuer::new(config)?,
        })
    }
}

/// A running locator's state.
#[derive(Debug, Clone)]
pub struct Locator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: LocatorConfig,
    registry: Registry,
    files: Files,
    faults: Faults,
    clock: Clock,
}

impl Locator {
    /// Checks the configuration and opens the store.
    pub fn open(config: LocatorConfig, clock: Clock) -> Result<Self, ProgramError> {
        config.check()?;
        let inner = Inner {
            files: Files::load(&config)?,
            registry: Registry::open(&config.store.path()?)?,
            faults: Faults::default(),
            config,
            clock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Serves on `listener`, and metrics and scripts of faults on `admin`, until `shutdown`.
    pub async fn serve(
        &self,
        listener: TcpListener,
        admin: Option<TcpListener>,
        shutdown: Shutdown,
    ) {
        let drain = Duration::from_millis(self.inner.config.server.drain_ms);
        let main = serve(listener, router(self.clone()), shutdown.clone(), drain);
        match admin {
            None => main.await,
            Some(admin) => {
                let routes = routes::admin(self.clone());
                tokio::join!(main, serve(admin, routes, shutdown, drain));
            }
        }
    }

    fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    fn permissions(&self) -> &Permissions {
        &self.inner.files.permissions
    }

    fn mode(&self) -> SecurityMode {
        self.inner.config.security.mode
    }

    fn practice_settings(&self) -> &PracticeSettings {
        &self.inner.files.settings
    }

    fn issuer(&self) -> &Issuer {
        &self.inner.files.issuer
    }

    fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    fn now_micros(&self) -> i64 {
        self.inner.clock.now_micros()
    }

    /// The URL at which a producer finds its pointer.
    fn location(&self, id: &str) -> String {
        let base = self.inner.config.server.base();
        format!("{base}/producer/FHIR/R4/DocumentReference/{id}")
    }

    /// The URL of a consumer's search.
    fn consumer_search(&self, query: &str) -> String {
        let base = self.inner.config.server.base();
        format!("{base}/consumer/FHIR/R4/DocumentReference?{query}")
    }

    /// The searchset of all matches. A pointer that cannot be read is told, not left out.
    async fn matches(&self, filter: Filter, link: Option<&str>) -> Result<Vec<u8>, LocatorError> {
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        for body in self.registry().search(filter).await? {
            let readable = pointer::is_readable(&body);
            bodies.push(if readable { body.into_bytes() } else { outcome::unreadable() });
        }
        Ok(bundle::searchset(link, bodies.iter().map(Vec::as_slice)))
    }
}
