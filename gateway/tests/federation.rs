//! One question to many regions: what the answer holds, and what it says is missing.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod beside;
mod directory;
mod everything;
mod faults;
mod identity;
mod merge;
mod pages;
mod streams;
mod world;

use std::sync::{Arc, Mutex, Weak};

use fhir::identifier::NHS_NUMBER;
use serde_json::json;
use tokio::sync::Semaphore;
use world::{
    Answer, Fake, NUMBER, Reply, World, directory_entry, fact, hub, locator, nobody, observation,
    patient, pointers, searchset,
};

/// HOME holds one Observation; FAR does as it is told.
async fn with_far(far: Reply) -> (World, Fake) {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let far = Fake::start(move |_| far.clone()).await;
    let locator = locator(&["HOME", "FAR"]).await;
    let regions = [home.region("HOME"), far.region("FAR")];
    let world = World::configured(&locator.origin, "deadline_ms = 1000", &regions).await;
    (world, far)
}

#[tokio::test]
async fn every_region_is_in_one_answer_newest_first() {
    let home = hub(vec![observation("a", "2026-01-01"), observation("b", "2026-03-01")]).await;
    let far = hub(vec![observation("a", "2026-02-01")]).await;
    let empty = hub(vec![]).await;
    let locator = locator(&["FAR", "HOME", "NIL"]).await;
    let regions = [home.region("HOME"), far.region("FAR"), empty.region("NIL")];
    let world = World::start(&locator.origin, &regions).await;
    let answer = world.observations("&code=1").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.ids(), ["HOME/b", "FAR/a", "HOME/a"]);
    assert_eq!(answer.body["total"], 3);
    assert_eq!(answer.body["meta"]["tag"][0]["code"], "complete");
    assert_eq!(answer.header("x-federation-complete"), "true");
    assert_eq!(answer.header("x-federation-regions"), "total=3,ok=3");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.issues().is_empty() && answer.includes().is_empty());
    let entry = &answer.matches()[1];
    assert_eq!(entry["fullUrl"], format!("{}/at/FAR/Observation/a", world.base));
    assert_eq!(entry["link"][0]["relation"], "canonical");
    assert_eq!(entry["link"][0]["url"], format!("{}/FHIR/R4/Observation/a", far.origin));
    assert_eq!(entry["resource"], observation("a", "2026-02-01"));
}

#[tokio::test]
async fn a_region_is_asked_by_post_and_told_who_asks_and_by_when() {
    let (world, far) = with_far(Reply::Json(200, searchset(&[]))).await;
    let url = format!("{}/Observation/_search", world.base);
    let form = format!(
        "patient%3Aidentifier={NHS_NUMBER}%7C{NUMBER}&code=1&_include=Observation%3Apatient"
    );
    let request = world.client.post(url).body(form);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = Answer::of(request.header("x-request-id", "r-1").send().await.unwrap()).await;
    assert_eq!((answer.status, answer.ids()), (200, vec!["HOME/a".to_owned()]));
    assert_eq!(answer.includes().len(), 1);
    let seen = &far.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/FHIR/R4/Observation/_search")
    );
    assert!(
        seen.body.starts_with("patient.identifier=https%3A%2F%2Ffhir.nhs.uk%2FId%2Fnhs-number%7C")
    );
    assert!(
        seen.body.ends_with("&code=1&_include=Observation%3Apatient&_count=1000"),
        "{}",
        seen.body
    );
    assert_eq!(seen.headers["x-request-id"], "r-1");
    assert_eq!(seen.headers["via"], "1.1 shared-record-gateway");
    let budget: u64 = seen.headers["x-request-timeout-ms"].to_str().unwrap().parse().unwrap();
    assert!(budget > 0 && budget <= 900, "{budget}");
    assert!(world.journal().contains(NUMBER), "the journal keeps what was asked");
}

