//! The hub: one region's persisted single and only record, as a FHIR R4 server.
//!
//! | room | what lives there |
//! |---|---|
//! | [`routes`] | URL -> interaction |
//! | [`address`] | the type, id and version that a URL names |
//! | [`interaction`] | one file per FHIR interaction |
//! | [`operation`] | one file per FHIR operation |
//! | [`search`] | a query string in, a searchset out |
//! | [`access`] | what a caller may see |
//! | [`store`] | versions, index, writer, on SQLite and PostgreSQL |
//! | [`import`] | folders and files into the record, without HTTP |
//! | [`reindex`] | the index made anew while the record is in use |
//! | [`purge`] | a resource's content erased for good |
//! | [`audit`] | a trail that shows what was done to it |
//! | [`custody`] | whose a resource is, and what others may do to it |
//! | [`registration`] | outbox -> record locator; what it holds, compared |
//! | `command` | how commands ask a hub that serves the record |
//! | [`error`] | the one table from error to status |
//! | [`health`] | readiness and metrics |
//! | [`config`] | what can be configured |
//!
//! **Invariants.** A resource is served as the text that was stored. A write that was acknowledged
//! is on the disk. Nothing is stored of a request that was refused. Every interaction leaves an
//! audit entry before its answer leaves. The locator never slows a write.

pub mod access;
pub mod address;
pub mod audit;
mod command;
pub mod config;
pub mod custody;
pub mod error;
pub mod health;
pub mod import;
pub mod interaction;
pub mod operation;
pub mod purge;
pub mod registration;
pub mod reindex;
pub mod routes;
pub mod search;
pub mod store;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Router;
use fhir::definitions::{ResourceType, SearchParameters};
use fhir::outcome::IssueCode;
use http::StatusCode;
use service::caller::{Caller, Gatekeeper};
use service::clock::Clock;
use service::config::SecurityMode;
use service::journal::Journal;
use service::program::ProgramError;
use service::refusal::Refusal;
use service::serve::{Shutdown, serve, serve_over};
use service::tls::Tls;
use service::token::Access;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use audit::interaction::AUDIT_EVENT;
use config::{HubConfig, Reads};
use custody::policy::Policy;
use custody::{Custodian, Hand, May};
use error::HubError;
use interaction::capabilities::Statement;
use registration::keeper::{Keeper, Watch};
use registration::locator::Locator;
use registration::sender::Sender;
use search::cursor::Seal;
use store::write::{AuditEntry, Batch, Conflict, Expected, Once, Write, Written};
use store::{Store, StoreError, sqlite_path};

/// An open hub.
#[derive(Debug)]
pub struct Hub {
    /// How it was configured.
    pub config: HubConfig,
    /// The record.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The audit journal.
    pub journal: Journal,
    /// Who is let in.
    pub gatekeeper: Gatekeeper,
    /// Certificates, in enforced mode.
    tls: Option<Arc<Tls>>,
    /// What keeps the audit trail.
    pub audit: audit::keeper::Keeper,
    /// The keys of the regions whose heads are kept here.
    witnessed: HashMap<String, audit::head::VerifyingKey>,
    /// Seals page links.
    pub seal: Seal,
    /// The CapabilityStatement, and the generation whose parameters it lists: 0 for FHIR's alone.
    metadata: RwLock<(i64, Arc<Statement>)>,
    wake: Arc<Notify>,
    /// Numbers of the search parameters that tell where a patient is.
    placing: Arc<[i64]>,
    /// Where comparisons with the locator stand.
    pub reconciliation: Watch,
    /// Told when the index is begun anew.
    begun: Notify,
}

