//! The gateway's configuration: `config/gateway.toml` shows every key.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::caller::mint::Mint;
use service::clock::Clock;
use service::config::{Admin, ConfigError, Region, Security, SecurityMode, Server, load, parse};
use service::limit::Limits;
use service::seal::{Seal, secret};
use service::tls::TlsConfig;
use service::token::TokenConfig;
use url::Url;

use crate::directory;

/// Prefix of the environment variables that override a key.
pub const ENVIRONMENT_PREFIX: &str = "GATEWAY__";
/// What a FHIR base ends in, ours and every hub's.
pub const BASE_ENDING: &str = "/FHIR/R4";
/// Longest deadline that a configuration or a caller may set.
pub const DEADLINE_MS_MAX: u64 = 25_000;

/// Everything a gateway is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where it listens, and what the world calls it.
    pub server: Server,
    /// The loopback listener.
    pub admin: Admin,
    /// The region it belongs to.
    pub region: Region,
    /// Who knows which regions hold a record.
    pub locator: Locator,
    /// Who is let in.
    pub security: Security,
    /// Certificates, in enforced mode.
    pub tls: Option<TlsConfig>,
    /// How numbers are linked.
    #[serde(default)]
    pub identity: Identity,
    /// How regions are asked.
    #[serde(default)]
    pub federation: Federation,
    /// A signed list of the regions; with it, `regions` is not looked at.
    pub directory: Option<DirectoryConfig>,
    /// The regions that may be asked; the only endpoints that are ever dialled.
    #[serde(default)]
    pub regions: Vec<directory::Region>,
    /// Where the audit journal lives.
    #[serde(default)]
    pub audit: Audit,
    /// How much one organisation may ask, in enforced mode.
    #[serde(default)]
    pub limits: Limits,
}

/// `[locator]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locator {
    /// The part before `/producer` and `/consumer`.
    pub url: String,
    /// How long the locator may take.
    #[serde(default = "locator_deadline_ms")]
    pub deadline_ms: u64,
    /// How long a lookup's result may be used again; 0 shares it among concurrent requests only.
    #[serde(default)]
    pub reuse_ms: u64,
    /// How access tokens are had; without it, none is sent.
    pub token: Option<TokenConfig>,
}

fn locator_deadline_ms() -> u64 {
    3_000
}

/// `[identity]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Linked numbers: FHIR Patients, one a line.
    pub links_file: Option<PathBuf>,
    /// Whether the home hub is asked which numbers are one person's.
    pub home: bool,
    /// How long other regions wait for it.
    pub wait_ms: u64,
}

impl Default for Identity {
    fn default() -> Self {
        Self { links_file: None, home: true, wait_ms: 500 }
    }
}

impl Identity {
    /// How long other regions wait for the home hub to link numbers.
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }
}

/// `[federation]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Federation {
    /// How long a request may take unless it says otherwise (`X-Request-Timeout-Ms`).
    pub deadline_ms: u64,
    /// Matches on a page of an answer, unless the caller wants fewer; also what a region is asked for
    /// at a time.
    pub page_size: u32,
    /// Files with the secrets of page links: the first seals, all open. Without one, links work until
    /// this process ends.
    pub token_key_files: Vec<PathBuf>,
    /// Questions that one region is asked at a time; more wait a moment for their turn.
    pub region_requests: usize,
    /// Memory that snapshots take together at most, in MiB; none are taken if it is 0.
    pub snapshots_mib: usize,
    /// What happens when the locator cannot be asked.
    pub without_locator: WithoutLocator,
}

impl Default for Federation {
    fn default() -> Self {
        Self {
            deadline_ms: 8_000,
            page_size: 1_000,
            token_key_files: Vec::new(),
            region_requests: 512,
            snapshots_mib: 256,
            without_locator: WithoutLocator::Refuse,
        }
    }
}

impl Federation {
    /// What seals page links and opens them.
    pub fn seal(&self) -> Result<Seal, ConfigError> {
        let read = |file: &PathBuf| {
            secret(file).map_err(|cause| {
                let file = file.display();
                ConfigError::Refused(format!(
                    "federation.token_key_files: {file} cannot be used: {cause}"
                ))
            })
        };
        let mut secrets = self.token_key_files.iter().map(read);
        let Some(first) = secrets.next().transpose()? else { return Ok(Seal::random()) };
        secrets.try_fold(Seal::new(first), |seal, older| Ok(seal.opening(older?)))
    }
}

/// `federation.without_locator`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutLocator {
    /// 503: it is not known who holds records.
    Refuse,
    /// The home hub's answer, marked as incomplete.
    HomeOnly,
}

/// `[directory]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    /// The list.
    pub file: PathBuf,
    /// The public key that it is signed with.
    pub key_file: PathBuf,
    /// How often the file is looked at.
    #[serde(default = "directory_reload_s")]
    pub reload_s: u64,
}

fn directory_reload_s() -> u64 {
    30
}

/// `[audit]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// The journal's folder; absent: the service's state directory.
    pub dir: Option<PathBuf>,
}

