//! Compression, correlation and refusals, as a client sees them.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::StatusCode;
use serde_json::{Value, json};

use super::fixtures::{family, patient, put, store, transaction};
use crate::kit::{Kit, Wire, on_both_engines};

on_both_engines!(
    a_compressed_body_is_read_up_to_its_limit,
    a_long_answer_is_compressed_for_those_who_accept_it,
    nobody_is_asked_for_credentials_in_open_mode,
    a_request_is_known_by_its_id_in_and_out,
    every_refusal_says_what_and_never_how_it_is_built,
);

const FHIR_JSON: (&str, &str) = ("content-type", "application/fhir+json");

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

async fn post(wire: &Wire, path: &str, encoding: &str, body: Vec<u8>) -> crate::kit::Response {
    wire.send(
        "POST",
        &format!("/FHIR/R4{path}"),
        &[FHIR_JSON, ("content-encoding", encoding)],
        body,
    )
    .await
}

async fn a_compressed_body_is_read_up_to_its_limit(kit: Kit) {
    let wire = kit.over_tcp().await;
    let body = gzip(br#"{"resourceType":"Patient","name":[{"family":"Zipped"}]}"#);
    for encoding in ["gzip", "GZIP"] {
        let created = post(&wire, "/Patient", encoding, body.clone()).await;
        assert_eq!(created.status, StatusCode::CREATED, "{encoding}: {}", created.text);
        assert_eq!(created.json()["name"][0]["family"], "Zipped");
    }
    let entry =
        json!({"resource": family("b", "B"), "request": {"method": "PUT", "url": "Patient/b"}});
    let bundle = post(&wire, "", "gzip", gzip(transaction(&[entry]).as_bytes())).await;
    assert_eq!(bundle.status, StatusCode::OK, "{}", bundle.text);
    // A bomb: small as it comes, beyond any limit as it unfolds.
    let bomb = gzip(&vec![b' '; 80 << 20]);
    assert!(bomb.len() < 1 << 20);
    for path in ["/Patient", ""] {
        let refused = post(&wire, path, "gzip", bomb.clone()).await;
        refused.assert_refused(StatusCode::PAYLOAD_TOO_LARGE);
    }
    for encoding in ["br", "deflate", "zstd", "gzip, br"] {
        let refused = post(&wire, "/Patient", encoding, body.clone()).await;
        refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    for broken in [&body[..body.len() / 2], b"not gzip", b""] {
        let refused = post(&wire, "/Patient", "gzip", broken.to_vec()).await;
        refused.assert_refused(StatusCode::BAD_REQUEST);
    }
    assert_eq!(kit.count("Patient").await, 3);
}

async fn a_long_answer_is_compressed_for_those_who_accept_it(kit: Kit) {
    let wire = kit.over_tcp().await;
    put(&kit, &family("long", &"long ".repeat(1_000))).await;
    put(&kit, &patient("short", json!({}))).await;
    let get = async |path: &str, accept: &str| {
        wire.send("GET", &format!("/FHIR/R4/{path}"), &[("accept-encoding", accept)], "").await
    };
    for path in ["Patient/long", "Patient?_id=long", "Patient/long/_history", "metadata"] {
        let plain = get(path, "identity").await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        for accept in ["gzip", "br;q=1.0, gzip;q=0.8, *;q=0.1"] {
            let zipped = get(path, accept).await;
            assert_eq!(zipped.header("content-encoding"), "gzip", "{path}: {accept}");
            let vary = zipped.header("vary").to_ascii_lowercase();
            assert!(vary.contains("accept-encoding"), "{path}: {vary:?}");
            let mut text = String::new();
            GzDecoder::new(&*zipped.bytes).read_to_string(&mut text).unwrap();
            assert_eq!(text, plain.text, "{path}");
            assert!(zipped.bytes.len() < plain.bytes.len() / 4, "{path}");
            for name in ["etag", "last-modified", "content-type"] {
                assert_eq!(zipped.header(name), plain.header(name), "{path}: {name}");
            }
        }
        assert_eq!(get(path, "gzip;q=0").await.header("content-encoding"), "", "{path}");
        assert_eq!(get(path, "br").await.header("content-encoding"), "", "{path}");
    }
    let short = get("Patient/short", "gzip").await;
    assert_eq!(short.header("content-encoding"), "");
    assert_eq!(short.json()["id"], "short");
}

async fn nobody_is_asked_for_credentials_in_open_mode(kit: Kit) {
    let wire = kit.over_tcp().await;
    store(&kit, [patient("a", json!({}))]).await;
    for path in ["/FHIR/R4/metadata", "/live", "/ready", "/FHIR/R4/Patient/a", "/FHIR/R4/Patient"] {
        for authorization in [None, Some(("authorization", "Bearer bogus"))] {
            let headers: Vec<(&str, &str)> = authorization.into_iter().collect();
            let answer = wire.send("GET", path, &headers, "").await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
            assert_eq!(answer.header("www-authenticate"), "");
        }
    }
    // What never was and what nobody may see are one to a stranger's eye.
    for path in ["/FHIR/R4/Patient/never", "/FHIR/R4/Patient/never/_history"] {
        wire.send("GET", path, &[], "").await.assert_refused(StatusCode::NOT_FOUND);
    }
}

async fn a_request_is_known_by_its_id_in_and_out(kit: Kit) {
    let wire = kit.over_tcp().await;
    store(&kit, [patient("a", json!({}))]).await;
    let uuid = "6b1f3b2c-0000-4000-8000-000000000001";
    for path in
        ["Patient/a", "Patient/never", "Patient?birthdate=bad", "nowhere/at/all/of/it", "metadata"]
    {
        let path = format!("/FHIR/R4/{path}");
        let own = [("x-request-id", uuid), ("x-correlation-id", "journey-7")];
        let answer = wire.send("GET", &path, &own, "").await;
        assert_eq!(answer.header("x-request-id"), uuid, "{path}");
        assert_eq!(answer.header("x-correlation-id"), "journey-7", "{path}");
        let long = "a".repeat(200);
        for bad in ["a b", "<script>", &long, "a\"b"] {
            let ids = [("x-request-id", bad), ("x-correlation-id", bad)];
            let answer = wire.send("GET", &path, &ids, "").await;
            let given = answer.header("x-request-id");
            assert!(given.parse::<uuid::Uuid>().is_ok(), "{bad}: {given}");
            assert_ne!(answer.header("x-correlation-id"), bad);
        }
        let (one, two) =
            (wire.send("GET", &path, &[], "").await, wire.send("GET", &path, &[], "").await);
        assert!(!one.header("x-request-id").is_empty());
        assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    }
}

/// Requests that are refused: method, path, body.
const REFUSED: [(&str, &str, &str); 18] = [
    ("GET", "/FHIR/R4/Patient/never", ""),
    ("GET", "/FHIR/R4/Patient/a_b", ""),
    ("GET", "/FHIR/R4/Bogus/1", ""),
    ("GET", "/FHIR/R4/Patient/gone", ""),
    ("GET", "/FHIR/R4/Patient?birthdate=bad", ""),
    ("GET", "/FHIR/R4/Patient?_cursor=bogus", ""),
    ("GET", "/FHIR/R4/Patient?_count=-1", ""),
    ("GET", "/FHIR/R4/Patient?_format=xml", ""),
    ("GET", "/FHIR/R4/Patient?identifier=%27%3B--%7C%7C", ""),
    ("GET", "/FHIR/R4/Patient/a/_history?_count=x", ""),
    ("GET", "/nowhere", ""),
    ("POST", "/FHIR/R4/Patient/gone", "{}"),
    ("POST", "/FHIR/R4/Patient", "{"),
    ("POST", "/FHIR/R4/Patient", r#"{"resourceType":"Patient","birthDate":"2000-13","colour":1}"#),
    ("POST", "/FHIR/R4", r#"{"resourceType":"Bundle","type":"collection"}"#),
    ("POST", "/FHIR/R4", r#"{"resourceType":"Patient"}"#),
    ("PUT", "/FHIR/R4/Patient/x", r#"{"resourceType":"Patient","id":"y"}"#),
    ("DELETE", "/FHIR/R4/metadata", ""),
];

/// Words that tell how the program is built.
const INTERNALS: [&str; 11] = [
    "SELECT", "sqlx", "rusqlite", "sqlite", "postgres", "panicked", ".rs:", "/src/", "serde",
    "hub.db", "RUST",
];

async fn every_refusal_says_what_and_never_how_it_is_built(kit: Kit) {
    let wire = kit.over_tcp().await;
    store(&kit, [patient("gone", json!({}))]).await;
    kit.delete("Patient/gone").await;
    let long = format!("/FHIR/R4/Patient?identifier={}", "x".repeat(9_000));
    for (method, path, body) in REFUSED.into_iter().chain([("GET", &*long, "")]) {
        let refused = wire.send(method, path, &[FHIR_JSON], body).await;
        let shown = &path[..path.len().min(80)];
        assert!(refused.status.is_client_error(), "{method} {shown}: {}", refused.status);
        assert!(refused.header("content-type").starts_with("application/fhir+json"), "{shown}");
        let outcome: Value = refused.assert_refused(refused.status);
        for issue in outcome["issue"].as_array().unwrap() {
            let severity = issue["severity"].as_str().unwrap();
            assert!(["fatal", "error", "warning", "information"].contains(&severity), "{issue}");
            assert!(issue["code"].as_str().is_some_and(|code| !code.is_empty()), "{issue}");
            let diagnostics = issue["diagnostics"].as_str();
            assert!(diagnostics.is_some_and(|text| !text.is_empty()), "{shown}: {issue}");
        }
        for word in INTERNALS {
            assert!(!refused.text.contains(word), "{shown}: {word}: {}", refused.text);
        }
    }
}
