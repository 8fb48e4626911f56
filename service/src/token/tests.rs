//! Against an endpoint that counts, and can be told what to answer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use axum::Router;
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::join_all;
use http::HeaderMap;
use tempfile::TempDir;

use super::*;

/// What the endpoint answers, how often it was asked, and which token the API takes.
#[derive(Debug, Default)]
struct World {
    answer: Mutex<(u16, String)>,
    asked: AtomicUsize,
    good: Mutex<String>,
    base: String,
    folder: Option<TempDir>,
}

impl World {
    async fn new() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key.pem"), pem()).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Self { base, folder: Some(folder), ..Self::default() });
        let (endpoint, api) = (world.clone(), world.clone());
        let give = move |body: String| async move {
            assert!(body.starts_with(super::endpoint::FORM), "{body}");
            // Long enough for those who come at the same time.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let turn = endpoint.asked.fetch_add(1, Ordering::SeqCst);
            let (status, body) = endpoint.answer.lock().unwrap().clone();
            (StatusCode::from_u16(status).unwrap(), body.replace("TURN", &turn.to_string()))
        };
        let take = move |headers: HeaderMap| async move {
            let good = format!("Bearer {}", api.good.lock().unwrap());
            if headers[AUTHORIZATION] == *good { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
        };
        let router = Router::new().route("/token", post(give)).route("/api", get(take));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        world
    }

    /// Lets the endpoint give tokens `t0`, `t1`, … that live so long.
    fn gives(&self, seconds: &str) {
        let body = format!(r#"{{"access_token":"tTURN","expires_in":{seconds}}}"#);
        *self.answer.lock().unwrap() = (200, body);
    }

    fn config(&self) -> TokenConfig {
        TokenConfig {
            url: format!("{}/token", self.base),
            api_key: "an-api-key".into(),
            key_id: "test-1".into(),
            private_key_file: self.folder.as_ref().unwrap().path().join("key.pem"),
        }
    }

    fn access(&self) -> Access {
        let client = crate::client::build().unwrap();
        Access::new(Some(&self.config()), &client, &Clock::System)
    }

    async fn call(&self, access: &Access) -> Result<u16, AccessError> {
        let request = crate::client::build().unwrap().get(format!("{}/api", self.base));
        Ok(access.send(request).await?.status().as_u16())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn takes(&self, token: &str) {
        token.clone_into(&mut self.good.lock().unwrap());
    }
}

fn pem() -> String {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let text = BASE64_STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

#[tokio::test]
async fn those_who_come_at_the_same_time_share_one_token() {
    let world = World::new().await;
    world.gives("\"599\"");
    world.takes("t0");
    let access = world.access();
    let statuses = join_all((0..20).map(|_| world.call(&access))).await;
    assert!(statuses.into_iter().all(|status| status.unwrap() == 200));
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_while_the_old_one_is_still_sent() {
    let world = World::new().await;
    world.gives("599");
    world.takes("t0");
    let access = world.access();
    assert_eq!(world.call(&access).await.unwrap(), 200);
    // Now it is due for renewal, and good.
    {
        let mut state = access.0.as_ref().unwrap().state();
        let token = state.token.take().unwrap();
        let (header, now) = (token.header.clone(), Instant::now());
        assert!(token.renew > now + Duration::from_secs(400));
        assert!(token.expires < now + Duration::from_secs(599));
        let expires = token.expires;
        state.token = Some(Arc::new(Token { header, renew: now, expires }));
    }
    // Nobody waits, and one call is made.
    let statuses = join_all((0..5).map(|_| world.call(&access))).await;
    assert!(statuses.into_iter().all(|status| status.unwrap() == 200));
    world.takes("t1");
    let until = Instant::now() + Duration::from_secs(5);
    while world.call(&access).await.unwrap() != 200 {
        assert!(Instant::now() < until, "it is not renewed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let world = World::new().await;
    world.gives("599");
    world.takes("t1");
    let access = world.access();
    assert_eq!(world.call(&access).await.unwrap(), 200);
    assert_eq!(world.asked(), 2);
    world.takes("none");
    assert_eq!(world.call(&access).await.unwrap(), 401);
    assert_eq!(world.asked(), 3);
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_left_alone_and_quoted_without_secrets() {
    let world = World::new().await;
    let secret = "x".repeat(200);
    let body = format!(
        r#"{{"error":"invalid_request","error_description":"Invalid 'kid' header in JWT {secret}"}}"#
    );
    *world.answer.lock().unwrap() = (401, body);
    let access = world.access();
    for error in join_all((0..10).map(|_| world.call(&access))).await {
        let said = error.unwrap_err().to_string();
        let expected = "the token endpoint answered 401: invalid_request Invalid 'kid' header in \
                        JWT …";
        assert_eq!(said, expected);
    }
    world.call(&access).await.unwrap_err();
    assert_eq!(world.asked(), 1);
    world.gives("599");
    world.takes("t1");
    tokio::time::sleep(REST).await;
    assert_eq!(world.call(&access).await.unwrap(), 200);
}

#[tokio::test]
async fn an_answer_without_a_usable_token_is_none() {
    for body in [
        "{}",
        "oops",
        r#"{"access_token":"","expires_in":5}"#,
        r#"{"access_token":"a\nb","expires_in":5}"#,
        r#"{"access_token":"a","expires_in":"soon"}"#,
    ] {
        let world = World::new().await;
        *world.answer.lock().unwrap() = (200, body.to_owned());
        let error = world.call(&world.access()).await.unwrap_err();
        assert!(matches!(error, AccessError::Token(TokenError::Invalid)), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_holds_no_rsa_key_is_refused_by_name() {
    let world = World::new().await;
    let config = world.config();
    config.check().unwrap();
    let shown = serde_json::to_string(&config).unwrap() + &format!("{config:?}");
    assert!(!shown.contains("an-api-key"), "{shown}");
    for text in ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(&config.private_key_file, text).unwrap();
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("private_key_file") && error.contains("key.pem"), "{error}");
    }
    std::fs::remove_file(&config.private_key_file).unwrap();
    assert!(config.check().is_err());
}
