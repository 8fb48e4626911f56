//! What organisations ask of each other: amendments and custody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use super::kit::Site;
use crate::kit::{Kit, Response, on_both_engines};

on_both_engines!(
    an_accepted_amendment_is_a_version_with_both_names,
    whoever_proposes_or_looks_on_cannot_accept,
    a_proposal_that_comes_too_late_is_put_on_hold,
    a_rejection_says_why_and_the_proposer_may_disagree,
    a_task_of_ours_is_changed_by_its_operations_alone,
    a_proposal_says_what_it_is_about_and_why,
    an_edit_that_becomes_a_proposal_can_be_accepted,
    what_is_superseded_hands_over_its_number,
    custody_passes_to_whom_it_is_offered_all_or_nothing,
    custody_cannot_be_taken,
    transactions_hold_proposals_and_what_replaces,
    of_many_who_accept_at_once_each_thing_is_done_once,
    an_offer_cannot_be_forged_out_of_another_task,
);

const SYSTEM: &str = "urn:shared-record:task";
const ODS: &str = "https://fhir.nhs.uk/Id/ods-organization-code";

fn basic(text: &str) -> Value {
    json!({"resourceType": "Basic", "code": {"text": text}})
}

fn code(code: &str) -> Value {
    json!({"coding": [{"system": SYSTEM, "code": code}]})
}

fn organisation(code: &str) -> Value {
    json!({"identifier": {"system": ODS, "value": code}})
}

fn change(media: &str, content: &Value) -> Value {
    let data = STANDARD.encode(content.to_string());
    json!({"type": code("amendment"), "valueAttachment": {"contentType": media, "data": data}})
}

fn patch(text: &str) -> Value {
    change(
        "application/json-patch+json",
        &json!([{"op": "replace", "path": "/code/text", "value": text}]),
    )
}

fn proposal(focus: &str, input: &Value) -> Value {
    json!({"resourceType": "Task", "status": "completed", "intent": "order",
        "code": code("amendment-proposal"), "focus": {"reference": focus},
        "reasonCode": {"text": "It was the left one."}, "input": [input],
        "owner": organisation("RX9"), "requester": organisation("RX9")})
}

fn because(text: &str) -> Value {
    json!({"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": text}]})
}

async fn ask(site: &Site, who: &str, task: &str, verb: &str) -> Response {
    site.post(who, &format!("Task/{task}/${verb}"), &because("Because.")).await
}

async fn an_accepted_amendment_is_a_version_with_both_names(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let end = json!({"type": code("deletion"), "valueBoolean": true});
    let fhirpath = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Basic.code.text"},
        {"name": "value", "valueString": "b"}]}]});
    let kinds = ["json", "fhirpath", "merge", "replacement", "end"];
    for kind in kinds {
        let id = site.created("RX1", &basic("a")).await;
        let mut other = basic("b");
        other["id"] = json!(id);
        let input = match kind {
            "json" => patch("b"),
            "fhirpath" => change("application/fhir+json", &fhirpath),
            "merge" => change("application/merge-patch+json", &json!({"code": {"text": "b"}})),
            "replacement" => change("application/fhir+json", &other),
            _ => end.clone(),
        };
        let focus = format!("Basic/{id}/_history/1");
        let task = site.created("RX2", &proposal(&focus, &input)).await;
        let asked = site.get("RX1", &format!("Task/{task}")).await.json();
        assert_eq!(asked["status"], "requested", "{asked}");
        assert_eq!(asked["owner"], organisation("RX1"));
        assert_eq!(asked["requester"], organisation("RX2"));

        assert_eq!(ask(&site, "RX1", &task, "receive").await.json()["status"], "received");
        let done = ask(&site, "RX1", &task, "accept").await;
        assert_eq!(done.status, StatusCode::OK, "{kind}: {}", done.text);
        let done = done.json();
        assert_eq!(done["status"], "completed");
        let made = done["output"][0]["valueReference"]["reference"].as_str().unwrap();
        assert_eq!(made, format!("Basic/{id}/_history/2"));
        let amended = site.get("RX1", &format!("Basic/{id}")).await;
        if kind == "end" {
            assert_eq!(amended.status, StatusCode::GONE);
        } else {
            assert_eq!(amended.json()["code"]["text"], "b", "{kind}");
            assert_eq!(amended.json()["meta"]["tag"][0]["code"], "RX1");
        }
        let provenance = done["output"][1]["valueReference"]["reference"].as_str().unwrap();
        let provenance = site.get("RX1", provenance).await.json();
        assert_eq!(provenance["target"], json!([{"reference": made}]));
        assert_eq!(provenance["agent"][0]["who"], organisation("RX2"));
        assert_eq!(provenance["agent"][1]["who"], organisation("RX1"));
        assert_eq!(provenance["reason"][0]["text"], "It was the left one.");
        assert_eq!(provenance["entity"][1]["what"]["reference"], format!("Task/{task}"));
        // Once is enough.
        ask(&site, "RX1", &task, "accept").await.assert_refused(StatusCode::CONFLICT);
    }
}

