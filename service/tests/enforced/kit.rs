//! A service in enforced mode, and those who knock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use service::serve::{Shutdown, serve_over};
use service::tls::{Tls, TlsConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::ca::{Ca, Identity, Wanted};

/// The serial number of the service's own certificate.
pub(crate) const OWN: u64 = 1;

/// A service that lives as long as its test.
pub(crate) struct Kit {
    pub(crate) ca: Ca,
    pub(crate) config: TlsConfig,
    pub(crate) tls: Arc<Tls>,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
    shutdown: Shutdown,
}

impl Drop for Kit {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// What is configured for an identity of an issuer's.
pub(crate) fn config(ca: &Ca, identity: &Identity) -> TlsConfig {
    TlsConfig {
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
        client_ca: ca.certificate(),
        server_ca: None,
        crls: vec![ca.list()],
        reload_s: 1,
        connection_s: 240,
    }
}

impl Kit {
    /// A service that answers `/` with the organisation that asks.
    pub(crate) async fn start() -> Self {
        Self::start_with(|config| config.connection_s = 240).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut TlsConfig)) -> Self {
        let folder = TempDir::new().unwrap();
        let ca = Ca::new(folder.path(), "regions");
        let mut config = config(&ca, &ca.issue(&Wanted::of("HUB", OWN)));
        change(&mut config);
        let tls = Arc::new(Tls::open(&config).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let who = async |axum::Extension(peer): axum::Extension<service::tls::peer::Peer>| {
            peer.organisation.as_str().to_owned()
        };
        let router = Router::new().route("/", get(who));
        let shutdown = Shutdown::default();
        let served = serve_over(
            Some(tls.clone()),
            listener,
            router,
            shutdown.clone(),
            Duration::from_secs(1),
        );
        tokio::spawn(served);
        Self { ca, config, tls, address, folder, shutdown }
    }

    /// What the service answers at its root.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }

    /// A client of this organisation, with a certificate of this number.
    pub(crate) fn client(&self, organisation: &str, serial: u64) -> reqwest::Client {
        self.client_as(&self.ca.issue(&Wanted::of(organisation, serial)))
    }

    /// A client with these files that trusts the service.
    pub(crate) fn client_as(&self, identity: &Identity) -> reqwest::Client {
        Tls::open(&config(&self.ca, identity)).unwrap().current().client.clone()
    }
}