impl Hub {
    /// Opens the record and the journal that the configuration names.
    pub async fn open(config: HubConfig, clock: Clock) -> Result<Arc<Self>, ProgramError> {
        config.check()?;
        let gatekeeper =
            Gatekeeper::open(&config.security, &config.server, &config.region, &clock)?;
        let tls = config.tls.as_ref().map(Tls::open).transpose()?.map(Arc::new);
        fhir::definitions::load();
        let failed = |error: StoreError| ProgramError::failed("opening the record", error);
        let store = Store::open(&config.store.url, config.server.base(), clock.clone());
        let store = Box::pin(store).await.map_err(failed)?;
        let (dir, file) = (config.audit.dir.as_deref(), sqlite_path(&config.store.url));
        let journal = Journal::place(dir, file.as_deref(), "hub", config.region.ods.as_str());
        let journal = Journal::open(&journal, clock.clone())
            .map_err(|error| ProgramError::failed("opening the audit journal", error))?;
        let journal = if config.audit.reads == Reads::Disk { journal.to_disk() } else { journal };
        let (trail, lines, time) = (store.clone(), journal.clone(), clock.clone());
        let audit = audit::keeper::Keeper::new(&config, trail, lines, time, tls.clone())?;
        let witnessed = audit::witness::keys(&config.audit.witnessed)?;
        let seal = Seal::new(store.secret());
        let metadata = Statement::of(&config, SearchParameters::published());
        let metadata = RwLock::new((0, Arc::new(metadata)));
        let wake = Arc::new(Notify::new());
        let placing = access::placing(&store.terms());
        Ok(Arc::new(Self {
            config,
            store,
            clock,
            journal,
            gatekeeper,
            tls,
            audit,
            witnessed,
            seal,
            metadata,
            wake,
            placing,
            reconciliation: Watch::default(),
            begun: Notify::new(),
        }))
    }

    /// Everything the hub answers.
    pub fn router(self: &Arc<Self>) -> Router {
        routes::router(self.clone())
    }

