//! A hub in enforced mode, and organisations that write to it.

use axum::body::{Body, HttpBody};
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use hub::config::HubConfig;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use service::clock::Clock;
use service::config::{Issuer as Issued, SecurityMode};
use service::tls::peer::{Peer, Thumbprint};
use tempfile::TempDir;

use super::ca::{Ca, Wanted};
use super::issuer::{Issuer, claims};
use crate::kit::{Kit, Response};

const BASE: &str = "https://hub.test/FHIR/R4";

/// A hub that lets nobody in without a token. Certificates are not looked at here: who is connected is
/// said beside the request, as the listener does.
pub(crate) struct Site {
    pub kit: Kit,
    issuer: Issuer,
    _files: TempDir,
}

impl Site {
    /// The record of a kit, with a policy for each type named and for all others.
    pub(crate) async fn of(kit: Kit, policies: Value) -> Self {
        let (issuer, files) = (Issuer::new(), TempDir::new().unwrap());
        let (ca, jwks_file) = (Ca::new(files.path(), "regions"), files.path().join("issuer.jwks"));
        std::fs::write(&jwks_file, issuer.key_set().to_string()).unwrap();
        let tls = ca.tls(&ca.issue(&Wanted::of("QWO", 1)));
        let enforce = |config: &mut HubConfig| {
            let iss = "https://identity.test".to_owned();
            let issued = Issued { iss, jwks_file, gateway: None, reusable: false };
            config.security.mode = SecurityMode::Enforced;
            config.security.issuers = vec![issued];
            BASE.clone_into(&mut config.server.public_url);
            config.tls = Some(tls);
            config.record.client_ids = Some(true);
            config.custody = serde_json::from_value(policies).unwrap();
        };
        let kit = kit.reopened(enforce, Clock::System).await;
        Self { kit, issuer, _files: files }
    }

    /// A request of an organisation that may do everything that scopes can allow.
    pub(crate) async fn send(
        &self,
        organisation: &str,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let thumbprint = Thumbprint::of(&CertificateDer::from(organisation.as_bytes()));
        let mut claims = claims(BASE, organisation, &thumbprint.to_string());
        claims["scope"] = json!("system/*.cruds");
        let url = format!("/FHIR/R4/{path}");
        let mut request = Request::builder().method(method).uri(url.trim_end_matches('/'));
        request = request.header(AUTHORIZATION, format!("Bearer {}", self.issuer.token(&claims)));
        if !headers.iter().any(|(name, _)| *name == CONTENT_TYPE.as_str()) {
            request = request.header(CONTENT_TYPE, fhir::FHIR_JSON);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.into();
        request = request.header(CONTENT_LENGTH, body.size_hint().exact().unwrap());
        let organisation = std::sync::Arc::new(organisation.parse().unwrap());
        let request = request.extension(Peer { organisation, thumbprint });
        self.kit.ask(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, organisation: &str, path: &str) -> Response {
        self.send(organisation, ("GET", path), &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, organisation: &str, path: &str, body: &Value) -> Response {
        self.send(organisation, ("POST", path), &[], body.to_string()).await
    }

    pub(crate) async fn put(&self, organisation: &str, path: &str, body: &Value) -> Response {
        self.send(organisation, ("PUT", path), &[], body.to_string()).await
    }

    /// Creates a resource; its id.
    pub(crate) async fn created(&self, organisation: &str, body: &Value) -> String {
        let path = body["resourceType"].as_str().unwrap();
        let response = self.post(organisation, path, body).await;
        assert_eq!(response.status, 201, "{}", response.text);
        response.id()
    }

    /// Ids of the matches of a search.
    pub(crate) async fn ids(&self, organisation: &str, path: &str) -> Vec<String> {
        let response = self.get(organisation, path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        crate::kit::matches(&response.json())
    }
}
