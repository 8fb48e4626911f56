//! Regions that let nobody in without a certificate and a token: a gateway asks them in its callers'
//! names, with tokens of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gateway::Gateway;
use gateway::config::GatewayConfig;
use http::StatusCode;
use hub::Hub;
use hub::config::HubConfig;
use locator_mock::{Locator, LocatorConfig};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use service::caller::mint::Mint;
use service::clock::Clock;
use service::serve::{Shutdown, serve_over};
use service::tls::Tls;
use service::tls::peer::Thumbprint;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::kit::{REGISTRATION_TIME_MAX, eventually};
use ca::{Ca, Identity, Wanted};
use issuer::{Issuer, claims};

#[path = "../service/tests/enforced/ca.rs"]
mod ca;
#[path = "../service/tests/enforced/issuer.rs"]
mod issuer;

const NUMBER: &str = "9434765919";
const SYSTEM: &str = "https://fhir.nhs.uk/Id/nhs-number";

/// What a region was asked with.
type Asked = Arc<Mutex<Vec<String>>>;

/// One real region, QHM; a gateway of QWO; and in the place of QWO's hub one that writes down the
/// tokens it is sent.
struct Site {
    /// Holds the files; gone with the story.
    _folder: TempDir,
    ca: Ca,
    issuer: Issuer,
    hub: String,
    gateway: String,
    asked: Asked,
    shutdown: Shutdown,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn base(address: SocketAddr) -> String {
    format!("https://localhost:{}/FHIR/R4", address.port())
}

fn tls(ca: &Ca, identity: &Identity) -> String {
    format!(
        "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\ncrls = [\"{}\"]\n",
        identity.certificate.display(),
        identity.key.display(),
        ca.certificate().display(),
        ca.list().display()
    )
}

fn server(address: SocketAddr, ods: &str) -> String {
    format!(
        "[server]\nlisten = \"{address}\"\npublic_url = \"{}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [region]\nods = \"{ods}\"\nname = \"{ods}\"\nnation = \"england\"\n",
        base(address)
    )
}

fn issuers(folder: &Path, gateway: &str) -> String {
    let of = |iss: &str, file: &str, more: &str| {
        let file = folder.join(file);
        format!("[[security.issuers]]\niss = \"{iss}\"\njwks_file = \"{}\"\n{more}", file.display())
    };
    of("https://identity.test", "identity.jwks", "")
        + &of(gateway, "gateway.jwks", "gateway = \"QWO\"\n")
}

async fn start_locator(folder: &Path, shutdown: &Shutdown) -> String {
    let (listener, address) = bind().await;
    let url = format!("http://{address}");
    let store = format!("sqlite://{}", folder.join("locator.db").display());
    let config: LocatorConfig = serde_json::from_value(json!({
        "server": {"listen": address, "public_url": url},
        "admin": {"listen": "127.0.0.1:0"},
        "store": {"url": store},
        "security": {"mode": "open"},
    }))
    .unwrap();
    let locator = Locator::open(config, Clock::System).unwrap();
    let stop = shutdown.clone();
    tokio::spawn(async move { locator.serve(listener, None, stop).await });
    url
}

/// A hub that refuses everybody and writes down with what they came.
fn recorder(asked: &Asked) -> Router {
    let asked = asked.clone();
    Router::new().fallback(async move |request: Request| {
        let tokens = request.headers().get_all("authorization").iter();
        let tokens = tokens.map(|token| token.to_str().unwrap().to_owned());
        asked.lock().unwrap().extend(tokens);
        StatusCode::UNAUTHORIZED
    })
}

impl Site {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let (path, shutdown) = (folder.path().to_owned(), Shutdown::default());
        let audit = path.display();
        let (ca, issuer) = (Ca::new(&path, "regions"), Issuer::new());
        std::fs::write(path.join("identity.jwks"), issuer.key_set().to_string()).unwrap();
        let locator = start_locator(&path, &shutdown).await;
        let (hub_listener, hub_address) = bind().await;
        let (home_listener, home_address) = bind().await;
        let (gateway_listener, gateway_address) = bind().await;

