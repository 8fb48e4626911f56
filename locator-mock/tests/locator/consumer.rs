//! What a consumer asks about a patient.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{CONSUMER, NUMBER, ORIGIN, SNOMED, World, concept, pointer, subject, with};

const SUBJECT: &str = "https://fhir.nhs.uk/Id/nhs-number";

fn news(custodian: &str) -> Value {
    let display = "Royal College of Physicians NEWS2 (National Early Warning Score 2) chart";
    let news =
        with(pointer(custodian, NUMBER), "/type", concept(SNOMED, "1363501000000100", display));
    with(news, "/category/0", concept(SNOMED, "1102421000000108", "Observations"))
}

#[tokio::test]
async fn a_search_finds_every_custodians_pointers_in_natural_order() {
    let world = World::new();
    let later = world.create("QHM", &pointer("QHM", NUMBER)).await;
    let news = world.create("QWO", &news("QWO")).await;
    world.advance_ms(5);
    let latest = world.create("QWO", &pointer("QWO", NUMBER)).await;
    world.create("QWO", &pointer("QWO", "9876543210")).await;
    let found = world.find(NUMBER, "").await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(found.headers["content-type"], "application/fhir+json;version=1");
    // Category 1102421000000108 sorts before 716931000000107; then by creation.
    assert_eq!(found.ids(), [&news, &later, &latest]);
    assert_eq!(found.body["total"], 3);
    assert_eq!(found.body["type"], "searchset");
    let link = format!("{ORIGIN}{CONSUMER}?subject:identifier={SUBJECT}|{NUMBER}");
    assert_eq!(found.body["link"], json!([{"relation": "self", "url": link}]));
    assert!(found.body["entry"][0].get("fullUrl").is_none());
}

