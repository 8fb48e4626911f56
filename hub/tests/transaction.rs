//! transaction: links rewritten, all or nothing, in the specification's order.

use http::StatusCode;
use serde_json::json;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    links_within_a_transaction_are_rewritten,
    a_transaction_is_all_or_nothing,
    entries_take_effect_in_the_specifications_order,
    one_identity_twice_is_refused,
    what_is_no_transaction_is_refused,
    a_number_passes_from_one_patient_to_another,
    a_link_leads_to_the_type_it_may_lead_to,
    urns_are_the_same_in_any_case,
);

const P: &str = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000001";
const O: &str = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000002";

fn bundle(entries: &[serde_json::Value]) -> String {
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string()
}

fn post(full_url: &str, resource: serde_json::Value) -> serde_json::Value {
    let url = resource["resourceType"].clone();
    json!({"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": url}})
}

fn observation(subject: &str) -> serde_json::Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}})
}

async fn links_within_a_transaction_are_rewritten(kit: Kit) {
    // The observation comes before the patient it refers to.
    let body = bundle(&[post(O, observation(P)), post(P, json!({"resourceType": "Patient"}))]);
    let response = kit.post("", &body).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    let response = response.json();
    assert_eq!(response["type"], "transaction-response");
    let location =
        |place: usize| response["entry"][place]["response"]["location"].as_str().unwrap();
    assert!(location(0).starts_with("Observation/") && location(1).starts_with("Patient/"));
    assert_eq!(response["entry"][0]["response"]["status"], "201 Created");
    assert_eq!(response["entry"][0]["response"]["etag"], "W/\"1\"");
    let stored = kit.search(location(0)).await;
    let patient = location(1).split("/_history").next().unwrap();
    assert_eq!(stored["subject"]["reference"], patient);
    let id = patient.rsplit('/').next().unwrap();
    assert_eq!(kit.ids(&format!("Observation?patient={id}")).await.len(), 1);
}

async fn a_transaction_is_all_or_nothing(kit: Kit) {
    let good = || post(P, json!({"resourceType": "Patient"}));
    let bad = json!({"resourceType": "Observation", "status": "final"});
    let refused = kit.post("", &bundle(&[good(), post(O, bad)])).await;
    let outcome = refused.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    let expression = outcome["issue"][0]["expression"][0].as_str().unwrap();
    assert!(expression.starts_with("Bundle.entry[1].resource"), "{outcome}");

    kit.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let stale = json!({
        "resource": {"resourceType": "Patient", "id": "p", "active": true},
        "request": {"method": "PUT", "url": "Patient/p", "ifMatch": "W/\"7\""}
    });
    let refused = kit.post("", &bundle(&[stale, good()])).await;
    let outcome = refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[0]");

    let dangling = kit
        .post(
            "",
            &bundle(&[
                good(),
                post(O, observation("urn:uuid:6b1f3b2c-0000-4000-8000-000000000009")),
            ]),
        )
        .await;
    dangling.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((kit.count("Patient").await, kit.count("Observation").await), (1, 0));
}

async fn entries_take_effect_in_the_specifications_order(kit: Kit) {
    let number = json!([{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000050"}]);
    let first = json!({"resourceType": "Patient", "id": "p", "identifier": number});
    kit.put("Patient/p", &first.to_string()).await;
    // The number is free for the new Patient because the deletion comes first.
    let new = json!({"resourceType": "Patient", "identifier": number});
    let delete = json!({"request": {"method": "DELETE", "url": "Patient/p"}});
    let put = json!({
        "fullUrl": O,
        "resource": {"resourceType": "Organization", "id": "o", "name": "O"},
        "request": {"method": "PUT", "url": "Organization/o"}
    });
    let response = kit.post("", &bundle(&[put, post(P, new), delete])).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    let response = response.json();
    let statuses: Vec<&str> = response["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["response"]["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["201 Created", "201 Created", "204 No Content"]);
    kit.get("Patient/p").await.assert_refused(StatusCode::GONE);
    assert_eq!(kit.count("Patient").await, 1);
}

async fn one_identity_twice_is_refused(kit: Kit) {
    let put = || {
        json!({
            "resource": {"resourceType": "Patient", "id": "p"},
            "request": {"method": "PUT", "url": "Patient/p"}
        })
    };
    let delete = json!({"request": {"method": "DELETE", "url": "Patient/p"}});
    let twice = kit.post("", &bundle(&[put(), put()])).await;
    twice.assert_refused(StatusCode::BAD_REQUEST);
    kit.post("", &bundle(&[put(), delete])).await.assert_refused(StatusCode::BAD_REQUEST);
    let same = post(P, json!({"resourceType": "Patient"}));
    let twice = kit.post("", &bundle(&[same.clone(), same])).await;
    twice.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(kit.count("Patient").await, 0);
}

async fn what_is_no_transaction_is_refused(kit: Kit) {
    for body in [
        r#"{"resourceType":"Patient"}"#.to_owned(),
        r#"{"resourceType":"Bundle","type":"collection"}"#.to_owned(),
        bundle(&[json!({"resource": {"resourceType": "Patient"}})]),
        bundle(&[json!({"request": {"method": "POST", "url": "Patient"}})]),
        bundle(&[
            json!({"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Observation"}}),
        ]),
        bundle(&[
            json!({"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "https://elsewhere/Patient"}}),
        ]),
        bundle(&[
            json!({"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient", "ifNoneExist": "bogus=b"}}),
        ]),
    ] {
        kit.post("", &body).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    assert_eq!(kit.count("Patient").await, 0);
    let empty = kit.post("", &bundle(&[])).await;
    assert_ne!(empty.status.as_u16() / 100, 5, "{}", empty.text);
}

async fn a_number_passes_from_one_patient_to_another(kit: Kit) {
    let number = json!([{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000050"}]);
    let first = json!({"resourceType": "Patient", "id": "p", "identifier": number});
    kit.put("Patient/p", &first.to_string()).await;
    let new = json!({"resourceType": "Patient", "identifier": number});
    let replaced = json!({
        "resource": {"resourceType": "Patient", "id": "p", "identifier": number,
            "link": [{"other": {"reference": P}, "type": "replaced-by"}]},
        "request": {"method": "PUT", "url": "Patient/p"}
    });
    let response = kit.post("", &bundle(&[post(P, new), replaced])).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
}

async fn a_link_leads_to_the_type_it_may_lead_to(kit: Kit) {
    let mut wrong = observation("Patient/p");
    wrong["encounter"] = json!({"reference": P});
    let organisation = json!({"resourceType": "Organization", "name": "x"});
    let refused = kit.post("", &bundle(&[post(P, organisation), post(O, wrong)])).await;
    let outcome = refused.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    let expression = outcome["issue"][0]["expression"][0].as_str().unwrap();
    assert!(expression.starts_with("Bundle.entry[1].resource.encounter"), "{outcome}");
    assert_eq!(kit.count("Organization").await, 0);
}

async fn urns_are_the_same_in_any_case(kit: Kit) {
    let body = bundle(&[
        post(&P.to_uppercase().replace("URN:UUID", "urn:uuid"), json!({"resourceType": "Patient"})),
        post(O, observation(P)),
    ]);
    let response = kit.post("", &body).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    let location = response.json()["entry"][1]["response"]["location"].as_str().unwrap().to_owned();
    let stored = kit.search(&location).await;
    assert!(stored["subject"]["reference"].as_str().unwrap().starts_with("Patient/"), "{stored}");
}
