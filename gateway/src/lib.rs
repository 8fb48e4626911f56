//! One question about one patient, asked of every region that holds something, answered as one
//! searchset that says which regions it contains and which it does not.
//!
//! | room | what lives there |
//! |---|---|
//! | [`config`], [`directory`] | what the gateway is told; which regions it may dial |
//! | [`routes`], [`interaction`] | URL to interaction, one file each |
//! | [`context`], [`question`], [`kind`] | a request taken apart: by when, how, what, whose |
//! | [`identity`], [`locate`] | from a number to the regions that hold something |
//! | [`fan_out`], [`region`] | many regions at once; one region's hub |
//! | [`page`] | so many of their matches at a time, and where each region goes on |
//! | [`merge`] | many answers as one list, pure |
//! | [`outcome`], [`tally`] | how a region can end; how all did |
//! | [`compose`], [`remarks`], [`linkage`] | the answer; what it says about itself |
//! | [`stream`](mod@stream) | the answer in parts, as regions answer |
//! | [`query`] | the same for a person at a terminal |
//! | [`error`] | everything that keeps it from answering, in one table |
//! | [`health`] | readiness and counters |
//!
//! **Invariants.** Partial is never presented as complete. No clinical data outlives its request, but
//! in a snapshot that was asked for, which is kept in memory alone, for a quarter of an hour.
//! Only URLs of the directory and the locator are dialled. A region contributes all of its answer
//! or nothing. Resource bytes leave as they came. No patient's number is in a log or a metric.

pub mod compose;
pub mod config;
pub mod context;
pub mod directory;
pub mod error;
pub mod fan_out;
pub mod health;
pub mod identity;
pub mod interaction;
pub mod kind;
pub mod linkage;
pub mod locate;
pub mod merge;
pub mod outcome;
pub mod page;
pub mod query;
pub mod question;
pub mod region;
pub mod remarks;
pub mod routes;
pub mod stream;
pub mod tally;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fhir::identifier::OdsCode;
use service::caller::Gatekeeper;
use service::caller::mint::Mint;
use service::clock::Clock;
use service::config::ConfigError;
use service::journal::Journal;
use service::limit::Limiter;
use service::program::ProgramError;
use service::seal::Seal;
use service::serve::{Shutdown, serve, serve_over};
use service::tls::Tls;
use tokio::net::TcpListener;

use crate::config::{Federation, GatewayConfig, Identity, WithoutLocator};
use crate::directory::keeper::Keeper;
use crate::directory::{Directory, Region};
use crate::health::{Counters, GatewayHealth};
use crate::identity::links::Links;
use crate::locate::Locator;
use crate::page::snapshot::Snapshots;
use crate::region::flight::Flights;
use crate::region::{Hub, Proof};

/// A gateway that is ready to serve; clones share everything.
#[derive(Debug, Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    base: String,
    ods: OdsCode,
    drain: Duration,
    identity: Identity,
    links: Links,
    federation: Federation,
    seal: Seal,
    directory: Arc<Keeper>,
    locator: Locator,
    flights: Flights,
    snapshots: Snapshots,
    client: reqwest::Client,
    clock: Clock,
    journal: Journal,
    gatekeeper: Gatekeeper,
    limiter: Limiter,
    trust: Option<Trust>,
    counters: Counters,
    capabilities: Bytes,
}

/// What hubs know us by, in enforced mode.
#[derive(Debug)]
struct Trust {
    tls: Arc<Tls>,
    mint: Mint,
}

impl Trust {
    fn open(config: &GatewayConfig, clock: &Clock) -> Result<Option<Self>, ConfigError> {
        let Some(tls) = &config.tls else { return Ok(None) };
        let tls = Arc::new(Tls::open(tls)?);
        let mint = Mint::open(&config.security, config.server.base(), &config.region.ods, clock)?;
        Ok(Some(Self { tls, mint }))
    }
}