#[tokio::test]
async fn no_match_is_an_empty_entry() {
    let found = World::new().find(NUMBER, "").await;
    assert_eq!((&found.body["total"], &found.body["entry"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn a_search_is_narrowed_by_custodian_type_and_category() {
    let world = World::new();
    let summary = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let news = world.create("QHM", &news("QHM")).await;
    let ods = "https://fhir.nhs.uk/Id/ods-organization-code";
    for (further, expected) in [
        (format!("&custodian:identifier={ods}|QHM"), vec![&news]),
        (format!("&type={SNOMED}|887181000000106"), vec![&summary]),
        (format!("&category={SNOMED}|1102421000000108"), vec![&news]),
        (
            format!("&category={SNOMED}|716931000000107,{SNOMED}|1102421000000108"),
            vec![&news, &summary],
        ),
        (format!("&type={SNOMED}|887181000000106&category={SNOMED}|734163000"), vec![]),
    ] {
        let found = world.find(NUMBER, &further.replace('|', "%7C")).await;
        assert_eq!(found.ids(), expected, "{further}");
        let url = found.body["link"][0]["url"].as_str().unwrap();
        assert!(url.ends_with(&format!("|{NUMBER}{further}")), "{url}");
    }
}

#[tokio::test]
async fn search_by_post_takes_a_json_object_and_answers_alike() {
    let world = World::new();
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let url = format!("{CONSUMER}/_search");
    let asked = json!({"subject:identifier": format!("{SUBJECT}|{NUMBER}"), "_summary": "count"});
    let count = world.post("RX898", &url, &asked).await;
    assert_eq!(count.body["total"], 1);
    assert!(count.body.get("entry").is_none());
    let asked = json!({"subject:identifier": format!("{SUBJECT}|{NUMBER}")});
    let found = world.post("RX898", &url, &asked).await;
    assert_eq!(found.ids(), [id.as_str()]);
    assert_eq!(found.body["link"], world.find(NUMBER, "").await.body["link"]);

    for (body, expression) in [
        (json!({"subject:identifier": 1}), "subject:identifier"),
        (json!({"subject:identifier": format!("{SUBJECT}|{NUMBER}"), "extra": "1"}), "extra"),
        (json!([]), "DocumentReference"),
    ] {
        let reply = world.post("RX898", &url, &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(reply.code(), "MESSAGE_NOT_WELL_FORMED", "{body}");
        assert_eq!(reply.expression(), expression, "{body}");
    }
}

#[tokio::test]
async fn a_get_counts_by_number_and_type_alone_and_a_post_counts_what_it_was_asked() {
    let world = World::new();
    world.create("QWO", &pointer("QWO", NUMBER)).await;
    world.create("QHM", &news("QHM")).await;
    let custodian = "https://fhir.nhs.uk/Id/ods-organization-code|QHM";
    let further = format!("&custodian:identifier={custodian}&_summary=count").replace('|', "%7C");
    assert_eq!(world.find(NUMBER, &further).await.body["total"], 2);
    let narrowed = format!("&type={SNOMED}%7C887181000000106&_summary=count");
    assert_eq!(world.find(NUMBER, &narrowed).await.body["total"], 1);
    let asked = json!({
        "subject:identifier": format!("{SUBJECT}|{NUMBER}"),
        "custodian:identifier": custodian,
        "_summary": "count",
    });
    let count = world.post("RX898", &format!("{CONSUMER}/_search"), &asked).await;
    assert_eq!(count.body["total"], 1);
}

#[tokio::test]
async fn the_older_count_answers_a_bare_bundle() {
    let world = World::new();
    world.create("QWO", &pointer("QWO", NUMBER)).await;
    let count = world.get("RX898", &format!("{CONSUMER}/_count?{}", subject(NUMBER))).await;
    let expected = json!({"resourceType": "Bundle", "type": "searchset", "total": 1});
    assert_eq!((count.status, count.body), (StatusCode::OK, expected));
    let reply = world.get("RX898", &format!("{CONSUMER}/_count?{}", subject("123"))).await;
    assert_eq!(reply.code(), "INVALID_IDENTIFIER_VALUE");
    assert_eq!(reply.diagnostics(), "Invalid NHS number provided in the query parameters");
}

#[tokio::test]
async fn a_faulty_search_is_refused_in_the_nrls_words() {
    let world = World::new();
    let missing = world.get("RX898", CONSUMER).await;
    assert_eq!(missing.code(), "INVALID_PARAMETER");
    let text = "Invalid query parameter (subject:identifier: Field required)";
    assert_eq!((missing.diagnostics(), missing.expression()), (text, "subject:identifier"));

    // The specification's own example of an unknown patient fails modulus 11.
    let number = world.find("9495456001", "").await;
    assert_eq!((number.status, number.code()), (StatusCode::BAD_REQUEST, "INVALID_NHS_NUMBER"));

    for (further, code, expression) in [
        ("&extra=1", "INVALID_PARAMETER", "extra"),
        ("&next-page-token=1", "INVALID_PARAMETER", "next-page-token"),
        ("&_summary=text", "INVALID_PARAMETER", "_summary"),
        ("&custodian:identifier=QWO", "INVALID_PARAMETER", "custodian:identifier"),
        ("&type=http://snomed.info/sct%7C1", "INVALID_CODE_SYSTEM", "type"),
        ("&type=", "INVALID_CODE_SYSTEM", "type"),
        ("&category=http://snomed.info/sct%7C1", "INVALID_CODE_SYSTEM", "category"),
    ] {
        let reply = world.find(NUMBER, further).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{further}");
        assert_eq!((reply.code(), reply.expression()), (code, expression), "{further}");
    }
    let twice = world.find(NUMBER, &format!("&{}", subject("9876543210"))).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_consumer_reads_any_organisations_pointer() {
    let world = World::new();
    let id = world.create("QWO", &pointer("QWO", NUMBER)).await;
    let read = world.get("RX898", &format!("{CONSUMER}/{id}")).await;
    assert_eq!((read.status, &read.body["id"]), (StatusCode::OK, &json!(id)));
    let absent = world.get("RX898", &format!("{CONSUMER}/QWO-absent")).await;
    assert_eq!((absent.status, absent.code()), (StatusCode::NOT_FOUND, "NO_RECORD_FOUND"));
}
