//! A hub on each engine, and requests to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hub::Hub;
use hub::config::HubConfig;
use hub::import::{Options, Report};
use hub::reindex::command as reindex;
use serde_json::Value;
use service::caller::Caller;
use service::clock::Clock;
use service::program::ProgramError;
use service::serve::Shutdown;
use sqlx::Connection;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower::ServiceExt;
use uuid::Uuid;

/// A hub that lives as long as its test.
pub(crate) struct Kit {
    pub hub: Arc<Hub>,
    router: Router,
    /// Holds the files; gone with the test.
    folder: TempDir,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    /// The body as text; use `bytes` for one that is compressed.
    pub text: String,
}

impl Response {
    fn new(status: StatusCode, headers: HeaderMap, bytes: Bytes) -> Self {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { status, headers, bytes, text }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: impl AsRef<str>) -> &str {
        self.headers.get(name.as_ref()).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn etag(&self) -> &str {
        self.header(ETAG.as_str())
    }

    /// The id in the Location.
    pub(crate) fn id(&self) -> String {
        let location = self.header(LOCATION.as_str());
        location.split("/_history/").next().unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Asserts a refusal with an OperationOutcome that a person can act on.
    pub(crate) fn assert_refused(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{}", self.text);
        assert!(outcome["issue"][0]["diagnostics"].as_str().is_some_and(|d| d.len() > 10));
        outcome
    }
}

impl Kit {
    pub(crate) async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("hub.db").display());
        Self::open(&url, folder).await
    }

