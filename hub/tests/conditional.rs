//! Conditional create, update and delete: what the criteria select decides, and no race goes wrong.

use std::sync::Arc;

use futures::future::join_all;
use http::StatusCode;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_conditional_create_leaves_alone_what_it_finds,
    a_conditional_update_updates_what_it_finds_or_creates,
    a_conditional_delete_deletes_at_most_one,
    criteria_that_are_not_understood_never_widen_a_write,
    an_update_can_ask_that_there_be_nothing_yet,
    a_delete_under_if_match_needs_the_current_version,
    a_preference_says_what_comes_back,
    of_many_conditional_creates_one_creates,
    of_many_conditional_creates_in_a_new_system_one_creates,
    many_conditional_updates_make_one_resource,
    many_creates_under_one_id_make_one_resource,
);

fn patient(id: &str, value: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!(r#""id":"{id}","#) };
    format!(
        r#"{{"resourceType":"Patient",{id}"identifier":[{{"system":"urn:s","value":"{value}"}}]}}"#
    )
}

fn criteria(value: &str) -> String {
    format!("identifier=urn:s%7C{value}")
}

async fn create_unless(kit: &Kit, criteria: &str, body: &str) -> crate::kit::Response {
    kit.with_body("POST", "Patient", body, &[("if-none-exist", criteria)]).await
}

async fn a_conditional_create_leaves_alone_what_it_finds(kit: Kit) {
    let created = create_unless(&kit, &criteria("1"), &patient("", "1")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let found = create_unless(&kit, &criteria("1"), &patient("", "1")).await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.text);
    for name in ["location", "etag", "last-modified"] {
        assert_eq!(found.header(name), created.header(name), "{name}");
    }
    assert_eq!(found.text, created.text);
    kit.post("Patient", &patient("", "1")).await;
    let many = create_unless(&kit, &criteria("1"), &patient("", "1")).await;
    let outcome = many.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(outcome["issue"][0]["code"], "multiple-matches");
    assert_eq!(kit.count("Patient").await, 2);
    for bad in ["", "?", "bogus=1", "identifier", "birthdate=yesterday"] {
        let refused = create_unless(&kit, bad, &patient("", "2")).await;
        refused.assert_refused(StatusCode::BAD_REQUEST);
    }
    assert_eq!(kit.count("Patient").await, 2);
}

async fn a_conditional_update_updates_what_it_finds_or_creates(kit: Kit) {
    let path = format!("Patient?{}", criteria("1"));
    let created = kit.put(&path, &patient("", "1")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.id();
    let changed = patient("", "1").replace("\"identifier\"", "\"active\":true,\"identifier\"");
    let updated = kit.put(&path, &changed).await;
    assert_eq!((updated.status, updated.etag()), (StatusCode::OK, "W/\"2\""), "{}", updated.text);
    assert_eq!(updated.id(), id);
    assert_eq!(kit.put(&path, &patient(&id, "1")).await.etag(), "W/\"3\"");
    let outcome = kit.put(&path, &patient("other", "1")).await;
    let outcome = outcome.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(outcome["issue"][0]["expression"][0], "Patient.id");
    // Nothing selected: the body's id is used if it is free.
    let path = format!("Patient?{}", criteria("2"));
    let named = kit.put(&path, &patient("two", "2")).await;
    assert_eq!((named.status, named.id()), (StatusCode::CREATED, "two".into()), "{}", named.text);
    let taken = kit.put(&format!("Patient?{}", criteria("3")), &patient("two", "3")).await;
    taken.assert_refused(StatusCode::CONFLICT);
    kit.delete("Patient/two").await;
    let again = kit.put(&path, &patient("two", "2")).await;
    assert_eq!((again.status, again.etag()), (StatusCode::CREATED, "W/\"3\""), "{}", again.text);
    kit.post("Patient", &patient("", "2")).await;
    kit.put(&path, &patient("", "2")).await.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(kit.count("Patient").await, 3);
}

async fn a_conditional_delete_deletes_at_most_one(kit: Kit) {
    for value in ["1", "2", "2"] {
        kit.post("Patient", &patient("", value)).await;
    }
    let none = kit.delete(&format!("Patient?{}", criteria("9"))).await;
    assert_eq!(none.status, StatusCode::NO_CONTENT, "{}", none.text);
    let many = kit.delete(&format!("Patient?{}", criteria("2"))).await;
    many.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(kit.count("Patient").await, 3);
    let one = kit.delete(&format!("Patient?{}", criteria("1"))).await;
    assert_eq!((one.status, one.etag()), (StatusCode::NO_CONTENT, "W/\"2\""), "{}", one.text);
    assert_eq!(kit.count("Patient").await, 2);
}

async fn criteria_that_are_not_understood_never_widen_a_write(kit: Kit) {
    kit.put("Patient/p", &patient("p", "1")).await;
    for path in
        ["Patient", "Patient?", "Patient?bogus=1", "Patient?identifier=", "Patient?_count=1"]
    {
        kit.delete(path).await.assert_refused(StatusCode::BAD_REQUEST);
        kit.put(path, &patient("", "2")).await.assert_refused(StatusCode::BAD_REQUEST);
    }
    assert_eq!(kit.get("Patient/p").await.etag(), "W/\"1\"");
    assert_eq!(kit.count("Patient").await, 1);
}

async fn an_update_can_ask_that_there_be_nothing_yet(kit: Kit) {
    let put = async |value: &str, tag: &str| {
        kit.with_body("PUT", "Patient/p", &patient("p", value), &[("if-none-match", tag)]).await
    };
    assert_eq!(put("1", "*").await.status, StatusCode::CREATED);
    put("2", "*").await.assert_refused(StatusCode::PRECONDITION_FAILED);
    put("2", "W/\"9\"").await.assert_refused(StatusCode::BAD_REQUEST);
    assert!(kit.get("Patient/p").await.text.contains(r#""value":"1""#));
    kit.delete("Patient/p").await;
    assert_eq!(put("3", "*").await.status, StatusCode::CREATED);
}

async fn a_delete_under_if_match_needs_the_current_version(kit: Kit) {
    kit.put("Patient/p", &patient("p", "1")).await;
    kit.put("Patient/p", &patient("p", "2")).await;
    let url = "/FHIR/R4/Patient/p";
    let stale = kit.send("DELETE", url, &[("if-match", "W/\"1\"")], "").await;
    stale.assert_refused(StatusCode::PRECONDITION_FAILED);
    let criteria = format!("/FHIR/R4/Patient?{}", criteria("2"));
    let stale = kit.send("DELETE", &criteria, &[("if-match", "W/\"1\"")], "").await;
    stale.assert_refused(StatusCode::PRECONDITION_FAILED);
    let deleted = kit.send("DELETE", url, &[("if-match", "W/\"2\"")], "").await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
}

async fn a_preference_says_what_comes_back(kit: Kit) {
    let put = async |value: &str, preference: &str| {
        let prefer = [("prefer", preference)];
        kit.with_body("PUT", "Patient/p", &patient("p", value), &prefer).await
    };
    let minimal = put("1", "return=minimal").await;
    assert_eq!((minimal.status, minimal.text.as_str()), (StatusCode::CREATED, ""));
    assert!(minimal.header("location").ends_with("/Patient/p/_history/1"));
    let outcome = put("2", "return=OperationOutcome").await;
    assert_eq!((outcome.status, outcome.etag()), (StatusCode::OK, "W/\"2\""));
    assert_eq!(outcome.json()["resourceType"], "OperationOutcome");
    assert_eq!(outcome.json()["issue"][0]["severity"], "information");
    let resource = put("3", "return=representation").await;
    assert_eq!(resource.json()["meta"]["versionId"], "3");
    let prefer = [("prefer", "return=OperationOutcome")];
    let deleted = kit.send("DELETE", "/FHIR/R4/Patient/p", &prefer, "").await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert_eq!(deleted.json()["resourceType"], "OperationOutcome");
}

/// Sends the same request sixteen times at once and counts the statuses of the answers.
async fn sixteen(
    kit: &Arc<Kit>,
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &str,
) -> (usize, usize) {
    let senders = (0..16).map(|_| {
        let (kit, body) = (kit.clone(), body.to_owned());
        tokio::spawn(async move { kit.with_body(method, path, &body, headers).await })
    });
    let answers: Vec<_> = join_all(senders).await.into_iter().map(Result::unwrap).collect();
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    let statuses: Vec<_> = answers.iter().map(|answer| (answer.status, &answer.text)).collect();
    let (created, ok) = (count(StatusCode::CREATED), count(StatusCode::OK));
    assert!(created <= 1, "{statuses:?}");
    (created, ok)
}

async fn of_many_conditional_creates_one_creates(kit: Kit) {
    let kit = Arc::new(kit);
    kit.post("Patient", &patient("", "seen")).await;
    let headers = &[("if-none-exist", "identifier=urn:s%7C1")];
    let counts = sixteen(&kit, "POST", "Patient", headers, &patient("", "1")).await;
    assert_eq!(counts, (1, 15));
    assert_eq!(kit.ids("Patient?identifier=urn:s%7C1").await.len(), 1);
}

async fn of_many_conditional_creates_in_a_new_system_one_creates(kit: Kit) {
    let kit = Arc::new(kit);
    let headers = &[("if-none-exist", "identifier=urn:s%7C1")];
    let counts = sixteen(&kit, "POST", "Patient", headers, &patient("", "1")).await;
    assert_eq!(counts, (1, 15));
    assert_eq!(kit.count("Patient").await, 1);
}

async fn many_conditional_updates_make_one_resource(kit: Kit) {
    let kit = Arc::new(kit);
    kit.post("Patient", &patient("", "seen")).await;
    let path = "Patient?identifier=urn:s%7C1";
    let counts = sixteen(&kit, "PUT", path, &[], &patient("", "1")).await;
    assert_eq!(counts, (1, 15));
    let ids = kit.ids(path).await;
    assert_eq!(ids.len(), 1);
    // They all said the same.
    assert_eq!(kit.get(&format!("Patient/{}", ids[0])).await.etag(), "W/\"1\"");
}

async fn many_creates_under_one_id_make_one_resource(kit: Kit) {
    let kit = Arc::new(kit);
    let headers = &[("if-none-match", "*")];
    let counts = sixteen(&kit, "PUT", "Patient/p", headers, &patient("p", "1")).await;
    assert_eq!(counts, (1, 0));
    assert_eq!(kit.search("Patient/p/_history").await["total"], 1);
}