async fn whoever_proposes_or_looks_on_cannot_accept(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let id = site.created("RX1", &basic("a")).await;
    let focus = format!("Basic/{id}/_history/1");
    let task = site.created("RX2", &proposal(&focus, &patch("b"))).await;
    for verb in ["receive", "accept", "reject"] {
        for who in ["RX2", "RX9", "QWO"] {
            ask(&site, who, &task, verb).await.assert_refused(StatusCode::FORBIDDEN);
        }
    }
    ask(&site, "RX1", &task, "log-disagreement").await.assert_refused(StatusCode::FORBIDDEN);
    assert_eq!(site.get("RX1", &format!("Basic/{id}")).await.etag(), "W/\"1\"");
    // No one proposes anything to themselves.
    let own = site.post("RX1", "Task", &proposal(&focus, &patch("b"))).await;
    own.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
}

async fn a_proposal_that_comes_too_late_is_put_on_hold(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let id = site.created("RX1", &basic("a")).await;
    let path = format!("Basic/{id}");
    let task = site.created("RX2", &proposal(&format!("{path}/_history/1"), &patch("b"))).await;
    let mut own = basic("c");
    own["id"] = json!(id);
    assert_eq!(site.put("RX1", &path, &own).await.status, StatusCode::OK);
    ask(&site, "RX1", &task, "accept").await.assert_refused(StatusCode::CONFLICT);
    let held = site.get("RX1", &format!("Task/{task}")).await.json();
    assert_eq!(held["status"], "on-hold");
    assert_eq!(site.get("RX1", &path).await.json()["code"]["text"], "c");
    // A new one must be about what is there now.
    let late =
        site.post("RX2", "Task", &proposal(&format!("{path}/_history/1"), &patch("b"))).await;
    late.assert_refused(StatusCode::CONFLICT);
    assert_eq!(ask(&site, "RX1", &task, "reject").await.json()["status"], "rejected");
}

async fn a_rejection_says_why_and_the_proposer_may_disagree(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let id = site.created("RX1", &basic("a")).await;
    let focus = format!("Basic/{id}/_history/1");
    let task = site.created("RX2", &proposal(&focus, &patch("b"))).await;
    ask(&site, "RX2", &task, "log-disagreement").await.assert_refused(StatusCode::CONFLICT);
    let silent = json!({"resourceType": "Parameters", "parameter": [
        {"name": "reason", "valueString": "\u{a0}"}]});
    let silent = site.post("RX1", &format!("Task/{task}/$reject"), &silent).await;
    silent.assert_refused(StatusCode::BAD_REQUEST);
    let rejected = ask(&site, "RX1", &task, "reject").await.json();
    assert_eq!(rejected["status"], "rejected");
    assert_eq!(rejected["statusReason"]["text"], "Because.");
    for times in 1..=2 {
        let noted = ask(&site, "RX2", &task, "log-disagreement").await.json();
        assert_eq!(noted["status"], "rejected");
        let notes = noted["note"].as_array().unwrap();
        assert_eq!(notes.len(), times);
        assert_eq!(notes[0]["authorReference"], organisation("RX2"));
    }
    ask(&site, "RX1", &task, "accept").await.assert_refused(StatusCode::CONFLICT);
}

