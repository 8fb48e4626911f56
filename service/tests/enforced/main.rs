//! Enforced mode, over real TLS.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ca;
mod handshake;
mod issuer;
mod kit;
mod limit;
mod strangers;
mod token;