#[tokio::test]
async fn a_silent_region_is_named_in_the_answer() {
    let (world, _far) = with_far(Reply::Silence).await;
    let started = std::time::Instant::now();
    let answer = world.observations("").await;
    assert!(started.elapsed().as_millis() < 1300, "{:?}", started.elapsed());
    assert_eq!((answer.status, answer.ids()), (200, vec!["HOME/a".to_owned()]));
    assert_eq!(answer.statuses(), ["timeout"]);
    assert!(answer.says("Region FAR (FAR) did not answer in time"));
    assert_eq!(answer.issues()[0]["code"], "timeout");
    assert_eq!(answer.body["entry"][0]["search"]["mode"], "outcome");
    assert!(answer.body.get("total").is_none());
    assert_eq!(answer.body["meta"]["tag"][0]["code"], "partial");
    assert_eq!(answer.header("x-federation-complete"), "false");
    assert_eq!(answer.header("x-federation-regions"), "total=2,ok=1,timeout=1");
}

#[tokio::test]
async fn a_callers_own_deadline_is_kept() {
    let home = Fake::start(|_| Reply::Silence).await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let url = format!("{}/Observation?patient.identifier={NHS_NUMBER}|{NUMBER}", world.base);
    let request = world.client.get(url).header("x-request-timeout-ms", "250");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("x-federation-regions"), "total=1,timeout=1");
}

#[tokio::test]
async fn whatever_a_region_does_wrong_is_named_and_nothing_of_it_is_shown() {
    let foreign = json!({"resourceType": "Bundle", "type": "searchset", "entry": [
        {"resource": observation("x", "2026-01-01"), "search": {"mode": "match"}},
        {"resource": patient("p", "9876543210"), "search": {"mode": "include"}},
    ]});
    let outcome = json!({"resourceType": "OperationOutcome", "issue": []});
    let cases = [
        (Reply::Json(503, outcome.clone()), "throttled"),
        (Reply::Json(429, outcome.clone()), "throttled"),
        (Reply::Json(500, outcome.clone()), "unreachable"),
        (Reply::Json(403, outcome.clone()), "refused"),
        (Reply::Json(200, outcome), "invalid"),
        (Reply::Json(302, json!({})), "invalid"),
        (Reply::Raw("text/html", "<html>login</html>"), "invalid"),
        (Reply::Raw("application/fhir+json", r#"{"resourceType":"Bundle","#), "invalid"),
        (Reply::Cut(r#"{"resourceType":"Bundle","type":"searchset","#), "invalid"),
        (Reply::Json(200, foreign), "wrong-patient"),
    ];
    for (reply, status) in cases {
        let shown = format!("{reply:?}");
        let (world, _far) = with_far(reply).await;
        let answer = world.observations("").await;
        assert_eq!((answer.status, answer.ids()), (200, vec!["HOME/a".to_owned()]), "{shown}");
        assert_eq!(answer.statuses(), [status], "{shown}");
        assert_eq!(answer.header("x-federation-regions"), format!("total=2,ok=1,{status}=1"));
        assert!(answer.body.get("total").is_none());
    }
}

#[tokio::test]
async fn a_region_where_nobody_listens_is_unreachable() {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["FAR"]).await;
    let regions = [home.region("HOME"), directory_entry("FAR", &nobody().await)];
    let world = World::start(&locator.origin, &regions).await;
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.statuses()), (200, vec!["unreachable"]));
}

#[tokio::test]
async fn a_custodian_outside_the_directory_is_named_and_a_pointers_url_is_never_dialled() {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["HOME", "ZZ9"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.statuses()), (200, vec!["unknown"]));
    assert!(answer.says("ZZ9"));
    assert_eq!(answer.header("x-federation-regions"), "total=2,ok=1,unknown=1");
}

#[tokio::test]
async fn a_pointer_that_cannot_be_read_makes_the_answer_incomplete_and_no_more() {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let mut answer = pointers(&["HOME", "FAR"]);
    answer["entry"][1]["resource"]["custodian"] = json!({"display": "someone"});
    let locator = Fake::start(move |_| Reply::Json(200, answer.clone())).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let answer = world.observations("").await;
    assert_eq!((answer.status, answer.ids().len()), (200, 1));
    assert_eq!(answer.header("x-federation-complete"), "false");
    assert!(answer.says("could not be read"));
}