async fn a_task_of_ours_is_changed_by_its_operations_alone(kit: Kit) {
    let site = Site::of(kit, json!({"default": "any"})).await;
    let id = site.created("RX1", &basic("a")).await;
    let focus = format!("Basic/{id}/_history/1");
    let task = site.created("RX2", &proposal(&focus, &patch("b"))).await;
    let path = format!("Task/{task}");
    let mut done = site.get("RX2", &path).await.json();
    done["status"] = json!("completed");
    let json_patch = [("content-type", "application/json-patch+json")];
    let complete = json!([{"op": "replace", "path": "/status", "value": "completed"}]).to_string();
    let disguise = json!([{"op": "remove", "path": "/code"}]).to_string();
    let mut plain = done.clone();
    plain.as_object_mut().unwrap().remove("code");
    for who in ["RX1", "RX2", "QWO"] {
        for body in [&done, &plain] {
            let put = site.put(who, &path, body).await;
            put.assert_refused(StatusCode::FORBIDDEN);
        }
        for patch in [&complete, &disguise] {
            let patched = site.send(who, ("PATCH", &path), &json_patch, patch.clone()).await;
            patched.assert_refused(StatusCode::FORBIDDEN);
        }
        let gone = site.send(who, ("DELETE", &path), &[], "").await;
        gone.assert_refused(StatusCode::FORBIDDEN);
    }
    assert_eq!(site.get("RX2", &path).await.etag(), "W/\"1\"");
    // Nor does one begin in any other way.
    done["id"] = json!("forged");
    let forged = site.put("RX2", "Task/forged", &done).await;
    forged.assert_refused(StatusCode::FORBIDDEN);
    let mut other = json!({"resourceType": "Task", "status": "requested", "intent": "order"});
    let turned = site.created("RX2", &other).await;
    other["id"] = json!(turned);
    other["code"] = code("custody-transfer");
    let turned = site.put("RX2", &format!("Task/{turned}"), &other).await;
    turned.assert_refused(StatusCode::FORBIDDEN);
    other["code"] = code("anything");
    site.post("RX2", "Task", &other).await.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
}

async fn a_proposal_says_what_it_is_about_and_why(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let id = site.created("RX1", &basic("a")).await;
    let focus = format!("Basic/{id}/_history/1");
    let good = proposal(&focus, &patch("b"));
    let without = |member: &str| {
        let mut task = good.clone();
        task.as_object_mut().unwrap().remove(member);
        task
    };
    let with_input = |input: Value| {
        let mut task = good.clone();
        task["input"] = json!([input]);
        task
    };
    let mut taken = basic("b");
    taken["id"] = json!(id);
    taken["meta"] = json!({"tag": [{"system": "urn:shared-record:custodian", "code": "RX2"}]});
    let nothing = json!([{"op": "remove", "path": "/nothing"}]);
    for (task, status, at) in [
        (without("focus"), 422, "Task.focus"),
        (proposal(&format!("Basic/{id}"), &patch("b")), 422, "Task.focus"),
        (proposal("Basic/none/_history/1", &patch("b")), 422, "Task.focus"),
        (without("reasonCode"), 422, "Task.reasonCode"),
        (without("input"), 422, "Task.input"),
        (with_input(change("text/plain", &json!("x"))), 422, "Task.input[0]"),
        (with_input(change("application/json-patch+json", &nothing)), 422, "[0]"),
        (with_input(change("application/fhir+json", &basic("b"))), 400, "Basic.id"),
        (with_input(change("application/fhir+json", &taken)), 403, "Basic.meta.tag[0]"),
    ] {
        let refused = site.post("RX2", "Task", &task).await;
        assert_eq!(refused.status.as_u16(), status, "{at}: {}", refused.text);
        assert_eq!(refused.json()["issue"][0]["expression"], json!([at]), "{}", refused.text);
    }
    assert!(site.ids("RX1", "Task").await.is_empty());
}

async fn an_edit_that_becomes_a_proposal_can_be_accepted(kit: Kit) {
    let site = Site::of(kit, json!({"default": "request"})).await;
    let patient = site.created("RX1", &json!({"resourceType": "Patient"})).await;
    let observation = json!({"resourceType": "Observation", "status": "preliminary",
        "code": {"text": "x"}, "subject": {"reference": format!("Patient/{patient}")}});
    let id = site.created("RX1", &observation).await;
    let path = format!("Observation/{id}");
    let mut edited = site.get("RX2", &path).await.json();
    edited["status"] = json!("final");
    let proposed = site.put("RX2", &path, &edited).await;
    assert_eq!(proposed.status, StatusCode::ACCEPTED, "{}", proposed.text);
    let (task, proposed) = (proposed.id(), proposed.json());
    assert_eq!(proposed["for"]["reference"], format!("Patient/{patient}"));
    assert_eq!(site.get("RX2", &path).await.json()["status"], "preliminary");
    let done = ask(&site, "RX1", &task, "accept").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let stored = site.get("RX2", &path).await.json();
    assert_eq!((&stored["status"], &stored["meta"]["versionId"]), (&json!("final"), &json!("2")));
    // Whoever would take it proposes nothing, and neither does one who is late.
    edited["meta"]["tag"] = json!([{"system": "urn:shared-record:custodian", "code": "RX2"}]);
    site.put("RX2", &path, &edited).await.assert_refused(StatusCode::FORBIDDEN);
    edited.as_object_mut().unwrap().remove("meta");
    let headers = [("if-match", "W/\"1\"")];
    let late = site.send("RX2", ("PUT", &path), &headers, edited.to_string()).await;
    late.assert_refused(StatusCode::PRECONDITION_FAILED);
    // A repeated request is one proposal.
    let headers = [("idempotency-key", "k")];
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let again = site.send("RX2", ("PUT", &path), &headers, edited.to_string()).await;
        assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text);
        tasks.push(again.id());
    }
    assert_eq!(tasks[0], tasks[1]);
}

