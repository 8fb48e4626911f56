//! `shared-record demo` (the default) and `shared-record region --config FILE`

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use service::program::{ConfigFile, finish, stop_on_signal};
use shared_record::demo::{self, Options};
use shared_record::region;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One record per region, one answer across regions
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a locator and three regions, fill them, and ask one federated question
    Demo(Options),
    /// Serve one region: its hub and its gateway
    Region(ConfigFile),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    service::telemetry::init();
    let result = async {
        let shutdown = stop_on_signal()?;
        match cli.command.unwrap_or(Command::Demo(cli.demo)) {
            Command::Demo(options) => demo::run(options, shutdown).await,
            Command::Region(config) => region::run(&config.file, shutdown).await,
        }
    };
    finish("shared-record", result.await)
}
