//! What a body may be on its way in and out: compressed, pretty, or a Binary's own content.

use std::io::{Read, Write};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_binary_comes_and_goes_as_its_own_content,
    a_binary_is_the_resource_to_whoever_asks_for_fhir,
    content_is_bounded_typed_and_never_shown_in_place,
    a_gzip_body_is_stored_as_what_it_unfolds_to,
    a_gzip_body_is_bounded_by_what_it_unfolds_to,
    a_long_answer_is_compressed_for_those_who_take_it,
    a_pretty_answer_keeps_every_digit,
    formats_and_charsets_are_negotiated,
);

const JSON: (&str, &str) = ("content-type", "application/fhir+json");
const PDF: &str = "%PDF-1.7 a letter";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn basic(text: &str) -> String {
    format!(r#"{{"resourceType":"Basic","id":"x","code":{{"text":"{text}"}}}}"#)
}

async fn a_binary_comes_and_goes_as_its_own_content(kit: Kit) {
    let headers =
        [("content-type", "application/pdf"), ("x-security-context", "DocumentReference/d")];
    let created = kit.send("POST", "/FHIR/R4/Binary", &headers, PDF).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let stored = created.json();
    assert_eq!(stored["contentType"], "application/pdf");
    assert_eq!(stored["securityContext"]["reference"], "DocumentReference/d");
    assert_eq!(stored["data"], STANDARD.encode(PDF));
    let url = format!("/FHIR/R4/Binary/{}", created.id());
    for accept in ["application/pdf", "application/octet-stream", "application/pdf, */*;q=0.1"] {
        for url in [url.clone(), format!("{url}/_history/1")] {
            let read = kit.send("GET", &url, &[("accept", accept)], Body::empty()).await;
            assert_eq!((read.status, read.text.as_str()), (StatusCode::OK, PDF), "{accept}");
            assert_eq!(read.header("content-type"), "application/pdf");
            assert_eq!((read.etag(), read.header("vary")), ("W/\"1\"", "Accept"));
            assert_eq!(read.header("x-security-context"), "DocumentReference/d");
        }
    }
    let text = [("content-type", "text/plain; charset=utf-8")];
    let updated = kit.send("PUT", "/FHIR/R4/Binary/b", &text, "Müller").await;
    assert_eq!((updated.status, updated.id().as_str()), (StatusCode::CREATED, "b"));
    let read = kit.send("GET", "/FHIR/R4/Binary/b", &[("accept", "text/*")], Body::empty()).await;
    assert_eq!((read.text.as_str(), read.header("content-type")), ("Müller", text[0].1));
}

async fn a_binary_is_the_resource_to_whoever_asks_for_fhir(kit: Kit) {
    let pdf = [("content-type", "application/pdf")];
    kit.send("PUT", "/FHIR/R4/Binary/b", &pdf, PDF).await;
    for accept in ["*/*", "application/fhir+json", "application/json", "application/*"] {
        let read = kit.send("GET", "/FHIR/R4/Binary/b", &[("accept", accept)], Body::empty()).await;
        assert_eq!(read.json()["resourceType"], "Binary", "{accept}");
        assert_eq!(read.header("content-type"), "application/fhir+json");
    }
    assert_eq!(kit.get("Binary/b").await.json()["resourceType"], "Binary");
    let png = [("accept", "image/png")];
    let json = kit.send("GET", "/FHIR/R4/Binary/b?_format=json", &png, Body::empty()).await;
    assert_eq!(json.json()["resourceType"], "Binary");
    for path in ["Binary", "Binary/b/_history", "Binary/b?_format=xml", "Patient/b"] {
        let refused = kit.send("GET", &format!("/FHIR/R4/{path}"), &png, Body::empty()).await;
        refused.assert_refused(StatusCode::NOT_ACCEPTABLE);
    }
    let sent =
        r#"{"resourceType":"Binary","id":"c","contentType":"application/pdf","data":"QUJD"}"#;
    assert_eq!(kit.put("Binary/c", sent).await.status, StatusCode::CREATED);
    let read =
        kit.send("GET", "/FHIR/R4/Binary/c", &[("accept", "application/pdf")], Body::empty());
    assert_eq!(read.await.text, "ABC");
}

async fn content_is_bounded_typed_and_never_shown_in_place(kit: Kit) {
    let html = [("content-type", "text/html")];
    kit.send("PUT", "/FHIR/R4/Binary/h", &html, "<script>alert(1)</script>").await;
    let read =
        kit.send("GET", "/FHIR/R4/Binary/h", &[("accept", "text/html")], Body::empty()).await;
    assert_eq!(read.header("content-disposition"), "attachment");
    assert_eq!(read.header("x-content-type-options"), "nosniff");
    assert!(read.header("content-security-policy").contains("sandbox"));
    let refused = async |headers: &[(&str, &str)], body: Vec<u8>, status| {
        kit.send("POST", "/FHIR/R4/Binary", headers, body).await.assert_refused(status)
    };
    let pdf = ("content-type", "application/pdf");
    refused(&[pdf], vec![b'x'; (16 << 20) + 1], StatusCode::PAYLOAD_TOO_LARGE).await;
    refused(&[], b"x".to_vec(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let xml = ("content-type", "application/fhir+xml");
    refused(&[xml], b"<Binary/>".to_vec(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let nowhere = ("x-security-context", "Nothing/x y");
    refused(&[pdf, nowhere], b"x".to_vec(), StatusCode::UNPROCESSABLE_ENTITY).await;
    let png = [("content-type", "image/png")];
    let refused = kit.send("POST", "/FHIR/R4/Patient", &png, "x").await;
    refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(kit.count("Binary").await, 1);
}

async fn a_gzip_body_is_stored_as_what_it_unfolds_to(kit: Kit) {
    for encoding in ["gzip", "x-gzip", "GZIP"] {
        let headers = [JSON, ("content-encoding", encoding)];
        let body = gzip(basic(encoding).as_bytes());
        let stored = kit.send("PUT", "/FHIR/R4/Basic/x", &headers, body).await;
        assert!(stored.status.is_success(), "{}", stored.text);
        assert_eq!(kit.get("Basic/x").await.json()["code"]["text"], encoding);
    }
    let form =
        [("content-type", "application/x-www-form-urlencoded"), ("content-encoding", "gzip")];
    let found = kit.send("POST", "/FHIR/R4/Basic/_search", &form, gzip(b"_id=x")).await;
    assert_eq!(crate::kit::matches(&found.json()), ["x"]);
    let identity = [JSON, ("content-encoding", "identity")];
    let plain = kit.send("PUT", "/FHIR/R4/Basic/x", &identity, basic("plain")).await;
    assert_eq!(plain.status, StatusCode::OK);
}

async fn a_gzip_body_is_bounded_by_what_it_unfolds_to(kit: Kit) {
    let send = async |encoding: &str, body: Vec<u8>| {
        kit.send("PUT", "/FHIR/R4/Basic/x", &[JSON, ("content-encoding", encoding)], body).await
    };
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    send("gzip", bomb).await.assert_refused(StatusCode::PAYLOAD_TOO_LARGE);
    let whole = gzip(basic("x").as_bytes());
    let cut = whole[..whole.len() - 4].to_vec();
    for broken in [cut, Vec::new(), basic("x").into_bytes()] {
        send("gzip", broken).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    for other in ["br", "zstd", "gzip, gzip", "deflate", ""] {
        let refused = send(other, whole.clone()).await;
        refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(refused.header("accept-encoding"), "gzip");
    }
    assert_eq!(kit.count("Basic").await, 0);
}

async fn a_long_answer_is_compressed_for_those_who_take_it(kit: Kit) {
    kit.put("Basic/x", &basic(&"Müller ".repeat(20_000))).await;
    kit.put("Basic/y", &basic("short").replace(r#""x""#, r#""y""#)).await;
    let get = async |path: &str, accept: &str| {
        let request = Request::get(format!("/FHIR/R4/{path}")).header("accept-encoding", accept);
        let response =
            kit.hub.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.headers, body.collect().await.unwrap().to_bytes())
    };
    let plain = kit.get("Basic/x").await;
    assert_eq!(plain.header("vary"), "Accept-Encoding");
    for accept in ["gzip", "br, gzip;q=0.5", "*"] {
        let (headers, body) = get("Basic/x", accept).await;
        assert_eq!(headers["content-encoding"], "gzip", "{accept}");
        assert_eq!(headers["vary"], "Accept-Encoding");
        assert_eq!(headers["etag"], "W/\"1\"");
        assert_eq!(headers["content-length"], body.len().to_string());
        let mut text = String::new();
        GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
        assert!(text == plain.text && body.len() * 50 < text.len());
    }
    for (path, accept) in [("Basic/x", "br"), ("Basic/x", "gzip;q=0"), ("Basic/y", "gzip")] {
        let (headers, _) = get(path, accept).await;
        assert!(!headers.contains_key("content-encoding"), "{path} {accept}");
    }
}

async fn a_pretty_answer_keeps_every_digit(kit: Kit) {
    let sent = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}"#;
    kit.put("Observation/o", sent).await;
    let pretty = kit.get("Observation/o?_pretty=true").await;
    assert!(pretty.text.contains("\n  \"valueQuantity\": {\n    \"value\": 1.00\n  }\n}"));
    assert_eq!(pretty.json(), kit.get("Observation/o").await.json());
    assert!(kit.get("Observation?_pretty=true").await.text.contains("\n  \"entry\": ["));
    assert!(!kit.get("Observation/o?_pretty=false").await.text.contains('\n'));
}

async fn formats_and_charsets_are_negotiated(kit: Kit) {
    kit.put("Basic/x", &basic("x")).await;
    let get = async |query: &str, accept: &str| {
        let url = format!("/FHIR/R4/Basic/x{query}");
        kit.send("GET", &url, &[("accept", accept), ("accept-charset", "latin1")], Body::empty())
            .await
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (query, accept) in [
        ("", browser),
        ("", "application/fhir+json; fhirVersion=4.0"),
        ("", "application/fhir+xml, application/fhir+json;q=0.5"),
        ("?_format=application/fhir+json", "image/png"),
        ("?_format=application%2Ffhir%2Bjson", "image/png"),
        ("?_format=json", "application/fhir+xml"),
    ] {
        let answer = get(query, accept).await;
        assert_eq!(answer.header("content-type"), "application/fhir+json", "{query} {accept}");
    }
    for (query, accept) in [
        ("", "application/fhir+json; fhirVersion=3.0"),
        ("", "application/fhir+json;q=0, application/json;q=0"),
        ("?_format=xml", "application/fhir+json"),
        ("?_format=bogus", "*/*"),
    ] {
        get(query, accept).await.assert_refused(StatusCode::NOT_ACCEPTABLE);
    }
    for (media, status) in [
        ("application/json; charset=utf-8", StatusCode::OK),
        ("application/fhir+json; charset=\"UTF-8\"; fhirVersion=4.0", StatusCode::OK),
        ("application/fhir+json; charset=latin1", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let headers = [("content-type", media)];
        let answer = kit.send("PUT", "/FHIR/R4/Basic/x", &headers, basic("x")).await;
        assert_eq!(answer.status, status, "{media}");
    }
}
