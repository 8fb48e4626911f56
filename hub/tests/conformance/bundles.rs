//! Transactions and batches: links, conditions, identities.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::fixtures::{
    ask, assert_one_of, batch, create, fact, family, identified, location, nameless, patient,
    process, send, statuses, store, transaction, with,
};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_link_to_an_entry_is_rewritten_wherever_a_link_may_stand,
    answers_come_in_the_order_of_the_questions,
    a_relative_reference_is_read_against_the_base_of_its_full_url,
    a_conditional_reference_leads_to_the_one_that_matches,
    a_batch_never_stores_a_conditional_reference_as_it_came,
    an_entry_that_must_not_exist_twice_is_made_once,
    of_many_identical_transactions_one_creates,
    one_resource_stands_in_one_entry,
    a_bundle_that_is_no_request_is_refused,
    each_entry_of_a_batch_stands_alone,
);

const P: &str = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000001";
const O: &str = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000002";
const D: &str = "urn:uuid:6b1f3b2c-0000-4000-8000-000000000003";

fn about(subject: &str) -> Value {
    nameless(fact("", subject, "c"))
}

async fn a_link_to_an_entry_is_rewritten_wherever_a_link_may_stand(kit: Kit) {
    let div = format!(r#"<div xmlns="http://www.w3.org/1999/xhtml"><a href="{P}">Ann</a></div>"#);
    let document = json!({
        "resourceType": "DocumentReference", "status": "current",
        "text": {"status": "generated", "div": div},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": P}],
        "description": P,
        "subject": {"reference": P, "display": P},
        "extension": [{"url": "urn:x", "valueUri": P}, {"url": "urn:x", "valueString": P}],
        "content": [{"attachment": {"url": P, "title": P}}]
    });
    let patient = json!({"resourceType": "Patient"});
    // The document comes before the patient it leads to.
    let response = process(&kit, &transaction(&[create(D, document), create(P, patient)])).await;
    let (document, patient) = (location(&response, 0), location(&response, 1));
    let stored = kit.search(&document).await;
    let link = |value: &Value| value.as_str().unwrap().ends_with(&patient);
    assert_eq!(stored["subject"]["reference"], patient);
    assert!(link(&stored["content"][0]["attachment"]["url"]), "{stored}");
    assert!(link(&stored["extension"][0]["valueUri"]), "{stored}");
    let narrative = stored["text"]["div"].as_str().unwrap();
    assert!(
        narrative.contains(&format!("{patient}\"")) && !narrative.contains("urn:uuid"),
        "{narrative}"
    );
    for untouched in [
        &stored["identifier"][0]["value"],
        &stored["description"],
        &stored["subject"]["display"],
        &stored["extension"][1]["valueString"],
        &stored["content"][0]["attachment"]["title"],
    ] {
        assert_eq!(untouched, P);
    }
}

async fn answers_come_in_the_order_of_the_questions(kit: Kit) {
    store(&kit, [patient("old", json!({})), patient("kept", json!({}))]).await;
    let response = process(
        &kit,
        &transaction(&[
            send("PUT", "Patient/kept", family("kept", "Kept")),
            create(O, about(P)),
            ask("DELETE", "Patient/old"),
            create(P, json!({"resourceType": "Patient"})),
            send("PUT", "Patient/new", patient("new", json!({}))),
        ]),
    )
    .await;
    assert_eq!(response["type"], "transaction-response");
    assert_eq!(statuses(&response), ["200", "201", "204", "201", "201"]);
    assert_eq!(
        (&*location(&response, 0), &*location(&response, 4)),
        ("Patient/kept", "Patient/new")
    );
    assert!(location(&response, 1).starts_with("Observation/"));
    for (place, version) in [(0, 2), (1, 1), (3, 1), (4, 1)] {
        let answer = &response["entry"][place]["response"];
        assert_eq!(answer["etag"], format!("W/\"{version}\""), "{answer}");
        let at = answer["location"].as_str().unwrap();
        assert!(at.ends_with(&format!("/_history/{version}")), "{answer}");
        let stored = kit.search(&location(&response, place)).await;
        assert_eq!(answer["lastModified"], stored["meta"]["lastUpdated"], "{answer}");
    }
}

async fn a_relative_reference_is_read_against_the_base_of_its_full_url(kit: Kit) {
    store(&kit, [family("77", "Local")]).await;
    let there = "http://ext.test/fhir";
    let response = process(
        &kit,
        &transaction(&[
            create(&format!("{there}/Patient/77"), nameless(family("", "Foreign"))),
            create(&format!("{there}/Observation/1"), about("Patient/77")),
            create(&format!("{there}/Observation/2"), about(&format!("{there}/Patient/77"))),
            create(O, about("Patient/77")),
        ]),
    )
    .await;
    let foreign = location(&response, 0);
    assert_ne!(foreign, "Patient/77");
    for (place, expected) in [(1, &*foreign), (2, &foreign), (3, "Patient/77")] {
        let stored = kit.search(&location(&response, place)).await;
        assert_eq!(stored["subject"]["reference"], expected, "{place}");
    }
    assert_eq!(kit.search("Patient/77").await["name"][0]["family"], "Local");
}

async fn a_conditional_reference_leads_to_the_one_that_matches(kit: Kit) {
    store(&kit, [identified("one", "urn:s", "one"), identified("two", "urn:s", "two")]).await;
    store(&kit, [identified("too", "urn:s", "two")]).await;
    let by = |query: &str| create(O, about(&format!("Patient?identifier={query}")));
    let response = process(&kit, &transaction(&[by("urn:s|one")])).await;
    let stored = kit.search(&location(&response, 0)).await;
    assert_eq!(stored["subject"]["reference"], "Patient/one");
    assert_eq!(kit.ids("Observation?patient=one").await.len(), 1);

    let made = create(P, nameless(identified("", "urn:s", "made")));
    for (bundle, statuses) in [
        (transaction(&[by("urn:s|none")]), &[400, 404, 412, 422][..]),
        (transaction(&[by("urn:s|two")]), &[400, 412]),
        // What the same Bundle creates is not there yet.
        (transaction(&[made, by("urn:s|made")]), &[400, 404, 412, 422]),
        (transaction(&[create(O, about("Patient?bogus=1"))]), &[400, 412, 422]),
    ] {
        let outcome = assert_one_of(&kit.post("", &bundle).await, statuses);
        assert!(outcome.to_string().contains("Bundle.entry["), "{outcome}");
    }
    assert_eq!((kit.count("Patient").await, kit.count("Observation").await), (3, 1));
}

async fn a_batch_never_stores_a_conditional_reference_as_it_came(kit: Kit) {
    store(&kit, [identified("one", "urn:s", "one")]).await;
    let about = about("Patient?identifier=urn:s|one");
    let response = process(&kit, &batch(&[send("POST", "Observation", about)])).await;
    let status = statuses(&response)[0].to_owned();
    if status == "201" {
        let stored = kit.search(&location(&response, 0)).await;
        assert_eq!(stored["subject"]["reference"], "Patient/one");
    } else {
        assert!(status.starts_with('4'), "{response}");
        assert_eq!(kit.count("Observation").await, 0);
    }
}

async fn an_entry_that_must_not_exist_twice_is_made_once(kit: Kit) {
    let made = |full_url: &str| {
        with(
            create(full_url, nameless(identified("", "urn:s", "v"))),
            "ifNoneExist",
            "identifier=urn:s|v",
        )
    };
    let bundle = transaction(&[made(P), create(O, about(P))]);
    let first = process(&kit, &bundle).await;
    assert_eq!(statuses(&first), ["201", "201"]);
    let second = process(&kit, &bundle).await;
    assert_eq!(statuses(&second), ["200", "201"]);
    assert_eq!(location(&second, 0), location(&first, 0));
    let stored = kit.search(&location(&second, 1)).await;
    assert_eq!(stored["subject"]["reference"], location(&first, 0));
    assert_eq!(kit.count("Patient").await, 1);

    // Twice in one Bundle: one row, or nothing at all.
    let again = |full_url: &str| {
        with(
            create(full_url, nameless(identified("", "urn:s", "w"))),
            "ifNoneExist",
            "identifier=urn:s|w",
        )
    };
    let answer = kit.post("", &transaction(&[again(P), again(O)])).await;
    let expected = if answer.status == StatusCode::OK { 2 } else { 1 };
    if expected == 1 {
        assert_one_of(&answer, &[400, 409, 412]);
    }
    assert_eq!(kit.count("Patient").await, expected, "{}", answer.text);
    store(&kit, [identified("many", "urn:s", "v")]).await;
    let many = kit.post("", &transaction(&[create(O, about("Patient/x")), made(P)])).await;
    let outcome = many.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert!(outcome.to_string().contains("Bundle.entry[1]"), "{outcome}");
    assert_eq!(kit.count("Observation").await, 2);
}

async fn of_many_identical_transactions_one_creates(kit: Kit) {
    let kit = Arc::new(kit);
    let made = create(P, nameless(identified("", "urn:s", "v")));
    let bundle =
        transaction(&[with(made, "ifNoneExist", "identifier=urn:s|v"), create(O, about(P))]);
    let senders = (0..16).map(|_| {
        let (kit, bundle) = (kit.clone(), bundle.clone());
        tokio::spawn(async move { kit.post("", &bundle).await })
    });
    let answers = futures::future::join_all(senders).await;
    let mut created = 0;
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        created += usize::from(statuses(&answer.json())[0] == "201");
    }
    assert_eq!((created, kit.count("Patient").await), (1, 1));
    let holder = kit.ids("Patient?identifier=urn:s%7Cv").await.remove(0);
    assert_eq!(kit.ids(&format!("Observation?patient={holder}&_count=100")).await.len(), 16);
}

