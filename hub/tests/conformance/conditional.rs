//! Writes that name their resource by a search.

use std::sync::Arc;

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};

use super::fixtures::{
    assert_one_of, encoded, family, identified, nameless, patient, put, search, store,
};
use crate::kit::{Kit, Response, on_both_engines};

on_both_engines!(
    a_conditional_create_makes_one_or_finds_the_one_there_is,
    a_criterion_that_asks_for_nothing_creates_nothing,
    of_many_identical_conditional_creates_one_creates,
    a_conditional_update_updates_the_one_that_matches,
    a_conditional_update_creates_where_nothing_matches,
    an_unknown_criterion_never_widens_a_destructive_request,
    a_conditional_delete_deletes_one_or_refuses,
    a_conditional_patch_patches_the_one_that_matches,
    the_declared_conditions_are_those_that_work,
);

const RENAME: &str = r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"gender"},{"name":"value","valueCode":"other"}]}]}"#;

fn one() -> Value {
    nameless(identified("", "urn:s", "v"))
}

async fn create(kit: &Kit, criterion: &str) -> Response {
    let headers = [("if-none-exist", criterion)];
    kit.with_body("POST", "Patient", &one().to_string(), &headers).await
}

async fn put_where(kit: &Kit, query: &str, body: &Value) -> Response {
    kit.put(&search(&format!("Patient?{query}")), &body.to_string()).await
}

async fn delete_where(kit: &Kit, query: &str) -> Response {
    kit.delete(&search(&format!("Patient?{query}"))).await
}

async fn a_conditional_create_makes_one_or_finds_the_one_there_is(kit: Kit) {
    let first = create(&kit, "identifier=urn:s|v").await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    for criterion in
        ["identifier=urn:s|v", "identifier=urn%3As%7Cv", "identifier=v&active:missing=true"]
    {
        let again = create(&kit, criterion).await;
        assert_eq!(again.status, StatusCode::OK, "{criterion}: {}", again.text);
        assert_eq!(again.header("location"), first.header("location"), "{criterion}");
        assert_eq!(again.etag(), "W/\"1\"", "{criterion}");
    }
    assert_eq!(kit.count("Patient").await, 1);
    store(&kit, [identified("second", "urn:s", "v")]).await;
    create(&kit, "identifier=urn:s|v").await.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(kit.count("Patient").await, 2);
    // What was deleted does not exist.
    kit.delete("Patient/second").await;
    kit.delete(&format!("Patient/{}", first.id())).await;
    assert_eq!(create(&kit, "identifier=urn:s|v").await.status, StatusCode::CREATED);
}

async fn a_criterion_that_asks_for_nothing_creates_nothing(kit: Kit) {
    for criterion in ["", "bogus=1", "identifier=", "identifier", "_count=1", "birthdate=2000-13"] {
        let refused = create(&kit, criterion).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{criterion:?}: {}", refused.text);
        refused.assert_refused(StatusCode::BAD_REQUEST);
    }
    let unknown_too = create(&kit, "identifier=urn:s|v&bogus=1").await;
    unknown_too.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(kit.count("Patient").await, 0);
}

async fn of_many_identical_conditional_creates_one_creates(kit: Kit) {
    let kit = Arc::new(kit);
    let start = Arc::new(tokio::sync::Barrier::new(16));
    let creators = (0..16).map(|_| {
        let (kit, start) = (kit.clone(), start.clone());
        tokio::spawn(async move {
            start.wait().await;
            create(&kit, "identifier=urn:s|v").await
        })
    });
    let answers = futures::future::join_all(creators).await;
    let answers: Vec<Response> = answers.into_iter().map(Result::unwrap).collect();
    let count = |status| answers.iter().filter(|a| a.status == status).count();
    let seen: Vec<StatusCode> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::OK)), (1, 15), "{seen:?}");
    let location = answers[0].header("location");
    assert!(answers.iter().all(|answer| answer.header("location") == location));
    assert_eq!(kit.ids("Patient?identifier=urn:s%7Cv").await, [answers[0].id()]);
    assert_eq!(kit.count("Patient").await, 1);
}

async fn a_conditional_update_updates_the_one_that_matches(kit: Kit) {
    store(&kit, [identified("a", "urn:s", "v")]).await;
    let renamed = |id: Option<&str>, name: &str| {
        let mut body = one();
        body["name"] = json!([{"family": name}]);
        if let Some(id) = id {
            body["id"] = id.into();
        }
        body
    };
    for (body, etag) in
        [(renamed(None, "Two"), "W/\"2\""), (renamed(Some("a"), "Three"), "W/\"3\"")]
    {
        let updated = put_where(&kit, "identifier=urn:s|v", &body).await;
        assert_eq!((updated.status, updated.etag()), (StatusCode::OK, etag), "{}", updated.text);
    }
    let other = put_where(&kit, "identifier=urn:s|v", &renamed(Some("b"), "Other")).await;
    other.assert_refused(StatusCode::BAD_REQUEST);
    let url = format!("/FHIR/R4/Patient?{}", encoded("identifier=urn:s|v"));
    let headers = [("content-type", "application/fhir+json"), ("if-match", "W/\"1\"")];
    let stale = kit.send("PUT", &url, &headers, renamed(None, "Stale").to_string()).await;
    stale.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert!(kit.get("Patient/a").await.text.contains("Three"));
    store(&kit, [identified("b", "urn:s", "v")]).await;
    let many = put_where(&kit, "identifier=urn:s|v", &one()).await;
    many.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(kit.get("Patient/a").await.etag(), "W/\"3\"");
    assert_eq!(kit.get("Patient/b").await.etag(), "W/\"1\"");
}

