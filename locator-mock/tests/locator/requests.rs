//! Headers, methods, URLs and bodies, whatever they ask for.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use locator_mock::Locator;
use service::clock::Clock;
use service::serve::Shutdown;

use crate::world::{CONSUMER, PRODUCER, World, config, pointer, subject};

#[tokio::test]
async fn the_organisation_and_the_request_id_are_required() {
    let world = World::new();
    let url = format!("{CONSUMER}?{}", subject("9434765919"));
    let bare = |headers: &[(&str, &str)]| {
        let mut request = Request::builder().uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    };
    for organisation in ["", "RX 898", "RX898.001", "ABCDEFGHIJKLM"] {
        let headers = [("NHSD-End-User-Organisation-ODS", organisation), ("X-Request-ID", "1")];
        let reply = world.send(bare(&headers)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(reply.code(), "PRECONDITION_FAILED", "{organisation}");
        assert_eq!(reply.body["issue"][0]["code"], "required");
    }
    let reply = world.send(bare(&[("X-Request-ID", "1")])).await;
    assert_eq!(reply.code(), "PRECONDITION_FAILED");
    let reply = world.send(bare(&[("NHSD-End-User-Organisation-ODS", "RX898")])).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.code(), "MISSING_OR_INVALID_HEADER");
    assert_eq!(reply.diagnostics(), "The X-Request-Id header is missing or invalid");
}

#[tokio::test]
async fn head_is_refused_everywhere_with_what_is_allowed_and_no_body() {
    let world = World::new();
    for (url, allow) in [
        (PRODUCER, "GET,POST"),
        ("/producer/FHIR/R4/DocumentReference/QWO-1", "GET,DELETE"),
        ("/producer/FHIR/R4/DocumentReference/_search", "POST"),
        (CONSUMER, "GET"),
        ("/consumer/FHIR/R4/DocumentReference/QWO-1", "GET"),
        ("/consumer/FHIR/R4/DocumentReference/_count", "GET"),
        ("/_status", "GET"),
    ] {
        let reply = world.ask("QWO", Method::HEAD, url, "").await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{url}");
        assert_eq!(reply.headers["allow"], allow, "{url}");
        assert_eq!(reply.body, "", "{url}");
    }
}

#[tokio::test]
async fn other_methods_and_urls_are_refused_with_an_outcome() {
    let world = World::new();
    let reply = world.ask("QWO", Method::PATCH, PRODUCER, "{}").await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.body["resourceType"], "OperationOutcome");
    for url in ["/", "/metadata", "/producer/FHIR/R4/Patient", "/consumer/FHIR/R4/metadata"] {
        let reply = world.get("QWO", url).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{url}");
        assert_eq!(reply.body["resourceType"], "OperationOutcome", "{url}");
    }
}

#[tokio::test]
async fn status_and_probes_need_no_caller() {
    let world = World::new();
    let statuses = ["/_status", "/producer/FHIR/R4/_status", "/consumer/FHIR/R4/_status"];
    for url in statuses {
        let reply = world.send(Request::get(url).body(Body::empty()).unwrap()).await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, "OK".into()), "{url}");
    }
    for url in ["/live", "/ready"] {
        let reply = world.send(Request::get(url).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{url}");
    }
}

#[tokio::test]
async fn a_body_that_is_missing_or_not_json_is_refused() {
    let world = World::new();
    let reply = world.ask("QWO", Method::POST, PRODUCER, "").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!((reply.code(), reply.diagnostics()), ("BAD_REQUEST", "Request body is required"));
    for body in ["{", "nul", "[]", "\"a\"", "{\"a\":\"\\ud800\"}"] {
        let reply = world.ask("QWO", Method::POST, PRODUCER, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(reply.code(), "MESSAGE_NOT_WELL_FORMED", "{body}");
        assert_eq!(reply.expression(), "DocumentReference", "{body}");
    }
    let form = Request::post(PRODUCER)
        .header("NHSD-End-User-Organisation-ODS", "QWO")
        .header("X-Request-ID", "1")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(Body::from("a=b"))
        .unwrap();
    assert_eq!(world.send(form).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let reply = world.ask("QWO", Method::POST, PRODUCER, large).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_callers_ids_come_back_as_they_were_sent() {
    let world = World::new();
    let request = |url: &str| {
        Request::get(url)
            .header("NHSD-End-User-Organisation-ODS", "QWO")
            .header("X-Request-ID", "60E0B220-8136-4CA5-AE46-1D97EF59D068")
            .header("X-Correlation-ID", "any text: (of theirs)")
            .body(Body::empty())
            .unwrap()
    };
    for url in [CONSUMER, PRODUCER, "/_status", "/nowhere"] {
        let reply = world.send(request(url)).await;
        assert_eq!(reply.headers["x-request-id"], "60E0B220-8136-4CA5-AE46-1D97EF59D068");
        assert_eq!(reply.headers["x-correlation-id"], "any text: (of theirs)", "{url}");
    }
    let refused = world.send(request(CONSUMER)).await;
    assert_eq!(refused.headers["content-type"], "application/fhir+json;version=1");
}

#[tokio::test]
async fn a_ping_says_which_version_answers() {
    let world = World::new();
    for url in ["/producer/FHIR/R4/_ping", "/consumer/FHIR/R4/_ping"] {
        let reply = world.send(Request::get(url).body(Body::empty()).unwrap()).await;
        assert_eq!((reply.status, reply.body["version"].is_string()), (StatusCode::OK, true));
    }
}

#[tokio::test]
async fn a_locator_serves_on_sockets_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let locator = Locator::open(config(&folder), Clock::System).unwrap();
    let bind = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (listener, admin) = (bind().await, bind().await);
    let (main, metrics) = (listener.local_addr().unwrap(), admin.local_addr().unwrap());
    let shutdown = Shutdown::default();
    let stop = shutdown.clone();
    let served = tokio::spawn(async move { locator.serve(listener, Some(admin), stop).await });

    let body = pointer("QWO", "9434765919").to_string();
    let created = talk(main, "POST", PRODUCER, &body).await.unwrap();
    assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    assert!(created.contains("x-request-id: order-66"), "{created}");
    assert!(created.contains("x-correlation-id: together"), "{created}");
    let faults = talk(metrics, "GET", "/faults", "").await.unwrap();
    assert!(faults.ends_with("{}"), "{faults}");
    let metrics = talk(metrics, "GET", "/metrics", "").await.unwrap();
    assert!(metrics.contains("locator_pointers 1"), "{metrics}");

    shutdown.trigger();
    served.await.unwrap();
}

/// One request over a connection of its own.
pub(crate) async fn talk(
    address: std::net::SocketAddr,
    method: &str,
    url: &str,
    body: &str,
) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!(
        "{method} {url} HTTP/1.1\r\nHost: locator\r\nConnection: close\r\n\
         NHSD-End-User-Organisation-ODS: QWO\r\nX-Request-ID: order-66\r\n\
         X-Correlation-ID: together\r\nContent-Type: application/fhir+json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