    /// On a database of its own, if `TEST_POSTGRES_URL` names a server.
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("TEST_POSTGRES_URL") else {
            eprintln!("skipped: TEST_POSTGRES_URL names no PostgreSQL (tests/run starts one)");
            return None;
        };
        let name = format!("hub_{}", Uuid::new_v4().simple());
        let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut connection).await.unwrap();
        let url = server.replace("/postgres?", &format!("/{name}?"));
        Some(Self::open(&url, TempDir::new().unwrap()).await)
    }

    async fn open(url: &str, folder: TempDir) -> Self {
        let toml = format!(
            "server = {{ listen = \"127.0.0.1:0\", public_url = \"http://hub.test/FHIR/R4\" }}\n\
             admin = {{ listen = \"127.0.0.1:0\" }}\n\
             region = {{ ods = \"QWO\", name = \"West Yorkshire\", nation = \"england\" }}\n\
             store = {{ url = \"{url}\" }}\n\
             security = {{ mode = \"open\" }}\n\
             audit = {{ dir = \"{}\" }}\n",
            folder.path().display()
        );
        let config: HubConfig = service::config::parse(&toml, "HUB_TEST_NONE__").unwrap();
        let hub = Hub::open(config, Clock::System).await.unwrap();
        Self { router: hub.router(), hub, folder }
    }

    /// The same record, opened anew with a changed configuration and by another clock.
    pub(crate) async fn reopened(self, change: impl FnOnce(&mut HubConfig), clock: Clock) -> Self {
        let Self { hub, router, folder } = self;
        hub.store.close().await;
        let mut config = hub.config.clone();
        // The store's lock goes with the last one who holds the hub.
        drop((router, hub));
        change(&mut config);
        let hub = Hub::open(config, clock).await.unwrap();
        Self { router: hub.router(), hub, folder }
    }

    /// The same record, after its database was changed behind the hub's back.
    pub(crate) async fn rewritten(self, rewrite: impl AsyncFnOnce(&str)) -> Self {
        let Self { hub, router, folder } = self;
        hub.store.close().await;
        let config = hub.config.clone();
        drop((router, hub));
        rewrite(&config.store.url).await;
        let hub = Hub::open(config, Clock::System).await.unwrap();
        Self { router: hub.router(), hub, folder }
    }

    /// The same record, after a rebuild of its index by a program of its own.
    pub(crate) async fn reindexed(self) -> (Self, Result<reindex::Report, ProgramError>) {
        let Self { hub, router, folder } = self;
        hub.store.close().await;
        let config = hub.config.clone();
        drop((router, hub));
        let result = reindex::run(config.clone(), Clock::System).await;
        let hub = Hub::open(config, Clock::System).await.unwrap();
        (Self { router: hub.router(), hub, folder }, result)
    }

    /// The folder alone: the hub is gone, and its record is anyone's.
    pub(crate) fn released(self) -> TempDir {
        self.folder
    }

    /// Another hub on the same record; nothing if it takes one hub at a time.
    pub(crate) async fn beside(&self) -> Option<Self> {
        if !self.hub.config.store.url.starts_with("postgres") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let mut config = self.hub.config.clone();
        config.audit.dir = Some(folder.path().to_owned());
        let hub = Hub::open(config, Clock::System).await.unwrap();
        Some(Self { router: hub.router(), hub, folder })
    }

    /// The same record, after an import by a program of its own.
    pub(crate) async fn imported(self, options: &Options) -> (Self, Result<Report, ProgramError>) {
        let Self { hub, router, folder } = self;
        hub.store.close().await;
        let config = hub.config.clone();
        drop((router, hub));
        let result = Box::pin(hub::import::run(config.clone(), Clock::System, options)).await;
        let hub = Hub::open(config, Clock::System).await.unwrap();
        (Self { router: hub.router(), hub, folder }, result)
    }

    /// Writes a file that goes with the test.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Serves the hub over TCP for as long as the test runs.
    pub(crate) async fn over_tcp(&self) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(self.hub.clone().serve(listener, None, Shutdown::default()));
        Wire { address, client: service::client::build().unwrap() }
    }

    /// The journal's lines.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let file = self.hub.config.audit.dir.as_ref().unwrap().join("hub-QWO-audit.ndjson");
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Response {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Response::new(parts.status, parts.headers, bytes)
    }

    /// A request of a verified caller, past the gate that found out who it is.
    pub(crate) async fn send_as(
        &self,
        caller: &Caller,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let url = format!("/FHIR/R4/{path}");
        let mut request = Request::builder().method(method).uri(url.trim_end_matches('/'));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers.iter().any(|(name, _)| *name == CONTENT_TYPE.as_str()) {
            request = request.header(CONTENT_TYPE, "application/fhir+json");
        }
        let request = request.extension(caller.clone()).body(body.into()).unwrap();
        let routes = hub::routes::interactions(self.hub.clone());
        let response = routes.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Response::new(parts.status, parts.headers, bytes)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send("GET", &format!("/FHIR/R4/{path}"), &[], Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.send("DELETE", &format!("/FHIR/R4/{path}"), &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Response {
        self.with_body("POST", path, body, &[]).await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Response {
        self.with_body("PUT", path, body, &[]).await
    }

    pub(crate) async fn put_if_match(&self, path: &str, etag: &str, body: &str) -> Response {
        self.with_body("PUT", path, body, &[("if-match", etag)]).await
    }

    pub(crate) async fn with_body(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        let mut all = vec![(CONTENT_TYPE.as_str(), "application/fhir+json")];
        all.extend(headers);
        let url = format!("/FHIR/R4/{path}");
        self.send(method, url.trim_end_matches('/'), &all, body.to_owned()).await
    }

    /// A search; asserts that it succeeds.
    pub(crate) async fn search(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status, StatusCode::OK, "{path}: {}", response.text);
        response.json()
    }

    /// Ids of the matches of a search, in order.
    pub(crate) async fn ids(&self, path: &str) -> Vec<String> {
        matches(&self.search(path).await)
    }

    /// How many resources of a type there are.
    pub(crate) async fn count(&self, resource_type: &str) -> i64 {
        self.search(&format!("{resource_type}?_summary=count")).await["total"].as_i64().unwrap()
    }
}

/// A hub as its clients reach it, with every layer of the server around it.
pub(crate) struct Wire {
    pub address: SocketAddr,
    client: reqwest::Client,
}

impl Wire {
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.client.request(method.parse().unwrap(), url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Response::new(status, headers, response.bytes().await.unwrap())
    }
}

/// Ids of the matches of a searchset, in order.
pub(crate) fn matches(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let matches = entries.iter().filter(|entry| entry["search"]["mode"] == "match");
    matches.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
}

/// A link's path and query, to be asked of the same hub.
pub(crate) fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let link = links.iter().find(|link| link["relation"] == relation)?;
    let below = link["url"].as_str()?.strip_prefix("http://hub.test/FHIR/R4")?;
    Some(below.trim_start_matches('/').to_owned())
}

/// Runs each story on both engines.
macro_rules! on_both_engines {
    ($($story:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() { super::$story(crate::kit::Kit::sqlite().await).await })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                if let Some(kit) = crate::kit::Kit::postgres().await { super::$story(kit).await }
            })+
        }
    };
}
pub(crate) use on_both_engines;
