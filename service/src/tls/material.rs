//! Certificates, keys and revocation lists, made into what handshakes need. Either all of it is good
//! or none of it is used.

use std::fmt::Display;
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};

use super::peer::{Thumbprint, organisation};
use crate::client;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// What handshakes need, in both directions.
#[derive(Debug)]
pub struct Material {
    /// For those who connect to us.
    pub(super) server: Arc<ServerConfig>,
    /// For those we connect to: it sends our certificate.
    pub client: reqwest::Client,
    /// Our certificate's, to which a token that we send with `client` is bound.
    pub thumbprint: Thumbprint,
}

impl Material {
    /// Makes it of the files of [`TlsConfig`](super::TlsConfig), in this order: certificate, key, two
    /// sets of issuers, revocation lists.
    pub(super) fn load(contents: &[Vec<u8>]) -> Result<Self, String> {
        let [certificate, key, client_ca, server_ca, lists @ ..] = contents else {
            return Err("a file is missing".into());
        };
        let chain = certificates(certificate).map_err(at("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "key: the file holds no private key in PEM form")?;
        let mut crls = Vec::new();
        for list in lists {
            crls.extend(revoked(list).map_err(at("crls"))?);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let callers = callers(issuers(client_ca).map_err(at("client_ca"))?, &crls, &provider)?;
        let called = called(issuers(server_ca).map_err(at("server_ca"))?, crls, &provider)?;
        let first = chain.first().ok_or("certificate: the file holds no certificate")?;
        let thumbprint = Thumbprint::of(first);
        let server = server(chain.clone(), key.clone_key(), callers, &provider)?;
        let client = client(chain, key, called, provider)?;
        let client = client::build_over(client).map_err(at("the HTTP client"))?;
        Ok(Self { server: Arc::new(server), client, thumbprint })
    }
}

fn at<E: Display>(key: &str) -> impl Fn(E) -> String {
    move |error| format!("{key}: {error}")
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    callers: Arc<dyn ClientCertVerifier>,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, String> {
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&VERSIONS)
        .map_err(at("TLS"))?
        .with_client_cert_verifier(callers)
        .with_single_cert(chain, key)
        .map_err(at("certificate and key"))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Who resumes a session is not verified again.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(server)
}

fn client(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    called: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, String> {
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&VERSIONS)
        .map_err(at("TLS"))?
        .with_webpki_verifier(called)
        .with_client_auth_cert(chain, key)
        .map_err(at("certificate and key"))?;
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    client.resumption = Resumption::disabled();
    Ok(client)
}

/// Who is let in: not revoked, by a list that has not expired, anywhere in the chain.
fn callers(
    issuers: RootCertStore,
    crls: &[CertificateRevocationListDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(issuers), provider.clone())
        .with_crls(crls.to_vec())
        .enforce_revocation_expiration()
        .build()
        .map_err(at("client_ca and crls"))?;
    Ok(Arc::new(Organisations { inner }))
}

/// Who is trusted when we call.
fn called(
    issuers: RootCertStore,
    crls: Vec<CertificateRevocationListDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(issuers), provider.clone())
        .with_crls(crls)
        .enforce_revocation_expiration()
        .build()
        .map_err(at("server_ca and crls"))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err("the file holds no certificate in PEM form".into()),
    }
}

fn issuers(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate).map_err(|_| "a certificate in the file is not one of an issuer")?;
    }
    Ok(store)
}

/// The lists of a file: PEM, or one that is DER.
pub(super) fn revoked(file: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    if !file.windows(10).any(|window| window == b"-----BEGIN") {
        return Ok(vec![CertificateRevocationListDer::from(file.to_vec())]);
    }
    let all: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(file).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err("a file holds no revocation list".into()),
    }
}

/// Lets in whom `inner` does, if the certificate names an organisation.
#[derive(Debug)]
struct Organisations {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Organisations {
    /// Who shows no certificate is let in as nobody.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let refused = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        organisation(end_entity).map(|_| verified).ok_or(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
