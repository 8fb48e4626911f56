//! The token endpoint, and what the API does with its tokens.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::application::{
    APPLICATION, CLIENT, KEYLESS, NAMELESS, NOW_S, claims, enforced, form, header, key, signed,
};
use crate::world::{CONSUMER, NUMBER, ORIGIN, World, subject, with};

fn everything() -> Vec<(String, Value)> {
    let list = json!({"access_controls": ["allow_all_types"]});
    vec![(format!("consumer/{APPLICATION}.json"), list)]
}

#[tokio::test]
async fn a_signed_assertion_buys_a_token_that_opens_the_api_until_it_expires() {
    let mut world = World::enforced(&everything()).await;
    world.token = None;
    let reply = world.find(NUMBER, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::UNAUTHORIZED, "ACCESS_DENIED"));
    assert_eq!(reply.body["issue"][0]["code"], "forbidden");
    assert_eq!(reply.diagnostics(), "Invalid access token");

    let reply = world.ask_token(form(&signed(key(), &header(), &claims(CLIENT, "one")))).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(
        (&reply.body["expires_in"], &reply.body["token_type"]),
        (&json!("599"), &json!("Bearer"))
    );
    assert_eq!(reply.headers["cache-control"], "no-store");
    world.token = reply.body["access_token"].as_str().map(str::to_owned);
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::OK);

    world.advance_ms(598_999);
    assert_eq!(world.find(NUMBER, "").await.status, StatusCode::OK);
    world.advance_ms(1);
    let reply = world.find(NUMBER, "").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.diagnostics(), "Access Token expired");
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let mut world = World::enforced(&everything()).await;
    let token = world.token.clone().unwrap();
    let other = if token.starts_with('A') { "B" } else { "A" };
    for bad in ["", "x", &format!("{other}{}", &token[1..]), &token[..40], &format!("{token}AA")] {
        world.token = Some(bad.to_owned());
        let reply = world.find(NUMBER, "").await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert_eq!(reply.diagnostics(), "Invalid Access Token", "{bad}");
    }
}

#[tokio::test]
async fn a_form_that_asks_for_something_else_is_refused() {
    let world = World::enforced(&everything()).await;
    let good = form(&signed(key(), &header(), &claims(CLIENT, "one")));
    let kind =
        "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let wrong_kind = "Missing or invalid client_assertion_type - must be \
                      'urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for (form, error, description) in [
        (String::new(), "invalid_request", "grant_type is missing"),
        (
            good.replace("grant_type=client_credentials&", ""),
            "invalid_request",
            "grant_type is missing",
        ),
        (
            good.replace("client_credentials", "password"),
            "unsupported_grant_type",
            "grant_type is invalid",
        ),
        (good.replace(kind, "client_assertion_type=x"), "invalid_request", wrong_kind),
        (good.replace(kind, ""), "invalid_request", wrong_kind),
        (
            good.split("&client_assertion=").next().unwrap().to_owned(),
            "invalid_request",
            "Missing client_assertion",
        ),
    ] {
        let reply = world.ask_token(form.clone()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{form}");
        assert_eq!(reply.body, json!({"error": error, "error_description": description}));
    }
    let json = Request::post("/oauth2/token").header("Content-Type", "application/json");
    let reply = world.send(json.body(Body::from("{}")).unwrap()).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let get = world.send(Request::get("/oauth2/token").body(Body::empty()).unwrap()).await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
}

/// One change to a good assertion, and what is said of it.
type Row = (&'static str, Value, u16, &'static str);

const HEADERS: [(&str, &str, &str); 5] = [
    ("/alg", "RS256", "Invalid 'alg' header in JWT - unsupported JWT algorithm - must be 'RS512'"),
    ("/alg", "none", "Invalid 'alg' header in JWT - unsupported JWT algorithm - must be 'RS512'"),
    ("/kid", "", "Missing 'kid' header in JWT"),
    ("/typ", "JOSE", "Invalid 'typ' header in JWT - must be 'JWT'"),
    ("/kid", "other", "Invalid 'kid' header in JWT - no matching public key"),
];

fn rows() -> Vec<Row> {
    vec![
        ("/exp", Value::Null, 400, "Missing exp claim in JWT"),
        ("/exp", json!("soon"), 400, "Failed to decode JWT"),
        ("/exp", json!(NOW_S), 400, "Invalid exp claim in JWT - JWT has expired"),
        (
            "/exp",
            json!(NOW_S + 311),
            400,
            "Invalid exp claim in JWT - more than 5 minutes in future",
        ),
        ("/iss", Value::Null, 400, "Missing or non-matching iss/sub claims in JWT"),
        ("/sub", json!("client-2"), 400, "Missing or non-matching iss/sub claims in JWT"),
        ("/jti", Value::Null, 400, "Missing jti claim in JWT"),
        ("/jti", json!(1), 400, "Failed to decode JWT"),
        ("/iat", json!("now"), 400, "Failed to decode JWT"),
        ("/iat", json!(NOW_S + 11), 400, "Invalid iat claim in JWT - issued in the future"),
        ("/aud", Value::Null, 401, "Missing or invalid aud claim in JWT"),
        (
            "/aud",
            json!(format!("{ORIGIN}/oauth2/tokens")),
            401,
            "Missing or invalid aud claim in JWT",
        ),
    ]
}

