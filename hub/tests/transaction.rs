//! transaction: links rewritten, all or nothing, in the specification's order.

use http::StatusCode;
use serde_json::json;

use crate::batch::statuses;
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
    a_conditional_create_is_linked_to_what_it_finds,
    one_condition_twice_creates_once,
    a_conditional_reference_means_one_resource_of_the_record,
    one_identity_by_two_ways_is_refused,
    conditions_of_entries_are_kept,
    what_is_read_is_what_was_written,
    a_relative_link_is_read_against_our_own_base,
    a_transaction_gives_back_what_is_preferred,
    of_many_transactions_with_one_condition_one_creates,
    a_conditional_reference_never_dangles_while_others_delete,
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

const IDENTIFIED: &str = "Patient?identifier=urn:s%7C1";

fn identified(value: &str) -> serde_json::Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": value}]})
}

fn post_unless(full_url: &str, value: &str) -> serde_json::Value {
    let mut entry = post(full_url, identified(value));
    entry["request"]["ifNoneExist"] = json!(format!("identifier=urn:s|{value}"));
    entry
}

/// Where an entry of the answer says that its resource is, without the version.
fn place(answer: &serde_json::Value, entry: usize) -> String {
    let location = answer["entry"][entry]["response"]["location"].as_str().unwrap();
    location.split("/_history").next().unwrap().to_owned()
}