impl GatewayConfig {
    /// Reads and checks a file and the environment.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let config: Self = load(file, ENVIRONMENT_PREFIX)?;
        config.checked()
    }

    /// Reads and checks TOML text and the environment.
    pub fn parse(toml: &str) -> Result<Self, ConfigError> {
        let config: Self = parse(toml, ENVIRONMENT_PREFIX)?;
        config.checked()
    }

    /// Whether the keys fit together.
    pub fn checked(self) -> Result<Self, ConfigError> {
        self.server.check(BASE_ENDING)?;
        check_url("server.public_url", &self.server.public_url)?;
        check_url("locator.url", &self.locator.url)?;
        self.security.check(&self.server, self.tls.as_ref())?;
        self.limits.check()?;
        self.locator.token.as_ref().map_or(Ok(()), TokenConfig::check)?;
        in_range("federation.deadline_ms", self.federation.deadline_ms)?;
        in_range("locator.deadline_ms", self.locator.deadline_ms)?;
        in_range("identity.wait_ms", self.identity.wait_ms)?;
        if !(1..=5_000).contains(&self.federation.page_size) {
            return refused("federation.page_size must lie between 1 and 5000");
        }
        if !(1..=10_000).contains(&self.federation.region_requests) {
            return refused("federation.region_requests must lie between 1 and 10000");
        }
        if self.federation.snapshots_mib > 65_536 {
            return refused("federation.snapshots_mib must lie between 0 and 65536");
        }
        if let Some(DirectoryConfig { reload_s, .. }) = self.directory
            && !(1..=60).contains(&reload_s)
        {
            // A region that is suspended is left alone within a minute.
            return refused("directory.reload_s must lie between 1 and 60");
        }
        check_regions(&self.regions)?;
        self.check_trust()?;
        Ok(self)
    }
}

impl GatewayConfig {
    /// In enforced mode: keys that can be read, and regions that are asked over TLS alone.
    fn check_trust(&self) -> Result<(), ConfigError> {
        if self.security.mode == SecurityMode::Open {
            return Ok(());
        }
        let (base, ods) = (self.server.base(), &self.region.ods);
        Mint::open(&self.security, base, ods, &Clock::System)?;
        match self.regions.iter().find(|region| !region.url.starts_with("https://")) {
            Some(directory::Region { ods, .. }) => refused(format!(
                "the url of region {ods} must be an https URL: security.mode is \"enforced\""
            )),
            None => Ok(()),
        }
    }
}

/// Whether regions may stand in one directory.
pub(crate) fn check_regions(regions: &[directory::Region]) -> Result<(), ConfigError> {
    let mut known = HashSet::new();
    for region in regions {
        let ods = &region.ods;
        check_url(&format!("the url of region {ods}"), &region.url)?;
        if !region.base().ends_with(BASE_ENDING) {
            return refused(format!("the url of region {ods} must end in \"{BASE_ENDING}\""));
        }
        if !known.insert(ods) {
            return refused(format!("region {ods} stands in [[regions]] twice"));
        }
    }
    Ok(())
}

fn in_range(key: &str, deadline_ms: u64) -> Result<(), ConfigError> {
    if (1..=DEADLINE_MS_MAX).contains(&deadline_ms) {
        return Ok(());
    }
    refused(format!("{key} must lie between 1 and {DEADLINE_MS_MAX}"))
}

fn check_url(key: &str, text: &str) -> Result<(), ConfigError> {
    let plain = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if plain.is_some() && text.is_ascii() {
        return Ok(());
    }
    refused(format!("{key} must be an http or https URL without user, query or fragment"))
}

fn refused<T>(sentence: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Refused(sentence.into()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../config/gateway.toml");

    #[test]
    fn the_shipped_file_is_a_configuration() {
        let config = GatewayConfig::parse(SHIPPED).unwrap();
        assert_eq!(config.regions.len(), 3);
        assert_eq!(config.federation.deadline_ms, 8_000);
        assert!(config.regions.iter().any(|r| r.ods == config.region.ods));
    }

    #[test]
    fn page_links_are_sealed_with_the_first_secret_and_opened_with_all() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let old = file("old", &[7; 32]);
        let new = file("new", b"CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=\n");
        let short = file("short", b"secret");
        let seal = |files: &[&PathBuf]| {
            let token_key_files = files.iter().copied().cloned().collect();
            Federation { token_key_files, ..Federation::default() }.seal()
        };
        let before = seal(&[&old]).unwrap().seal(b"content", b"");
        let both = seal(&[&new, &old]).unwrap();
        assert!(both.open(&before, b"").is_some());
        assert!(Seal::new([8; 32]).open(&both.seal(b"content", b""), b"").is_some());
        assert!(seal(&[]).unwrap().open(&before, b"").is_none());
        for wrong in [&short, &folder.path().join("none")] {
            let error = seal(&[&new, wrong]).unwrap_err().to_string();
            assert!(error.contains("token_key_files") && !error.contains("CAgI"), "{error}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_the_key() {
        for (from, to, named) in [
            ("8412/FHIR/R4\"", "8412/fhir\"", "public_url"),
            ("8421/FHIR/R4\"", "8421\"", "QHM"),
            ("ods = \"QHM\"", "ods = \"QWO\"", "QWO"),
            ("deadline_ms = 8000", "deadline_ms = 60000", "federation.deadline_ms"),
            ("page_size = 1000", "page_size = 0", "page_size"),
            ("region_requests = 512", "region_requests = 0", "region_requests"),
            ("snapshots_mib = 256", "snapshots_mib = 65537", "snapshots_mib"),
            ("\"http://127.0.0.1:8400\"", "\"127.0.0.1:8400\"", "locator.url"),
            ("listen = \"127.0.0.1:8412\"", "listen = \"0.0.0.0:8412\"", "loopback"),
        ] {
            assert!(SHIPPED.contains(from), "{from}");
            let error = GatewayConfig::parse(&SHIPPED.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
