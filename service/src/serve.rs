//! Serving: a bound listener and a stop signal in, nothing fetched.
//!
//! Bounds: connections, header size and time, URL length. A panic becomes one 500. A stopping
//! server takes no new connection, lets requests in flight finish, and ends at the drain limit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use fhir::outcome::IssueCode;
use futures::FutureExt;
use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::correlation::correlate;
use crate::refusal::Refusal;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 8 << 10;
/// Longest wait for a request's header; also how long an idle connection is kept.
const HEADER_TIME_MAX: Duration = Duration::from_secs(30);
/// Largest header of an HTTP/2 request, in bytes.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// Connections served at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 8_192;
/// Pause after a failed accept (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A stop signal that many tasks can wait for.
#[derive(Debug, Clone)]
pub struct Shutdown {
    sender: Arc<watch::Sender<bool>>,
    receiver: watch::Receiver<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        let (sender, receiver) = watch::channel(false);
        Self { sender: Arc::new(sender), receiver }
    }
}

impl Shutdown {
    /// Asks everyone to stop.
    pub fn trigger(&self) {
        self.sender.send_replace(true);
    }

    /// Whether a stop was asked for.
    pub fn is_triggered(&self) -> bool {
        *self.receiver.borrow()
    }

    /// Waits until a stop is asked for.
    pub async fn triggered(&self) {
        let mut receiver = self.receiver.clone();
        // The sender lives in `self`, so waiting can only end by the value.
        let _ = receiver.wait_for(|stop| *stop).await;
    }
}

/// Serves `router` on `listener` until `shutdown`, then drains for at most `drain`.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown, drain: Duration) {
    let router = router.layer(from_fn(guard)).layer(from_fn(correlate));
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            let permit = connections.clone().acquire_owned().await;
            (permit.expect("the semaphore is never closed"), accept(&listener).await)
        };
        let (permit, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = shutdown.triggered() => break,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder().serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that went away is no event of ours.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight at the drain limit");
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(cause = %error, "TCP_NODELAY not set");
                }
                return stream;
            }
            Err(error) => {
                tracing::warn!(cause = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_concurrent_streams(256)
        .keep_alive_interval(HEADER_TIME_MAX);
    builder
}

/// Refuses a URL that is too long; turns a panic into a 500 that tells nothing.
async fn guard(request: Request, next: Next) -> Response {
    let length = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if length > URL_BYTES_MAX {
        return Refusal::error(
            StatusCode::URI_TOO_LONG,
            IssueCode::TooLong,
            "The URL is longer than 8192 bytes: send the parameters with POST _search.",
        )
        .into_response();
    }
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_panic) => Refusal::internal(&"a handler panicked").into_response(),
    }
}