async fn a_conditional_update_creates_where_nothing_matches(kit: Kit) {
    let created = put_where(&kit, "identifier=urn:s|v", &one()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert!(created.header("location").ends_with("/_history/1"));
    let own = put_where(&kit, "identifier=urn:s|w", &identified("own", "urn:s", "w")).await;
    assert_eq!((own.status, &*own.id()), (StatusCode::CREATED, "own"), "{}", own.text);
    // Nothing matches, but the id that the body brings is someone else's.
    store(&kit, [family("taken", "Taken")]).await;
    let taken = put_where(&kit, "identifier=urn:s|x", &identified("taken", "urn:s", "x")).await;
    taken.assert_refused(StatusCode::CONFLICT);
    assert!(kit.get("Patient/taken").await.text.contains("Taken"));
    assert_eq!(kit.count("Patient").await, 3);
}

/// Criteria that say nothing about a resource, or something that is not known here.
const EMPTY_CRITERIA: [&str; 8] = [
    "bogus=1",
    "identifier=urn:s|v&bogus=1",
    "identifier:bogus=urn:s|v",
    "birthdate=2000-13",
    "identifier=",
    "_count=1",
    "_format=json",
    "",
];

async fn an_unknown_criterion_never_widens_a_destructive_request(kit: Kit) {
    // There is one resource alone, which a condition that is dropped would match.
    store(&kit, [identified("a", "urn:s", "v")]).await;
    for query in EMPTY_CRITERIA {
        let update = put_where(&kit, query, &one()).await;
        let delete = delete_where(&kit, query).await;
        let patch = kit.with_body("PATCH", &search(&format!("Patient?{query}")), RENAME, &[]).await;
        for (method, answer) in [("PUT", update), ("DELETE", delete), ("PATCH", patch)] {
            let allowed: &[u16] = if query.contains("bogus") { &[400] } else { &[400, 405, 412] };
            let status = answer.status.as_u16();
            assert!(allowed.contains(&status), "{method} {query:?}: {status} {}", answer.text);
            assert_one_of(&answer, allowed);
        }
    }
    for method in ["DELETE", "PATCH"] {
        let bare = kit.send(method, "/FHIR/R4/Patient", &[], Body::empty()).await;
        assert!(bare.status.is_client_error(), "{method}: {}", bare.text);
    }
    let current = kit.get("Patient/a").await;
    assert_eq!((current.status, current.etag()), (StatusCode::OK, "W/\"1\""));
}

async fn a_conditional_delete_deletes_one_or_refuses(kit: Kit) {
    store(&kit, [identified("a", "urn:s", "v"), identified("b", "urn:s", "v")]).await;
    store(&kit, [identified("c", "urn:s", "w")]).await;
    delete_where(&kit, "identifier=urn:s|v").await.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(kit.count("Patient").await, 3);
    for query in ["identifier=urn:s|w", "identifier=urn:s|w", "identifier=urn:s|never"] {
        let deleted = delete_where(&kit, query).await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{query}: {}", deleted.text);
    }
    kit.get("Patient/c").await.assert_refused(StatusCode::GONE);
    assert_eq!(kit.search("Patient/c/_history").await["total"], 2);
    assert_eq!(kit.count("Patient").await, 2);
}

async fn a_conditional_patch_patches_the_one_that_matches(kit: Kit) {
    let patch = async |query: &str| {
        kit.with_body("PATCH", &search(&format!("Patient?{query}")), RENAME, &[]).await
    };
    put(&kit, &identified("a", "urn:s", "v")).await;
    let patched = patch("identifier=urn:s|v").await;
    assert_eq!((patched.status, patched.etag()), (StatusCode::OK, "W/\"2\""), "{}", patched.text);
    assert_eq!(kit.get("Patient/a").await.json()["gender"], "other");
    patch("identifier=urn:s|never").await.assert_refused(StatusCode::NOT_FOUND);
    store(&kit, [identified("b", "urn:s", "v"), patient("c", json!({}))]).await;
    patch("identifier=urn:s|v").await.assert_refused(StatusCode::PRECONDITION_FAILED);
    assert_eq!(kit.get("Patient/b").await.etag(), "W/\"1\"");
}

async fn the_declared_conditions_are_those_that_work(kit: Kit) {
    let metadata = kit.search("metadata").await;
    let resources = metadata["rest"][0]["resource"].as_array().unwrap();
    let patient = resources.iter().find(|resource| resource["type"] == "Patient").unwrap();
    assert_eq!(patient["conditionalCreate"], true);
    assert_eq!(patient["conditionalUpdate"], true);
    assert_eq!(patient["conditionalDelete"], "single");
    assert_eq!(patient["conditionalRead"], "full-support");
}