#[tokio::test]
async fn without_a_locator_nothing_is_answered_unless_the_home_record_alone_was_wanted() {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let failing = Fake::start(|_| Reply::Json(500, json!({}))).await;
    let lying = Fake::start(|_| Reply::Raw("text/html", "<html>")).await;
    for origin in [failing.origin, lying.origin, nobody().await] {
        let regions = [home.region("HOME")];
        let strict = World::start(&origin, &regions).await;
        assert_eq!(strict.observations("").await.status, 503);
        let home_only = "without_locator = \"home-only\"";
        let world = World::configured(&origin, home_only, &regions).await;
        let answer = world.observations("").await;
        assert_eq!((answer.status, answer.ids().len()), (200, 1));
        assert_eq!(answer.header("x-federation-complete"), "false");
        assert!(answer.says("not known whether others hold a record"));
    }
}

#[tokio::test]
async fn when_no_region_answers_there_is_no_answer() {
    let silent = Fake::start(|_| Reply::Silence).await;
    let failing = Fake::start(|_| Reply::Json(500, json!({}))).await;
    let locator = locator(&["HOME", "FAR"]).await;
    for (far, status, regions) in [
        (silent.region("FAR"), 504, "total=2,timeout=2"),
        (failing.region("FAR"), 502, "total=2,timeout=1,unreachable=1"),
    ] {
        let all = [silent.region("HOME"), far];
        let world = World::configured(&locator.origin, "deadline_ms = 300", &all).await;
        let answer = world.observations("").await;
        assert_eq!((answer.status, answer.issues().len()), (status, 2));
        assert_eq!(answer.header("x-federation-regions"), regions);
    }
}

#[tokio::test]
async fn a_caller_who_needs_everything_gets_nothing_less() {
    let (world, _far) = with_far(Reply::Json(500, json!({}))).await;
    let answer = world.observations("&incomplete=error").await;
    assert_eq!((answer.status, answer.statuses()), (502, vec!["unreachable"]));
}

#[tokio::test]
async fn nobody_holding_a_record_is_said_in_words() {
    let home = hub(vec![]).await;
    let locator = locator(&[]).await;
    for regions in [vec![home.region("HOME")], vec![]] {
        let world = World::start(&locator.origin, &regions).await;
        let answer = world.observations("").await;
        assert_eq!((answer.status, &answer.body["total"]), (200, &json!(0)));
        assert_eq!(answer.header("x-federation-complete"), "true");
        assert!(answer.says("No region has registered a record"));
    }
}

#[tokio::test]
async fn a_regions_pages_are_followed_at_its_own_address_until_there_are_no_more() {
    let home = Fake::start(|request| {
        if request.target.contains("Patient") {
            return Reply::Json(200, searchset(&[]));
        }
        let mut page = match request.method.as_str() {
            "POST" => searchset(&[observation("a", "2026-01-01")]),
            _ => searchset(&[observation("b", "2026-01-02")]),
        };
        if request.method == "POST" {
            let next = "http://elsewhere.invalid/FHIR/R4/Observation?cursor=2";
            page["link"] = json!([{"relation": "next", "url": next}]);
        }
        Reply::Json(200, page)
    })
    .await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let answer = world.observations("").await;
    assert_eq!(answer.ids(), ["HOME/b", "HOME/a"]);
    assert_eq!(home.asked()[1].target, "/FHIR/R4/Observation?cursor=2");
}

#[tokio::test]
async fn a_region_that_fails_on_its_second_page_contributes_nothing() {
    let (world, _far) = {
        let far = Fake::start(|request| match request.method.as_str() {
            "POST" => {
                let mut page = searchset(&[observation("x", "2026-01-01")]);
                page["link"] = json!([{"relation": "next", "url": "Observation?cursor=2"}]);
                Reply::Json(200, page)
            }
            _ => Reply::Json(500, json!({})),
        })
        .await;
        let home = hub(vec![observation("a", "2026-01-01")]).await;
        let locator = locator(&["FAR"]).await;
        let regions = [home.region("HOME"), far.region("FAR")];
        (World::start(&locator.origin, &regions).await, far)
    };
    let answer = world.observations("").await;
    assert_eq!((answer.ids(), answer.statuses()), (vec!["HOME/a".to_owned()], vec!["unreachable"]));
}

