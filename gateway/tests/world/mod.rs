//! A world to ask: fake hubs and a fake locator that are real servers on port 0, scripted per
//! test, and a real gateway in front of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use fhir::identifier::{NHS_NUMBER, ODS_CODE};
use futures::StreamExt;
use gateway::Gateway;
use gateway::config::GatewayConfig;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use service::clock::Clock;
use service::serve::Shutdown;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) const NUMBER: &str = "9434765919";
pub(crate) const GUID: &str = "https://fhir.nhs.uk/Id/cross-care-setting-identifier";

/// A request as a fake received it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What a fake does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A FHIR answer.
    Json(u16, Value),
    /// Any other answer: content type, text.
    Raw(&'static str, &'static str),
    /// Part of an answer, then the connection breaks.
    Cut(&'static str),
    /// Nothing, ever.
    Silence,
    /// Nothing, ever; the token is held for as long as somebody waits.
    Watched(Arc<()>),
    /// A FHIR answer, once the permits allow it.
    Gated(Arc<tokio::sync::Semaphore>, Value),
    /// The beginning of an answer, then spaces for ever: so many at a time, so often.
    Trickle(&'static str, usize, Duration),
    /// A redirect to that URL.
    Moved(String),
    /// Too much to do: ask again after so many seconds.
    Busy(u16, &'static str),
}

/// A server that does as it is told.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(crate) async fn start(
        script: impl Fn(&Seen) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (script, noted) = (script.clone(), noted.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let request = Seen {
                    method: parts.method.to_string(),
                    target: parts.uri.to_string(),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                noted.lock().unwrap().push(request.clone());
                reply(script(&request)).await
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The searches for records it received, without those for Patients.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        let of_patients = |seen: &Seen| seen.target.contains("/Patient/_search");
        self.seen().into_iter().filter(|seen| !of_patients(seen)).collect()
    }

    /// A region's entry whose hub is this fake.
    pub(crate) fn region(&self, ods: &str) -> String {
        directory_entry(ods, &self.origin)
    }
}

pub(crate) fn directory_entry(ods: &str, origin: &str) -> String {
    format!(
        "[[regions]]\nods = \"{ods}\"\nname = \"Region {ods}\"\nnation = \"england\"\nurl = \
         \"{origin}/FHIR/R4\"\n"
    )
}

/// An origin where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A server below HTTP: it reads a request, sends these bytes and hangs up. Its origin, and how
/// many requests it has read.
pub(crate) async fn raw(bytes: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    counted.fetch_add(1, Ordering::SeqCst);
                    // The other side may have gone away first.
                    let _ = stream.write_all(bytes).await;
                }
            });
        }
    });
    (origin, count)
}

/// An origin where connections open and nobody ever reads.
pub(crate) async fn deaf() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (format!("http://{}", listener.local_addr().unwrap()), listener)
}

async fn reply(reply: Reply) -> Response {
    let answer = |status, media: &str, body| {
        Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .header("content-type", media)
            .header("etag", "W/\"3\"")
            .body(body)
            .unwrap()
    };
    match reply {
        Reply::Json(status, value) => {
            answer(status, "application/fhir+json", Body::from(value.to_string()))
        }
        Reply::Raw(media, text) => answer(200, media, Body::from(text)),
        Reply::Cut(text) => {
            let first = futures::stream::iter([Ok(text)]);
            // Pending once, so that the first part is on its way before the connection breaks.
            let broken = futures::stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            });
            answer(200, "application/fhir+json", Body::from_stream(first.chain(broken)))
        }
        Reply::Silence => std::future::pending().await,
        Reply::Watched(_token) => std::future::pending().await,
        Reply::Trickle(text, spaces, every) => {
            let first = futures::stream::iter([Ok::<_, std::io::Error>(text.to_owned())]);
            let spaces = " ".repeat(spaces);
            let rest = futures::stream::repeat_with(move || spaces.clone());
            let rest = rest.then(move |spaces| async move {
                tokio::time::sleep(every).await;
                Ok(spaces)
            });
            answer(200, "application/fhir+json", Body::from_stream(first.chain(rest)))
        }
        Reply::Moved(url) => Response::builder()
            .status(StatusCode::TEMPORARY_REDIRECT)
            .header("location", url)
            .body(Body::empty())
            .unwrap(),
        Reply::Busy(status, retry_after) => Response::builder()
            .status(status)
            .header("retry-after", retry_after)
            .body(Body::empty())
            .unwrap(),
        Reply::Gated(gate, value) => {
            gate.acquire().await.unwrap().forget();
            answer(200, "application/fhir+json", Body::from(value.to_string()))
        }
    }
}