        let own = ca.issue(&Wanted::of("QWO", 1));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        std::fs::write(path.join("gateway.pem"), key.serialize_pem()).unwrap();
        let region = |ods: &str, address| {
            format!(
                "[[regions]]\nods = \"{ods}\"\nname = \"{ods}\"\nnation = \"england\"\nurl = \"{}\"\n",
                base(address)
            )
        };
        let config = server(gateway_address, "QWO")
            + &format!("[locator]\nurl = \"{locator}\"\n[audit]\ndir = \"{audit}\"\n")
            + &format!(
                "[security]\nmode = \"enforced\"\nsigning_key = \"{}\"\nkey_id = \"g\"\n",
                path.join("gateway.pem").display()
            )
            + &issuers(&path, "https://another-gateway.test")
            + &tls(&ca, &own)
            + &region("QWO", home_address)
            + &region("QHM", hub_address);
        // The other gateway is known here, too; it has the same keys as the identity service.
        std::fs::copy(path.join("identity.jwks"), path.join("gateway.jwks")).unwrap();
        let config = GatewayConfig::parse(&config).unwrap();
        let mint = Mint::open(
            &config.security,
            &base(gateway_address),
            &config.region.ods,
            &Clock::System,
        );
        let key_set = mint.unwrap().key_set().to_string();
        let gateway = Gateway::open(config, Clock::System).unwrap();
        std::fs::write(path.join("gateway.jwks"), key_set).unwrap();
        let stop = shutdown.clone();
        tokio::spawn(async move { gateway.serve(gateway_listener, None, stop).await });

        let config = server(hub_address, "QHM")
            + &format!(
                "[store]\nurl = \"sqlite://{}\"\n[locator]\nurl = \"{locator}\"\n[audit]\ndir = \"{audit}\"\n",
                path.join("hub.db").display()
            )
            + "[security]\nmode = \"enforced\"\n"
            + &issuers(&path, &base(gateway_address))
            + &tls(&ca, &ca.issue(&Wanted::of("QHM", 2)));
        let config: HubConfig = service::config::read(&config).unwrap();
        let hub = Hub::open(config, Clock::System).await.unwrap();
        tokio::spawn(hub.serve(hub_listener, None, shutdown.clone()));

        let asked = Asked::default();
        let home = Tls::open(&ca.tls(&own)).unwrap();
        let served = serve_over(
            Some(Arc::new(home)),
            home_listener,
            recorder(&asked),
            shutdown.clone(),
            Duration::ZERO,
        );
        tokio::spawn(served);
        let (hub, gateway) = (base(hub_address), base(gateway_address));
        Self { _folder: folder, ca, issuer, hub, gateway, asked, shutdown }
    }

    /// Someone of this organisation, with a certificate of this number.
    fn caller(&self, organisation: &str, serial: u64) -> Person<'_> {
        let identity = self.ca.issue(&Wanted::of(organisation, serial));
        let client = Tls::open(&self.ca.tls(&identity)).unwrap().current().client.clone();
        let pem = std::fs::read(&identity.certificate).unwrap();
        let thumbprint = Thumbprint::of(&CertificateDer::from_pem_slice(&pem).unwrap()).to_string();
        Person { site: self, client, organisation: organisation.to_owned(), thumbprint }
    }

    /// The AuditEvents that this person is shown.
    async fn events(&self, who: &Person<'_>, query: &str) -> Vec<Value> {
        let path = format!("/AuditEvent?_count=500&{query}");
        let (status, bundle) = who.get(&self.hub, &path, "user/AuditEvent.rs").await;
        assert_eq!(status, StatusCode::OK, "{bundle}");
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|entry| entry["resource"].clone()).collect()
    }
}

/// Someone who asks.
struct Person<'a> {
    site: &'a Site,
    client: reqwest::Client,
    organisation: String,
    thumbprint: String,
}