async fn what_is_superseded_hands_over_its_number(kit: Kit) {
    let site = Site::of(kit, json!({"types": {"DocumentReference": "supersede"}})).await;
    let label = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
        "code": "N"});
    let document = |security: &Value| {
        json!({"resourceType": "DocumentReference", "status": "current",
            "meta": {"security": [security]}, "masterIdentifier": {"value": "m"},
            "content": [{"attachment": {"url": "https://a.test/1"}}]})
    };
    let id = site.created("RX1", &document(&label)).await;
    let path = format!("DocumentReference/{id}");
    let mut edited = site.get("RX2", &path).await.json();
    edited["docStatus"] = json!("final");
    let mut bare = edited.clone();
    bare["meta"].as_object_mut().unwrap().remove("security");
    let unlabelled = site.put("RX2", &path, &bare).await;
    unlabelled.assert_refused(StatusCode::FORBIDDEN);
    let stored = site.put("RX2", &path, &edited).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text);
    let new = stored.json();
    let relation =
        json!([{"code": "replaces", "target": {"reference": format!("{path}/_history/1")}}]);
    assert_eq!(new["relatesTo"], relation);
    assert_eq!(new["meta"]["tag"][0]["code"], "RX2");
    assert_eq!(new["meta"]["security"], json!([label]));
    assert_eq!(site.ids("RX1", "DocumentReference").await, [stored.id()]);
    assert_eq!(site.get("RX1", &path).await.status, StatusCode::GONE);
    let before = site.get("RX1", &format!("{path}/_history/1")).await.json();
    assert_eq!(before["masterIdentifier"]["value"], "m");
    let about = format!("Provenance?target=DocumentReference/{}", stored.id());
    assert_eq!(site.ids("RX1", &about).await.len(), 1);
    // What has ended is its custodian's to bring back.
    edited.as_object_mut().unwrap().remove("meta");
    site.put("RX2", &path, &edited).await.assert_refused(StatusCode::FORBIDDEN);
}

fn transfer(to: &str, resources: &[&str]) -> Value {
    let input = |reference: &&str| json!({"type": code("resource"), "valueReference": {"reference": reference}});
    json!({"resourceType": "Task", "status": "draft", "intent": "order",
        "code": code("custody-transfer"), "owner": organisation(to),
        "input": resources.iter().map(input).collect::<Vec<Value>>()})
}

