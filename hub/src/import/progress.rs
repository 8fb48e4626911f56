//! How far an import is: a bar on a terminal, else a line every few seconds.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::report::Report;

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How far it is, in bytes of the files.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    bytes: u64,
    read: Arc<AtomicU64>,
    last: Instant,
}

impl Progress {
    /// Nothing yet, of so many bytes.
    pub(super) fn of(bytes: u64) -> Self {
        let style = "{bar:40} {bytes}/{total_bytes}, {eta} left, {msg}";
        let bar = || {
            let style = ProgressStyle::with_template(style).ok()?;
            Some(ProgressBar::new(bytes).with_style(style))
        };
        let bar = std::io::stderr().is_terminal().then(bar).flatten();
        Self { bar, bytes, read: Arc::default(), last: Instant::now() }
    }

    /// What the reader counts.
    pub(super) fn read(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// Shows how far it is, if it is time to.
    pub(super) fn show(&mut self, report: &Report) {
        let total = report.total();
        let read = self.read.load(Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(read);
            bar.set_message(format!(
                "{} in, {} refused",
                total.stored + total.unchanged,
                total.refused
            ));
        } else if self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            tracing::info!(
                bytes = read,
                of_bytes = self.bytes,
                stored = total.stored,
                unchanged = total.unchanged,
                refused = total.refused,
                "importing"
            );
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
