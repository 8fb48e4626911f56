//! What a transaction does first, what it sees, and what remains when it fails.

use http::StatusCode;
use serde_json::{Value, json};

use super::fixtures::{
    ask, family, identified, location, nameless, patient, process, send, statuses, store,
    transaction, with,
};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    nothing_remains_of_a_transaction_of_which_one_entry_is_refused,
    deletions_come_first_then_creations_then_updates_then_reads,
    conditions_of_entries_are_honoured,
    an_entry_may_patch,
);

/// Entries that put `Patient/p0` and so on, but for the one that is to fail.
fn entries(count: usize, failing: (usize, Value)) -> Vec<Value> {
    let mut entries: Vec<Value> = (0..count)
        .map(|n| {
            let id = format!("p{n}");
            send("PUT", &format!("Patient/{id}"), identified(&id, "urn:s", &id))
        })
        .collect();
    entries[failing.0] = failing.1;
    entries
}

async fn nothing_remains_of_a_transaction_of_which_one_entry_is_refused(kit: Kit) {
    store(&kit, [patient("there", json!({}))]).await;
    let invalid = send("PUT", "Patient/bad", patient("bad", json!({"birthDate": "2000-13"})));
    let stale = with(send("PUT", "Patient/there", family("there", "New")), "ifMatch", "W/\"9\"");
    let other = send("POST", "Patient", json!({"resourceType": "Basic", "code": {"text": "x"}}));
    for failing in [invalid, stale, other] {
        let refused = kit.post("", &transaction(&entries(60, (56, failing)))).await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
        let outcome = refused.assert_refused(refused.status);
        assert!(
            outcome["issue"][0]["expression"][0].as_str().unwrap().starts_with("Bundle.entry[56]"),
            "{outcome}"
        );
        assert_eq!(kit.count("Patient").await, 1);
        assert_eq!(kit.get("Patient/there").await.etag(), "W/\"1\"");
        for id in ["p0", "p55", "p59"] {
            kit.get(&format!("Patient/{id}")).await.assert_refused(StatusCode::NOT_FOUND);
            kit.get(&format!("Patient/{id}/_history")).await.assert_refused(StatusCode::NOT_FOUND);
            let found = kit.ids(&format!("Patient?identifier=urn:s%7C{id}")).await;
            assert_eq!(found, Vec::<String>::new());
        }
    }
    assert_eq!(kit.search("Patient/_history").await["total"], 1);
    assert_eq!(kit.search("_history").await["total"], 1);
}

async fn deletions_come_first_then_creations_then_updates_then_reads(kit: Kit) {
    store(&kit, [identified("old", "urn:s", "v"), patient("p", json!({}))]).await;
    let response = process(
        &kit,
        &transaction(&[
            ask("GET", "Patient?identifier=urn:s|v"),
            ask("GET", "Patient/p"),
            send("PUT", "Patient/p", family("p", "Put")),
            send("POST", "Patient", nameless(identified("", "urn:s", "v"))),
            ask("DELETE", "Patient/old"),
        ]),
    )
    .await;
    assert_eq!(statuses(&response), ["200", "200", "200", "201", "204"]);
    // The reads see what was written, and not what was deleted.
    let found = &response["entry"][0]["resource"];
    assert_eq!(found["entry"].as_array().unwrap().len(), 1, "{found}");
    let id = found["entry"][0]["resource"]["id"].as_str().unwrap();
    assert_eq!(format!("Patient/{id}"), location(&response, 3));
    assert_eq!(response["entry"][1]["resource"]["name"][0]["family"], "Put");
    kit.get("Patient/old").await.assert_refused(StatusCode::GONE);
    // A create is free to take what a deletion gave up, whatever the order sent.
    let number = |id: &str| identified(id, "https://fhir.nhs.uk/Id/nhs-number", "9990000050");
    store(&kit, [number("first")]).await;
    let swap = [send("PUT", "Patient/second", number("second")), ask("DELETE", "Patient/first")];
    process(&kit, &transaction(&swap)).await;
    assert_eq!(kit.get("Patient/second").await.status, StatusCode::OK);
}

async fn conditions_of_entries_are_honoured(kit: Kit) {
    store(&kit, [patient("p", json!({})), family("p", "Two")]).await;
    let put = |etag: &str| with(send("PUT", "Patient/p", family("p", "Three")), "ifMatch", etag);
    let delete = |etag: &str| with(ask("DELETE", "Patient/p"), "ifMatch", etag);
    for stale in [put("W/\"1\""), delete("W/\"1\"")] {
        let refused = kit.post("", &transaction(&[stale])).await;
        let outcome = refused.assert_refused(StatusCode::PRECONDITION_FAILED);
        assert_eq!(outcome["issue"][0]["expression"][0], "Bundle.entry[0]", "{outcome}");
    }
    let bad = kit.post("", &transaction(&[put("two")])).await;
    bad.assert_refused(StatusCode::BAD_REQUEST);
    let response = process(
        &kit,
        &transaction(&[with(ask("GET", "Patient/p"), "ifNoneMatch", "W/\"3\""), put("W/\"2\"")]),
    )
    .await;
    assert_eq!(statuses(&response), ["304", "200"]);
    assert!(response["entry"][0].get("resource").is_none(), "{response}");
    assert_eq!(kit.get("Patient/p").await.etag(), "W/\"3\"");
}

async fn an_entry_may_patch(kit: Kit) {
    store(&kit, [patient("p", json!({"gender": "male"}))]).await;
    let fhir_path = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "other"}]}]});
    // [{"op":"replace","path":"/gender","value":"female"}]
    let json_patch = json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9nZW5kZXIiLCJ2YWx1ZSI6ImZlbWFsZSJ9XQ=="});
    for (patch, gender, etag) in
        [(fhir_path, "other", "W/\"2\""), (json_patch, "female", "W/\"3\"")]
    {
        let patched = process(&kit, &transaction(&[send("PATCH", "Patient/p", patch)])).await;
        assert_eq!(statuses(&patched), ["200"]);
        assert_eq!(patched["entry"][0]["response"]["etag"], etag, "{patched}");
        assert_eq!(kit.search("Patient/p").await["gender"], gender);
    }
}
