//! What can be configured. Every key is in `config/hub.toml`, with its default.

use std::path::PathBuf;

use fhir::identifier::OdsCode;
use serde::{Deserialize, Serialize};
use service::config::{Admin, ConfigError, Region, Security, SecurityMode, Server};
use service::limit::Limits;
use service::tls::TlsConfig;
use service::token::TokenConfig;

use crate::access::decision::AccessConfig;
use crate::custody::policy::CustodyConfig;

/// The prefix of environment variables that override keys.
pub const PREFIX: &str = "HUB__";

/// Longest time between two looks at the locator: a week.
const PERIOD_S_MAX: u64 = 604_800;

/// `hub.toml`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// Where the hub listens and what it is called.
    pub server: Server,
    /// The admin listener.
    pub admin: Admin,
    /// The region whose record this is.
    pub region: Region,
    /// Who is let in.
    pub security: Security,
    /// Certificates, in enforced mode.
    pub tls: Option<TlsConfig>,
    /// Where the record is kept.
    pub store: StoreConfig,
    /// The record locator; without one nothing is registered.
    pub locator: Option<LocatorConfig>,
    /// What is registered there, and how often that is looked at.
    #[serde(default)]
    pub registration: RegistrationConfig,
    /// Rules of the record.
    #[serde(default)]
    pub record: RecordConfig,
    /// What others may do to an organisation's resources.
    #[serde(default)]
    pub custody: CustodyConfig,
    /// Who may see what, in enforced mode.
    #[serde(default)]
    pub access: AccessConfig,
    /// The audit journal.
    #[serde(default)]
    pub audit: AuditConfig,
    /// How much one organisation may ask, in enforced mode.
    #[serde(default)]
    pub limits: Limits,
}

/// `[store]`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// `sqlite://PATH` or `postgres://…`
    #[serde(serialize_with = "redacted")]
    pub url: String,
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreConfig").field("url", &redact(&self.url)).finish()
    }
}

/// `[locator]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocatorConfig {
    /// The part of its URLs before `/producer` and `/consumer`.
    pub url: String,
    /// How access tokens are had; without it, none is sent.
    pub token: Option<TokenConfig>,
}

/// `[registration]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrationConfig {
    /// Whether only NHS numbers are registered that are said to be present and verified.
    pub only_verified: bool,
    /// How often the record and the locator are compared.
    pub reconcile_s: u64,
    /// How often a few registered numbers are looked up, to see whether the locator lost its state.
    pub check_s: u64,
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self { only_verified: false, reconcile_s: 3_600, check_s: 60 }
    }
}

/// `[record]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordConfig {
    /// Whether an update must name the version it replaces.
    pub require_if_match: bool,
    /// Whether a PUT may create a resource under an id of the client's choice; by default in open
    /// mode only.
    pub client_ids: Option<bool>,
}

/// `[audit]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// The journal's folder; by default the journal is beside the SQLite file, else in the state
    /// directory.
    pub dir: Option<PathBuf>,
    /// How safe the line of a read or a refusal is before its answer leaves.
    pub reads: Reads,
    /// The key that heads of the trail are signed with (Ed25519, PEM); without it they are unsigned.
    pub signing_key_file: Option<PathBuf>,
    /// Who is sent each head, to keep it where we cannot change it.
    pub witnesses: Vec<Witness>,
    /// Whose heads we keep.
    pub witnessed: Vec<Witnessed>,
}

/// `[[audit.witnesses]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Where heads are sent: another region's hub, at `/audit/heads`.
    pub url: String,
}

/// `[[audit.witnessed]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witnessed {
    /// The region.
    pub ods: OdsCode,
    /// The public half of the key that its heads are signed with (Ed25519, PEM).
    pub public_key_file: PathBuf,
}

/// What a line of the journal survives before its answer leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// The end of the process; a power cut after 100 ms.
    #[default]
    Process,
    /// A power cut.
    Disk,
}

impl HubConfig {
    /// Checks what types cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.server.check("/FHIR/R4")?;
        self.security.check(&self.server, self.tls.as_ref())?;
        self.access.check()?;
        self.limits.check()?;
        let known = ["sqlite://", "postgres://", "postgresql://"];
        if !known.iter().any(|scheme| self.store.url.starts_with(scheme)) {
            let text = "store.url must begin with sqlite:// or postgres://";
            return Err(ConfigError::Refused(text.into()));
        }
        let RegistrationConfig { reconcile_s, check_s, .. } = self.registration;
        for (key, value) in [("reconcile_s", reconcile_s), ("check_s", check_s)] {
            if !(1..=PERIOD_S_MAX).contains(&value) {
                let text = format!("registration.{key} must lie between 1 and {PERIOD_S_MAX}");
                return Err(ConfigError::Refused(text));
            }
        }
        let secure = self.security.mode == SecurityMode::Enforced;
        let scheme = if secure { "https://" } else { "http" };
        if self.audit.witnesses.iter().any(|witness| !witness.url.starts_with(scheme)) {
            let text = format!("audit.witnesses: each url must begin with {scheme}");
            return Err(ConfigError::Refused(text));
        }
        self.custody.check()?;
        let token = self.locator.as_ref().and_then(|locator| locator.token.as_ref());
        token.map_or(Ok(()), TokenConfig::check)
    }

    /// Whether a PUT may create.
    pub fn client_ids(&self) -> bool {
        self.record.client_ids.unwrap_or(self.security.mode == SecurityMode::Open)
    }
}

/// A database URL without its password.
fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:***@{host}")
        }
        None => url.to_owned(),
    }
}

fn redacted<S: serde::Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&redact(url))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_a_configuration() {
        let config: HubConfig =
            service::config::parse(include_str!("../../config/hub.toml"), "HUB_TEST_NONE__")
                .unwrap();
        config.check().unwrap();
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = "postgres://hub:secret@db/record";
        assert_eq!(redact(url), "postgres://hub:***@db/record");
        assert!(!format!("{:?}", StoreConfig { url: url.into() }).contains("secret"));
        assert_eq!(redact("sqlite://a.db"), "sqlite://a.db");
    }
}
