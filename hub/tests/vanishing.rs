//! A database server that vanishes without a word: no connection ends, and nothing is answered.

use std::time::{Duration, Instant};

use http::StatusCode;
use service::clock::Clock;
use sqlx::postgres::PgConnectOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use url::Url;

use crate::kit::Kit;

/// How long anybody may be left waiting by a server that has vanished.
const TIME_MAX: Duration = Duration::from_secs(15);

/// The way to a server; whatever is on it when it is blocked is neither delivered nor told so.
struct Way {
    port: u16,
    is_blocked: watch::Sender<bool>,
}

impl Way {
    async fn to(server: PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_blocked = watch::Sender::new(false);
        let blocked = is_blocked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, server.clone(), blocked.subscribe()));
            }
        });
        Self { port, is_blocked }
    }

    /// The URL of what is behind it.
    fn url(&self, server: &str) -> String {
        let mut url = Url::parse(server).unwrap();
        url.set_query(None);
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.to_string()
    }
}

async fn carry(mut client: TcpStream, to: PgConnectOptions, mut blocked: watch::Receiver<bool>) {
    let port = to.get_port();
    let carried = async {
        let socket = to.get_socket().map(|folder| folder.join(format!(".s.PGSQL.{port}")));
        match socket.or_else(|| unix(to.get_host(), port)) {
            Some(path) => {
                let mut server = UnixStream::connect(path).await.unwrap();
                copy_bidirectional(&mut client, &mut server).await
            }
            None => {
                let mut server = TcpStream::connect((to.get_host(), port)).await.unwrap();
                copy_bidirectional(&mut client, &mut server).await
            }
        }
    };
    tokio::select! {
        biased;
        _ = blocked.wait_for(|blocked| *blocked) => {}
        _ = carried => return,
    }
    // Held as it is, for good.
    std::future::pending::<()>().await;
    drop(client);
}

fn unix(host: &str, port: u16) -> Option<std::path::PathBuf> {
    host.starts_with('/').then(|| format!("{host}/.s.PGSQL.{port}").into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_vanishes_keeps_nobody_waiting_and_is_found_again() {
    let Some(kit) = Kit::postgres().await else { return };
    let server = kit.hub.config.store.url.clone();
    let way = Way::to(server.parse().unwrap()).await;
    let kit = kit.reopened(|config| config.store.url = way.url(&server), Clock::System).await;
    let body = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"}}"#;
    let id = kit.post("Observation", body).await.id();
    let url = format!("Observation/{id}");

    way.is_blocked.send_replace(true);
    let began = Instant::now();
    let (read, search, write) = tokio::join!(
        kit.get(&url),
        kit.get("Observation?status=final"),
        kit.post("Observation", body)
    );
    for response in [read, search, write] {
        let outcome = response.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(outcome["issue"][0]["code"], "transient", "{outcome}");
        assert!(!response.header("retry-after").is_empty());
    }
    assert!(began.elapsed() < TIME_MAX, "{:?}", began.elapsed());
    assert!(!kit.hub.store.is_writable());
    // Whoever comes now is told at once.
    let began = Instant::now();
    for _ in 0..64 {
        kit.get(&url).await.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    // The connections of before stay as dead as they were.
    way.is_blocked.send_replace(false);
    let until = Instant::now() + TIME_MAX;
    while kit.get(&url).await.status != StatusCode::OK {
        assert!(Instant::now() < until, "the server is not found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(kit.post("Observation", body).await.status, StatusCode::CREATED);
}
