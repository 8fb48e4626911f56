//! A locator on a file of its own, and pointers to put into it.

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use locator_mock::{Locator, LocatorConfig};
use serde_json::{Value, json};
use service::clock::Clock;
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const PRODUCER: &str = "/producer/FHIR/R4/DocumentReference";
pub(crate) const CONSUMER: &str = "/consumer/FHIR/R4/DocumentReference";
pub(crate) const ORIGIN: &str = "http://locator.example";
pub(crate) const SNOMED: &str = "http://snomed.info/sct";
/// 2026-11-23T09:30:00.123Z
pub(crate) const NOW_MICROS: i64 = 1_795_426_200_123_000;
pub(crate) const NOW: &str = "2026-11-23T09:30:00.123Z";
/// A test number that passes modulus 11.
pub(crate) const NUMBER: &str = "9434765919";

pub(crate) struct World {
    router: Router,
    admin: Router,
    /// Sent with every request that has an organisation.
    pub(crate) token: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) folder: TempDir,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::reopen(tempfile::tempdir().unwrap())
    }

    /// A locator on the database in `folder`.
    pub(crate) fn reopen(folder: TempDir) -> Self {
        let config = config(&folder);
        Self::of(folder, config)
    }

    /// A locator in `folder` that is configured so.
    pub(crate) fn of(folder: TempDir, config: LocatorConfig) -> Self {
        let clock = Clock::fixed(NOW_MICROS);
        let locator = Locator::open(config, clock.clone()).unwrap();
        let router = locator_mock::router(locator.clone());
        Self { router, admin: locator_mock::admin(locator), token: None, clock, folder }
    }

    /// Stops the locator and leaves its database.
    pub(crate) fn close(self) -> TempDir {
        drop((self.router, self.admin));
        self.folder
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        let Clock::Fixed(micros) = &self.clock else { panic!("the clock is fixed") };
        micros.fetch_add(ms * 1_000, std::sync::atomic::Ordering::Relaxed);
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        Self::answer(&self.router, request).await
    }

    /// Sends a request to the admin listener.
    pub(crate) async fn administer(&self, method: Method, url: &str, body: &str) -> Reply {
        let request = Request::builder().method(method).uri(url);
        Self::answer(&self.admin, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn answer(router: &Router, request: Request<Body>) -> Reply {
        let response = router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request with the required headers on behalf of `organisation`.
    pub(crate) async fn ask(
        &self,
        organisation: &str,
        method: Method,
        url: &str,
        body: impl Into<Body>,
    ) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("NHSD-End-User-Organisation-ODS", organisation)
            .header("X-Request-ID", "60E0B220-8136-4CA5-AE46-1D97EF59D068")
            .header("Content-Type", "application/fhir+json");
        let request = match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        };
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, organisation: &str, url: &str) -> Reply {
        self.ask(organisation, Method::GET, url, Body::empty()).await
    }

    pub(crate) async fn post(&self, organisation: &str, url: &str, body: &Value) -> Reply {
        self.ask(organisation, Method::POST, url, body.to_string()).await
    }

    pub(crate) async fn put(&self, organisation: &str, url: &str, body: &Value) -> Reply {
        self.ask(organisation, Method::PUT, url, body.to_string()).await
    }

    /// Creates a pointer and returns its id.
    pub(crate) async fn create(&self, organisation: &str, pointer: &Value) -> String {
        let reply = self.post(organisation, PRODUCER, pointer).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        let location = reply.headers["location"].to_str().unwrap();
        location.rsplit('/').next().unwrap().to_owned()
    }

    /// A consumer's search by number, with further parameters already encoded.
    pub(crate) async fn find(&self, number: &str, further: &str) -> Reply {
        self.get("RX898", &format!("{CONSUMER}?{}{further}", subject(number))).await
    }
}

impl Reply {
    /// The Spine or NRL code of the first issue.
    pub(crate) fn code(&self) -> &str {
        self.body["issue"][0]["details"]["coding"][0]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn diagnostics(&self) -> &str {
        self.body["issue"][0]["diagnostics"].as_str().unwrap_or_default()
    }

    pub(crate) fn expression(&self) -> &str {
        self.body["issue"][0]["expression"][0].as_str().unwrap_or_default()
    }

    /// Ids of the entries of a searchset.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let entries = self.body["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().map(|e| e["resource"]["id"].as_str().unwrap_or_default()).collect()
    }
}

pub(crate) fn config(folder: &TempDir) -> LocatorConfig {
    let store = folder.path().join("locator.db");
    serde_json::from_value(json!({
        "server": {"listen": "127.0.0.1:0", "public_url": format!("{ORIGIN}/")},
        "admin": {"listen": "127.0.0.1:0"},
        "store": {"url": format!("sqlite://{}", store.display())},
        "security": {"mode": "open"},
    }))
    .unwrap()
}

/// `subject:identifier=…` of a GET, percent-encoded.
pub(crate) fn subject(number: &str) -> String {
    format!("subject%3Aidentifier=https%3A%2F%2Ffhir.nhs.uk%2FId%2Fnhs-number%7C{number}")
}

/// What a region's hub registers for a patient.
pub(crate) fn pointer(custodian: &str, number: &str) -> Value {
    let ods = |value: &str| {
        json!({"identifier": {
            "system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": value
        }})
    };
    json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "type": concept(SNOMED, "887181000000106", "Clinical summary"),
        "category": [concept(SNOMED, "716931000000107", "Record headings")],
        "subject": {"identifier": {
            "system": "https://fhir.nhs.uk/Id/nhs-number", "value": number
        }},
        "author": [ods(custodian)],
        "custodian": ods(custodian),
        "content": [{
            "attachment": {
                "contentType": "application/fhir+json", "url": "https://hub.example/FHIR/R4"
            },
            "format": {
                "system": "https://fhir.nhs.uk/England/CodeSystem/England-NRLFormatCode",
                "code": "urn:nhs-ic:structured",
                "display": "Structured Document"
            },
            "extension": [
                extension("ContentStability", "NRLContentStability", "dynamic", "Dynamic"),
                extension("NRLRetrievalMechanism", "NRLRetrievalMechanism", "Direct", "Direct"),
            ]
        }],
        "context": {"practiceSetting": concept(SNOMED, "224891009", "Healthcare services")}
    })
}

pub(crate) fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}]})
}

fn extension(name: &str, system: &str, code: &str, display: &str) -> Value {
    let system = format!("https://fhir.nhs.uk/England/CodeSystem/England-{system}");
    json!({
        "url": format!("https://fhir.nhs.uk/England/StructureDefinition/Extension-England-{name}"),
        "valueCodeableConcept": concept(&system, code, display)
    })
}

/// `value` with the member at `path` (a JSON pointer) replaced, or taken away by null.
pub(crate) fn with(mut value: Value, path: &str, new: Value) -> Value {
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap();
    match (parent, new) {
        (Value::Object(members), Value::Null) => drop(members.remove(name)),
        (Value::Object(members), new) => drop(members.insert(name.to_owned(), new)),
        (Value::Array(items), new) => items[name.parse::<usize>().unwrap()] = new,
        _ => panic!("{path} is not in an object or array"),
    }
    value
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}
