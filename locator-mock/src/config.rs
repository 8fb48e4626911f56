//! `locator-mock.toml`: unknown keys are refused, every key can be set as `LOCATOR__SECTION__KEY`.

use std::path::{Path, PathBuf};

use http::Uri;
use serde::{Deserialize, Serialize};
use service::config::{Admin, ConfigError, Security, Server, load};

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
}

/// `[store]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite://PATH`; a relative path starts at the working directory.
    pub url: String,
}

impl LocatorConfig {
    /// Loads and checks a configuration file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let config: Self = load(file, "LOCATOR__")?;
        config.check()?;
        Ok(config)
    }

    /// Checks that the keys fit together.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.security.check(self.server.listen)?;
        self.check_public_url()?;
        self.store.path().map(drop)
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
    fn a_public_url_must_be_one() {
        for url in ["", "127.0.0.1:8400", "ftp://host", "http://h?x=1", "http://h/\n"] {
            let mut config = shipped();
            config.server.public_url = url.to_owned();
            assert!(config.check().is_err(), "{url}");
        }
    }
}
