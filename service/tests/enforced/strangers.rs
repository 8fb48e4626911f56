//! Who shows no certificate: nobody, who may ask how we are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::net::{TcpListener, TcpStream};

use super::ca::{Ca, Wanted};
use super::kit::{Gated, stranger};

#[tokio::test]
async fn who_shows_no_certificate_reaches_what_needs_no_caller_and_nothing_else() {
    let gated = Gated::start().await;
    let stranger = stranger(&gated.kit.ca);
    let live = format!("{}live", gated.kit.url());
    assert_eq!(stranger.get(&live).send().await.unwrap().status(), StatusCode::OK);
    let good = gated.issuer.token(&gated.claims());
    for (what, request) in [
        ("without a token", stranger.get(gated.url("Patient"))),
        ("with another's token", stranger.get(gated.url("Patient")).bearer_auth(&good)),
        ("to write", stranger.put(gated.url("Patient")).bearer_auth(&good).body("{}")),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{what}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{what}");
    }
    // The token is still good for whom it was made.
    assert_eq!(gated.get("Patient", &good).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_certificate_that_is_no_good_is_not_as_good_as_none() {
    let gated = Gated::start().await;
    let live = format!("{}live", gated.kit.url());
    let strangers = Ca::new(gated.kit.folder.path(), "strangers");
    let expired = Wanted { until: 2021, ..Wanted::of("QWO", 90) };
    let nobody = Wanted { organisations: Vec::new(), ..Wanted::of("QWO", 91) };
    for identity in [
        strangers.issue(&Wanted::of("QWO", 92)),
        gated.kit.ca.issue(&expired),
        gated.kit.ca.issue(&nobody),
    ] {
        let sent = gated.kit.client_as(&identity).get(&live).send().await;
        assert!(sent.is_err(), "{sent:?}");
    }
}

#[tokio::test]
async fn the_connection_of_one_who_shows_no_certificate_is_not_kept_for_long() {
    let gated = Gated::start().await;
    let stranger = stranger(&gated.kit.ca);
    let live = format!("{}live", gated.kit.url());
    let relay = Relay::start(gated.kit.address).await;
    let through = live.replace(&gated.kit.address.port().to_string(), &relay.port.to_string());
    let began = Instant::now();
    while relay.connections() < 2 {
        assert!(stranger.get(&through).send().await.unwrap().status().is_success());
        assert!(began.elapsed() < Duration::from_mins(1), "it is still the same connection");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(8));
}

/// Passes connections on, and counts them.
struct Relay {
    port: u16,
    count: Arc<AtomicUsize>,
}

impl Relay {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        tokio::spawn(async move {
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut to = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        Self { port, count }
    }

    fn connections(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}
