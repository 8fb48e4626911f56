//! How a search would be answered, as an operator sees it.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use url::form_urlencoded;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_search_is_explained_without_its_values,
    a_search_that_nothing_drives_says_so,
    what_cannot_be_searched_cannot_be_explained,
);

async fn explain(kit: &Kit, path: &str) -> (StatusCode, String) {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("path", path).finish();
    let request = Request::get(format!("/explain?{query}")).body(Body::empty()).unwrap();
    let router = hub::search::explain::router(kit.hub.clone());
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn explained(kit: &Kit, path: &str) -> Value {
    let (status, text) = explain(kit, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn a_search_is_explained_without_its_values(kit: Kit) {
    let path = "Observation?patient=secret1&code=http://loinc.org|secret2&value-quantity=gt77.25\
                &subject:Patient.name=secret3&date=ge2019&nonsense=secret4";
    let (status, text) = explain(&kit, path).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    for value in ["secret", "77.25", "2019"] {
        assert!(!text.contains(value), "{value} in {text}");
    }
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["driver"], "patient_token, walked in order");
    let understood = ["patient", "code", "value-quantity", "subject:Patient.name", "date"];
    assert_eq!(told["understood"], serde_json::json!(understood));
    assert_eq!(told["left_out"].as_array().unwrap().len(), 1);
    assert_eq!(told["conditions"][0], "reference into the compartment of 1 named");
    assert_eq!(told["conditions"][1], "token, kept by patient too: 1");
    let (sql, arguments) = (told["sql"].as_str().unwrap(), told["arguments"].as_array().unwrap());
    let sign = if told["engine"] == "sqlite" { '?' } else { '$' };
    assert!(sql.contains(&format!("{sign}{}", arguments.len())), "{sql}");
    assert!(sql.contains("FROM patient_token"), "{sql}");
    assert!(!told["plan"].as_array().unwrap().is_empty(), "{text}");
}

async fn a_search_that_nothing_drives_says_so(kit: Kit) {
    for (path, driver) in [
        ("Observation?_sort=-_lastUpdated", "resource, walked in order"),
        ("Observation?code=a", "token, walked in order"),
        ("Patient/p/Observation", "compartment, walked in order"),
        ("Observation?date=2020", "the first condition that selects, its matches sorted"),
        ("Patient?_sort=family", "all of the type, sorted"),
    ] {
        let told = explained(&kit, path).await;
        assert_eq!(told["driver"], driver, "{path}");
        assert!(!told["plan"].as_array().unwrap().is_empty(), "{path}");
    }
}

async fn what_cannot_be_searched_cannot_be_explained(kit: Kit) {
    for (path, status) in [
        ("Observation?date=never", StatusCode::BAD_REQUEST),
        ("Nonsense?code=a", StatusCode::NOT_FOUND),
        ("Patient/p/Observation/more", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(explain(&kit, path).await.0, status, "{path}");
    }
}
