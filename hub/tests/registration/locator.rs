//! A producer's locator that does as it is told, over TCP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use hub::config::LocatorConfig;
use hub::registration::sender::{Sender, Sent};
use serde_json::{Value, json};
use service::clock::Clock;

use crate::kit::Kit;

const COLLECTION: &str = "/producer/FHIR/R4/DocumentReference";
/// Where the hub of a [`Kit`] is.
pub(super) const HERE: &str = "http://hub.test/FHIR/R4";

/// What the locator holds, and how it behaves.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Number and URL by pointer.
    pub(super) pointers: BTreeMap<String, (String, String)>,
    /// Status and `Retry-After` of the next answers.
    pub(super) answers: VecDeque<(u16, Option<&'static str>)>,
    /// Requests so far.
    pub(super) asked: usize,
    made: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Locator(Arc<Mutex<Held>>);

impl Locator {
    /// Starts one, and points the kit's hub at it; `clock` is the hub's.
    pub(super) async fn of(kit: Kit, only_verified: bool, clock: Clock) -> (Self, Kit, Sender) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let locator = Self::default();
        let router = Router::new()
            .route(COLLECTION, post(create))
            .route(&format!("{COLLECTION}/_search"), post(search))
            .route(&format!("{COLLECTION}/{{id}}"), delete(remove))
            .with_state(locator.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let change = |config: &mut hub::config::HubConfig| {
            config.locator = Some(LocatorConfig { url, token: None });
            config.registration.only_verified = only_verified;
        };
        let kit = kit.reopened(change, clock).await;
        let sender = kit.hub.sender().unwrap().unwrap();
        (locator, kit, sender)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    /// The numbers that it holds pointers for, each as often as it does.
    pub(super) fn numbers(&self) -> Vec<String> {
        let mut numbers: Vec<_> = self.held().pointers.values().map(|p| p.0.clone()).collect();
        numbers.sort();
        numbers
    }

    /// Puts a pointer there that nobody sent.
    pub(super) fn slip(&self, number: &str, url: &str) {
        let mut held = self.held();
        held.made += 1;
        let id = format!("QWO-{}", held.made);
        held.pointers.insert(id, (number.to_owned(), url.to_owned()));
    }

    /// The next requests are answered so, with effect on nothing.
    pub(super) fn answers(&self, status: u16, retry_after: Option<&'static str>, times: usize) {
        self.held().answers.extend(std::iter::repeat_n((status, retry_after), times));
    }

    fn scripted(&self, headers: &HeaderMap) -> Option<Response> {
        assert_eq!(headers["nhsd-end-user-organisation-ods"], "QWO");
        assert!(headers["x-request-id"].to_str().unwrap().parse::<uuid::Uuid>().is_ok());
        let mut held = self.held();
        held.asked += 1;
        let (status, retry_after) = held.answers.pop_front()?;
        let outcome = json!({"resourceType": "OperationOutcome", "issue": [{
            "severity": "error", "code": "invalid",
            "details": {"coding": [{"system": "urn:x", "code": "SOME_CODE"}]},
        }]});
        let status = StatusCode::from_u16(status).unwrap();
        let mut response = (status, outcome.to_string()).into_response();
        if let Some(text) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, text.parse().unwrap());
        }
        Some(response)
    }
}

async fn create(State(locator): State<Locator>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(response) = locator.scripted(&headers) {
        return response;
    }
    assert_eq!(headers[CONTENT_TYPE], "application/fhir+json;version=1");
    let pointer: Value = serde_json::from_slice(&body).unwrap();
    let number = pointer["subject"]["identifier"]["value"].as_str().unwrap();
    locator.slip(number, pointer["content"][0]["attachment"]["url"].as_str().unwrap());
    let id = format!("QWO-{}", locator.held().made);
    (StatusCode::CREATED, [(LOCATION, format!("{COLLECTION}/{id}"))]).into_response()
}

async fn search(State(locator): State<Locator>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(response) = locator.scripted(&headers) {
        return response;
    }
    let criteria: Value = serde_json::from_slice(&body).unwrap();
    let number = criteria["subject:identifier"].as_str().unwrap().rsplit('|').next().unwrap();
    let held = locator.held();
    let found = held.pointers.iter().filter(|(_, (n, _))| n == number);
    let entry: Vec<Value> = found
        .map(|(id, (_, url))| {
            json!({"resource": {
                "resourceType": "DocumentReference", "id": id,
                "content": [{"attachment": {"url": url}}],
            }})
        })
        .collect();
    let total = entry.len();
    json!({"resourceType": "Bundle", "type": "searchset", "total": total, "entry": entry})
        .to_string()
        .into_response()
}

async fn remove(
    State(locator): State<Locator>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    if let Some(response) = locator.scripted(&headers) {
        return response;
    }
    locator.held().pointers.remove(&id);
    "{}".into_response()
}

/// Sends everything that is due.
pub(super) async fn drain(sender: &Sender) {
    for _ in 0..100 {
        if sender.send_due(0).await.unwrap().taken == 0 {
            return;
        }
    }
    panic!("there is always something due");
}

/// Sends what is due once.
pub(super) async fn send(sender: &Sender) -> Sent {
    sender.send_due(0).await.unwrap()
}