impl Person<'_> {
    fn token(&self, base: &str, scope: &str) -> String {
        let mut claims = claims(base, &self.organisation, &self.thumbprint);
        claims["scope"] = scope.into();
        self.site.issuer.token(&claims)
    }

    async fn ask(
        &self,
        method: &str,
        base: &str,
        path: &str,
        scope: &str,
        body: String,
    ) -> (StatusCode, Value) {
        let token = self.token(base, scope);
        let request = self.client.request(method.parse().unwrap(), format!("{base}{path}"));
        let request = request.header("content-type", fhir::FHIR_JSON).body(body);
        let answer =
            request.bearer_auth(token).timeout(Duration::from_secs(30)).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn get(&self, base: &str, path: &str, scope: &str) -> (StatusCode, Value) {
        self.ask("GET", base, path, scope, String::new()).await
    }
}

fn identified() -> Value {
    json!({"system": SYSTEM, "value": NUMBER})
}

/// A patient with an Observation, as one transaction.
fn record() -> String {
    let patient = "urn:uuid:0c3a1e8e-6e1c-4a39-8f63-2f6d3d0d7f01";
    let entry = |url: &str, resource: Value, name: &str| json!({"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": name}});
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        entry(
            patient,
            json!({"resourceType": "Patient", "identifier": [identified()], "name": [{"family": "A"}]}),
            "Patient",
        ),
        entry(
            "urn:uuid:0c3a1e8e-6e1c-4a39-8f63-2f6d3d0d7f02",
            json!({
                "resourceType": "Observation", "status": "final", "code": {"text": "pulse"},
                "subject": {"reference": patient},
            }),
            "Observation",
        ),
    ]})
    .to_string()
}