    /// Serves until `shutdown`, then drains, and closes the record.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        admin: Option<TcpListener>,
        shutdown: Shutdown,
    ) -> Result<(), ProgramError> {
        let drain = Duration::from_millis(self.config.server.drain_ms);
        let sender = tokio::spawn(self.clone().register(self.sender()?, shutdown.clone()));
        let keeper = tokio::spawn(self.clone().keep_index(shutdown.clone()));
        tokio::spawn(self.clone().keep_trust(shutdown.clone()));
        let auditor = tokio::spawn(self.clone().keep_trail(shutdown.clone()));
        if let Some(admin) = admin {
            let router = service::admin::router(self.clone());
            let router = router.merge(search::explain::router(self.clone()));
            let router = router.merge(reindex::admin::router(self.clone()));
            let router = router.merge(registration::admin::router(self.clone()));
            let router = router.merge(purge::router(self.clone()));
            tokio::spawn(serve(admin, router, shutdown.clone(), Duration::ZERO));
        }
        serve_over(self.tls.clone(), listener, self.router(), shutdown, drain).await;
        // The sender ends by itself; what it had not settled is tried again at the next start.
        let _ = sender.await;
        let _ = keeper.await;
        let _ = auditor.await;
        self.audit.end().await;
        self.store.close().await;
        Ok(())
    }

    /// Our FHIR base, without a trailing slash.
    pub fn base(&self) -> &str {
        self.config.server.base()
    }

    /// The CapabilityStatement. It lists parameters of the record's own once they can be searched by.
    pub fn metadata(&self) -> Arc<Statement> {
        let known = self.store.generation();
        let extended = known.standing.is_whole() && !known.added.is_empty();
        let wanted = if extended { known.standing.generation } else { 0 };
        let (listed, statement) =
            self.metadata.read().expect("no holder of this lock panics").clone();
        if listed == wanted {
            return statement;
        }
        let terms = self.store.terms();
        let parameters = if extended { terms.all() } else { SearchParameters::published() };
        let statement = Arc::new(Statement::of(&self.config, parameters));
        *self.metadata.write().expect("no holder of this lock panics") =
            (wanted, statement.clone());
        statement
    }

    /// What sends registrations, if there is a locator.
    pub fn sender(&self) -> Result<Option<Sender>, ProgramError> {
        let Some(locator) = &self.config.locator else { return Ok(None) };
        let client = service::client::build()
            .map_err(|error| ProgramError::failed("building the HTTP client", error))?;
        let (ods, clock) = (self.config.region.ods.clone(), self.clock.clone());
        let access = Access::new(locator.token.as_ref(), &client, &clock);
        let locator = Locator::new(client, access, clock.clone(), &locator.url, ods, self.base());
        let only_verified = self.config.registration.only_verified;
        Ok(Some(Sender { store: self.store.clone(), locator, clock, only_verified }))
    }

    /// Keeps up with certificates, revocation lists and the keys of issuers.
    async fn keep_trust(self: Arc<Self>, shutdown: Shutdown) {
        let certificates = async {
            if let Some(tls) = &self.tls {
                tls.keep(shutdown.clone()).await;
            }
        };
        tokio::join!(certificates, self.gatekeeper.keep(shutdown.clone()));
    }

    async fn keep_index(self: Arc<Self>, shutdown: Shutdown) {
        reindex::walk::keep(&self, shutdown).await;
    }

    async fn keep_trail(self: Arc<Self>, shutdown: Shutdown) {
        self.audit.run(shutdown).await;
    }

    async fn register(self: Arc<Self>, sender: Option<Sender>, shutdown: Shutdown) {
        let Some(sender) = sender else { return };
        let (config, watch) = (&self.config.registration, &self.reconciliation);
        let keeper = Keeper { sender: &sender, config, watch, wake: &self.wake };
        tokio::join!(sender.run(&self.wake, shutdown.clone()), keeper.run(shutdown));
    }

    /// By whose hand a caller writes resources of a type.
    pub(crate) fn hand(&self, caller: &Caller, resource_type: ResourceType) -> Hand {
        let organisation = Custodian::of(&caller.organisation, &self.config.region.ods);
        let may = match self.config.security.mode {
            SecurityMode::Open => May::All,
            SecurityMode::Enforced => self.policy(resource_type).may(),
        };
        Hand { organisation, may }
    }

    /// What becomes of another organisation's edit: in open mode there is no other.
    pub(crate) fn policy(&self, resource_type: ResourceType) -> Policy {
        match self.config.security.mode {
            SecurityMode::Open => Policy::Any,
            SecurityMode::Enforced => self.config.custody.of(resource_type),
        }
    }

    /// The version an update must name, if the record demands one.
    fn required(&self, if_match: Option<i64>) -> Result<Option<i64>, Refusal> {
        if if_match.is_none() && self.config.record.require_if_match {
            let text = "Updates here must name the version they replace: send If-Match.";
            let status = StatusCode::PRECONDITION_REQUIRED;
            return Err(Refusal::error(status, IssueCode::Required, text));
        }
        Ok(if_match)
    }

    /// Takes the content of a resource away for good, for a reason.
    async fn erase(
        &self,
        caller: &Caller,
        write: Write,
        reason: &str,
    ) -> Result<Written, HubError> {
        let (request, writes) = (caller.correlation.request_id(), vec![write]);
        let mut audit = AuditEntry::of(request, caller.into(), "purge", &writes);
        audit.reason = Some(reason.to_owned());
        let batch = Batch { writes, expected: Vec::new(), once: None, audit };
        let mut written = self.store.write(batch).await?;
        self.wake.notify_one();
        written.pop().ok_or_else(|| StoreError::Failed("nothing was written".into()).into())
    }

    /// Writes a batch in the caller's name, resting on what is `expected`; `once` if it has a key.
    async fn write(
        &self,
        caller: &Caller,
        interaction: &'static str,
        writes: Vec<Write>,
        expected: Vec<Expected>,
        once: Option<Once>,
    ) -> Result<Vec<Written>, HubError> {
        if writes.iter().any(|write| write.resource_type == AUDIT_EVENT) {
            return Err(Refusal::method_not_allowed("GET").into());
        }
        let request = caller.correlation.request_id();
        let audit = AuditEntry::of(request, caller.into(), interaction, &writes);
        let written = self.store.write(Batch { writes, expected, once, audit }).await;
        let written = match written {
            Ok(written) => written,
            Err(error) => return Err(self.untold(caller, error).await?.into()),
        };
        self.wake.notify_one();
        Ok(written)
    }

    /// An error, without the holder of an identifier if the caller may not know of it.
    async fn untold(&self, caller: &Caller, error: StoreError) -> Result<StoreError, HubError> {
        let StoreError::Conflict { conflict: Conflict::DuplicateIdentifier { holder }, entry } =
            &error
        else {
            return Ok(error);
        };
        if self.view(caller)?.sees(self, ResourceType::PATIENT, holder).await? {
            return Ok(error);
        }
        let conflict = Conflict::DuplicateIdentifier { holder: String::new() };
        Ok(StoreError::Conflict { entry: *entry, conflict })
    }
}
