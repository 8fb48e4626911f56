//! Configuration: a TOML file, then the environment; unknown keys are refused.
//!
//! Every key can be overridden as `HUB__SERVER__LISTEN`: the service's prefix, then the key's path
//! with double underscores. Other variables are not read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fhir::identifier::OdsCode;
use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::caller::bearer::Bearer;
use crate::clock::Clock;
use crate::tls::TlsConfig;

/// Why a configuration cannot be used; one sentence for the person who wrote it.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("the configuration file {0} cannot be read")]
    Unreadable(String),
    /// A key is missing, unknown or of the wrong kind.
    #[error("{0}")]
    Invalid(Box<figment::Error>),
    /// The keys are well formed but do not fit together.
    #[error("{0}")]
    Refused(String),
}

/// Loads `file` and then the environment variables that start with `prefix` (`HUB__`).
pub fn load<T: DeserializeOwned>(file: &Path, prefix: &str) -> Result<T, ConfigError> {
    if !file.is_file() {
        return Err(ConfigError::Unreadable(file.display().to_string()));
    }
    extract(Figment::from(Toml::file_exact(file)), prefix)
}

/// Loads a file that holds several services' configurations, each in a table of its own. `tables`
/// are the tables' names with the prefixes of the variables that override them.
pub fn load_tables<T: DeserializeOwned>(
    file: &Path,
    tables: &[(&'static str, &str)],
) -> Result<T, ConfigError> {
    if !file.is_file() {
        return Err(ConfigError::Unreadable(file.display().to_string()));
    }
    let mut figment = Figment::from(Toml::file_exact(file));
    for &(table, prefix) in tables {
        let variables = Env::prefixed(prefix);
        figment = figment.merge(
            variables.map(move |key| format!("{table}.{}", key.as_str().replace("__", ".")).into()),
        );
    }
    figment.extract().map_err(|error| ConfigError::Invalid(Box::new(error)))
}

/// Reads a configuration from TOML text and the environment.
pub fn parse<T: DeserializeOwned>(toml: &str, prefix: &str) -> Result<T, ConfigError> {
    extract(Figment::from(Toml::string(toml)), prefix)
}

/// Reads TOML text alone: no variable overrides anything of it.
pub fn read<T: DeserializeOwned>(toml: &str) -> Result<T, ConfigError> {
    let figment = Figment::from(Toml::string(toml));
    figment.extract().map_err(|error| ConfigError::Invalid(Box::new(error)))
}

fn extract<T: DeserializeOwned>(figment: Figment, prefix: &str) -> Result<T, ConfigError> {
    figment
        .merge(Env::prefixed(prefix).split("__"))
        .extract()
        .map_err(|error| ConfigError::Invalid(Box::new(error)))
}

/// `[server]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// What the world calls this service: the whole FHIR base for a hub or gateway, the origin for
    /// a locator. Location headers, page links and pointers are built from it.
    pub public_url: String,
    /// How long a stopping service waits for requests in flight.
    #[serde(default = "default_drain_ms")]
    pub drain_ms: u64,
}

fn default_drain_ms() -> u64 {
    20_000
}

impl Server {
    /// The public URL without a trailing slash.
    pub fn base(&self) -> &str {
        self.public_url.trim_end_matches('/')
    }

    /// Checks that the public URL is an absolute http(s) URL that ends as the service needs.
    pub fn check(&self, ending: &str) -> Result<(), ConfigError> {
        let absolute =
            self.public_url.starts_with("http://") || self.public_url.starts_with("https://");
        let plain = self.public_url.bytes().all(|byte| byte.is_ascii_graphic());
        if !absolute || !plain || !self.base().ends_with(ending) {
            return Err(ConfigError::Refused(format!(
                "server.public_url must be an http or https URL that ends in \"{ending}\""
            )));
        }
        Ok(())
    }
}

/// `[admin]`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port of metrics and readiness detail; keep it on loopback.
    pub listen: SocketAddr,
}

/// `[region]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// The region's own organisation.
    pub ods: OdsCode,
    /// Its name, as shown to people.
    pub name: String,
    /// The nation it belongs to.
    pub nation: Nation,
}

/// A nation of the United Kingdom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Nation {
    England,
    Scotland,
    Wales,
    #[serde(alias = "northern ireland", rename = "northern-ireland")]
    NorthernIreland,
}