async fn custody_passes_to_whom_it_is_offered_all_or_nothing(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let (a, b) = (site.created("RX1", &basic("a")).await, site.created("RX1", &basic("b")).await);
    let (a, b) = (format!("Basic/{a}"), format!("Basic/{b}"));
    let late = site.created("RX1", &transfer("RX2", &[&a, &b])).await;
    let task = site.created("RX1", &transfer("RX2", &[&b, &a, &b])).await;
    let home = site
        .created(
            "RX2",
            &transfer("QWO", &[&format!("Basic/{}", site.created("RX2", &basic("c")).await)]),
        )
        .await;
    for who in ["RX1", "QWO"] {
        ask(&site, who, &task, "accept").await.assert_refused(StatusCode::FORBIDDEN);
    }
    let done = ask(&site, "RX2", &task, "accept").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(done.json()["output"].as_array().unwrap().len(), 3);
    for path in [&a, &b] {
        let now = site.get("RX2", path).await.json();
        assert_eq!(
            (&now["meta"]["versionId"], &now["meta"]["tag"]),
            (&json!("2"), &json!([{"system": "urn:shared-record:custodian", "code": "RX2"}]))
        );
        let before = site.get("RX2", &format!("{path}/_history/1")).await.json();
        assert_eq!(before["meta"]["tag"][0]["code"], "RX1");
        let mut edited = now.clone();
        edited["code"]["text"] = json!("edited");
        site.put("RX1", path, &edited).await.assert_refused(StatusCode::FORBIDDEN);
        assert_eq!(site.put("RX2", path, &edited).await.status, StatusCode::OK);
    }
    let held = |code: &str| format!("Basic?_tag=urn:shared-record:custodian|{code}");
    assert_eq!(site.ids("RX1", &held("RX1")).await.len(), 0);
    assert_eq!(site.ids("RX1", &held("RX2")).await.len(), 3);
    // The other offer is void, and the region's own say nothing.
    ask(&site, "RX2", &late, "accept").await.assert_refused(StatusCode::CONFLICT);
    assert_eq!(site.get("RX1", &format!("Task/{late}")).await.json()["status"], "on-hold");
    assert_eq!(ask(&site, "QWO", &home, "accept").await.status, StatusCode::OK);
    assert_eq!(site.ids("RX1", &held("RX2")).await.len(), 2);
}

async fn custody_cannot_be_taken(kit: Kit) {
    let site = Site::of(kit, json!({"default": "any"})).await;
    let theirs = format!("Basic/{}", site.created("RX1", &basic("a")).await);
    let own = format!("Basic/{}", site.created("RX2", &basic("a")).await);
    for (to, resources, status) in [
        ("RX2", vec![&*theirs], 422),
        ("RX9", vec![&*theirs], 403),
        ("RX9", vec![&*own, &*theirs], 403),
        ("RX9", vec!["Basic/none"], 403),
        ("RX9", vec!["https://elsewhere.test/Basic/1"], 422),
        ("RX9", vec![], 422),
        ("RX9", vec![&*own; 101], 422),
    ] {
        let refused = site.post("RX2", "Task", &transfer(to, &resources)).await;
        assert_eq!(refused.status.as_u16(), status, "{resources:?}: {}", refused.text);
    }
    assert!(site.ids("RX1", "Task").await.is_empty());
    assert_eq!(site.get("RX1", &theirs).await.json()["meta"]["tag"][0]["code"], "RX1");
}

async fn transactions_hold_proposals_and_what_replaces(kit: Kit) {
    let site = Site::of(kit, json!({"types": {"Basic": "supersede", "Flag": "request"}})).await;
    let id = site.created("RX1", &basic("a")).await;
    let flag = json!({"resourceType": "Flag", "status": "active", "code": {"text": "f"},
        "subject": {"reference": "Patient/1"}});
    let flag_id = site.created("RX1", &flag).await;
    let entry = |url: &str, resource: &Value| {
        json!({"fullUrl": format!("http://a.test/{url}"), "resource": resource,
            "request": {"method": "PUT", "url": url}})
    };
    let (mut edited, mut flagged) = (basic("b"), flag.clone());
    edited["id"] = json!(id);
    flagged["id"] = json!(flag_id);
    flagged["status"] = json!("inactive");
    let (url, flag_url) = (format!("Basic/{id}"), format!("Flag/{flag_id}"));
    let linked = json!({"resourceType": "Basic", "code": {"text": "l"},
        "subject": {"reference": format!("http://a.test/{url}")}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        entry(&url, &edited),
        entry(&flag_url, &flagged),
        {"fullUrl": "urn:uuid:6b1f3b2c-0000-4000-8000-000000000001", "resource": linked,
            "request": {"method": "POST", "url": "Basic"}},
    ]});
    let done = site.post("RX2", "", &bundle).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let done = done.json();
    let at = |place: usize, member: &str| {
        done["entry"][place]["response"][member].as_str().unwrap_or_default().to_owned()
    };
    let (new, _) = at(0, "location")
        .rsplit_once("/_history")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert!(at(0, "status").starts_with("201") && new != url, "{done}");
    assert!(at(1, "status").starts_with("202") && at(1, "location").starts_with("Task/"), "{done}");
    let link = at(2, "location");
    let link = site.get("RX2", &link).await.json();
    // Whoever refers to what was sent refers to what was stored of it.
    assert_eq!(link["subject"]["reference"], json!(new));
    assert_eq!(site.get("RX2", &flag_url).await.json()["status"], "active");
    // Two entries about what is replaced are two about one resource.
    let own = json!({"request": {"method": "DELETE", "url": new}});
    let mut again = edited.clone();
    again["id"] = json!(new.trim_start_matches("Basic/"));
    let twice = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        own, entry(&new, &again)]});
    site.post("RX1", "", &twice).await.assert_refused(StatusCode::BAD_REQUEST);
    assert_eq!(site.get("RX2", &new).await.status, StatusCode::OK);
}

