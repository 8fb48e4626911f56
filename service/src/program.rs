//! What every service's `main` shares: exit codes, the stop signal, listeners, one sentence on
//! failure.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::config::ConfigError;
use crate::serve::Shutdown;

/// `--config FILE`
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The service's configuration (TOML)
    #[arg(long = "config", value_name = "FILE")]
    pub file: PathBuf,
}

/// Why a program could not start or go on.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Anything else, as one sentence.
    #[error("{0}")]
    Failed(String),
}

impl ProgramError {
    /// A failure with what was being done when it happened.
    pub fn failed(doing: &str, cause: impl Display) -> Self {
        Self::Failed(format!("{doing}: {cause}"))
    }
}

/// Turns a program's result into its exit code: 0, 64 for a configuration, 1 for the rest.
pub fn finish(name: &str, result: Result<(), ProgramError>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("{name}: {error}");
    match error {
        ProgramError::Config(_) => ExitCode::from(64),
        ProgramError::Failed(_) => ExitCode::FAILURE,
    }
}

/// A stop signal that fires on SIGINT or SIGTERM; a second signal ends the process at once.
pub fn stop_on_signal() -> Result<Shutdown, ProgramError> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| ProgramError::failed("installing a signal handler", error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let shutdown = Shutdown::default();
    let trigger = shutdown.clone();
    tokio::spawn(async move {
        let mut next =
            async || tokio::select! { _ = interrupt.recv() => 130, _ = terminate.recv() => 143 };
        next().await;
        trigger.trigger();
        std::process::exit(next().await);
    });
    Ok(shutdown)
}

/// Binds an address, or says which one could not be had.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ProgramError> {
    let failed = |error| ProgramError::failed(&format!("listening on {address}"), error);
    TcpListener::bind(address).await.map_err(failed)
}

/// Prints a configuration as JSON; its secrets serialise redacted.
pub fn print(config: &impl Serialize) -> Result<(), ProgramError> {
    let failed = |error: &dyn Display| ProgramError::failed("printing the configuration", error);
    let text = serde_json::to_string_pretty(config).map_err(|error| failed(&error))?;
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| failed(&error))
}
