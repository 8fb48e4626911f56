//! Clients that are slow on purpose, which cost nobody else anything; and what every answer of every
//! route says to browsers.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::kit::{Http, Place, Process, on_free_ports};
use crate::silence::start_region;

/// Connections of those who are slow, to each service.
const MANY: usize = 300;
/// As long as a service waits for a request's header, and for its body; and what a busy machine takes.
const HEADER_TIME: Duration = Duration::from_secs(10);
const BODY_TIME: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);

/// A locator and a region.
struct Site {
    place: Place,
    _processes: [Process; 2],
    _folder: TempDir,
}

async fn start() -> Site {
    let start = async |base| {
        let (place, folder) = (Place(base), TempDir::new().unwrap());
        let locator = place.start_locator(folder.path()).await?;
        let region = start_region(place, 0, folder.path()).await?;
        Ok(Site { place, _processes: [locator, region], _folder: folder })
    };
    on_free_ports(Place::PORTS, start).await
}

/// The part of a base that is dialled.
fn authority(base: &str) -> &str {
    base.trim_start_matches("http://").trim_end_matches("/FHIR/R4")
}

/// Says this, and then a byte now and then for as long as anybody listens: how long that was, and the
/// answer.
async fn drip(authority: &str, beginning: &str) -> (Duration, String) {
    let (began, mut answer) = (Instant::now(), Vec::new());
    let (mut from, mut to) = TcpStream::connect(authority).await.unwrap().into_split();
    to.write_all(beginning.as_bytes()).await.unwrap();
    let dripping = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            // Whoever has heard enough may have closed the connection.
            let _ = to.write_all(b"a").await;
        }
    };
    tokio::select! {
        _ = from.read_to_end(&mut answer) => {}
        () = dripping => {}
    }
    (began.elapsed(), String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_ends_a_request_is_hung_up_on_and_keeps_nobody_waiting() {
    let site = start().await;
    let (hub, gateway) = (site.place.hub(0), site.place.gateway(0));
    let header = "GET /live HTTP/1.1\r\nhost: a\r\nx-slow: ";
    let headers = [&hub, &gateway].into_iter().flat_map(|base| {
        (0..MANY).map(move |_| async move {
            let (took, answer) = drip(authority(base), header).await;
            assert!(took < HEADER_TIME + GRACE, "{base}: {took:?}");
            assert!(!answer.contains(" 200 "), "{answer}");
        })
    });
    let post = |path: &str, media: &str| {
        format!(
            "POST /FHIR/R4/{path} HTTP/1.1\r\nhost: a\r\ncontent-type: {media}\r\n\
            content-length: 10000\r\n\r\n"
        )
    };
    let bodies = [
        (&hub, post("Patient", "application/fhir+json")),
        (&gateway, post("Observation/_search", "application/x-www-form-urlencoded")),
    ];
    let bodies = bodies.into_iter().map(|(base, beginning)| async move {
        let (took, answer) = drip(authority(base), &beginning).await;
        assert!(took.abs_diff(BODY_TIME) < GRACE, "{base}: {took:?}");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{base}: {answer}");
        assert!(answer.contains("did not arrive within"), "{base}: {answer}");
    });
    let others = async {
        let http = Http::new();
        for _ in 0..20 {
            for base in [&hub, &gateway] {
                let asked = Instant::now();
                assert_eq!(http.get(&format!("{base}/metadata")).await.status, 200);
                assert!(asked.elapsed() < GRACE, "{base} keeps others waiting");
            }
        }
    };
    tokio::join!(join_all(headers), join_all(bodies), others);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_any_route_may_be_kept_sniffed_or_run() {
    let site = start().await;
    let (place, http) = (site.place, Http::new());
    let of_hub = hub::routes::offers().into_iter().map(|offer| {
        let names =
            [("{type}", "Patient"), ("{id}", "a"), ("{member}", "Observation"), ("{vid}", "1")];
        let url = names.iter().fold(offer.url.to_owned(), |url, (from, to)| url.replace(from, to));
        place.hub(0) + &url
    });
    let of_gateway = [
        "/Observation",
        "/Observation/_search",
        "/Patient/9434765919/$everything",
        "/Patient/$everything",
        "/Patient/a",
        "/at/QWO/Patient/a",
        "/at/QWO/Patient/a/_history/1",
    ];
    let of_gateway = of_gateway.into_iter().map(|path| place.gateway(0) + path);
    let open = [place.hub(0), place.gateway(0)].into_iter().flat_map(|base| {
        let root = base.trim_end_matches("/FHIR/R4").to_owned();
        let outside = ["/live", "/ready", "/nothing", "/"].map(|path| root.clone() + path);
        [vec![base.clone() + "/metadata", base + "/Bogus/a/b/c/d"], outside.to_vec()].concat()
    });
    let admin = place.hub_metrics(0);
    let root = admin.trim_end_matches("/metrics");
    let admin = ["/metrics", "/live", "/ready", "/nothing"].map(|path| format!("{root}{path}"));
    let pointers = "FHIR/R4/DocumentReference";
    let of_locator = ["_status", "ready", "nothing"].map(str::to_owned).into_iter();
    let of_locator =
        of_locator.chain(["producer", "consumer"].map(|of| format!("{of}/{pointers}")));
    let of_locator = of_locator.map(|path| format!("{}/{path}", place.locator()));
    for url in of_hub.chain(of_gateway).chain(open).chain(admin).chain(of_locator) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = http.send(method, &url, &[], "{}".to_owned()).await.unwrap();
            let what = format!("{method} {url}: {}", answer.status);
            assert!(answer.status < 500, "{what}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
            assert!(answer.header("cache-control").contains("no-store"), "{what}");
            let policy = answer.header("content-security-policy");
            assert!(policy.contains("default-src 'none'"), "{what}: {policy}");
        }
    }
}
