//! `locator-mock.toml`: unknown keys are refused, every key can be set as `LOCATOR__SECTION__KEY`.

use std::path::{Path, PathBuf};

use http::Uri;
use serde::{Deserialize, Serialize};
use service::config::{Admin, ConfigError, Security, SecurityMode, Server, load};

pub use crate::permission::AccessControl;
use crate::pointer::PracticeSettings;

/// Longest life of an access token.
const TOKEN_LIFE_MAX_S: u32 = 3_600;

/// The locator's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocatorConfig {
    /// Where it listens and what it is called; `public_url` is the part before `/producer`.
    pub server: Server,
    /// Where metrics and readiness detail are.
    pub admin: Admin,
    /// Where pointers are kept.
    pub store: Store,
    /// Who is let in.
    pub security: Security,
    /// How access tokens are issued.
    #[serde(default)]
    pub token: Token,
    /// The applications that may ask for access tokens.
    #[serde(default)]
    pub applications: Vec<Application>,
    /// Which pointer types organisations may use.
    #[serde(default)]
    pub permissions: PermissionLists,
    /// What pointers may say.
    #[serde(default)]
    pub pointers: Pointers,
}

/// `[store]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite://PATH`; a relative path starts at the working directory.
    pub url: String,
}

/// `[token]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Token {
    /// What a client assertion names as its audience; without it, the endpoint's public URL.
    pub audience: Option<String>,
    /// How long an access token is good for.
    pub expires_in_s: u32,
}

impl Default for Token {
    fn default() -> Self {
        Self { audience: None, expires_in_s: 599 }
    }
}

/// `[[applications]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its API key, which its client assertions are issued by and about.
    pub client_id: String,
    /// Its id in the NRL, by which its organisations have rights.
    pub app_id: Option<String>,
    /// A file with its public keys, as a JSON Web Key Set.
    pub jwks: Option<PathBuf>,
    /// What it has beside the older form of permission lists.
    #[serde(default)]
    pub access_controls: Vec<AccessControl>,
}

/// `[permissions]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionLists {
    /// The folder of the lists; see `permission`.
    pub folder: Option<PathBuf>,
}

/// `[pointers]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointers {
    /// A ValueSet that lists every practice setting; without it, one that is not known here passes.
    pub practice_settings: Option<PathBuf>,
}

impl LocatorConfig {
    /// The fixed keys; every other has its default.
    pub fn new(server: Server, admin: Admin, store: Store, security: Security) -> Self {
        Self {
            server,
            admin,
            store,
            security,
            token: Token::default(),
            applications: Vec::new(),
            permissions: PermissionLists::default(),
            pointers: Pointers::default(),
        }
    }

    /// Loads and checks a configuration file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let config: Self = load(file, "LOCATOR__")?;
        config.check()?;
        Ok(config)
    }

    /// Checks that the keys fit together.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.security.mode {
            SecurityMode::Open => self.security.check(&self.server, None)?,
            SecurityMode::Enforced => self.check_enforced()?,
        }
        if !(1..=TOKEN_LIFE_MAX_S).contains(&self.token.expires_in_s) {
            return Err(ConfigError::Refused(format!(
                "token.expires_in_s must be between 1 and {TOKEN_LIFE_MAX_S}"
            )));
        }
        self.check_public_url()?;
        self.store.path().map(drop)
    }

    /// The audience of client assertions.
    pub(crate) fn audience(&self) -> String {
        let own = || format!("{}/oauth2/token", self.server.base());
        self.token.audience.clone().unwrap_or_else(own)
    }

    /// The practice settings that pointers may have.
    pub(crate) fn practice_settings(&self) -> Result<PracticeSettings, ConfigError> {
        let file = self.pointers.practice_settings.as_deref();
        file.map(PracticeSettings::load).transpose().map(Option::unwrap_or_default)
    }

    fn check_enforced(&self) -> Result<(), ConfigError> {
        let missing = if self.applications.is_empty() {
            "[[applications]], of which one may ask for access tokens"
        } else if self.permissions.folder.is_none() {
            "permissions.folder, where it is written who may use which pointer types"
        } else {
            return Ok(());
        };
        Err(ConfigError::Refused(format!("security.mode = \"enforced\" needs {missing}")))
    }

    fn check_public_url(&self) -> Result<(), ConfigError> {
        let uri = self.server.public_url.parse::<Uri>().ok().filter(|uri| {
            let web = matches!(uri.scheme_str(), Some("http" | "https"));
            web && uri.authority().is_some() && uri.query().is_none()
        });
        uri.map(drop).ok_or_else(|| {
            ConfigError::Refused(
                "server.public_url must be an http or https URL, the part before /producer and \
                 /consumer, such as \"http://127.0.0.1:8400\""
                    .into(),
            )
        })
    }
}