#[tokio::test]
async fn the_same_fact_is_linked_folded_or_a_conflict() {
    let home = hub(vec![fact("a", "same", 1), fact("c", "other", 1)]).await;
    let far = hub(vec![fact("b", "SAME", 1), fact("d", "other", 2)]).await;
    let mut same = fact("b", "same", 1);
    same["text"] = json!({"status": "generated"});
    let near = hub(vec![same]).await;
    let locator = locator(&["HOME", "FAR", "NEAR"]).await;
    let regions = [home.region("HOME"), near.region("NEAR"), far.region("FAR")];
    let world = World::start(&locator.origin, &regions).await;
    let codes = |answer: &Answer| -> Vec<String> {
        let code = |issue: &&serde_json::Value| issue["code"].as_str().unwrap().to_owned();
        answer.issues().iter().map(code).collect()
    };
    let linked = world.observations("").await;
    assert_eq!(linked.matches().len(), 5);
    assert_eq!(codes(&linked), ["conflict", "duplicate", "duplicate"]);
    assert_eq!(linked.header("x-federation-complete"), "true");
    let folded = world.observations("&dedup=fold").await;
    assert_eq!((folded.matches().len(), &folded.body["total"]), (3, &json!(3)));
    let canonical = format!("{}/FHIR/R4/Observation/b", near.origin);
    assert!(folded.issues().iter().any(|issue| issue["expression"][1] == json!(canonical)));
    let off = world.observations("&dedup=off").await;
    assert_eq!((off.matches().len(), off.issues().len()), (5, 0));
    assert_eq!(world.observations("&dedup=maybe").await.status, 400);
}

#[tokio::test]
async fn only_the_total_is_given_if_only_the_total_is_wanted() {
    let home = hub(vec![observation("a", "2026-01-01")]).await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    for more in ["&_summary=count", "&_count=0"] {
        let answer = world.observations(more).await;
        assert_eq!((&answer.body["total"], answer.body.get("entry")), (&json!(1), None));
    }
}

