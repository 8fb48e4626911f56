//! How any of our services starts, listens, knows its caller, answers, logs and stops.
//!
//! | room | what lives there |
//! |---|---|
//! | [`program`] | the command line every service has: `serve`, `check`, exit codes |
//! | [`config`] | TOML plus environment, unknown keys refused; the sections all services share |
//! | [`serve`] | listener in, shutdown in: timeouts, drain, panics caught |
//! | [`tls`] | mutual TLS: certificates in both directions, revocation |
//! | [`reload`] | files that are looked at again while a service runs |
//! | [`telemetry`] | one subscriber; what is never logged |
//! | [`correlation`] | `X-Request-ID`, `X-Correlation-ID`, `traceparent` in and out |
//! | [`caller`] | who asks, verified; an extractor |
//! | [`body`] | JSON in, bounded in size and time |
//! | [`parameters`] | what an operation is given, in URL and body |
//! | [`encoding`] | gzip in and out |
//! | [`negotiation`] | `Accept` and `_format`: JSON or 406 |
//! | [`answer`] | a resource out: ETag, Last-Modified, Location |
//! | [`seal`] | what a page link carries, encrypted |
//! | [`refusal`] | an error out: status and OperationOutcome |
//! | [`client`] | one HTTP client: deadlines, size caps, no redirects |
//! | `names` | where host names lead, and led last |
//! | [`limit`] | how much one organisation may ask |
//! | [`token`] | access tokens for another service: one kept, renewed in time |
//! | [`clock`] | time, passed in |
//! | [`journal`] | an audit entry on disk before the answer leaves |
//! | [`admin`] | the loopback listener: readiness detail and metrics |

pub mod admin;
pub mod answer;
pub mod body;
pub mod caller;
pub mod client;
pub mod clock;
pub mod config;
pub mod correlation;
pub mod encoding;
pub mod journal;
pub mod limit;
mod names;
pub mod negotiation;
pub mod parameters;
pub mod program;
pub mod refusal;
pub mod reload;
pub mod seal;
pub mod serve;
pub mod telemetry;
pub mod tls;
pub mod token;