/// The claims of a token that was sent.
fn said(bearer: &str) -> Value {
    let claims = bearer.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_asks_each_region_with_a_token_of_its_own_in_the_callers_name() {
    let site = Site::start().await;
    let clerk = site.caller("QHM", 10);
    let (status, text) =
        clerk.ask("POST", &site.hub, "", "system/Patient.c system/Observation.c", record()).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let nurse = site.caller("QWO", 11);
    let scope = "user/Observation.rs user/Patient.rs";
    let query = format!("/Observation?patient.identifier={SYSTEM}|{NUMBER}");
    let found = eventually("the region's answer", REGISTRATION_TIME_MAX, async || {
        let (status, bundle) = nurse.get(&site.gateway, &query, scope).await;
        assert_eq!(status, StatusCode::OK, "{bundle}");
        bundle.to_string().contains("pulse").then_some(bundle)
    })
    .await;
    // Of the region that refuses everybody it is said that it is missing.
    assert!(found.to_string().contains("QWO"), "{found}");
    // The nurse's region is an agent of the event, and so is its gateway; so is the nurse.
    let event = eventually("the audit event", REGISTRATION_TIME_MAX, async || {
        let events = site.events(&nurse, "agent:identifier=QWO").await;
        let passed_on = |event: &Value| event["agent"].as_array().is_some_and(|all| all.len() == 4);
        events.into_iter().find(passed_on)
    })
    .await;
    let agents = event["agent"].as_array().unwrap();
    let code = |agent: &Value| agent["type"]["coding"][0]["code"].as_str().unwrap().to_owned();
    assert_eq!(agents.iter().map(code).collect::<Vec<_>>(), ["110153", "110152", "IRCP", "TRANS"]);
    assert_eq!(agents[2]["role"][0]["text"], "R8000");
    assert_eq!(event["purposeOfEvent"][0]["coding"][0]["code"], "TREAT");
    assert!(event["entity"][0]["what"]["reference"].as_str().unwrap().starts_with("Patient/"));
    assert!(fhir::validate::validate(event.to_string().as_bytes()).unwrap().issues.is_empty());

    let asked = site.asked.lock().unwrap().clone();
    assert!(!asked.is_empty());
    let mut numbers = Vec::new();
    for bearer in &asked {
        let claims = said(bearer);
        assert!(claims["aud"].as_str().unwrap() != site.gateway && claims["aud"] != site.hub);
        assert_eq!(claims["iss"], site.gateway);
        assert_eq!(claims["act"]["sub"], "urn:nhs:ods:QWO");
        assert_eq!(claims["scope"], scope);
        assert_eq!(claims["reason_for_request"], "directcare");
        assert_eq!(claims["requesting_role"], "R8000");
        assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 300);
        numbers.push(claims["jti"].to_string());
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), asked.len(), "no token is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_was_sent_is_good_for_nothing_at_a_hub() {
    let site = Site::start().await;
    let nurse = site.caller("QWO", 12);
    let query = format!("/Observation?patient.identifier={SYSTEM}|{NUMBER}");
    // The one region that is asked refuses.
    let (status, _) = nurse.get(&site.gateway, &query, "user/*.rs").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let stolen = site.asked.lock().unwrap()[0].clone();
    // A hub that was asked sends the token on to another.
    let request = nurse.client.get(format!("{}/Patient", site.hub)).header("authorization", stolen);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let own = nurse.token(&site.gateway, "user/*.rs");
    let request = nurse.client.get(format!("{}/Patient", site.hub)).bearer_auth(own);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_a_hub_and_a_gateway_needs_a_token_and_its_scope() {
    let site = Site::start().await;
    let clerk = site.caller("QHM", 13);
    for base in [&site.hub, &site.gateway] {
        for (method, path) in [
            ("GET", "/Patient"),
            ("GET", "/Patient/a"),
            ("GET", "/Patient/a/_history/1"),
            ("GET", "/Patient/a/$everything"),
            ("POST", "/Patient/_search"),
        ] {
            let url = format!("{base}{path}");
            let answer = clerk.client.request(method.parse().unwrap(), url).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {base}{path}");
            assert!(answer.headers().contains_key("www-authenticate"));
            assert!(answer.text().await.unwrap().contains("could not be verified"));
        }
        let stranger = stranger(&site.ca);
        for client in [&clerk.client, &stranger] {
            for open in [format!("{base}/metadata"), root(base, "live"), root(base, "ready")] {
                let answer = client.get(&open).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK, "{open}");
            }
        }
        // Without a certificate the best of tokens is none.
        let token = clerk.token(base, "system/*.cruds");
        let sent = stranger.get(format!("{base}/Patient")).bearer_auth(token).send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::UNAUTHORIZED);
        let metrics = clerk.client.get(base.replace("/FHIR/R4", "/metrics")).send().await.unwrap();
        assert_eq!(metrics.status(), StatusCode::NOT_FOUND);
    }
}

fn root(base: &str, path: &str) -> String {
    base.replace("/FHIR/R4", &format!("/{path}"))
}