#[tokio::test]
async fn what_is_not_executed_is_named_or_refused_as_the_caller_prefers() {
    let home = Fake::start(|_| {
        let mut page = searchset(&[observation("a", "2026-01-01")]);
        page["link"] = json!([{"relation": "self", "url": "http://h/Observation?patient.identifier=x&date=ge2020"}]);
        Reply::Json(200, page)
    })
    .await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let answer = world.observations("&_sort=code&date=ge2020&bogus=1").await;
    assert!(answer.says("_sort was left out") && answer.says("left out the parameter bogus"));
    let own = answer.body["link"][0]["url"].as_str().unwrap();
    assert!(own.ends_with("&date=ge2020"), "{own}");
    let url =
        format!("{}/Observation?patient.identifier={NHS_NUMBER}|{NUMBER}&_sort=code", world.base);
    let strict = world.client.get(url).header("prefer", "handling=strict");
    assert_eq!(strict.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_question_that_every_region_refuses_is_the_callers_mistake() {
    let issue = json!([{"severity": "error", "code": "value", "diagnostics": "date is no date."}]);
    let outcome = json!({"resourceType": "OperationOutcome", "issue": issue});
    let refusal = outcome.clone();
    let far = Fake::start(move |_| Reply::Json(400, refusal.clone())).await;
    let home = Fake::start(move |_| Reply::Json(400, outcome.clone())).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let answer = world.observations("&date=never").await;
    assert_eq!(answer.status, 400);
    assert!(answer.says("date is no date."));
}

#[tokio::test]
async fn questions_that_cannot_be_asked_say_how_to_ask() {
    let home = hub(vec![]).await;
    let locator = locator(&[]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    for (path, status, words) in [
        ("Observation?code=1", 400, "patient.identifier=system|number"),
        ("Observation?patient=1", 400, "Name the patient by number"),
        ("Observation?patient.identifier=9434765919", 400, "https://fhir.nhs.uk/Id/nhs-number"),
        ("Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|9434765918", 400, "check digit"),
        ("Patient/9434765919", 400, "at/{region}"),
        ("Practitioner?name=x", 400, "one patient"),
        ("Bogus?x=1", 404, "no resource type"),
        ("at/ZZ9/Patient/1", 404, "no region"),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.says(words), "{path}: {}", answer.body);
        assert!(!answer.body.to_string().contains("943476591"), "{path}");
    }
    assert!(home.seen().is_empty());
    let metadata = world.get("metadata").await;
    assert_eq!(metadata.body["resourceType"], "CapabilityStatement");
}

#[tokio::test]
async fn a_patient_is_found_by_number_and_shown() {
    let home = Fake::start(|_| {
        let entry = json!({"resource": patient("p", NUMBER), "search": {"mode": "match"}});
        Reply::Json(200, json!({"resourceType": "Bundle", "type": "searchset", "entry": [entry]}))
    })
    .await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let answer = world.get(&format!("Patient?identifier={NHS_NUMBER}|{NUMBER}")).await;
    assert_eq!((answer.status, answer.matches().len()), (200, 1));
}

#[tokio::test]
async fn a_resource_of_a_region_is_read_through_the_gateway_as_it_is() {
    let body = r#"{"resourceType":"Observation","id":"a",  "valueDecimal":1.00}"#;
    let far = Fake::start(move |request| match request.target.as_str() {
        "/FHIR/R4/Observation/a" | "/FHIR/R4/Observation/a/_history/3" => {
            Reply::Raw("application/fhir+json", body)
        }
        "/FHIR/R4/Observation/slow" => Reply::Silence,
        _ => Reply::Json(410, json!({"resourceType": "OperationOutcome", "issue": []})),
    })
    .await;
    let locator = locator(&[]).await;
    let regions = [far.region("FAR"), directory_entry("OFF", &nobody().await)];
    let world = World::configured(&locator.origin, "deadline_ms = 300", &regions).await;
    for path in ["at/FAR/Observation/a", "at/far/Observation/a/_history/3"] {
        let url = format!("{}/{path}", world.base);
        let response = world.client.get(url).send().await.unwrap();
        assert_eq!(response.headers()["etag"], "W/\"3\"");
        assert_eq!(response.text().await.unwrap(), body);
    }
    for (path, status) in [
        ("at/FAR/Observation/gone", 410),
        ("at/FAR/Observation/slow", 504),
        ("at/OFF/Observation/a", 502),
        ("at/FAR/Observation/a_b", 404),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.body["resourceType"], "OperationOutcome", "{path}");
    }
}

#[tokio::test]
async fn what_has_been_through_a_gateway_is_not_federated_again() {
    let home = hub(vec![]).await;
    let locator = locator(&[]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let url = format!("{}/Observation?patient.identifier={NHS_NUMBER}|{NUMBER}", world.base);
    let request = world.client.get(url).header("via", "1.1 shared-record-gateway");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 400);
    assert!(home.seen().is_empty());
}

#[tokio::test]
async fn questions_under_way_at_the_same_time_share_one_lookup_and_later_ones_do_not() {
    let home = hub(vec![]).await;
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let locator = Fake::start(move |_| Reply::Gated(closed.clone(), pointers(&["HOME"]))).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let both = async { tokio::join!(world.observations("&code=1"), world.observations("&code=2")) };
    let open = async {
        while home.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
    };
    let ((first, second), ()) = tokio::join!(both, open);
    assert_eq!((first.status, second.status, locator.seen().len()), (200, 200, 1));
    assert_eq!(world.observations("").await.status, 200);
    let lookups = locator.seen();
    assert_eq!(lookups.len(), 2);
    let asked = &lookups[0];
    assert_eq!(asked.target, "/consumer/FHIR/R4/DocumentReference/_search");
    assert_eq!(asked.headers["nhsd-end-user-organisation-ods"], "HOME");
    assert_eq!(asked.headers["x-request-id"].len(), 36);
    let criteria: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(criteria["subject:identifier"], format!("{NHS_NUMBER}|{NUMBER}"));
}

#[tokio::test]
async fn a_caller_who_goes_away_takes_the_questions_to_the_regions_along() {
    let token = Arc::new(Mutex::new(Weak::new()));
    let watched = token.clone();
    let home = Fake::start(move |_| {
        let held = Arc::new(());
        *watched.lock().unwrap() = Arc::downgrade(&held);
        Reply::Watched(held)
    })
    .await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let asked = async {
        while token.lock().unwrap().strong_count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = world.observations("") => unreachable!("the hub never answers"),
        () = asked => {}
    }
    let gone = async {
        while token.lock().unwrap().strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(5);
    tokio::time::timeout(limit, gone).await.unwrap();
}
