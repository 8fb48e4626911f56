//! The command: asks the hub that serves the record; if none does, opens the record, compares it with the
//! locator and sends what was missing.

use clap::Args;
use service::clock::Clock;
use service::program::ProgramError;

use super::admin::Demanded;
use super::keeper::{self, Status};
use super::reconcile::Report;
use crate::Hub;
use crate::command::{Asked, EVERY, Shown, Unasked};
use crate::config::HubConfig;

/// How long the locator may hold up what is sent at the end.
const TROUBLES_MAX: i64 = 5;

/// How it is told.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// List the NHS numbers that the locator had refused
    #[arg(long)]
    pub show_numbers: bool,
}

/// Compares the configured record with the locator, and comes back when what was found is known and
/// given to the outbox.
///
/// # Errors
/// If neither a hub can be asked nor the record be opened, or the locator cannot be asked.
pub async fn run(
    config: HubConfig,
    clock: Clock,
    options: Options,
) -> Result<Report, ProgramError> {
    config.check()?;
    if config.locator.is_none() {
        let text = "the configuration has no [locator]: nothing is registered";
        return Err(ProgramError::Failed(text.into()));
    }
    let asked = Asked::new(&config, "reconcile")?;
    let mut report = match asked.send(asked.client.post(&asked.url)).await {
        Ok(Demanded { number }) => wait(&asked, number).await?,
        Err(Unasked::NoOne) => own(config, clock).await.map_err(|error| asked.instead_of(error))?,
        Err(Unasked::Failed(text)) => return Err(ProgramError::Failed(text)),
    };
    if !options.show_numbers {
        report.parked_numbers.clear();
    }
    Ok(report)
}

/// Waits until the hub has ended the comparison of that number.
async fn wait(asked: &Asked, number: u64) -> Result<Report, ProgramError> {
    let mut shown = Shown::count("numbers");
    let url = format!("{}?numbers=true", asked.url);
    loop {
        let status: Status = asked
            .send(asked.client.get(&url))
            .await
            .map_err(|unasked| ProgramError::Failed(unasked.to_string()))?;
        if status.ended >= number {
            shown.end();
            return match status.problem {
                None => Ok(status.report),
                Some(problem) => Err(ProgramError::Failed(problem)),
            };
        }
        shown.show(status.checked, "numbers are compared");
        tokio::time::sleep(EVERY).await;
    }
}

/// Opens the record and does it itself.
async fn own(config: HubConfig, clock: Clock) -> Result<Report, ProgramError> {
    let failed = |error: &dyn std::fmt::Display| {
        ProgramError::failed("comparing the record with the locator", error)
    };
    let hub = Hub::open(config, clock).await?;
    let Some(sender) = hub.sender()? else { return Ok(Report::default()) };
    let shown = std::sync::Mutex::new(Shown::count("numbers"));
    let told = |checked| {
        if let Ok(mut shown) = shown.lock() {
            shown.show(checked, "numbers are compared");
        }
    };
    let report = keeper::once(&sender, told, || ()).await;
    let mut troubles = 0;
    while report.is_ok() && troubles < TROUBLES_MAX {
        let sent = sender.send_due(troubles).await.map_err(|error| failed(&error))?;
        match sent.rest {
            _ if sent.taken == 0 => break,
            None => troubles = 0,
            Some(rest) => {
                troubles += 1;
                tokio::time::sleep(rest).await;
            }
        }
    }
    if let Ok(shown) = shown.lock() {
        shown.end();
    }
    hub.store.close().await;
    report.map_err(|error| failed(&error))
}
