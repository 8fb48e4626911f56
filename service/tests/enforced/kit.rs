//! A service in enforced mode, and those who knock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Extension, Router};
use http::StatusCode;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use service::caller::scope::{Needs, On, Rights, permit};
use service::caller::{Caller, Gatekeeper, identify};
use service::clock::Clock;
use service::config::{Nation, Region, Security, SecurityMode, Server};
use service::limit::{Limiter, Limits, limit};
use service::serve::{Shutdown, serve_over};
use service::tls::peer::{Peer, Thumbprint};
use service::tls::{Tls, TlsConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::ca::{Ca, Identity, Wanted};
use super::issuer::{Issuer, claims};

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

impl Kit {
    /// A service that answers `/` with the organisation that asks.
    pub(crate) async fn start() -> Self {
        Self::start_with(|config| config.connection_s = 240).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut TlsConfig)) -> Self {
        let who = async |Extension(peer): Extension<Peer>| peer.organisation.as_str().to_owned();
        Self::serving(change, |_, _| Router::new().route("/", get(who))).await
    }

    /// A service that answers as it is told; the issuer and the service's URL are known then.
    async fn serving(
        change: impl FnOnce(&mut TlsConfig),
        router: impl FnOnce(&TempDir, SocketAddr) -> Router,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let ca = Ca::new(folder.path(), "regions");
        let mut config = ca.tls(&ca.issue(&Wanted::of("HUB", OWN)));
        change(&mut config);
        let tls = Arc::new(Tls::open(&config).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(&folder, address);
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
        Tls::open(&self.ca.tls(identity)).unwrap().current().client.clone()
    }
}

/// What tokens over a certificate are bound to.
pub(crate) fn thumbprint(identity: &Identity) -> String {
    let pem = std::fs::read(&identity.certificate).unwrap();
    Thumbprint::of(&CertificateDer::from_pem_slice(&pem).unwrap()).to_string()
}

/// A service behind a gatekeeper, and a client of QWO.
pub(crate) struct Gated {
    pub(crate) kit: Kit,
    pub(crate) issuer: Issuer,
    pub(crate) client: reqwest::Client,
    identity: Identity,
}

impl Gated {
    /// A service that answers `/FHIR/R4/{type}` with who asks.
    pub(crate) async fn start() -> Self {
        Self::limited(Limits::default()).await
    }

    /// The same, where an organisation may ask so much.
    pub(crate) async fn limited(limits: Limits) -> Self {
        let issuer = Issuer::new();
        let key_set = issuer.key_set().to_string();
        let router =
            |folder: &TempDir, address: SocketAddr| gated(folder, address, &key_set, limits);
        let kit = Kit::serving(|_| (), router).await;
        let identity = kit.ca.issue(&Wanted::of("QWO", 70));
        let client = kit.client_as(&identity);
        Self { kit, issuer, client, identity }
    }

    pub(crate) fn audience(&self) -> String {
        format!("{}FHIR/R4", self.kit.url())
    }

    /// The claims of a good token of the client's.
    pub(crate) fn claims(&self) -> serde_json::Value {
        claims(&self.audience(), "QWO", &thumbprint(&self.identity))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.audience())
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> (StatusCode, String) {
        self.get_with(&self.client, path, token).await
    }

    pub(crate) async fn get_with(
        &self,
        client: &reqwest::Client,
        path: &str,
        token: &str,
    ) -> (StatusCode, String) {
        let answer = client.get(self.url(path)).bearer_auth(token).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// Asserts a 401 that says how to do better, and no more.
    pub(crate) async fn assert_unverified(&self, what: &str, token: &str) {
        let answer = self.client.get(self.url("Patient")).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{what}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer"), "{what}: {challenge}");
        let outcome: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(outcome["issue"][0]["code"], "login", "{what}: {outcome}");
        let said = outcome["issue"][0]["diagnostics"].as_str().unwrap();
        assert!(said.starts_with("The caller could not be verified"), "{what}: {said}");
    }
}

/// A client without a certificate that trusts the service.
#[expect(clippy::disallowed_methods, reason = "ours have certificates")]
pub(crate) fn stranger(ca: &Ca) -> reqwest::Client {
    let issuer = std::fs::read(ca.certificate()).unwrap();
    let issuer = reqwest::Certificate::from_pem(&issuer).unwrap();
    reqwest::Client::builder().tls_certs_only([issuer]).no_proxy().build().unwrap()
}

fn gated(folder: &TempDir, address: SocketAddr, key_set: &str, limits: Limits) -> Router {
    let jwks_file = folder.path().join("jwks.json");
    std::fs::write(&jwks_file, key_set).unwrap();
    let issuer = |iss: &str, gateway: Option<&str>, reusable| service::config::Issuer {
        iss: iss.to_owned(),
        jwks_file: jwks_file.clone(),
        gateway: gateway.map(|code| code.parse().unwrap()),
        reusable,
    };
    let issuers = vec![
        issuer("https://identity.test", None, false),
        issuer("https://reusable.test", None, true),
        issuer("https://gateway.test", Some("QWO"), false),
    ];
    let security = Security { mode: SecurityMode::Enforced, issuers, ..Security::open() };
    let public_url = format!("https://localhost:{}/FHIR/R4", address.port());
    let server = Server { listen: address, public_url, drain_ms: 1_000 };
    let region =
        Region { ods: "HUB".parse().unwrap(), name: "Hub".into(), nation: Nation::England };
    let gatekeeper = Gatekeeper::open(&security, &server, &region, &Clock::System).unwrap();
    let who = async |caller: Caller| {
        let (organisation, mandate) = (&caller.organisation, &caller.mandate);
        let gateway = mandate.gateway.as_ref().map(ToString::to_string);
        let user = mandate.user.is_some();
        format!("{organisation} {:?} user={user} gateway={gateway:?}", mandate.purpose)
    };
    let needing = |rights| from_fn_with_state(Needs { rights, on: On::Part("type") }, permit);
    let read = get(who).layer(needing(Rights::READ));
    let write =
        axum::routing::put(async |_body: axum::body::Bytes| "").layer(needing(Rights::UPDATE));
    Router::new()
        .route("/FHIR/R4/{type}", read.merge(write))
        .layer(from_fn_with_state(Limiter::new(limits, SecurityMode::Enforced), limit))
        .layer(from_fn_with_state(gatekeeper, identify))
        .layer(from_fn(service::correlation::correlate))
        .route("/live", get(async || ""))
}
