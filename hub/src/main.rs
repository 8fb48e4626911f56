//! `hub serve`, `hub check`, `hub import`, `hub reindex`, `hub reconcile`, `hub verify`, `hub purge`, each
//! with `--config FILE`

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hub::Hub;
use hub::audit;
use hub::config::{HubConfig, PREFIX};
use hub::import::{self, Options};
use hub::purge;
use hub::registration::command as reconcile;
use hub::reindex;
use service::clock::Clock;
use service::program::{ConfigFile, ProgramError, bind, finish, print, stop_on_signal};
use service::tls::TlsConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One region's record
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the record
    Serve(ConfigFile),
    /// Check a configuration and print it without its secrets
    Check(ConfigFile),
    /// Import files into the record. A SQLite record must not be served meanwhile; one on PostgreSQL
    /// may. Exit code: 0 if all is in, 1 if something was refused, 64 if the command is wrong
    Import {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        options: Options,
    },
    /// Make the search index anew, by FHIR's search parameters and the active SearchParameters of the
    /// record. A hub that serves the record is asked to; if none does, the record is opened. Until the
    /// index is whole nothing is searched; reading and writing go on
    Reindex(ConfigFile),
    /// Look whether the audit trail is as it was recorded: whether an entry was altered, dropped, moved
    /// or put in, or the end cut off. Nothing is written, and a hub may serve the record meanwhile. Exit
    /// code: 0 if all is as it was, 1 if not, 64 if the command is wrong
    Verify {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        options: audit::command::Options,
    },
    /// Take the content of every version of a resource away, for good, and what it was found by. A hub that
    /// serves the record is asked to; if none does, the record is opened. That there were versions stays
    /// known, and the audit trail keeps who took them away and why. Backups still hold them
    Purge {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        order: purge::Order,
    },
    /// Compare every NHS number of the record with what the locator holds, in both directions, and put
    /// right what differs. What the locator had refused is tried again, and counted. A hub that serves
    /// the record is asked to; if none does, the record is opened
    Reconcile {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        options: reconcile::Options,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    service::telemetry::init();
    match Cli::try_parse() {
        Ok(cli) => finish("hub", run(cli.command).await),
        Err(error) => {
            // If there is no one to read it, there is no one to tell.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
        }
    }
}

async fn run(command: Command) -> Result<(), ProgramError> {
    match command {
        Command::Serve(file) => {
            let config: HubConfig = service::config::load(&file.file, PREFIX)?;
            let shutdown = stop_on_signal()?;
            let hub = Hub::open(config, Clock::System).await?;
            let listener = bind(hub.config.server.listen).await?;
            let admin = bind(hub.config.admin.listen).await?;
            hub.serve(listener, Some(admin), shutdown).await
        }
        Command::Check(file) => {
            let config: HubConfig = service::config::load(&file.file, PREFIX)?;
            config.check()?;
            config.tls.as_ref().map_or(Ok(()), TlsConfig::warn_of_expired_lists)?;
            print(&config)
        }
        Command::Import { config, options } => {
            let config: HubConfig = service::config::load(&config.file, PREFIX)?;
            let report = Box::pin(import::run(config, Clock::System, &options)).await?;
            tell(&report)?;
            match report.total().refused {
                0 => Ok(()),
                refused => Err(ProgramError::Failed(format!("{refused} were refused"))),
            }
        }
        Command::Reindex(file) => {
            let config: HubConfig = service::config::load(&file.file, PREFIX)?;
            let report = reindex::command::run(config, Clock::System).await?;
            tell(&report)
        }
        Command::Verify { config, options } => {
            let config: HubConfig = service::config::load(&config.file, PREFIX)?;
            let report = audit::command::run(&config, &options).await?;
            tell(&report)?;
            if report.is_whole() {
                return Ok(());
            }
            Err(ProgramError::Failed("the audit trail is not as it was recorded".into()))
        }
        Command::Purge { config, order } => {
            let config: HubConfig = service::config::load(&config.file, PREFIX)?;
            tell(&purge::run(config, Clock::System, &order).await?)
        }
        Command::Reconcile { config, options } => {
            let config: HubConfig = service::config::load(&config.file, PREFIX)?;
            tell(&reconcile::run(config, Clock::System, options).await?)
        }
    }
}

fn tell(report: &impl std::fmt::Display) -> Result<(), ProgramError> {
    let failed = |error| ProgramError::failed("printing the report", error);
    writeln!(std::io::stdout().lock(), "{report}").map_err(failed)
}