async fn one_resource_stands_in_one_entry(kit: Kit) {
    store(&kit, [identified("x", "urn:s", "v")]).await;
    let put = || send("PUT", "Patient/x", family("x", "Changed"));
    let by_condition =
        || send("PUT", "Patient?identifier=urn:s|v", nameless(family("", "Changed")));
    for (entries, allowed) in [
        ([put(), put()], &[400][..]),
        ([put(), ask("DELETE", "Patient/x")], &[400]),
        ([by_condition(), put()], &[400, 412]),
        ([by_condition(), by_condition()], &[400, 412]),
        ([ask("DELETE", "Patient?identifier=urn:s|v"), put()], &[400, 412]),
    ] {
        assert_one_of(&kit.post("", &transaction(&entries)).await, allowed);
    }
    assert_eq!(kit.get("Patient/x").await.etag(), "W/\"1\"");
}

async fn a_bundle_that_is_no_request_is_refused(kit: Kit) {
    let entries = [send("POST", "Patient", json!({"resourceType": "Patient"}))];
    let of =
        |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string();
    for kind in ["collection", "searchset", "history", "document", "transaction-response"] {
        kit.post("", &of(kind)).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    let untyped = json!({"resourceType": "Bundle", "entry": entries}).to_string();
    assert_one_of(&kit.post("", &untyped).await, &[400, 422]);
    let silent = json!({"resource": {"resourceType": "Patient"}});
    kit.post("", &transaction(&[silent])).await.assert_refused(StatusCode::BAD_REQUEST);
    for (method, url) in [
        ("POST", "Bogus"),
        ("GET", "https://elsewhere.test/Patient"),
        ("FETCH", "Patient"),
        ("PUT", "Patient/a_b"),
    ] {
        let entry = send(method, url, json!({"resourceType": "Patient"}));
        assert_one_of(&kit.post("", &transaction(&[entry])).await, &[400, 422]);
    }
    assert_eq!(kit.count("Patient").await, 0);
}

async fn each_entry_of_a_batch_stands_alone(kit: Kit) {
    store(&kit, [patient("a", json!({})), patient("gone", json!({}))]).await;
    kit.delete("Patient/gone").await;
    let response = process(
        &kit,
        &batch(&[
            send("POST", "Patient", json!({"resourceType": "Patient"})),
            send("POST", "Patient", json!({"resourceType": "Patient", "birthDate": "2000-13"})),
            ask("GET", "Patient/a"),
            ask("GET", "Patient/never"),
            ask("GET", "Patient/gone"),
            with(send("PUT", "Patient/a", family("a", "Stale")), "ifMatch", "W/\"9\""),
            send("PUT", "Patient/b", patient("b", json!({}))),
            ask("DELETE", "Patient/a"),
            ask("GET", "Bogus/a"),
            ask("GET", "Patient?_id=b"),
            send("POST", "Patient", about("Patient/a")),
        ]),
    )
    .await;
    assert_eq!(response["type"], "batch-response");
    let expected = ["201", "4", "200", "404", "410", "412", "201", "204", "4", "200", "4"];
    let found = statuses(&response);
    assert_eq!(found.len(), expected.len());
    for (place, (status, expected)) in found.iter().zip(expected).enumerate() {
        // A read stands beside a deletion of the same: either may come first.
        let either = place == 2 && *status == "410";
        assert!(status.starts_with(expected) || either, "{place}: {status}, not {expected}");
        let outcome = &response["entry"][place]["response"]["outcome"];
        if status.starts_with('4') {
            assert_eq!(outcome["resourceType"], "OperationOutcome", "{place}: {response}");
        }
    }
    assert_eq!(response["entry"][9]["resource"]["type"], "searchset");
    assert_eq!(kit.count("Patient").await, 2);
}
