//! `locator-mock`: a record locator that speaks the API of the National Record Locator.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use locator_mock::{Locator, LocatorConfig, check, load, open_pointers};
use service::clock::Clock;
use service::program::{ConfigFile, ProgramError, bind, finish, print, stop_on_signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Which organisations hold a record about a patient: stands in for the National Record Locator
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGINT or SIGTERM
    Serve(ConfigFile),
    /// Check the configuration and print it
    Check(ConfigFile),
    /// Load pointers into a registry that is not being served
    Load {
        #[command(flatten)]
        config: ConfigFile,
        /// Pointers as NDJSON, one a line; - is standard input
        file: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    finish("locator-mock", run(Arguments::parse().command).await)
}

async fn run(command: Command) -> Result<(), ProgramError> {
    match command {
        Command::Serve(config) => start(LocatorConfig::load(&config.file)?).await,
        Command::Check(config) => {
            let config = LocatorConfig::load(&config.file)?;
            check(&config)?;
            print(&config)
        }
        Command::Load { config, file } => fill(&LocatorConfig::load(&config.file)?, &file),
    }
}

fn fill(config: &LocatorConfig, file: &Path) -> Result<(), ProgramError> {
    let lines = open_pointers(file)?;
    let loaded = load(config, lines, &Clock::System, |line, why| eprintln!("line {line}: {why}"))?;
    print(&loaded)?;
    match loaded.refused {
        0 => Ok(()),
        refused => Err(ProgramError::Failed(format!(
            "{refused} lines were refused; every other pointer is in the registry"
        ))),
    }
}

async fn start(config: LocatorConfig) -> Result<(), ProgramError> {
    service::telemetry::init();
    let shutdown = stop_on_signal()?;
    let listener = bind(config.server.listen).await?;
    let admin = bind(config.admin.listen).await?;
    let (address, locator) = (config.server.listen, Locator::open(config, Clock::System)?);
    tracing::info!(server.listen = %address, "the locator is ready");
    locator.serve(listener, Some(admin), shutdown).await;
    Ok(())
}