async fn accepted(kit: &Kit, entries: &[serde_json::Value]) -> serde_json::Value {
    let answer = kit.post("", &bundle(entries)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn subject(kit: &Kit, path: &str) -> String {
    kit.search(path).await["subject"]["reference"].as_str().unwrap().to_owned()
}

async fn a_conditional_create_is_linked_to_what_it_finds(kit: Kit) {
    let entries = [post(O, observation(P)), post_unless(P, "1")];
    let first = accepted(&kit, &entries).await;
    assert_eq!(statuses(&first), ["201", "201"]);
    let second = accepted(&kit, &entries).await;
    assert_eq!(statuses(&second), ["201", "200"], "{second}");
    assert_eq!(
        second["entry"][1],
        json!({"response": {
            "status": "200 OK",
            "location": first["entry"][1]["response"]["location"],
            "etag": "W/\"1\"",
            "lastModified": first["entry"][1]["response"]["lastModified"],
        }})
    );
    assert_eq!(subject(&kit, &place(&second, 0)).await, place(&first, 1));
    assert_eq!((kit.count("Patient").await, kit.count("Observation").await), (1, 2));
}

async fn one_condition_twice_creates_once(kit: Kit) {
    let other = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000003";
    let entries = [post_unless(P, "1"), post_unless(other, "1"), post(O, observation(other))];
    let answer = accepted(&kit, &entries).await;
    assert_eq!(statuses(&answer), ["201", "200", "201"]);
    assert_eq!(place(&answer, 0), place(&answer, 1));
    assert_eq!(subject(&kit, &place(&answer, 2)).await, place(&answer, 0));
    assert_eq!(kit.count("Patient").await, 1);
}

async fn a_conditional_reference_means_one_resource_of_the_record(kit: Kit) {
    let reference = "Patient?identifier=urn:s|1";
    let refused = kit.post("", &bundle(&[post(O, observation(reference))])).await;
    let outcome = refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    let expression = "Bundle.entry[0].resource.subject.reference";
    assert_eq!(outcome["issue"][0]["expression"][0], expression);
    // What the same transaction creates is not yet in the record.
    let both = bundle(&[post(P, identified("1")), post(O, observation(reference))]);
    kit.post("", &both).await.assert_refused(StatusCode::PRECONDITION_FAILED);
    let patient = kit.post("Patient", &identified("1").to_string()).await.id();
    let mut second = observation("Patient?identifier=urn:s%7C1");
    second["performer"] = json!([{"reference": reference}]);
    let answer = accepted(&kit, &[post(O, observation(reference)), post(P, second)]).await;
    for entry in [0, 1] {
        assert_eq!(subject(&kit, &place(&answer, entry)).await, format!("Patient/{patient}"));
    }
    let stored = kit.search(&place(&answer, 1)).await;
    assert_eq!(stored["performer"][0]["reference"], format!("Patient/{patient}"));
    kit.post("Patient", &identified("1").to_string()).await;
    let refused = kit.post("", &bundle(&[post(O, observation(reference))])).await;
    let outcome = refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(outcome["issue"][0]["code"], "multiple-matches");
    assert_eq!(outcome["issue"][0]["expression"][0], expression);
    for bad in ["Patient?bogus=1", "Bogus?identifier=1", "Patient?"] {
        let refused = kit.post("", &bundle(&[post(O, observation(bad))])).await;
        assert_eq!(refused.status.as_u16() / 100, 4, "{bad}: {}", refused.text);
        assert!(refused.text.contains(expression), "{bad}: {}", refused.text);
    }
    assert_eq!((kit.count("Patient").await, kit.count("Observation").await), (2, 2));
}

async fn one_identity_by_two_ways_is_refused(kit: Kit) {
    kit.put("Patient/p", &{
        let mut patient = identified("1");
        patient["id"] = json!("p");
        patient.to_string()
    })
    .await;
    let by_id = json!({"request": {"method": "DELETE", "url": "Patient/p"}});
    let by_criteria =
        json!({"resource": identified("1"), "request": {"method": "PUT", "url": IDENTIFIED}});
    let deleted = json!({"request": {"method": "DELETE", "url": IDENTIFIED}});
    for entries in [
        [by_id.clone(), by_criteria.clone()],
        [by_criteria.clone(), deleted],
        [by_id, post_unless(P, "1")],
    ] {
        let refused = kit.post("", &bundle(&entries)).await;
        let outcome = refused.assert_refused(StatusCode::BAD_REQUEST);
        assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[1]");
    }
    assert_eq!(kit.get("Patient/p").await.etag(), "W/\"1\"");
}

async fn conditions_of_entries_are_kept(kit: Kit) {
    let put = json!({"resource": identified("1"), "request": {"method": "PUT", "url": IDENTIFIED}});
    let created = accepted(&kit, std::slice::from_ref(&put)).await;
    assert_eq!(statuses(&created), ["201"]);
    let id = place(&created, 0);
    let mut there = put.clone();
    there["request"] = json!({"method": "PUT", "url": id, "ifNoneMatch": "*"});
    there["resource"]["id"] = json!(id.split_once('/').unwrap().1);
    let refused = kit.post("", &bundle(&[post(O, observation(&id)), there])).await;
    let outcome = refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[1].request.url");
    let mut stale = put;
    stale["request"]["ifMatch"] = json!("W/\"9\"");
    let refused = kit.post("", &bundle(&[post(O, observation(&id)), stale])).await;
    let outcome = refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[1]");
    kit.post("Patient", &identified("1").to_string()).await;
    let many = json!({"request": {"method": "DELETE", "url": IDENTIFIED}});
    let refused = kit.post("", &bundle(&[post(O, observation(&id)), many])).await;
    let outcome = refused.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[1].request.url");
    assert_eq!(kit.count("Observation").await, 0);
}

async fn what_is_read_is_what_was_written(kit: Kit) {
    kit.put("Patient/q", r#"{"resourceType":"Patient","id":"q"}"#).await;
    let get = |url: &str| json!({"request": {"method": "GET", "url": url}});
    let put = json!({
        "resource": {"resourceType": "Patient", "id": "p"},
        "request": {"method": "PUT", "url": "Patient/p"}
    });
    let delete = json!({"request": {"method": "DELETE", "url": "Patient/q"}});
    let entries = [get("Patient/p"), get("Patient?_id=p,q"), get("Patient/q"), put, delete];
    let answer = accepted(&kit, &entries).await;
    assert_eq!(statuses(&answer), ["200", "200", "410", "201", "204"], "{answer}");
    assert_eq!(answer["entry"][0]["resource"]["id"], "p");
    assert_eq!(crate::kit::matches(&answer["entry"][1]["resource"]), ["p"]);
    assert_eq!(answer["entry"][2]["response"]["outcome"]["issue"][0]["code"], "deleted");
    let detail = kit.journal().pop().unwrap()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("GET Patient/p 200"), "{detail}");
    // Nothing but reading is a transaction too.
    assert_eq!(statuses(&accepted(&kit, &[get("Patient/p")]).await), ["200"]);
}

async fn a_relative_link_is_read_against_our_own_base(kit: Kit) {
    kit.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let own = "http://hub.test/FHIR/R4/Patient/p";
    let answer = accepted(
        &kit,
        &[post(own, json!({"resourceType": "Patient"})), post(O, observation("Patient/p"))],
    )
    .await;
    assert_eq!(subject(&kit, &place(&answer, 1)).await, place(&answer, 0));
    assert_ne!(place(&answer, 0), "Patient/p");
}

async fn a_transaction_gives_back_what_is_preferred(kit: Kit) {
    let body = bundle(&[post(P, identified("1"))]);
    let prefer = async |preference: &str| {
        kit.with_body("POST", "", &body, &[("prefer", preference)]).await.json()
    };
    let resource = prefer("return=representation").await;
    assert_eq!(resource["entry"][0]["resource"]["identifier"][0]["value"], "1");
    let outcome = prefer("return=OperationOutcome").await;
    assert_eq!(outcome["entry"][0]["response"]["outcome"]["resourceType"], "OperationOutcome");
}

async fn of_many_transactions_with_one_condition_one_creates(kit: Kit) {
    let kit = std::sync::Arc::new(kit);
    let body = bundle(&[post(O, observation(P)), post_unless(P, "1")]);
    let senders = (0..16).map(|_| {
        let (kit, body) = (kit.clone(), body.clone());
        tokio::spawn(async move { kit.post("", &body).await })
    });
    let answers = futures::future::join_all(senders).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().json()).collect();
    let created = answers.iter().filter(|answer| statuses(answer) == ["201", "201"]).count();
    let found = answers.iter().filter(|answer| statuses(answer) == ["201", "200"]).count();
    assert_eq!((created, found), (1, 15), "{answers:?}");
    let patients = kit.ids(IDENTIFIED).await;
    assert_eq!(patients.len(), 1);
    assert_eq!(kit.ids(&format!("Observation?subject=Patient/{}", patients[0])).await.len(), 16);
}

async fn a_conditional_reference_never_dangles_while_others_delete(kit: Kit) {
    let kit = std::sync::Arc::new(kit);
    kit.post("Patient", &identified("1").to_string()).await;
    let churn = {
        let kit = kit.clone();
        tokio::spawn(async move {
            for _ in 0..12 {
                assert!(kit.delete(IDENTIFIED).await.status.is_success());
                let put = kit.put(IDENTIFIED, &identified("1").to_string()).await;
                assert!(put.status.is_success(), "{}", put.text);
            }
        })
    };
    let body = bundle(&[post(O, observation("Patient?identifier=urn:s|1"))]);
    let mut stored = 0;
    for _ in 0..24 {
        let answer = kit.post("", &body).await;
        match answer.status {
            StatusCode::OK => {
                stored += 1;
                let patient = subject(&kit, &place(&answer.json(), 0)).await;
                let first = kit.search(&format!("{patient}/_history/1")).await;
                assert_eq!(first["identifier"][0]["value"], "1");
            }
            status => assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{}", answer.text),
        }
    }
    churn.await.unwrap();
    assert_eq!(kit.ids(IDENTIFIED).await.len(), 1);
    assert_eq!(kit.count("Observation").await, stored);
}
