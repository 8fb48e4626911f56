//! The locator as its callers see it: real requests through the router, on a real database file.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod consumer;
mod mutations;
mod persistence;
mod producer;
mod requests;
mod rules;
mod scenarios;
mod world;
