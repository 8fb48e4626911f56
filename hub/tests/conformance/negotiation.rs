//! Media types, formats, methods and bodies.

use axum::body::Body;
use http::StatusCode;
use serde_json::json;

use super::fixtures::{assert_one_of, observation, patient, store};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    json_is_sent_to_whoever_leaves_room_for_it,
    a_format_parameter_overrides_the_accept_header,
    a_body_is_read_if_it_is_json_in_utf_8,
    a_malformed_body_an_unknown_type_and_a_wrong_method_are_told_apart,
);

async fn json_is_sent_to_whoever_leaves_room_for_it(kit: Kit) {
    store(&kit, [patient("a", json!({}))]).await;
    for (accept, acceptable) in [
        (None, true),
        (Some("*/*"), true),
        (Some("application/*"), true),
        (Some("application/json"), true),
        (Some("application/fhir+json"), true),
        (Some("Application/FHIR+JSON"), true),
        (Some("application/fhir+json; fhirVersion=4.0"), true),
        (Some("application/fhir+xml, application/fhir+json;q=0.5"), true),
        (Some("text/html;q=0.9, */*;q=0.1"), true),
        (Some("image/png"), false),
        (Some("text/html"), false),
        (Some("application/fhir+xml"), false),
        (Some("application/fhir+json; fhirVersion=3.0"), false),
        (Some("application/fhir+json;q=0"), false),
        (Some("application/fhir+json;q=0, application/fhir+xml"), false),
    ] {
        let headers: Vec<(&str, &str)> =
            accept.map(|accept| ("accept", accept)).into_iter().collect();
        for path in ["Patient/a", "Patient?_id=a", "Patient/a/_history", "metadata"] {
            let answer =
                kit.send("GET", &format!("/FHIR/R4/{path}"), &headers, Body::empty()).await;
            if acceptable {
                assert_eq!(answer.status, StatusCode::OK, "{accept:?} {path}: {}", answer.text);
                let media = answer.header("content-type");
                assert!(media.starts_with("application/fhir+json"), "{accept:?}: {media}");
            } else {
                assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE, "{accept:?} {path}");
                answer.assert_refused(StatusCode::NOT_ACCEPTABLE);
            }
        }
    }
}

async fn a_format_parameter_overrides_the_accept_header(kit: Kit) {
    store(&kit, [patient("a", json!({}))]).await;
    for (format, acceptable) in [
        ("json", true),
        ("application/json", true),
        // A raw + is a space once it is decoded.
        ("application/fhir+json", true),
        ("application/fhir%2Bjson", true),
        ("application%2Ffhir%2Bjson", true),
        ("xml", false),
        ("application/fhir%2Bxml", false),
        ("bogus", false),
    ] {
        let accept = if acceptable { "image/png" } else { "application/fhir+json" };
        for path in ["Patient/a?", "Patient?_id=a&", "metadata?"] {
            let url = format!("/FHIR/R4/{path}_format={format}");
            let answer = kit.send("GET", &url, &[("accept", accept)], Body::empty()).await;
            let expected = if acceptable { StatusCode::OK } else { StatusCode::NOT_ACCEPTABLE };
            assert_eq!(answer.status, expected, "{url}: {}", answer.text);
            assert!(answer.header("content-type").starts_with("application/fhir+json"));
        }
    }
}

async fn a_body_is_read_if_it_is_json_in_utf_8(kit: Kit) {
    let body = r#"{"resourceType":"Patient"}"#;
    for (media, status) in [
        ("application/fhir+json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/fhir+json; charset=UTF-8", 201),
        ("application/fhir+json; fhirVersion=4.0", 201),
        ("text/plain", 415),
        ("application/xml", 415),
        ("application/fhir+xml", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=iso-8859-1", 415),
        ("application/fhir+json; charset=utf-16", 415),
    ] {
        let answer = kit.send("POST", "/FHIR/R4/Patient", &[("content-type", media)], body).await;
        assert_eq!(answer.status.as_u16(), status, "{media}: {}", answer.text);
        if status == 415 {
            answer.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
    }
    let nameless = kit.send("POST", "/FHIR/R4/Patient", &[], body).await;
    nameless.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(kit.count("Patient").await, 4);
}

async fn a_malformed_body_an_unknown_type_and_a_wrong_method_are_told_apart(kit: Kit) {
    let malformed = kit.post("Patient", r#"{"resourceType":"Patient""#).await;
    let outcome = malformed.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(outcome["issue"][0]["code"], "structure", "{outcome}");
    for path in ["Bogus/1", "Bogus", "patient/1", "Bogus/1/_history", "Bogus/1/_history/1"] {
        kit.get(path).await.assert_refused(StatusCode::NOT_FOUND);
    }
    for (method, path, allowed) in [
        ("POST", "Patient/a", ["GET", "PUT", "DELETE"]),
        ("POST", "Patient/a/_history/1", ["GET", "", ""]),
        ("PUT", "Patient/a/_history", ["GET", "", ""]),
        ("DELETE", "metadata", ["GET", "", ""]),
    ] {
        let refused = kit.with_body(method, path, "{}", &[]).await;
        refused.assert_refused(StatusCode::METHOD_NOT_ALLOWED);
        let allow = refused.header("allow");
        assert!(allowed.iter().all(|method| allow.contains(method)), "{method} {path}: {allow}");
    }
    let other = observation("a", json!({})).to_string();
    for refused in [kit.post("Patient", &other).await, kit.put("Patient/a", &other).await] {
        assert_one_of(&refused, &[400, 422]);
    }
    assert_eq!((kit.count("Patient").await, kit.count("Observation").await), (0, 0));
}
