//! An organisation that asks too much, over real TLS.

use http::StatusCode;
use service::limit::Limits;

use super::ca::Wanted;
use super::issuer::claims;
use super::kit::{Gated, thumbprint};

#[tokio::test]
async fn who_asks_too_much_is_told_when_to_come_back_and_others_go_on() {
    let gated = Gated::limited(Limits { requests_per_s: 1, burst: 3 }).await;
    let token = || gated.issuer.token(&with_new_id(gated.claims()));
    for _ in 0..3 {
        assert_eq!(gated.get("Patient", &token()).await.0, StatusCode::OK);
    }
    // The body that it announces never comes, and is not waited for.
    let endless = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = gated.client.put(gated.url("Patient")).bearer_auth(token());
    let answer = request.body(reqwest::Body::wrap_stream(endless)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "1");
    let outcome: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(outcome["issue"][0]["code"], "throttled");
    let identity = gated.kit.ca.issue(&Wanted::of("QHM", 80));
    let claims = claims(&gated.audience(), "QHM", &thumbprint(&identity));
    let other = gated.kit.client_as(&identity);
    let (status, _) = gated.get_with(&other, "Patient", &gated.issuer.token(&claims)).await;
    assert_eq!(status, StatusCode::OK);
}

fn with_new_id(mut claims: serde_json::Value) -> serde_json::Value {
    claims["jti"] = uuid::Uuid::new_v4().to_string().into();
    claims
}
