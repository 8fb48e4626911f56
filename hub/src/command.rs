//! What commands share that work on a record: they ask the hub that serves it, on its admin listener, and
//! show how far it is.

use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use service::client::read_body;
use service::program::ProgramError;

use crate::config::HubConfig;

/// How long an answer may take: a hub that is asked to begin waits for a moment between writes.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How often it is asked how far it is.
pub(crate) const EVERY: Duration = Duration::from_millis(250);
/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The hub that is asked.
pub(crate) struct Asked {
    pub(crate) client: Client,
    pub(crate) url: String,
}

/// Why there is no answer.
pub(crate) enum Unasked {
    /// No one listens there.
    NoOne,
    /// Anything else, as one sentence.
    Failed(String),
}

impl Asked {
    /// The admin listener of the configured hub, at this path.
    pub(crate) fn new(config: &HubConfig, path: &str) -> Result<Self, ProgramError> {
        let client = service::client::build()
            .map_err(|error| ProgramError::failed("building the HTTP client", error))?;
        Ok(Self { client, url: format!("http://{}/{path}", config.admin.listen) })
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Unasked> {
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

    /// Why the record could not be opened although no hub was there to be asked.
    pub(crate) fn instead_of(&self, error: ProgramError) -> ProgramError {
        match error {
            ProgramError::Failed(text) if text.contains("in use by another process") => {
                let url = &self.url;
                ProgramError::Failed(format!("{text}; no hub of this configuration is at {url}"))
            }
            error => error,
        }
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

/// How far it is: a bar or a count on a terminal, else a line every few seconds.
pub(crate) struct Shown {
    bar: Option<ProgressBar>,
    last: Instant,
}

impl Shown {
    /// Of a hundred.
    pub(crate) fn percent() -> Self {
        Self::styled("{bar:40} {pos} %, {eta} left, {msg}", Some(100))
    }

    /// Of as many as there are.
    pub(crate) fn count(what: &str) -> Self {
        Self::styled(&format!("{{spinner}} {{pos}} {what}, {{elapsed}}, {{msg}}"), None)
    }

    fn styled(template: &str, length: Option<u64>) -> Self {
        let bar = || {
            let style = ProgressStyle::with_template(template).ok()?;
            let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            Some(bar.with_style(style))
        };
        let bar = std::io::stderr().is_terminal().then(bar).flatten();
        Self { bar, last: Instant::now() }
    }

    pub(crate) fn show(&mut self, position: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.set_message(message.to_owned());
        } else if self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            tracing::info!(position, "{message}");
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
