//! What may not go in.

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};

use super::fixtures::{
    assert_finds, assert_one_of, coded, nameless, observation, patient, resource, store,
};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    invalid_content_is_refused_with_the_place_of_every_fault,
    a_narrative_that_could_run_is_refused_and_never_sent_as_html,
    text_that_is_no_unicode_is_refused,
    an_id_that_is_none_is_refused_wherever_it_stands,
    a_reference_into_the_resource_must_lead_somewhere,
    contained_resources_are_neither_matches_nor_values_of_their_container,
);

const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// Members of a Patient, and where the fault is.
const FAULTS: [(&str, &str); 18] = [
    (r#""colour":"red""#, "Patient"),
    (r#""gender":"martian""#, "Patient.gender"),
    (r#""birthDate":"2000-13-40""#, "Patient.birthDate"),
    (r#""birthDate":"2000-02-30""#, "Patient.birthDate"),
    (r#""birthDate":20000101"#, "Patient.birthDate"),
    (r#""link":[{"type":"seealso"}]"#, "Patient.link[0].other"),
    (r#""deceasedBoolean":true,"deceasedDateTime":"2000""#, "Patient"),
    (r#""active":true,"active":true"#, "Patient.active"),
    (r#""active":null"#, "Patient.active"),
    (r#""active":"true""#, "Patient.active"),
    (r#""multipleBirthInteger":"1""#, "Patient.multipleBirth"),
    (r#""name":[]"#, "Patient.name"),
    (r#""name":[{}]"#, "Patient.name[0]"),
    (r#""name":[{"family":""}]"#, "Patient.name[0].family"),
    (r#""name":{"family":"a"}"#, "Patient.name"),
    (r#""name":[{"family":["a"]}]"#, "Patient.name[0].family"),
    (r#""name":[null]"#, "Patient.name[0]"),
    (r#""name":[{"given":["A",null]}]"#, "Patient.name[0].given"),
];

async fn invalid_content_is_refused_with_the_place_of_every_fault(kit: Kit) {
    let mut wrong = Vec::new();
    for (members, place) in FAULTS {
        let body = format!(r#"{{"resourceType":"Patient",{members}}}"#);
        let refused = kit.post("Patient", &body).await;
        let outcome = refused.json();
        let expression = outcome["issue"][0]["expression"][0].as_str().unwrap_or_default();
        if refused.status != UNPROCESSABLE || !expression.starts_with(place) {
            wrong.push(format!("{members}: {} {expression}", refused.status));
        }
    }
    let string = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":"1.00"}}"#;
    let outcome = kit.post("Observation", string).await.assert_refused(UNPROCESSABLE);
    assert!(
        outcome.to_string().contains("value.value")
            || outcome.to_string().contains("valueQuantity.value"),
        "{outcome}"
    );
    // All faults at once.
    let many = r#"{"resourceType":"Patient","colour":"red","birthDate":"2000-13","name":[{"given":[]}],"link":[{"type":"seealso"}]}"#;
    let outcome = kit.post("Patient", many).await.assert_refused(UNPROCESSABLE);
    assert!(outcome["issue"].as_array().unwrap().len() >= 4, "{outcome}");
    let deep = kit.post("Patient", &nested(1_000, r#"[{"extension":"#, "}]")).await;
    deep.assert_refused(StatusCode::BAD_REQUEST);
    // At the first bracket these are no extension any more: either fault may be told.
    for (open, close) in [("[", "]"), (r#"{"extension":"#, "}")] {
        assert_one_of(&kit.post("Patient", &nested(1_000, open, close)).await, &[400, 422]);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(kit.count("Patient").await, 0);
}

/// A Patient whose extension is nested so deep.
fn nested(depth: usize, open: &str, close: &str) -> String {
    let (open, close) = (open.repeat(depth), close.repeat(depth));
    format!(r#"{{"resourceType":"Patient","extension":{open}1{close}}}"#)
}

/// Insides of a div.
const RUNNING: [&str; 12] = [
    "<script>alert(1)</script>",
    "<SCRIPT>alert(1)</SCRIPT>",
    "<p onclick=\"alert(1)\">x</p>",
    "<p OnMouseOver='alert(1)'>x</p>",
    "<img src=\"x\" onerror=\"alert(1)\"/>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\" JaVaScRiPt:alert(1)\">x</a>",
    "<a href=\"java&#115;cript:alert(1)\">x</a>",
    "<iframe src=\"https://example.org\"></iframe>",
    "<object data=\"x\"></object>",
    "<form action=\"https://example.org\"><input/></form>",
    "<p>&xxe;</p>",
];

async fn a_narrative_that_could_run_is_refused_and_never_sent_as_html(kit: Kit) {
    let narrated = |div: &str| {
        nameless(patient("", json!({"text": {"status": "generated", "div": div}}))).to_string()
    };
    let div = |inside: &str| format!(r#"<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>"#);
    let entity =
        format!("<!DOCTYPE div [<!ENTITY xxe SYSTEM \"file:///etc/passwd\">]>{}", div("&xxe;"));
    let good = div(
        "<p class=\"x\" id=\"y\">a &lt; b &amp;&#160;c</p><a href=\"https://example.org/?a=1\">x</a><a \
         href=\"#y\">y</a><a href=\"mailto:a@example.org\">m</a><img src=\"#p\" alt=\"javascript: no\"/>",
    );
    let created = kit.post("Patient", &narrated(&good)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let path = format!("/FHIR/R4/Patient/{}", created.id());
    let html = kit.send("GET", &path, &[("accept", "text/html")], Body::empty()).await;
    assert_eq!(html.status, StatusCode::NOT_ACCEPTABLE);
    let read = kit.send("GET", &path, &[], Body::empty()).await;
    assert_eq!(read.json()["text"]["div"], good);
    let mut wrong = Vec::new();
    for bad in RUNNING.iter().map(|inside| div(inside)).chain([entity]) {
        let refused = kit.post("Patient", &narrated(&bad)).await;
        let expression = &refused.json()["issue"][0]["expression"][0];
        if refused.status != UNPROCESSABLE || expression != "Patient.text.div" {
            wrong.push(format!("{bad}: {} {expression}", refused.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(kit.count("Patient").await, 1);
}

async fn text_that_is_no_unicode_is_refused(kit: Kit) {
    let family =
        |text: &str| format!(r#"{{"resourceType":"Patient","name":[{{"family":"{text}"}}]}}"#);
    for escaped in [r"\u0000", r"a\u0000b"] {
        // Well-formed JSON, but no FHIR string.
        assert_one_of(&kit.post("Patient", &family(escaped)).await, &[400, 422]);
    }
    for unpaired in [r"\ud83d", r"\ude00", r"\ud83d\ud83d", r"\ud83d x"] {
        kit.post("Patient", &family(unpaired)).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    let json = [("content-type", "application/fhir+json")];
    for bytes in [&b"\xff"[..], b"\xc3(", b"\xed\xa0\x80", b"\x00"] {
        let text = family("X");
        let (before, after) = text.split_once('X').unwrap();
        let body = [before.as_bytes(), bytes, after.as_bytes()].concat();
        let refused = kit.send("POST", "/FHIR/R4/Patient", &json, body).await;
        refused.assert_refused(StatusCode::BAD_REQUEST);
    }
    assert_eq!(kit.count("Patient").await, 0);
}

async fn an_id_that_is_none_is_refused_wherever_it_stands(kit: Kit) {
    let long = "a".repeat(65);
    for id in [&long, "a_b", "a b", "ä", "a/b", ""] {
        let body = json!({"resourceType": "Patient", "id": id}).to_string();
        kit.post("Patient", &body).await.assert_refused(UNPROCESSABLE);
    }
    for path in [&long, "a_b", "a%2Fb", "%2F", "a%20b", "%C3%A4", "..%2F..", "%00"] {
        for method in ["GET", "DELETE"] {
            let url = format!("/FHIR/R4/Patient/{path}");
            let refused = kit.send(method, &url, &[], Body::empty()).await;
            assert_one_of(&refused, &[400, 404]);
        }
        let body = json!({"resourceType": "Patient", "id": "a"}).to_string();
        let refused = kit.put(&format!("Patient/{path}"), &body).await;
        assert_one_of(&refused, &[400, 404]);
    }
    // Segments that a client or a proxy would resolve away name nothing.
    for dots in ["..", "."] {
        let body = json!({"resourceType": "Patient", "id": dots}).to_string();
        let refused = kit.put(&format!("Patient/{dots}"), &body).await;
        assert_one_of(&refused, &[400, 404, 422]);
    }
    assert_eq!(kit.count("Patient").await, 0);
}

async fn a_reference_into_the_resource_must_lead_somewhere(kit: Kit) {
    let organisation = |id: Value| json!({"resourceType": "Organization", "id": id, "name": "x"});
    let inside = |contained: Value, reference: &str| {
        let members =
            json!({"contained": contained, "managingOrganization": {"reference": reference}});
        nameless(patient("", members)).to_string()
    };
    let mut nested = organisation("o".into());
    nested["contained"] = json!([organisation("p".into())]);
    let unnamed = nameless(organisation("o".into()));
    let good = inside(json!([organisation("o".into())]), "#o");
    assert_eq!(kit.post("Patient", &good).await.status, StatusCode::CREATED);
    let mut wrong = Vec::new();
    for bad in [
        nameless(patient("", json!({"managingOrganization": {"reference": "#nope"}}))).to_string(),
        inside(json!([organisation("o".into())]), "#nope"),
        inside(json!([unnamed]), "#o"),
        inside(json!([nested]), "#o"),
    ] {
        let refused = kit.post("Patient", &bad).await;
        if refused.status != UNPROCESSABLE {
            wrong.push(format!("{bad}: {}", refused.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(kit.count("Patient").await, 1);
}

async fn contained_resources_are_neither_matches_nor_values_of_their_container(kit: Kit) {
    let hidden = json!({"resourceType": "Patient", "id": "in", "name": [{"family": "Hidden"}],
        "identifier": [{"system": "urn:s", "value": "hidden"}]});
    let member = observation(
        "m",
        json!({"code": coded("inner"),
        "identifier": [{"system": "urn:s", "value": "inner"}]}),
    );
    let report = resource(
        "DiagnosticReport",
        "r",
        json!({"status": "final", "code": coded("outer"), "contained": [member],
            "result": [{"reference": "#m"}]}),
    );
    let holder = observation(
        "o",
        json!({"contained": [hidden], "subject": {"reference": "#in"}, "code": coded("outer")}),
    );
    store(&kit, [report, holder]).await;
    for (path, table) in [
        ("Patient", [("family=Hidden", ""), ("identifier=urn:s|hidden", ""), ("", "")]),
        ("Observation", [("code=inner", ""), ("code=outer", "o"), ("", "o")]),
        ("DiagnosticReport", [("code=inner", ""), ("identifier=inner", ""), ("code=outer", "r")]),
    ] {
        assert_finds(&kit, path, &table).await;
    }
    kit.get("Patient/in").await.assert_refused(StatusCode::NOT_FOUND);
    kit.get("Observation/m").await.assert_refused(StatusCode::NOT_FOUND);
}
