//! Writes onto what is hidden do nothing, and are answered like writes onto what is not there.

use serde_json::json;
use service::clock::Clock;

use super::*;
use crate::kit::on_both_engines;

on_both_engines!(
    a_write_onto_a_hidden_id_is_one_onto_an_id_that_never_was,
    conditions_select_nothing_that_is_hidden,
    a_transaction_reaches_nothing_that_is_hidden,
    an_identifier_is_taken_but_its_holder_not_named,
    a_chosen_id_is_refused_without_touching_what_has_it,
);

async fn told(kit: Kit) -> (Kit, Caller) {
    stored(
        &kit,
        &[
            labelled(patient("p4", "9434765919"), CONFIDENTIALITY, "V"),
            restricted(observation("r", "p1", "hiv")),
        ],
    )
    .await;
    let kit = kit.reopened(|config| config.record.client_ids = Some(false), Clock::System).await;
    (kit, clinician("RX2"))
}

/// The hidden Observation is as it was.
async fn assert_untouched(kit: &Kit) {
    let response = kit.get("Observation/r").await;
    assert_eq!(
        (response.status, response.etag()),
        (StatusCode::OK, "W/\"1\""),
        "{}",
        response.text
    );
}

async fn a_write_onto_a_hidden_id_is_one_onto_an_id_that_never_was(kit: Kit) {
    let (kit, caller) = told(kit).await;
    let patch = r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Observation.subject"}]}]}"#;
    let labels = r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"t"}]}}]}"#;
    let body = |id: &str| observation(id, "p1", "bp").to_string();
    for (method, rest, headers) in [
        ("PUT", "", vec![]),
        ("PUT", "", vec![("if-match", "W/\"1\"")]),
        ("PUT", "", vec![("if-match", "W/\"7\"")]),
        ("PUT", "", vec![("if-none-match", "*")]),
        ("PATCH", "", vec![]),
        ("PATCH", "", vec![("if-match", "W/\"1\"")]),
        ("DELETE", "", vec![]),
        ("DELETE", "", vec![("prefer", "return=OperationOutcome")]),
        ("DELETE", "", vec![("if-match", "W/\"1\"")]),
        ("POST", "/$meta-add", vec![]),
        ("POST", "/$meta-delete", vec![]),
        ("POST", "/$validate?mode=update", vec![]),
        ("POST", "/$validate?mode=delete", vec![]),
    ] {
        let mut answers = Vec::new();
        for id in ["r", "never"] {
            let body = match (method, rest) {
                ("PATCH", _) => patch.to_owned(),
                ("DELETE", _) => String::new(),
                ("POST", meta) if meta.starts_with("/$meta") => labels.to_owned(),
                _ => body(id),
            };
            let path = format!("Observation/{id}{rest}");
            answers.push(kit.send_as(&caller, method, &path, &headers, body).await);
        }
        let what = format!("{method} {rest} {headers:?}");
        assert_eq!(answers[0].status, answers[1].status, "{what}: {}", answers[0].text);
        assert_eq!(answers[0].text, answers[1].text, "{what}");
        assert_eq!(answers[0].headers, answers[1].headers, "{what}");
        assert_untouched(&kit).await;
    }
    assert_eq!(kit.get("Observation/never").await.status, StatusCode::NOT_FOUND);
}

async fn conditions_select_nothing_that_is_hidden(kit: Kit) {
    let (kit, caller) = told(kit).await;
    let body = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    let deleted = kit.send_as(&caller, "DELETE", "Observation?code=hiv", &[], "").await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    let patch = r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Observation.subject"}]}]}"#;
    let patched = kit.send_as(&caller, "PATCH", "Observation?code=hiv", &[], patch).await;
    assert_eq!(patched.status, StatusCode::NOT_FOUND, "{}", patched.text);
    let put = kit.send_as(&caller, "PUT", "Observation?code=hiv", &[], body.to_string()).await;
    assert_eq!(put.status, StatusCode::CREATED, "{}", put.text);
    let headers = [("if-none-exist", "code=hiv")];
    let created = kit.send_as(&caller, "POST", "Observation", &headers, body.to_string()).await;
    assert_eq!(created.status, StatusCode::CREATED);
    // By criteria that select nothing, with the id of what is hidden, and with none's.
    let mut answers = Vec::new();
    for id in ["r", "never"] {
        let body = observation(id, "p1", "x").to_string();
        answers.push(kit.send_as(&caller, "PUT", "Observation?code=none", &[], body).await);
    }
    assert_eq!(answers[0].status, answers[1].status);
    assert_eq!(answers[0].text, answers[1].text);
    assert_untouched(&kit).await;
}

async fn a_transaction_reaches_nothing_that_is_hidden(kit: Kit) {
    let (kit, caller) = told(kit).await;
    let transaction = |url: &str, reference: &str| {
        json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"request": {"method": "DELETE", "url": url}},
            {"request": {"method": "POST", "url": "Observation"}, "resource":
                {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
                    "subject": {"reference": reference}}}]})
    };
    for (hidden, absent) in [(
        transaction("Observation/r", "Patient?identifier=9434765919"),
        transaction("Observation/never", "Patient?identifier=1"),
    )] {
        let hidden = kit.send_as(&caller, "POST", "", &[], hidden.to_string()).await;
        let absent = kit.send_as(&caller, "POST", "", &[], absent.to_string()).await;
        assert_eq!(hidden.status, StatusCode::PRECONDITION_FAILED, "{}", hidden.text);
        assert_eq!((hidden.status, hidden.text), (absent.status, absent.text));
    }
    let bundle = transaction("Observation/r", "Patient/p1").to_string();
    let response = kit.send_as(&caller, "POST", "", &[], bundle).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    assert_untouched(&kit).await;
}

async fn an_identifier_is_taken_but_its_holder_not_named(kit: Kit) {
    let (kit, caller) = told(kit).await;
    let body = patient("x", "9434765919").to_string();
    let response = kit.send_as(&caller, "POST", "Patient", &[], body.clone()).await;
    response.assert_refused(StatusCode::CONFLICT);
    assert!(!response.text.contains("p4"), "{}", response.text);
    let own = kit.post("Patient", &body).await;
    assert!(own.text.contains("Patient/p4"), "{}", own.text);
}

async fn a_chosen_id_is_refused_without_touching_what_has_it(kit: Kit) {
    let (kit, caller) = told(kit).await;
    let kit = kit.reopened(|config| config.record.client_ids = Some(true), Clock::System).await;
    let body = observation("r", "p1", "bp").to_string();
    let response = kit.send_as(&caller, "PUT", "Observation/r", &[], body).await;
    response.assert_refused(StatusCode::METHOD_NOT_ALLOWED);
    assert!(!response.text.contains("hiv"));
    assert_untouched(&kit).await;
    let body = observation("free", "p1", "bp").to_string();
    let response = kit.send_as(&caller, "PUT", "Observation/free", &[], body).await;
    assert_eq!(response.status, StatusCode::CREATED);
}