/// A client without a certificate that trusts the services.
#[expect(clippy::disallowed_methods, reason = "ours have certificates")]
fn stranger(ca: &Ca) -> reqwest::Client {
    let issuer = std::fs::read(ca.certificate()).unwrap();
    let issuer = reqwest::Certificate::from_pem(&issuer).unwrap();
    reqwest::Client::builder().tls_certs_only([issuer]).no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_hold_on_every_way_to_a_resource_of_a_hub() {
    let site = Site::start().await;
    let clerk = site.caller("QHM", 14);
    let all = "system/*.cruds";
    let (status, _) = clerk.ask("POST", &site.hub, "", all, record()).await;
    assert_eq!(status, StatusCode::OK);
    let observations = "system/Observation.rs";
    for (method, path) in [
        ("GET", "/Patient"),
        ("GET", "/Patient/a"),
        ("GET", "/Patient/_history"),
        ("GET", "/_history"),
        ("GET", "/?_type=Observation"),
        ("GET", "/Patient/a/Condition"),
        ("GET", "/Patient/a/*"),
        ("GET", "/Patient/a/$everything"),
        ("GET", "/Observation?subject:Patient.name=A"),
        ("GET", "/Observation?patient.name=A"),
        ("GET", "/Observation?_has:Provenance:target:agent=x"),
        ("POST", "/Observation"),
        ("PUT", "/Observation/a"),
        ("DELETE", "/Observation/a"),
        ("PATCH", "/Observation?code=x"),
        ("POST", "/Observation/a/$meta-add"),
    ] {
        let (status, outcome) =
            clerk.ask(method, &site.hub, path, observations, String::new()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {outcome}");
    }
    let (status, found) =
        clerk.get(&site.hub, "/Observation?_include=Observation:subject", observations).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(found["entry"].as_array().unwrap().len(), 1, "no Patient goes along: {found}");
    let both = "system/Observation.rs system/Patient.r";
    let (_, found) = clerk.get(&site.hub, "/Observation?_include=Observation:subject", both).await;
    assert_eq!(found["entry"].as_array().unwrap().len(), 2, "{found}");
    // A Bundle is held to the scopes entry by entry; a transaction writes all of it or nothing.
    let (status, _) = clerk.ask("POST", &site.hub, "", "system/Observation.c", record()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let batch = record().replace("transaction", "batch").replace(NUMBER, "9000000009");
    let (status, replies) = clerk.ask("POST", &site.hub, "", "system/Patient.c", batch).await;
    assert_eq!(status, StatusCode::OK, "{replies}");
    let statuses = [0, 1].map(|place| replies["entry"][place]["response"]["status"].to_string());
    assert!(statuses[0].contains("201") && statuses[1].contains("403"), "{replies}");
    let read = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient"}},
    ]});
    let (_, replies) = clerk.ask("POST", &site.hub, "", observations, read.to_string()).await;
    assert!(replies["entry"][0]["response"]["status"].to_string().contains("403"), "{replies}");
    let (_, count) = clerk.get(&site.hub, "/Observation?_summary=count", all).await;
    assert_eq!(count["total"], 1, "nothing was written that was forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_sees_the_audit_events_that_it_takes_part_in() {
    let site = Site::start().await;
    let (clerk, nurse) = (site.caller("QHM", 15), site.caller("QWO", 16));
    let (status, _) = clerk.ask("POST", &site.hub, "", "system/*.cruds", record()).await;
    assert_eq!(status, StatusCode::OK);
    nurse.get(&site.hub, "/Patient", "user/Patient.rs").await;
    // One who sends no token is known by the certificate alone.
    let answer = nurse.client.get(format!("{}/Patient", site.hub)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let refused = eventually("the refusal", REGISTRATION_TIME_MAX, async || {
        let events = site.events(&nurse, "").await;
        events.into_iter().find(|event| event["outcomeDesc"] == "there is no token")
    })
    .await;
    assert_eq!(refused["outcome"], "4");
    assert_eq!(refused["agent"][0]["who"]["identifier"]["value"], "QWO");
    let (all, own) = (site.events(&clerk, "").await, site.events(&nurse, "").await);
    let takes_part = |event: &Value, ods: &str| {
        let agents = event["agent"].as_array().unwrap();
        let asks = |agent: &&Value| agent["type"]["coding"][0]["code"] != "110152";
        let mut asking = agents.iter().filter(asks);
        asking.any(|agent| agent["who"]["identifier"]["value"] == ods)
    };
    assert!(own.iter().all(|event| takes_part(event, "QWO")), "{own:?}");
    let hidden = all.iter().find(|event| takes_part(event, "QHM")).unwrap();
    let path = format!("/AuditEvent/{}", hidden["id"].as_str().unwrap());
    let (status, _) = nurse.get(&site.hub, &path, "user/AuditEvent.rs").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(site.events(&nurse, "agent:identifier=QHM").await.is_empty());
    for scope in ["system/*.cruds", "user/AuditEvent.r", "system/Patient.rs"] {
        for (method, path) in [("GET", "/AuditEvent"), ("POST", "/AuditEvent/_search")] {
            let (status, _) = clerk.ask(method, &site.hub, path, scope, String::new()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{scope}");
        }
    }
}
