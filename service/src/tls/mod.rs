//! Mutual TLS: who connects proves with a certificate which organisation it is, and so do we.
//!
//! | room | what lives there |
//! |---|---|
//! | here | what is configured; the handshake |
//! | [`material`] | certificates, keys and revocation lists, made into what handshakes need |
//! | [`peer`] | the organisation in a certificate |
//! | [`revocation`] | until when a revocation list is good |
//!
//! TLS 1.3 and 1.2. Who shows no certificate is nobody: it reaches what needs no caller. A certificate whose revocation cannot be told, because its issuer's list is not
//! there or has expired, is refused, and so is one that names no organisation. No session is resumed:
//! each connection is verified by what is in use when it is made, and none gets old.

pub mod material;
pub mod peer;
pub mod revocation;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock::Clock;
use crate::config::ConfigError;
use crate::reload::Reloaded;
use crate::serve::Shutdown;
use material::Material;
use peer::Peer;

/// Longest handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest time between two looks at the files.
const RELOAD_S_MAX: u64 = 30;
/// Longest age at which a connection is still given requests. With the time between two looks and the
/// time for its last requests, who is revoked is gone within five minutes.
const CONNECTION_S_MAX: u64 = 240;
/// How long an old connection has for its last requests.
pub const LAST_REQUESTS: Duration = Duration::from_secs(30);

/// `[tls]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Our certificate, then its intermediates: PEM.
    pub certificate: PathBuf,
    /// Its private key: PEM.
    pub key: PathBuf,
    /// Who issues callers' certificates: PEM.
    pub client_ca: PathBuf,
    /// Who issues the certificates of those we call; without it, `client_ca`.
    pub server_ca: Option<PathBuf>,
    /// Revocation lists of every issuer in `client_ca` and `server_ca` and of their intermediates: PEM
    /// or DER.
    pub crls: Vec<PathBuf>,
    /// How often the files are looked at, in seconds.
    #[serde(default = "reload_s")]
    pub reload_s: u64,
    /// At which age a connection is given no more requests, in seconds.
    #[serde(default = "connection_s")]
    pub connection_s: u64,
}

fn reload_s() -> u64 {
    RELOAD_S_MAX
}

fn connection_s() -> u64 {
    CONNECTION_S_MAX
}

impl TlsConfig {
    /// Checks what types cannot, and that the files are good.
    pub fn check(&self) -> Result<(), ConfigError> {
        Tls::open(self).map(drop)
    }

    /// The revocation lists that had expired at a time, or that do not say when they will: whom they are
    /// about is let in nowhere.
    pub fn expired_lists(&self, now_micros: i64) -> Result<Vec<PathBuf>, ConfigError> {
        let mut expired = Vec::new();
        for file in &self.crls {
            let refused = |cause: String| {
                ConfigError::Refused(format!("tls.crls: {}: {cause}", file.display()))
            };
            let list = crate::reload::read(file).map_err(|error| refused(error.to_string()))?;
            let lists = material::revoked(&list).map_err(refused)?;
            let until = lists.iter().map(|list| revocation::next_update(list));
            if until.into_iter().any(|until| until.is_none_or(|until| until <= now_micros)) {
                expired.push(file.clone());
            }
        }
        Ok(expired)
    }

    /// Warns of the revocation lists that have expired.
    pub fn warn_of_expired_lists(&self) -> Result<(), ConfigError> {
        for file in self.expired_lists(Clock::System.now_micros())? {
            tracing::warn!(
                file = %file.display(),
                "a revocation list of tls.crls has expired: whose certificates it is about are \
                 refused until there is a new one"
            );
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), ConfigError> {
        let bounds = [
            ("reload_s", self.reload_s, RELOAD_S_MAX),
            ("connection_s", self.connection_s, CONNECTION_S_MAX),
        ];
        for (key, value, max) in bounds {
            if !(1..=max).contains(&value) {
                let text = format!("tls.{key} must lie between 1 and {max}");
                return Err(ConfigError::Refused(text));
            }
        }
        if self.crls.is_empty() {
            let text = "tls.crls must name the revocation list of each issuer: without it, a \
                        certificate that was revoked would be let in";
            return Err(ConfigError::Refused(text.into()));
        }
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        let server_ca = self.server_ca.as_ref().unwrap_or(&self.client_ca);
        let mut files = vec![
            self.certificate.clone(),
            self.key.clone(),
            self.client_ca.clone(),
            server_ca.clone(),
        ];
        files.extend(self.crls.iter().cloned());
        files
    }
}

/// A service's TLS: its files, looked at again while it runs.
#[derive(Debug)]
pub struct Tls {
    files: Arc<Reloaded<Material>>,
    every: Duration,
    age_max: Duration,
}

impl Tls {
    /// Reads what is configured; all of it must be good.
    pub fn open(config: &TlsConfig) -> Result<Self, ConfigError> {
        config.check_bounds()?;
        let files = Reloaded::open("the files of [tls]", config.files(), Material::load)
            .map_err(|error| ConfigError::Refused(format!("tls: {error}")))?;
        let every = Duration::from_secs(config.reload_s);
        let age_max = Duration::from_secs(config.connection_s);
        Ok(Self { files: Arc::new(files), every, age_max })
    }

    /// What is in use now.
    pub fn current(&self) -> Arc<Material> {
        self.files.current()
    }

    /// Looks at the files now: whether there was anything new, or why it is refused.
    pub fn look(&self) -> Result<bool, String> {
        self.files.look()
    }

    /// At which age a connection is given no more requests.
    pub fn age_max(&self) -> Duration {
        self.age_max
    }

    /// Keeps up with the files until `shutdown`.
    pub async fn keep(&self, shutdown: Shutdown) {
        self.files.clone().keep(self.every, shutdown).await;
    }

    /// Shakes hands; nothing if the peer is not let in, which it learns by a TLS alert. One that shows
    /// no certificate is nobody, and is let in as such.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Option<(TlsStream<TcpStream>, Option<Peer>)> {
        let acceptor = TlsAcceptor::from(self.current().server.clone());
        let shaken = tokio::time::timeout(HANDSHAKE_TIME_MAX, acceptor.accept(stream)).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::info!(cause = %error, "a TLS handshake failed");
                return None;
            }
            Err(_elapsed) => {
                tracing::info!("a TLS handshake took too long");
                return None;
            }
        };
        let (_, connection) = stream.get_ref();
        let Some(chain) = connection.peer_certificates() else { return Some((stream, None)) };
        let peer = chain.first().and_then(Peer::of)?;
        Some((stream, Some(peer)))
    }
}