/// `[security]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Who is let in.
    pub mode: SecurityMode,
    /// Whose tokens are believed, in enforced mode.
    #[serde(default)]
    pub issuers: Vec<Issuer>,
    /// The private key that a gateway signs its tokens with: EC P-384, PEM. Looked at again while it
    /// runs.
    pub signing_key: Option<PathBuf>,
    /// The `kid` under which hubs know the public half of it.
    pub key_id: Option<String>,
}

/// `[[security.issuers]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its name, as tokens have it (`iss`).
    pub iss: String,
    /// A file with its public keys, as a JSON Web Key Set.
    pub jwks_file: PathBuf,
    /// The organisation whose gateway it is: its tokens are about other organisations, and come over
    /// that organisation's certificate alone. Without it, a token is about whom the certificate is
    /// about.
    pub gateway: Option<OdsCode>,
    /// Whether a token may be sent more than once, as the access tokens of an authorisation server
    /// are. Without it, a second time is a replay.
    #[serde(default)]
    pub reusable: bool,
}

/// `security.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurityMode {
    /// Every caller is the region's own organisation; loopback only.
    Open,
    /// Every caller proves who it is.
    Enforced,
}

impl Security {
    /// Open mode.
    pub const fn open() -> Self {
        Self { mode: SecurityMode::Open, issuers: Vec::new(), signing_key: None, key_id: None }
    }

    /// Refuses `open` on an address others can reach, and `enforced` without what it needs.
    pub fn check(&self, server: &Server, tls: Option<&TlsConfig>) -> Result<(), ConfigError> {
        let refused = |text: &str| Err(ConfigError::Refused(text.into()));
        match (self.mode, tls) {
            (SecurityMode::Open, _) if !server.listen.ip().is_loopback() => refused(
                "security.mode = \"open\" is allowed on a loopback address only: change \
                 server.listen, or set security.mode = \"enforced\"",
            ),
            (SecurityMode::Open, Some(_)) => {
                refused("[tls] is for security.mode = \"enforced\": set it, or leave [tls] out")
            }
            (SecurityMode::Open, None) => Ok(()),
            (SecurityMode::Enforced, None) => refused(
                "security.mode = \"enforced\" needs [tls]: certificate, key, client_ca and crls",
            ),
            (SecurityMode::Enforced, Some(_)) if self.issuers.is_empty() => refused(
                "security.mode = \"enforced\" needs [[security.issuers]], whose tokens are believed",
            ),
            (SecurityMode::Enforced, Some(_)) if !server.public_url.starts_with("https://") => {
                refused("security.mode = \"enforced\" needs an https URL as server.public_url")
            }
            (SecurityMode::Enforced, Some(tls)) => {
                tls.check()?;
                Bearer::open(&self.issuers, server.base(), &Clock::System).map(drop)
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        server: Server,
        security: Security,
    }

    const SAMPLE: &str = r#"
        [server]
        listen = "127.0.0.1:0"
        public_url = "http://127.0.0.1:1/FHIR/R4/"
        [security]
        mode = "open"
    "#;

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let text = format!("{SAMPLE}\nmodus = \"open\"");
        let error = parse::<Sample>(&text, "TEST_NONE__").unwrap_err();
        assert!(error.to_string().contains("modus"), "{error}");
    }

    #[test]
    fn open_mode_is_for_loopback_only() {
        let sample: Sample = parse(SAMPLE, "TEST_NONE__").unwrap();
        assert!(sample.security.check(&sample.server, None).is_ok());
        let listen = "0.0.0.0:80".parse().unwrap();
        let reachable = Server { listen, ..sample.server.clone() };
        assert!(sample.security.check(&reachable, None).is_err());
        assert_eq!(sample.server.base(), "http://127.0.0.1:1/FHIR/R4");
        assert!(sample.server.check("/FHIR/R4").is_ok());
        assert!(sample.server.check("/fhir").is_err());
    }

    #[test]
    fn enforced_mode_without_tls_is_refused() {
        let sample: Sample = parse(&SAMPLE.replace("open", "enforced"), "TEST_NONE__").unwrap();
        let error = sample.security.check(&sample.server, None).unwrap_err();
        assert!(error.to_string().contains("[tls]"), "{error}");
    }
}
