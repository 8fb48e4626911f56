//! The command: asks the hub that serves the record; if none does, opens the record and does it itself.

use std::fmt;
use std::time::{Duration, Instant};

use service::clock::Clock;
use service::program::ProgramError;

use super::admin::{Begun, Progress};
use super::take_up::{Refused, Taken, TakenUp};
use super::{begin, walk};
use crate::Hub;
use crate::command::{Asked, EVERY, Shown, Unasked};
use crate::config::HubConfig;
use crate::error::HubError;

/// How long a hub may be gone before it is given up: it may be restarted meanwhile.
const GONE_MAX: Duration = Duration::from_mins(1);

/// What became of it.
#[derive(Debug)]
pub struct Report {
    /// The record's own search parameters.
    pub taken_up: TakenUp,
    /// The index at the end: it is whole.
    pub progress: Progress,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Taken { resource, search } in &self.taken_up.taken {
            writeln!(f, "taken up: {search} ({resource})")?;
        }
        for Refused { resource, search, why } in &self.taken_up.refused {
            writeln!(f, "not taken up: {search} ({resource}): {why}")?;
        }
        let (taken, refused) = (self.taken_up.taken.len(), self.taken_up.refused.len());
        let walked = self.progress.walked;
        write!(f, "{walked} resources indexed; {taken} parameters taken up, {refused} not")
    }
}

/// Makes the index of the configured record anew, and comes back when it is whole.
///
/// # Errors
/// If neither a hub can be asked nor the record be opened, or it fails. What was done stays done, and a
/// hub that serves the record goes on with it.
pub async fn run(config: HubConfig, clock: Clock) -> Result<Report, ProgramError> {
    config.check()?;
    let asked = Asked::new(&config, "reindex")?;
    match asked.send(asked.client.post(&asked.url)).await {
        Ok(begun) => wait(&asked, begun).await,
        Err(Unasked::NoOne) => {
            Box::pin(own(config, clock)).await.map_err(|error| asked.instead_of(error))
        }
        Err(Unasked::Failed(text)) => Err(ProgramError::Failed(text)),
    }
}

/// Opens the record and does it itself.
async fn own(config: HubConfig, clock: Clock) -> Result<Report, ProgramError> {
    let failed = |error: HubError| ProgramError::failed("rebuilding the index", error);
    let hub = Hub::open(config, clock).await?;
    let taken_up = begin(&hub).await.map_err(failed)?;
    let mut shown = Shown::percent();
    let mut walk = std::pin::pin!(walk::complete(&hub.store));
    let result = loop {
        tokio::select! {
            result = &mut walk => break result,
            () = tokio::time::sleep(EVERY) => show(&mut shown, &Progress::of(&hub.store)),
        }
    };
    shown.end();
    let progress = Progress::of(&hub.store);
    hub.store.close().await;
    result.map_err(|error| failed(error.into()))?;
    Ok(Report { taken_up, progress })
}

/// Waits until the hub says that the index is whole.
async fn wait(asked: &Asked, begun: Begun) -> Result<Report, ProgramError> {
    let Begun { taken_up, mut progress } = begun;
    let (mut shown, mut heard) = (Shown::percent(), Instant::now());
    while !progress.is_whole() {
        show(&mut shown, &progress);
        tokio::time::sleep(EVERY).await;
        match asked.send(asked.client.get(&asked.url)).await {
            Ok(answer) => (progress, heard) = (answer, Instant::now()),
            Err(_) if heard.elapsed() < GONE_MAX => {}
            Err(unasked) => {
                let text = format!("{unasked}; the rebuild goes on when the hub is started again");
                return Err(ProgramError::Failed(text));
            }
        }
    }
    shown.end();
    Ok(Report { taken_up, progress })
}

fn show(shown: &mut Shown, progress: &Progress) {
    let Progress { percent, walked, .. } = progress;
    shown.show(u64::from(*percent), &format!("{walked} resources indexed"));
}
