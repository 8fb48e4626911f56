//! The command: asks the hub that serves the record; if none does, opens the record and does it itself.

use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use service::client::read_body;
use service::clock::Clock;
use service::program::ProgramError;

use super::admin::{Begun, Progress};
use super::take_up::{Refused, Taken, TakenUp};
use super::{begin, walk};
use crate::Hub;
use crate::config::HubConfig;
use crate::error::HubError;

/// How long an answer may take: a hub that is asked to begin waits for a moment between writes.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How often it is asked how far it is.
const EVERY: Duration = Duration::from_millis(250);
/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
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
    let client = service::client::build()
        .map_err(|error| ProgramError::failed("building the HTTP client", error))?;
    let asked = Asked { client, url: format!("http://{}/reindex", config.admin.listen) };
    match asked.begin().await {
        Ok(begun) => asked.wait(begun).await,
        Err(Unasked::NoOne) => own(config, clock).await.map_err(|error| match error {
            ProgramError::Failed(text) if text.contains("in use by another process") => {
                let url = &asked.url;
                ProgramError::Failed(format!("{text}; no hub of this configuration is at {url}"))
            }
            error => error,
        }),
        Err(Unasked::Failed(text)) => Err(ProgramError::Failed(text)),
    }
}

/// Opens the record and does it itself.
async fn own(config: HubConfig, clock: Clock) -> Result<Report, ProgramError> {
    let failed = |error: HubError| ProgramError::failed("rebuilding the index", error);
    let hub = Hub::open(config, clock).await?;
    let taken_up = begin(&hub).await.map_err(failed)?;
    let mut shown = Shown::new();
    let mut walk = std::pin::pin!(walk::complete(&hub.store));
    let result = loop {
        tokio::select! {
            result = &mut walk => break result,
            () = tokio::time::sleep(EVERY) => shown.show(&Progress::of(&hub.store)),
        }
    };
    shown.end();
    let progress = Progress::of(&hub.store);
    hub.store.close().await;
    result.map_err(|error| failed(error.into()))?;
    Ok(Report { taken_up, progress })
}

/// The hub that is asked.
struct Asked {
    client: Client,
    url: String,
}

/// Why there is no answer.
enum Unasked {
    /// No one listens there.
    NoOne,
    /// Anything else, as one sentence.
    Failed(String),
}

impl Asked {
    async fn begin(&self) -> Result<Begun, Unasked> {
        self.send(self.client.post(&self.url)).await
    }

    /// Waits until the hub says that the index is whole.
    async fn wait(&self, begun: Begun) -> Result<Report, ProgramError> {
        let Begun { taken_up, mut progress } = begun;
        let (mut shown, mut heard) = (Shown::new(), Instant::now());
        while !progress.is_whole() {
            shown.show(&progress);
            tokio::time::sleep(EVERY).await;
            match self.send(self.client.get(&self.url)).await {
                Ok(answer) => (progress, heard) = (answer, Instant::now()),
                Err(_) if heard.elapsed() < GONE_MAX => {}
                Err(unasked) => {
                    let why = unasked.to_string();
                    let text = format!("{why}; the rebuild goes on when the hub is started again");
                    return Err(ProgramError::Failed(text));
                }
            }
        }
        shown.end();
        Ok(Report { taken_up, progress })
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Unasked> {
        let url = &self.url;
        let response = request.timeout(ANSWER_TIME_MAX).send().await.map_err(|error| {
            if error.is_connect() {
                return Unasked::NoOne;
            }
            Unasked::Failed(format!("{url} did not answer: {error}"))
        })?;
        let status = response.status();
        let body = read_body(response, ANSWER_BYTES_MAX, ANSWER_TIME_MAX).await;
        let body = body.map_err(|error| Unasked::Failed(format!("{url}: {error}")))?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            return Err(Unasked::Failed(format!("{url} answered {status}: {text}")));
        }
        serde_json::from_slice(&body).map_err(|_| {
            Unasked::Failed(format!("what answers at {url} is no hub of this version"))
        })
    }
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOne => f.write_str("the hub has gone"),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

/// How far it is: a bar on a terminal, else a line every few seconds.
struct Shown {
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Shown {
    fn new() -> Self {
        let bar = || {
            let style = ProgressStyle::with_template("{bar:40} {pos} %, {eta} left, {msg}").ok()?;
            Some(ProgressBar::new(100).with_style(style))
        };
        let bar = std::io::stderr().is_terminal().then(bar).flatten();
        Self { bar, last: Instant::now() }
    }

    fn show(&mut self, progress: &Progress) {
        let Progress { percent, walked, .. } = progress;
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(*percent));
            bar.set_message(format!("{walked} resources"));
        } else if self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            tracing::info!(percent, walked, "the index is being rebuilt");
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