impl Store {
    /// The database file.
    pub fn path(&self) -> Result<PathBuf, ConfigError> {
        match self.url.split_once("://") {
            // SQLite would take a leading colon for a database in memory, which does not last.
            Some(("sqlite", path)) if !path.is_empty() && !path.starts_with(':') => {
                Ok(PathBuf::from(path))
            }
            Some(("postgres" | "postgresql", _)) => Err(ConfigError::Refused(
                "store.url: the locator keeps its pointers in SQLite only: use sqlite://PATH"
                    .into(),
            )),
            _ => Err(ConfigError::Refused(
                "store.url must be sqlite://PATH, such as \"sqlite://locator-mock.db\"".into(),
            )),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn shipped() -> LocatorConfig {
        let text = include_str!("../../config/locator-mock.toml");
        service::config::parse(text, "LOCATOR_TEST_NONE__").unwrap()
    }

    #[test]
    fn the_shipped_file_starts_as_it_is() {
        let config = shipped();
        config.check().unwrap();
        assert_eq!(config.server.listen.port(), 8400);
        assert_eq!(config.admin.listen.port(), 8409);
    }

    #[test]
    fn a_store_that_is_not_sqlite_is_refused_in_a_sentence() {
        for url in [
            "postgres://h/d",
            "postgresql://h/d",
            "sqlite://",
            "sqlite://:memory:",
            "locator.db",
            "",
        ] {
            let mut config = shipped();
            config.store.url = url.to_owned();
            let sentence = config.check().unwrap_err().to_string();
            assert!(sentence.contains("sqlite://"), "{url}: {sentence}");
        }
    }

    #[test]
    fn open_mode_is_refused_where_others_can_reach_it() {
        let mut config = shipped();
        config.server.listen = "0.0.0.0:8400".parse().unwrap();
        assert!(config.check().is_err());
    }

    #[test]
    fn enforced_mode_needs_applications_and_their_rights() {
        let mut config = shipped();
        config.security.mode = SecurityMode::Enforced;
        assert!(config.check().unwrap_err().to_string().contains("[[applications]]"));
        config.applications.push(Application {
            client_id: "key".into(),
            app_id: None,
            jwks: None,
            access_controls: Vec::new(),
        });
        assert!(config.check().unwrap_err().to_string().contains("permissions.folder"));
        config.permissions.folder = Some("permissions".into());
        config.check().unwrap();
        config.token.expires_in_s = 0;
        assert!(config.check().unwrap_err().to_string().contains("token.expires_in_s"));
    }

    #[test]
    fn every_key_of_the_shipped_file_that_is_commented_out_is_one() {
        let text = include_str!("../../config/locator-mock.toml");
        let example = |line: &str| line.strip_prefix("#: ").map(str::to_owned);
        let all: Vec<String> =
            text.lines().map(|line| example(line).unwrap_or_else(|| line.to_owned())).collect();
        let config: LocatorConfig =
            service::config::parse(&all.join("\n"), "LOCATOR_TEST_NONE__").unwrap();
        assert_eq!(config.applications.len(), 1);
        assert!(config.token.audience.is_some() && config.permissions.folder.is_some());
        assert!(config.pointers.practice_settings.is_some());
    }

    #[test]
    fn a_public_url_must_be_one() {
        for url in ["", "127.0.0.1:8400", "ftp://host", "http://h?x=1", "http://h/\n"] {
            let mut config = shipped();
            config.server.public_url = url.to_owned();
            assert!(config.check().is_err(), "{url}");
        }
    }
}
