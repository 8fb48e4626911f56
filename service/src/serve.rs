//! Serving: a bound listener and a stop signal in, nothing fetched.
//!
//! Bounds: connections, header size and time, URL length. A panic becomes one 500. Each answer has the
//! headers that keep a browser from keeping or running it. A stopping
//! server takes no new connection, lets requests in flight finish, and ends at the drain limit.
//!
//! Over TLS, who shows no certificate may ask what needs no caller (how we are, what we can do): few of
//! them at a time, and not for long. [`identify`](crate::caller::identify) refuses them all else.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use fhir::outcome::IssueCode;
use futures::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::Layer;

use crate::correlation::correlate;
use crate::refusal::Refusal;
use crate::tls::{LAST_REQUESTS, Tls};

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 8 << 10;
/// Longest wait for a request's header; also how long an idle connection is kept.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// How often an HTTP/2 connection is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Largest header of an HTTP/2 request, in bytes.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// Connections served at a time; more wait to be accepted.
const CONNECTIONS_MAX: u32 = 8_192;
/// Those among them over TLS whose peer has shown no certificate; there is no waiting for more.
const STRANGERS_MAX: usize = 256;
/// How long one of these is given requests.
const STRANGER_TIME_MAX: Duration = Duration::from_secs(10);
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
    serve_over(None, listener, router, shutdown, drain).await;
}

/// The same over TLS, if there is any: requests carry the [`Peer`](crate::tls::peer::Peer) in their
/// extensions, and a connection is given no more of them once it is old.
pub async fn serve_over(
    tls: Option<Arc<Tls>>,
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown,
    drain: Duration,
) {
    let router = router.layer(from_fn(guard)).layer(from_fn(correlate)).layer(from_fn(shield));
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    loop {
        let accepted = async {
            let permit = connections.clone().acquire_owned().await;
            (permit.expect("the semaphore is never closed"), accept(&listener).await)
        };
        let (permit, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = shutdown.triggered() => break,
        };
        let (tls, router, shutdown) = (tls.clone(), router.clone(), shutdown.clone());
        let strangers = strangers.clone();
        tokio::spawn(async move {
            match tls {
                None => converse(stream, router, shutdown, None).await,
                Some(tls) => converse_over(&tls, stream, router, shutdown, &strangers).await,
            }
            drop(permit);
        });
    }
    drop(listener);
    // They are all back once the last connection has ended.
    let ended = connections.acquire_many(CONNECTIONS_MAX);
    if tokio::time::timeout(drain, ended).await.is_err() {
        tracing::warn!("requests were still in flight at the drain limit");
    }
}

/// Serves one connection over TLS, if the peer is let in.
async fn converse_over(
    tls: &Tls,
    stream: TcpStream,
    router: Router,
    shutdown: Shutdown,
    strangers: &Semaphore,
) {
    match tls.accept(stream).await {
        None => {}
        Some((stream, Some(peer))) => {
            let router = Extension(peer).layer(router);
            converse(stream, router, shutdown, Some(tls.age_max())).await;
        }
        Some((stream, None)) => {
            if let Ok(_permit) = strangers.try_acquire() {
                converse(stream, router, shutdown, Some(STRANGER_TIME_MAX)).await;
            }
        }
    }
}

/// Serves one connection until it ends. When the server stops, or the connection is old, it is given
/// no more requests; an old one has only a while for its last ones.
async fn converse<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    shutdown: Shutdown,
    age_max: Option<Duration>,
) where
    S: tower::Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let (builder, service) = (builder(), TowerToHyperService::new(service));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let aged = async {
        match age_max {
            Some(age_max) => tokio::time::sleep(age_max).await,
            None => std::future::pending().await,
        }
    };
    // A client that went away is no event of ours.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.triggered() => {}
        () = aged => {}
    }
    connection.as_mut().graceful_shutdown();
    match age_max {
        Some(_) => drop(tokio::time::timeout(LAST_REQUESTS, connection).await),
        None => drop(connection.await),
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
        .keep_alive_interval(PING_EVERY);
    builder
}

/// Adds what keeps a browser from keeping an answer, guessing its type, or running what is in it;
/// a handler's own word goes before.
async fn shield(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Refuses a URL that is too long; turns a panic into a 500 that tells nothing.
async fn guard(request: axum::extract::Request, next: Next) -> Response {
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
