//! Tokens, each named by what it tries; over real TLS.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde_json::{Value, json};

use super::ca::Wanted;
use super::issuer::{Issuer, now_s};
use super::kit::{Gated, thumbprint};

/// The same with some of them changed.
fn with(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value == "absent" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims["jti"] = match &changes["jti"] {
        Value::Null => uuid::Uuid::new_v4().to_string().into(),
        Value::String(absent) if absent == "absent" => return claims,
        jti => jti.clone(),
    };
    claims
}

#[tokio::test]
async fn a_token_of_each_allowed_algorithm_says_who_asks_and_why() {
    let gated = Gated::start().await;
    for (alg, kid) in [("RS512", "rsa"), ("RS384", "rsa"), ("ES384", "ec")] {
        let header = json!({"alg": alg, "typ": "at+JWT", "kid": kid});
        let token = gated.issuer.sign(&header, &gated.claims().to_string());
        let (status, text) = gated.get("Patient", &token).await;
        assert_eq!(status, StatusCode::OK, "{alg}: {text}");
        assert_eq!(text, "QWO DirectCare user=true gateway=None", "{alg}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_signed_as_allowed_is_refused() {
    let gated = Gated::start().await;
    let claims = gated.claims().to_string();
    let stranger = Issuer::new();
    let evil = stranger.key_set()["keys"][0].clone();
    let good = gated.issuer.token(&gated.claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let spine = json!({"alg": "none", "typ": "JWT", "kid": "ec"});
    let spine = format!("{}.{}.", BASE64.encode(spine.to_string()), BASE64.encode(&claims));
    for (what, token) in [
        ("alg none", spine),
        ("no signature", format!("{signed}.")),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{good}.a")),
        ("no token", String::new()),
        ("nonsense", "a.b.c".to_owned()),
        ("too long", format!("{signed}.{}", "A".repeat(9_000))),
        ("another's key", stranger.token(&gated.claims())),
    ] {
        gated.assert_unverified(what, &token).await;
    }
    for (what, header) in [
        ("HS256 by the public key", json!({"alg": "HS256", "kid": "rsa"})),
        ("RS512 said of an EC key", json!({"alg": "RS512", "kid": "ec"})),
        ("ES384 said of an RSA key", json!({"alg": "ES384", "kid": "rsa"})),
        ("RS256", json!({"alg": "RS256", "kid": "rsa"})),
        ("alg in other letters", json!({"alg": "es384", "kid": "ec"})),
        ("no kid", json!({"alg": "ES384"})),
        ("kid as a path", json!({"alg": "ES384", "kid": "../../key"})),
        ("kid as SQL", json!({"alg": "ES384", "kid": "' OR 1=1--"})),
        ("a critical header", json!({"alg": "ES384", "kid": "ec", "crit": ["b64"], "b64": false})),
        ("another type", json!({"alg": "ES384", "kid": "ec", "typ": "secevent+jwt"})),
    ] {
        gated.assert_unverified(what, &gated.issuer.sign(&header, &claims)).await;
    }
    for named in [
        json!({"jku": "http://127.0.0.1:1/evil"}),
        json!({"x5u": "http://127.0.0.1:1/evil"}),
        json!({"jwk": evil}),
    ] {
        let header = with(json!({"alg": "ES384", "kid": "ec"}), named.clone());
        gated.assert_unverified(&named.to_string(), &stranger.sign(&header, &claims)).await;
    }
}

#[tokio::test]
async fn a_token_outside_its_time_is_refused() {
    let gated = Gated::start().await;
    let now = now_s();
    for (what, changes) in [
        ("a year", json!({"exp": now + 31_536_000})),
        ("six minutes", json!({"exp": now + 360})),
        ("over", json!({"exp": now - 31, "iat": now - 90})),
        ("no exp", json!({"exp": "absent"})),
        ("exp as text", json!({"exp": (now + 60).to_string()})),
        ("exp as a fraction", json!({"exp": now as f64 + 60.5})),
        ("negative", json!({"exp": -1})),
        ("least", json!({"exp": i64::MIN, "iat": i64::MIN})),
        ("most", json!({"exp": i64::MAX, "iat": i64::MAX - 1})),
        ("no iat", json!({"iat": "absent"})),
        ("iat to come", json!({"iat": now + 600, "exp": now + 660})),
        ("iat long ago", json!({"iat": now - 600})),
        ("nbf to come", json!({"nbf": now + 600})),
        ("nbf as text", json!({"nbf": "now"})),
    ] {
        let token = gated.issuer.token(&with(gated.claims(), changes));
        gated.assert_unverified(what, &token).await;
    }
    let endless = with(gated.claims(), json!({"exp": "endless"}));
    let text = endless.to_string().replace(r#""endless""#, "1e400");
    let token = gated.issuer.sign(&json!({"alg": "ES384", "kid": "ec"}), &text);
    gated.assert_unverified("1e400", &token).await;
}

#[tokio::test]
async fn a_token_for_another_service_issuer_or_certificate_is_refused() {
    let gated = Gated::start().await;
    let stolen = with(gated.claims(), json!({"cnf": {"x5t#S256": "A".repeat(43)}}));
    for (what, claims) in [
        ("another hub's", with(gated.claims(), json!({"aud": "https://hub-b.test/FHIR/R4"}))),
        ("a prefix of ours", with(gated.claims(), json!({"aud": "https://hub.test"}))),
        ("an id token's", with(gated.claims(), json!({"aud": "client-1", "nonce": "n"}))),
        ("nobody's", with(gated.claims(), json!({"aud": []}))),
        ("no aud", with(gated.claims(), json!({"aud": "absent"}))),
        ("an unknown issuer", with(gated.claims(), json!({"iss": "https://evil.test"}))),
        ("another certificate's", stolen),
        ("no certificate's", with(gated.claims(), json!({"cnf": "absent"}))),
        ("no jti", with(gated.claims(), json!({"jti": "absent"}))),
        ("an unknown purpose", with(gated.claims(), json!({"reason_for_request": "curiosity"}))),
        ("no purpose", with(gated.claims(), json!({"reason_for_request": "absent"}))),
        ("no system", with(gated.claims(), json!({"requesting_system": ""}))),
        ("no organisation", with(gated.claims(), json!({"requesting_organization": "QWO"}))),
    ] {
        gated.assert_unverified(what, &gated.issuer.token(&claims)).await;
    }
    let many = with(gated.claims(), json!({"aud": ["https://hub-b.test", gated.audience()]}));
    let (status, _) = gated.get("Patient", &gated.issuer.token(&many)).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_over_another_clients_connection_is_refused() {
    let gated = Gated::start().await;
    let token = gated.issuer.token(&gated.claims());
    let other = gated.kit.client_as(&gated.kit.ca.issue(&Wanted::of("QWO", 77)));
    let (status, _) = gated.get_with(&other, "Patient", &token).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_is_good_for_one_request() {
    let gated = Gated::start().await;
    let token = gated.issuer.token(&gated.claims());
    assert_eq!(gated.get("Patient", &token).await.0, StatusCode::OK);
    gated.assert_unverified("again", &token).await;
    // The same number in another token is a replay, too.
    let claims = gated.claims();
    assert_eq!(gated.get("Patient", &gated.issuer.token(&claims)).await.0, StatusCode::OK);
    gated.assert_unverified("its number again", &gated.issuer.token(&claims)).await;
    // A reusable one is not remembered.
    let claims = with(gated.claims(), json!({"iss": "https://reusable.test"}));
    let token = gated.issuer.token(&claims);
    for _ in 0..2 {
        assert_eq!(gated.get("Patient", &token).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_token_about_another_organisation_is_forbidden_unless_its_gateway_sends_it() {
    let gated = Gated::start().await;
    let organisation = "https://fhir.nhs.uk/Id/ods-organization-code|QHM";
    let other = with(gated.claims(), json!({"requesting_organization": organisation}));
    let (status, text) = gated.get("Patient", &gated.issuer.token(&other)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    let act = json!({"sub": "urn:nhs:ods:QWO"});
    let acting = with(gated.claims(), json!({"act": act}));
    let (status, _) = gated.get("Patient", &gated.issuer.token(&acting)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "no gateway acts for others");
    let passed = json!({"iss": "https://gateway.test", "act": act});
    let passed = with(other.clone(), passed);
    let (status, text) = gated.get("Patient", &gated.issuer.token(&passed)).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "QHM DirectCare user=true gateway=Some(\"QWO\")")
    );
    for (what, act) in
        [("no actor", json!("absent")), ("another", json!({"sub": "urn:nhs:ods:QHM"}))]
    {
        let claims = with(passed.clone(), json!({"act": act}));
        let (status, _) = gated.get("Patient", &gated.issuer.token(&claims)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{what}");
    }
    // Another organisation's certificate is not that gateway's.
    let identity = gated.kit.ca.issue(&Wanted::of("QHM", 78));
    let client = gated.kit.client_as(&identity);
    let bound = json!({"cnf": {"x5t#S256": thumbprint(&identity)}});
    let token = gated.issuer.token(&with(passed, bound));
    let (status, _) = gated.get_with(&client, "Patient", &token).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn scopes_are_enforced_on_the_route_and_before_the_body() {
    let gated = Gated::start().await;
    let send = async |method: &str, path: &str, claims: &Value, body: reqwest::Body| {
        let method = method.parse().unwrap();
        let request = gated.client.request(method, gated.url(path)).body(body);
        let request = request.bearer_auth(gated.issuer.token(claims));
        let answer = request.timeout(Duration::from_secs(5)).send().await.unwrap();
        let challenge = answer.headers().get("www-authenticate").cloned();
        (answer.status(), challenge.map(|value| value.to_str().unwrap().to_owned()))
    };
    let fresh = || gated.claims();
    assert_eq!(send("GET", "Observation", &fresh(), "".into()).await.0, StatusCode::OK);
    assert_eq!(send("PUT", "Observation", &fresh(), "{}".into()).await.0, StatusCode::OK);
    // A body that never comes is not waited for.
    let never = || {
        reqwest::Body::wrap_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())
    };
    for (method, path) in [("PUT", "Patient"), ("GET", "Condition"), ("PUT", "Condition")] {
        let body = if method == "PUT" { never() } else { "".into() };
        let (status, challenge) = send(method, path, &fresh(), body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(challenge.unwrap().contains("insufficient_scope"));
    }
    let nobody = || with(fresh(), json!({"requesting_user": "absent"}));
    let (status, _) = send("GET", "Observation", &nobody(), "".into()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "a user's scope without a user");
    let (status, _) = send("GET", "Patient", &nobody(), "".into()).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn headers_say_nothing_of_a_caller_that_its_token_does_not() {
    let gated = Gated::start().await;
    let get = async |name: &str, value: &str| {
        let request = gated.client.get(gated.url("Patient")).header(name, value);
        let token = gated.issuer.token(&gated.claims());
        let answer = request.bearer_auth(token).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, plain) = get("x-test", "1").await;
    assert_eq!(status, StatusCode::OK);
    for (name, value) in [
        ("x-forwarded-client-cert", "Subject=admin"),
        ("x-user-id", "admin"),
        ("nhsd-end-user-organisation-ods", "QHM"),
        ("x-purpose-of-use", "TREAT"),
    ] {
        assert_eq!(get(name, value).await, (status, plain.clone()), "{name}");
    }
    assert_eq!(get("x-purpose-of-use", "ETREAT").await.0, StatusCode::FORBIDDEN);
    assert_eq!(get("authorization", "Bearer other").await.0, StatusCode::UNAUTHORIZED);
}
