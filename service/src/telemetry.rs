//! Logs go to stderr, one JSON object a line, or plain text on a terminal.
//!
//! A message is readable alone, fields are dotted and shared (`region.ods`, `duration_ms`), an
//! error is logged once, where it is handled. Never logged: URLs and bodies (they carry patient
//! numbers), names, tokens. `RUST_LOG` chooses what is shown; the default is `info`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Installs the subscriber. Later calls in one process change nothing.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call finds a subscriber in place, which is what it wants.
    let _ = if std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