async fn of_many_who_accept_at_once_each_thing_is_done_once(kit: Kit) {
    let site = Site::of(kit, json!({})).await;
    let path = format!("Basic/{}", site.created("RX1", &basic("a")).await);
    // The same proposal, again and again; and what is offered to two, and proposed, all at once.
    let amendment = proposal(&format!("{path}/_history/1"), &patch("b"));
    let task = site.created("RX2", &amendment).await;
    let other = site.created("RX3", &amendment).await;
    let mut asked =
        vec![("RX1", task.clone()), ("RX1", task.clone()), ("RX1", task), ("RX1", other)];
    for to in ["RX2", "RX3"] {
        asked.push((to, site.created("RX1", &transfer(to, &[&path])).await));
    }
    let answers = join_all(asked.iter().map(|(who, task)| ask(&site, who, task, "accept"))).await;
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    }
    // Amended once, if that came before it was handed over; handed over once.
    let is_done = |at: &usize| answers[*at].status == 200;
    let (amended, taken) = ((0..4).filter(is_done).count(), (4..6).filter(is_done));
    let taken: Vec<usize> = taken.collect();
    assert!(amended <= 1 && taken.len() == 1, "{answers:?}");
    let now = site.get("RX1", &path).await.json();
    assert_eq!(now["meta"]["versionId"], json!((2 + amended).to_string()));
    let owner = asked[taken[0]].0;
    let tag = json!([{"system": "urn:shared-record:custodian", "code": owner}]);
    assert_eq!(now["meta"]["tag"], tag);
    assert_eq!(site.ids("RX1", "Provenance").await.len(), 1 + amended);
}

async fn an_offer_cannot_be_forged_out_of_another_task(kit: Kit) {
    let mut kit = kit;
    for policy in ["any", "supersede", "request"] {
        let site = Site::of(kit, json!({"types": {"Task": policy}})).await;
        let wanted = format!("Basic/{}", site.created("RX1", &basic("a")).await);
        let plain = json!({"resourceType": "Task", "status": "requested", "intent": "order"});
        // RX1 seems to offer RX2 what it has.
        let mut offer = transfer("RX2", &[&wanted]);
        offer["requester"] = organisation("RX1");
        offer["status"] = json!("requested");
        let replaced = put_over(&site, &plain, &offer).await;
        replaced.assert_refused(StatusCode::FORBIDDEN);
        let id = site.created("RX1", &plain).await;
        let patch: Vec<Value> = ["code", "requester", "owner", "input"]
            .map(|m| json!({"op": "add", "path": format!("/{m}"), "value": offer[m]}))
            .into();
        let patch = Value::from(patch);
        let headers = [("content-type", "application/json-patch+json")];
        let path = format!("Task/{id}");
        let patched = site.send("RX2", ("PATCH", &path), &headers, patch.to_string()).await;
        patched.assert_refused(StatusCode::FORBIDDEN);
        let change = change("application/json-patch+json", &patch);
        let proposed = proposal(&format!("{path}/_history/1"), &change);
        let proposed = site.post("RX2", "Task", &proposed).await;
        proposed.assert_refused(StatusCode::FORBIDDEN);
        offer["id"] = json!(id);
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": offer, "request": {"method": "PUT", "url": path}}]});
        site.post("RX2", "", &bundle).await.assert_refused(StatusCode::FORBIDDEN);
        let found = site.ids("RX1", &format!("Task?code={SYSTEM}|custody-transfer")).await;
        assert!(found.is_empty(), "{policy}: {found:?}");
        kit = site.kit;
    }
}

/// RX1 has a Task, and RX2 puts another text in its place.
async fn put_over(site: &Site, before: &Value, after: &Value) -> Response {
    let id = site.created("RX1", before).await;
    let mut after = after.clone();
    after["id"] = json!(id);
    site.put("RX2", &format!("Task/{id}"), &after).await
}