/// A hub that holds these matches and answers every search with them and the patient.
pub(crate) async fn hub(matches: Vec<Value>) -> Fake {
    Fake::start(move |_| Reply::Json(200, searchset(&matches))).await
}

pub(crate) fn searchset(matches: &[Value]) -> Value {
    let mut entries: Vec<_> = matches
        .iter()
        .map(|resource| json!({"resource": resource, "search": {"mode": "match"}}))
        .collect();
    if !matches.is_empty() {
        entries.push(json!({"resource": patient("p", NUMBER), "search": {"mode": "include"}}));
    }
    json!({"resourceType": "Bundle", "type": "searchset", "entry": entries})
}

pub(crate) fn patient(id: &str, number: &str) -> Value {
    let identifier = json!([{"system": NHS_NUMBER, "value": number}]);
    json!({"resourceType": "Patient", "id": id, "identifier": identifier})
}

pub(crate) fn observation(id: &str, date: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "effectiveDateTime": date, "subject": {"reference": "Patient/p"},
    })
}

/// An Observation with an identifier that is unique in the world.
pub(crate) fn fact(id: &str, name: &str, value: u32) -> Value {
    let mut fact = observation(id, "2026-01-01");
    fact["identifier"] = json!([{"system": GUID, "value": name}]);
    fact["valueInteger"] = json!(value);
    fact
}

/// A locator that names these custodians for everyone.
pub(crate) async fn locator(custodians: &[&str]) -> Fake {
    let answer = pointers(custodians);
    Fake::start(move |_| Reply::Json(200, answer.clone())).await
}

pub(crate) fn pointers(custodians: &[&str]) -> Value {
    let pointer = |custodian: &&str| {
        json!({"resource": {
            "resourceType": "DocumentReference",
            "subject": {"identifier": {"system": NHS_NUMBER, "value": NUMBER}},
            "custodian": {"identifier": {"system": ODS_CODE, "value": custodian}},
            "content": [{"attachment": {"url": "http://127.0.0.1:1/never-dialled"}}],
        }})
    };
    let entries: Vec<_> = custodians.iter().map(pointer).collect();
    json!({"resourceType": "Bundle", "type": "searchset", "total": entries.len(), "entry": entries})
}