impl Gateway {
    /// Opens the journal and prepares everything a request needs; nothing is dialled yet.
    pub fn open(config: GatewayConfig, clock: Clock) -> Result<Self, ProgramError> {
        let config = config.checked()?;
        fhir::definitions::load();
        let client = service::client::build()
            .map_err(|error| ProgramError::failed("preparing the HTTP client", error))?;
        let journal = open_journal(&config, clock.clone())?;
        let base = config.server.base().to_owned();
        let statement =
            interaction::capabilities::statement(&base, &config.region.name, clock.now_micros());
        let directory = Arc::new(Keeper::open(&config)?);
        let gatekeeper =
            Gatekeeper::open(&config.security, &config.server, &config.region, &clock)?;
        let trust = Trust::open(&config, &clock)?;
        let inner = Inner {
            base,
            ods: config.region.ods.clone(),
            drain: Duration::from_millis(config.server.drain_ms),
            links: open_links(&config.identity)?,
            identity: config.identity,
            seal: config.federation.seal()?,
            snapshots: Snapshots::new(config.federation.snapshots_mib),
            federation: config.federation,
            locator: Locator::new(&config.locator, client.clone(), &clock),
            flights: Flights::default(),
            counters: Counters::default(),
            directory,
            client,
            clock,
            journal,
            gatekeeper,
            limiter: Limiter::new(config.limits, config.security.mode),
            trust,
            capabilities: Bytes::from(statement),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Serves until `shutdown`, then lets requests in flight finish.
    pub async fn serve(
        &self,
        listener: TcpListener,
        admin_listener: Option<TcpListener>,
        shutdown: Shutdown,
    ) {
        let health = GatewayHealth { gateway: self.clone(), shutdown: shutdown.clone() };
        let drain = self.inner.drain;
        let tls = self.inner.trust.as_ref().map(|trust| trust.tls.clone());
        let router = routes::router(health.clone());
        let public = serve_over(tls, listener, router, shutdown.clone(), drain);
        let admin = async {
            if let Some(listener) = admin_listener {
                let router = service::admin::router(health);
                serve(listener, router, shutdown.clone(), drain).await;
            }
        };
        let directory = self.inner.directory.clone().run(shutdown.clone());
        let snapshots = self.keep_snapshots(shutdown.clone());
        tokio::join!(public, admin, directory, snapshots, self.keep_trust(shutdown.clone()));
    }

    /// Forgets snapshots that have served their time.
    async fn keep_snapshots(&self, shutdown: Shutdown) {
        const EVERY: Duration = Duration::from_secs(30);
        while tokio::time::timeout(EVERY, shutdown.triggered()).await.is_err() {
            self.inner.snapshots.forget_old(self.now_micros());
        }
    }

    /// Keeps up with certificates, revocation lists and keys.
    async fn keep_trust(&self, shutdown: Shutdown) {
        let own = async {
            if let Some(Trust { tls, mint }) = &self.inner.trust {
                tokio::join!(tls.keep(shutdown.clone()), mint.keep(shutdown.clone()));
            }
        };
        tokio::join!(own, self.inner.gatekeeper.keep(shutdown.clone()));
    }

    /// The FHIR base as callers see it.
    pub fn base(&self) -> &str {
        &self.inner.base
    }

    /// The organisation whose gateway it is.
    pub(crate) fn ods(&self) -> &OdsCode {
        &self.inner.ods
    }

    /// The regions that may be asked, as they are now.
    pub fn directory(&self) -> Arc<Directory> {
        self.inner.directory.current()
    }

    /// Where the directory comes from.
    pub(crate) fn directory_keeper(&self) -> &Keeper {
        &self.inner.directory
    }

    pub(crate) fn federation(&self) -> &Federation {
        &self.inner.federation
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.inner.seal
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    pub(crate) fn links(&self) -> &Links {
        &self.inner.links
    }

    pub(crate) fn locator(&self) -> &Locator {
        &self.inner.locator
    }

    /// The hub of a region of the directory.
    pub(crate) fn hub<'a>(&'a self, region: &'a Region) -> Hub<'a> {
        let directory = self.directory();
        let standing = directory.standing(&region.ods).expect("no region's standing is forgotten");
        let (gate, clock) = (standing.gate.clone(), &self.inner.clock);
        let Some(Trust { tls, mint }) = &self.inner.trust else {
            let client = self.inner.client.clone();
            return Hub { region, client, gate, clock, proof: None };
        };
        // A token is bound to the certificate that this very client sends.
        let own = tls.current();
        let proof = Some(Proof { mint, thumbprint: own.thumbprint });
        Hub { region, client: own.client.clone(), gate, clock, proof }
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.inner.flights
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.inner.snapshots
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    pub(crate) fn gatekeeper(&self) -> &Gatekeeper {
        &self.inner.gatekeeper
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.inner.limiter
    }

    pub(crate) fn capabilities(&self) -> &Bytes {
        &self.inner.capabilities
    }

    pub(crate) fn now_micros(&self) -> i64 {
        self.inner.clock.now_micros()
    }

    /// Whether the home hub's answer alone is better than none.
    pub(crate) fn may_answer_without_locator(&self) -> bool {
        let allowed = self.inner.federation.without_locator == WithoutLocator::HomeOnly;
        allowed && self.directory().home().is_some()
    }
}

fn open_journal(config: &GatewayConfig, clock: Clock) -> Result<Journal, ProgramError> {
    let file =
        Journal::place(config.audit.dir.as_deref(), None, "gateway", config.region.ods.as_str());
    let failed = |error| ProgramError::failed("opening the audit journal (audit.dir)", error);
    Journal::open(&file, clock).map_err(failed)
}

fn open_links(identity: &Identity) -> Result<Links, ProgramError> {
    let failed = |error| ProgramError::failed("reading identity.links_file", error);
    let links = identity.links_file.as_deref().map(Links::open).transpose();
    Ok(links.map_err(failed)?.unwrap_or_default())
}
