//! `gateway serve|check|query --config FILE`, and how a directory of regions is made

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gateway::Gateway;
use gateway::config::GatewayConfig;
use gateway::directory::command::{MakeKey, Sign, make_key, sign_directory};
use gateway::directory::keeper::Keeper;
use gateway::query::{self, Options};
use service::caller::mint::Mint;
use service::clock::Clock;
use service::program::{ConfigFile, ProgramError, bind, finish, print, stop_on_signal};
use service::tls::TlsConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One question about one patient to many regions, one answer back
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer questions until stopped
    Serve(ConfigFile),
    /// Check a configuration and show it
    Check(ConfigFile),
    /// Ask for one patient's record, and show it. Exit code: 0 if nothing is missing, 69 if something
    /// is, 1 if there is no answer, 64 if the command is wrong
    Query(Options),
    /// Show the public half of security.signing_key as the JSON Web Key Set that hubs are given
    KeySet(ConfigFile),
    /// Make the key pair that a directory of regions is signed with
    MakeDirectoryKey(MakeKey),
    /// Check a directory of regions, and sign it
    SignDirectory(Sign),
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => {
            // If there is no one to read it, there is no one to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let result = match command {
        Command::Serve(config) => {
            service::telemetry::init();
            run(&config).await
        }
        Command::Check(config) => {
            service::telemetry::init();
            check(&config)
        }
        // What a log would say stands above the table.
        Command::Query(options) => match query::run(&options).await {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::KeySet(config) => key_set(&config),
        Command::MakeDirectoryKey(make) => make_key(&make),
        Command::SignDirectory(sign) => sign_directory(&sign),
    };
    finish("gateway", result)
}

fn check(config: &ConfigFile) -> Result<(), ProgramError> {
    let config = GatewayConfig::load(&config.file)?;
    config.federation.seal()?;
    config.tls.as_ref().map_or(Ok(()), TlsConfig::warn_of_expired_lists)?;
    Keeper::open(&config)?;
    if config.federation.token_key_files.is_empty() {
        tracing::warn!(
            "federation.token_key_files names no file: page links work with this one \
            process alone, and until it ends"
        );
    }
    print(&config)
}

fn key_set(config: &ConfigFile) -> Result<(), ProgramError> {
    let GatewayConfig { security, server, region, .. } = GatewayConfig::load(&config.file)?;
    let mint = Mint::open(&security, server.base(), &region.ods, &Clock::System)?;
    print(&mint.key_set())
}

async fn run(config: &ConfigFile) -> Result<(), ProgramError> {
    let config = GatewayConfig::load(&config.file)?;
    let listener = bind(config.server.listen).await?;
    let admin_listener = bind(config.admin.listen).await?;
    let shutdown = stop_on_signal()?;
    let gateway = Gateway::open(config, Clock::System)?;
    tracing::info!(base = gateway.base(), "the gateway is listening");
    gateway.serve(listener, Some(admin_listener), shutdown).await;
    Ok(())
}