/// A running gateway of region HOME.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) base: String,
    pub(crate) client: reqwest::Client,
    shutdown: Shutdown,
    journal: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl World {
    pub(crate) async fn start(locator: &str, regions: &[String]) -> Self {
        Self::configured(locator, "deadline_ms = 8000", regions).await
    }

    pub(crate) async fn configured(locator: &str, federation: &str, regions: &[String]) -> Self {
        Self::timed(locator, federation, regions, Clock::System).await
    }

    /// A gateway that goes by that clock.
    pub(crate) async fn timed(
        locator: &str,
        federation: &str,
        regions: &[String],
        clock: Clock,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/FHIR/R4", listener.local_addr().unwrap());
        let journal = TempDir::new().unwrap();
        let file = journal.path().join("new");
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"{base}\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\
             [region]\nods = \"HOME\"\nname = \"Home\"\nnation = \"england\"\n\
             [locator]\nurl = \"{locator}\"\n\
             [security]\nmode = \"open\"\n\
             [audit]\ndir = {:?}\n\
             [federation]\n{federation}\n{}",
            file.display().to_string(),
            regions.concat()
        );
        let config = GatewayConfig::parse(&config).unwrap();
        let gateway = Gateway::open(config, clock).unwrap();
        let shutdown = Shutdown::default();
        let stop = shutdown.clone();
        tokio::spawn(async move { gateway.serve(listener, None, stop).await });
        Self { base, client: service::client::build().unwrap(), shutdown, journal }
    }

    /// Asks for the patient's Observations, with more parameters.
    pub(crate) async fn observations(&self, more: &str) -> Answer {
        let query = format!("Observation?patient.identifier={NHS_NUMBER}|{NUMBER}{more}");
        self.get(&query).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let url = format!("{}/{path}", self.base);
        Answer::of(self.client.get(url).send().await.unwrap()).await
    }

    pub(crate) fn journal(&self) -> String {
        let file = self.journal.path().join("new").join("gateway-HOME-audit.ndjson");
        std::fs::read_to_string(file).unwrap()
    }
}

/// A gateway's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Reads an answer; whatever the gateway wrote itself is valid FHIR.
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.bytes().await.unwrap();
        let answer =
            Self { status, headers, body: serde_json::from_slice(&text).unwrap_or_default() };
        let of_a_region = |at: &str| at.contains(".resource") || answer.status == 410;
        let survey = fhir::validate::validate(&text).unwrap();
        let ours = survey.issues.iter().find(|issue| !of_a_region(&issue.expression));
        assert!(ours.is_none(), "{ours:?}");
        for outcome in answer.in_mode("outcome") {
            let text = outcome["resource"].to_string();
            let survey = fhir::validate::validate(text.as_bytes()).unwrap();
            assert!(survey.issues.is_empty(), "{:?}", survey.issues);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn in_mode(&self, mode: &str) -> Vec<&Value> {
        let entries = self.body["entry"].as_array();
        let entries = entries.into_iter().flatten();
        entries.filter(|entry| entry["search"]["mode"] == mode).collect()
    }

    pub(crate) fn matches(&self) -> Vec<&Value> {
        self.in_mode("match")
    }

    pub(crate) fn includes(&self) -> Vec<&Value> {
        self.in_mode("include")
    }

    /// `HOME/a`, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        let id = |entry: &&Value| {
            let url = entry["fullUrl"].as_str().unwrap();
            let (_, at) = url.split_once("/at/").unwrap();
            at.replace("/Observation/", "/")
        };
        self.matches().iter().map(id).collect()
    }

    /// Where a link of the Bundle leads, below the gateway's base.
    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let mut links = self.body["link"].as_array()?.iter();
        let link = links.find(|link| link["relation"] == relation)?;
        let (_, path) = link["url"].as_str().unwrap().split_once("/FHIR/R4/").unwrap();
        Some(path.to_owned())
    }

    /// The issues, of an outcome entry or of an outcome.
    pub(crate) fn issues(&self) -> Vec<&Value> {
        let outcomes = self.in_mode("outcome");
        let whole =
            std::iter::once(&self.body).filter(|body| body["resourceType"] == "OperationOutcome");
        let outcomes = outcomes.into_iter().map(|entry| &entry["resource"]).chain(whole);
        outcomes.flat_map(|outcome| outcome["issue"].as_array().unwrap()).collect()
    }

    /// The region statuses that are told.
    pub(crate) fn statuses(&self) -> Vec<&str> {
        let issues = self.issues().into_iter();
        let codes = issues.map(|issue| issue["details"]["coding"][0]["code"].as_str());
        codes.flatten().collect()
    }

    pub(crate) fn says(&self, words: &str) -> bool {
        let text = |issue: &Value| issue["diagnostics"].as_str().unwrap_or_default().to_owned();
        self.issues().into_iter().any(|issue| text(issue).contains(words))
    }
}