#[tokio::test]
async fn an_assertion_is_refused_in_the_nhs_words() {
    let world = World::enforced(&everything()).await;
    let refused = async |assertion: String, status: u16, description: &str| {
        let reply = world.ask_token(form(&assertion)).await;
        assert_eq!(reply.status.as_u16(), status, "{description}: {}", reply.body);
        let expected = json!({"error": "invalid_request", "error_description": description});
        assert_eq!(reply.body, expected);
    };
    for (path, value, description) in HEADERS {
        let status = if description.contains("no matching") { 401 } else { 400 };
        let header = with(header(), path, json!(value));
        refused(signed(key(), &header, &claims(CLIENT, "one")), status, description).await;
    }
    for (path, value, status, description) in rows() {
        let claims = with(claims(CLIENT, "one"), path, value);
        refused(signed(key(), &header(), &claims), status, description).await;
    }
    let stranger = signed(key(), &header(), &claims("client-9", "one"));
    refused(stranger, 401, "Invalid iss/sub claims in JWT").await;
    for malformed in ["x", "a.b.c", "e30.e30", "bnVsbA.bnVsbA.AA"] {
        refused(malformed.to_owned(), 400, "Malformed JWT in client_assertion").await;
    }
}

#[tokio::test]
async fn an_assertion_that_its_key_did_not_sign_is_refused() {
    let world = World::enforced(&everything()).await;
    let good = signed(key(), &header(), &claims(CLIENT, "one"));
    let other = signed(key(), &header(), &claims(CLIENT, "two"));
    let (said, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    for forged in [format!("{said}.{signature}"), format!("{said}.")] {
        let reply = world.ask_token(form(&forged)).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(reply.body["error"], "public_key error");
        assert_eq!(reply.body["error_description"], "JWT signature verification failed");
    }
    let unknown = world.ask_token(form(&signed(key(), &header(), &claims(KEYLESS, "one")))).await;
    assert_eq!(unknown.status, StatusCode::FORBIDDEN);
    assert_eq!(unknown.body["error"], "public_key error");
    // None of these used up the jti.
    assert_eq!(world.ask_token(form(&good)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_assertion_is_good_once_even_across_a_restart() {
    let world = World::enforced(&everything()).await;
    let assertion = form(&signed(key(), &header(), &claims(CLIENT, "one")));
    assert_eq!(world.ask_token(assertion.clone()).await.status, StatusCode::OK);
    let again =
        json!({"error": "invalid_request", "error_description": "Non-unique jti claim in JWT"});
    let reply = world.ask_token(assertion.clone()).await;
    assert_eq!((reply.status, reply.body), (StatusCode::BAD_REQUEST, again.clone()));
    // Another application may use the same jti.
    let other = form(&signed(key(), &header(), &claims(NAMELESS, "one")));
    assert_eq!(world.ask_token(other).await.status, StatusCode::OK);
    let folder = world.close();
    let config = enforced(&folder, &everything());
    let world = World::of(folder, config);
    assert_eq!(world.ask_token(assertion).await.body, again);
}

#[tokio::test]
async fn an_application_without_an_nrl_id_is_told_so() {
    let mut world = World::enforced(&everything()).await;
    world.token = Some(world.token_of(NAMELESS).await);
    let reply = world.find(NUMBER, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, "PRECONDITION_FAILED"));
    assert!(reply.diagnostics().starts_with("The 'nrl-app-id' custom attribute"));
}

#[tokio::test]
async fn headers_are_asked_for_before_the_token() {
    let world = World::enforced(&everything()).await;
    let url = format!("{CONSUMER}?{}", subject(NUMBER));
    let bare = world.send(Request::get(&url).body(Body::empty()).unwrap()).await;
    assert_eq!((bare.status, bare.code()), (StatusCode::BAD_REQUEST, "MISSING_OR_INVALID_HEADER"));
    let request = Request::get(&url).header("X-Request-ID", "1");
    let bare = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((bare.status, bare.code()), (StatusCode::BAD_REQUEST, "PRECONDITION_FAILED"));
    for url in ["/_status", "/live", "/ready", "/consumer/FHIR/R4/_ping"] {
        let reply = world.send(Request::get(url).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{url}");
    }
}

#[tokio::test]
async fn a_key_set_that_cannot_be_used_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = enforced(&folder, &everything());
    let file = folder.path().join("jwks.json");
    let twice = {
        let set: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        json!({"keys": [set["keys"][1], set["keys"][1]]})
    };
    for (set, text) in [
        (json!({}), "keys"),
        (json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}), "no kid"),
        (json!({"keys": [{"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}]}), "2,048"),
        (twice, "twice"),
    ] {
        std::fs::write(&file, set.to_string()).unwrap();
        let error = locator_mock::check(&config).unwrap_err().to_string();
        assert!(error.contains("jwks.json") && error.contains(text), "{error}");
    }
}
