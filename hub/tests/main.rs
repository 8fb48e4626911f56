//! Stories of one hub, each on both engines.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod audit;
mod batch;
mod capabilities;
mod conditional;
mod conformance;
mod custody;
mod exchange;
mod explain;
mod fault;
mod history;
mod import;
mod kit;
mod once;
mod operation;
mod oracle;
mod patch;
mod published;
mod race;
mod record;
mod refusal;
mod registration;
mod reindex;
mod search;
mod transaction;
mod vanishing;
