//! `hub import`: folders and files into the record, without HTTP.
//!
//! | room | what lives there |
//! |---|---|
//! | [`source`] | paths -> files -> texts, one after the other, each of bounded size |
//! | [`bundle`] | a Bundle file: a transaction, or resources |
//! | [`mod@prepare`] | texts -> what can be written, on all processors |
//! | [`mod@write`] | into the record, in the order of the files |
//! | [`report`] | what became of it, without patient data |
//! | [`progress`] | how far it is |
//!
//! A file of NDJSON has a resource a line; a JSON file is a resource or a Bundle. A resource replaces
//! what the record has under its id, unless it says the same. A transaction takes place as a client's
//! would, but once: the same Bundle again changes nothing. What is refused refuses nothing else, but a
//! transaction is all or nothing. What a resource refers to need not be there.

mod bundle;
mod prepare;
mod progress;
mod report;
mod source;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use fhir::definitions::ResourceType;
use fhir::identifier::OdsCode;
use futures::{StreamExt, stream};
use http::HeaderMap;
use service::caller::Caller;
use service::clock::Clock;
use service::config::ConfigError;
use service::correlation::Correlation;
use service::program::ProgramError;
use tokio::sync::mpsc;

use crate::Hub;
use crate::config::HubConfig;
use crate::custody::{Custodian, Hand, May};
use crate::reindex::walk::complete;
use crate::store::vocabulary::Vocabulary;
use crate::store::write::Write;
use prepare::{Prepared, prepare};
use progress::Progress;
pub use report::{Counts, Report};
use source::Piece;

/// Pieces that are read and not yet taken.
const READ_AHEAD: usize = 1;

/// What is imported.
#[derive(Debug, Args)]
pub struct Options {
    /// Files (.ndjson, .json, and either as .gz) and folders of them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Where each refusal is written, a JSON object a line, and the counts at the end
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Validate and index, write nothing: the record is not even opened
    #[arg(long)]
    pub dry_run: bool,
}

/// Where it goes.
enum Record {
    /// Into the record, in this name.
    Open(Arc<Hub>, Caller),
    /// Nowhere.
    Rehearsal { terms: Arc<Vocabulary>, base: String, clock: Clock, region: OdsCode },
}

/// Imports what the options name. Nothing is imported unless all paths can be.
///
/// # Errors
/// If a path cannot be imported from, the record cannot be opened, or it stops writing; what was
/// counted until then is in the report's file.
pub async fn run(
    config: HubConfig,
    clock: Clock,
    options: &Options,
) -> Result<Report, ProgramError> {
    config.check()?;
    let files = source::files(&options.paths)?;
    let mut report = Report::to(options.report.as_deref())?;
    // Neither is so small that whoever waits should carry it.
    let record = Arc::new(Box::pin(Record::of(config, clock, options.dry_run)).await?);
    let result = Box::pin(import(&record, files, &mut report)).await;
    if let Record::Open(hub, _) = &*record {
        hub.store.close().await;
    }
    report.end()?;
    result.map(|()| report)
}

async fn import(
    record: &Arc<Record>,
    files: source::Files,
    report: &mut Report,
) -> Result<(), ProgramError> {
    let mut progress = Progress::of(files.bytes);
    let read = progress.read();
    let (send, receive) = mpsc::channel::<Piece>(READ_AHEAD);
    let reader = tokio::task::spawn_blocking(move || source::read(&files, &read, &send));
    let pieces = stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|piece| (piece, receive))
    });
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let prepared = pieces.map(|piece| prepare(record.clone(), piece)).buffered(processors + 1);
    let mut prepared = std::pin::pin!(prepared);
    while let Some(prepared) = prepared.next().await {
        match &**record {
            Record::Open(hub, caller) => {
                Box::pin(write::write(hub, caller, prepared, report)).await?;
            }
            Record::Rehearsal { .. } => rehearsed(prepared, report)?,
        }
        progress.show(report);
    }
    progress.end();
    reader.await.map_err(|error| ProgramError::failed("reading", error))
}

/// Counts what would have been written.
fn rehearsed(prepared: Prepared, report: &mut Report) -> Result<(), ProgramError> {
    match prepared {
        Prepared::Resources(resources) => {
            for (origin, result) in resources {
                match result {
                    Ok(Write { resource_type, .. }) => report.stored(resource_type),
                    Err((resource_type, refusal)) => {
                        report.refused(&origin, resource_type, &refusal)?;
                    }
                }
            }
        }
        Prepared::Rehearsed(types) => types.into_iter().for_each(|t| report.stored(t)),
        Prepared::Refused(origin, refusal) => {
            report.refused(&origin, Some(ResourceType::BUNDLE), &refusal)?;
        }
        Prepared::Transaction { .. } => {}
    }
    Ok(())
}

impl Record {
    async fn of(config: HubConfig, clock: Clock, dry_run: bool) -> Result<Self, ProgramError> {
        if dry_run {
            fhir::definitions::load();
            let base = config.server.base().to_owned();
            let terms = Arc::new(Vocabulary::of_no_store(&base));
            let region = config.region.ods;
            return Ok(Self::Rehearsal { terms, base, clock, region });
        }
        let organisation = Arc::new(config.region.ods.clone());
        let hub = Hub::open(config, clock).await.map_err(in_use)?;
        // Transactions may rest on what they search for.
        let walked = complete(&hub.store).await;
        walked.map_err(|error| ProgramError::failed("rebuilding the index", error))?;
        let correlation = Correlation::of(&HeaderMap::new());
        Ok(Self::Open(hub, Caller::own(organisation, correlation)))
    }

    fn terms(&self) -> Arc<Vocabulary> {
        match self {
            Self::Open(hub, _) => hub.store.terms(),
            Self::Rehearsal { terms, .. } => terms.clone(),
        }
    }

    fn base(&self) -> &str {
        match self {
            Self::Open(hub, _) => hub.base(),
            Self::Rehearsal { base, .. } => base,
        }
    }

    fn now(&self) -> i64 {
        match self {
            Self::Open(hub, _) => hub.clock.now_micros(),
            Self::Rehearsal { clock, .. } => clock.now_micros(),
        }
    }

    fn region(&self) -> &OdsCode {
        match self {
            Self::Open(hub, _) => &hub.config.region.ods,
            Self::Rehearsal { region, .. } => region,
        }
    }

    /// By whose hand resources of a type are written.
    fn hand(&self, resource_type: ResourceType) -> Hand {
        match self {
            Self::Open(hub, caller) => hub.hand(caller, resource_type),
            Self::Rehearsal { .. } => Hand { organisation: Custodian::default(), may: May::All },
        }
    }

    /// Whether a resource may come with an id of its own.
    fn may_create(&self) -> bool {
        match self {
            Self::Open(hub, _) => hub.config.client_ids(),
            Self::Rehearsal { .. } => true,
        }
    }
}

/// Says what to do about a record that another program holds.
fn in_use(error: ProgramError) -> ProgramError {
    match error {
        ProgramError::Failed(text) if text.contains("in use by another process") => {
            let what = "a SQLite record takes one program at a time: stop the hub that serves it";
            ProgramError::Failed(format!("{text}; {what}"))
        }
        error => error,
    }
}

/// A command line that cannot be followed.
fn usage(text: String) -> ProgramError {
    ConfigError::Refused(text).into()
}
