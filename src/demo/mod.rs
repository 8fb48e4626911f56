//! The demonstration: a locator and three regions are started, filled over their own HTTP APIs,
//! and asked one question; the answer is printed for a person.
//!
//! | room | what lives there |
//! |---|---|
//! | [`population`] | invented people and their records |
//! | [`bundles`] | transaction Bundles from a folder, dealt over the regions |
//! | [`load`] | records into hubs, over HTTP |
//! | [`ask`] | the federated question and its answer |
//! | [`report`] | what is printed |

mod ask;
mod bundles;
mod load;
mod population;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use service::program::ProgramError;
use service::serve::Shutdown;

use crate::world::{Layout, World, demo_regions};
use load::Plan;

/// Options of the demonstration.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Exit after the answer instead of staying up
    #[arg(long)]
    once: bool,
    /// How many invented people to make
    #[arg(long, default_value_t = 60, value_name = "N")]
    patients: usize,
    /// A folder of FHIR transaction Bundles to load instead
    #[arg(long, value_name = "DIR", conflicts_with = "patients")]
    data: Option<PathBuf>,
    /// The locator's port; the regions follow at +11, +21 and +31
    #[arg(long, default_value_t = 8_400, value_name = "P", value_parser = clap::value_parser!(u16).range(1..65_490))]
    base_port: u16,
    /// Where to keep the records (default: a temporary folder, removed at the end)
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Runs the demonstration until `shutdown`, or once.
pub async fn run(options: Options, shutdown: Shutdown) -> Result<(), ProgramError> {
    let temporary = tempfile::TempDir::with_prefix("shared-record-")
        .map_err(|error| ProgramError::failed("making a temporary folder", error))?;
    let state = options.state.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&state)
        .map_err(|error| ProgramError::failed("making the folder for the records", error))?;
    let layout = Layout {
        regions: demo_regions(),
        base_port: Some(options.base_port),
        state,
        deadline_ms: 8_000,
    };
    let started = Instant::now();
    let world = World::start(&layout).await?;
    report::started(&world, started.elapsed())?;
    let shown = tokio::select! {
        shown = show(&world, &options) => shown,
        () = shutdown.triggered() => Ok(()),
    };
    if shown.is_ok() && !options.once {
        shutdown.triggered().await;
    }
    world.stop().await?;
    shown
}

async fn show(world: &World, options: &Options) -> Result<(), ProgramError> {
    let plan = match &options.data {
        Some(folder) => Plan::from_folder(folder, world.sites.len())?,
        None => Plan::of_invented_people(options.patients, &world.sites),
    };
    let client = service::client::build()
        .map_err(|error| ProgramError::failed("building the HTTP client", error))?;
    let loaded = load::load(&client, world, &plan).await?;
    report::loaded(world, &loaded)?;
    let answer = ask::ask(&client, &world.sites[0], &plan.question).await?;
    report::answer(world, &plan.question, &answer)?;
    if !options.once {
        report::invitation(world, &plan)?;
    }
    loaded.assert_nothing_lost()
}
