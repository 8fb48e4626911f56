//! The locator as its callers see it: real requests through the router, on a real database file.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod application;
mod consumer;
mod faults;
mod killed;
mod load;
mod mutations;
mod permissions;
mod persistence;
mod producer;
mod requests;
mod rules;
mod samples;
mod scenarios;
mod size;
mod tokens;
mod world;
