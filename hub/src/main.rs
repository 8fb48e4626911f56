//! `hub serve --config FILE`

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hub::Hub;
use hub::config::{HubConfig, PREFIX};
use service::clock::Clock;
use service::program::{ConfigFile, ProgramError, bind, finish, print, stop_on_signal};

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
}

#[tokio::main]
async fn main() -> ExitCode {
    service::telemetry::init();
    finish("hub", run(Cli::parse().command).await)
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
            print(&config)
        }
    }
}
