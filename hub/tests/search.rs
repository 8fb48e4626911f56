//! search: what is found, in which order, page by page.

use axum::body::Body;
use http::StatusCode;
use serde_json::Value;

use crate::kit::{Kit, link, matches, on_both_engines};

on_both_engines!(
    a_patients_facts_are_found_by_reference_and_by_number,
    tokens_have_four_forms_and_alternatives,
    dates_are_intervals,
    an_update_changes_what_a_resource_is_found_by,
    matches_come_newest_first_or_as_sorted,
    a_walk_shows_every_match_once,
    a_page_link_is_a_secret_that_cannot_be_bent,
    the_patient_goes_along_if_asked_for,
    a_search_by_post_is_the_same_search,
    totals_count_matches_on_all_pages,
    two_conditions_on_one_reference_both_hold,
    a_reference_by_our_own_url_is_to_this_record,
    an_old_number_finds_no_ones_facts,
    searches_that_cost_too_much_are_refused,
);

const NUMBER: &str = "https://fhir.nhs.uk/Id/nhs-number%7C9990000050";

async fn observation(kit: &Kit, id: &str, patient: &str, system: &str, code: &str, date: &str) {
    let body = format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"{system}","code":"{code}"}}]}},"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"{date}"}}"#
    );
    let created = kit.put(&format!("Observation/{id}"), &body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
}

async fn people(kit: &Kit) {
    let p = r#"{"resourceType":"Patient","id":"p","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000050"}]}"#;
    assert_eq!(kit.put("Patient/p", p).await.status, StatusCode::CREATED);
    kit.put("Patient/q", r#"{"resourceType":"Patient","id":"q"}"#).await;
    observation(kit, "a", "p", "urn:s", "c1", "2020-05-17").await;
    observation(kit, "b", "p", "urn:s", "c2", "2021").await;
    observation(kit, "c", "p", "urn:t", "c1", "2022-01-01T10:00:00+01:00").await;
    observation(kit, "d", "q", "urn:s", "c1", "2023-06").await;
}

async fn a_patients_facts_are_found_by_reference_and_by_number(kit: Kit) {
    people(&kit).await;
    for search in [
        "patient=p".to_owned(),
        "patient=Patient/p".to_owned(),
        "patient=http://hub.test/FHIR/R4/Patient/p".to_owned(),
        "subject=Patient/p".to_owned(),
        "subject:Patient=p".to_owned(),
        "subject=p".to_owned(),
        format!("patient.identifier={NUMBER}"),
        format!("subject.identifier={NUMBER}"),
        format!("subject:Patient.identifier={NUMBER}"),
        "patient.identifier=9990000050".to_owned(),
    ] {
        assert_eq!(kit.ids(&format!("Observation?{search}")).await, ["c", "b", "a"], "{search}");
    }
    for search in [
        "patient=nobody",
        "patient.identifier=9990000069",
        "subject:Group=p",
        "patient=p&patient=q",
    ] {
        let bundle = kit.search(&format!("Observation?{search}")).await;
        assert_eq!((&bundle["total"], &bundle["entry"]), (&0.into(), &Value::Null), "{search}");
    }
    assert_eq!(kit.ids(&format!("Patient?identifier={NUMBER}")).await, ["p"]);
    assert_eq!(kit.ids("Patient?_id=q,p,nobody").await, ["q", "p"]);
}

async fn tokens_have_four_forms_and_alternatives(kit: Kit) {
    people(&kit).await;
    for (search, expected) in [
        ("code=c1", vec!["d", "c", "a"]),
        ("code=urn:s%7Cc1", vec!["d", "a"]),
        ("code=urn:s%7C", vec!["d", "b", "a"]),
        ("code=%7Cc1", vec![]),
        ("code=urn:u%7Cc1", vec![]),
        ("code=C1", vec![]),
        ("code=c1,c2&patient=p", vec!["c", "b", "a"]),
        ("code=urn:t%7Cc1,c2&patient=p", vec!["c", "b"]),
        ("code=c1&status=final&patient=p", vec!["c", "a"]),
        ("code=c1&status=amended", vec![]),
        ("status=http://hl7.org/fhir/observation-status%7Cfinal&patient=q", vec!["d"]),
    ] {
        assert_eq!(kit.ids(&format!("Observation?{search}")).await, expected, "{search}");
    }
}

async fn dates_are_intervals(kit: Kit) {
    people(&kit).await;
    for (search, expected) in [
        ("date=2020", vec!["a"]),
        ("date=2020-05-17", vec!["a"]),
        ("date=2021-03", vec![]),
        ("date=2021", vec!["b"]),
        ("date=ge2021", vec!["d", "c", "b"]),
        ("date=gt2021", vec!["d", "c"]),
        ("date=lt2021", vec!["a"]),
        ("date=le2021", vec!["b", "a"]),
        ("date=sa2021", vec!["d", "c"]),
        ("date=eb2021", vec!["a"]),
        ("date=ne2021", vec!["d", "c", "a"]),
        ("date=2022-01-01T09:00:00Z", vec!["c"]),
        ("date=2022-01-01T10:00:00%2B01:00", vec!["c"]),
        ("date=2022-01-01T10:00:00+01:00", vec!["c"]),
        ("date=ge2020-06&date=lt2022&patient=p", vec!["b"]),
        ("date=2020,2021", vec!["b", "a"]),
        ("_lastUpdated=gt2020", vec!["d", "c", "b", "a"]),
        ("_lastUpdated=lt2020", vec![]),
    ] {
        assert_eq!(kit.ids(&format!("Observation?{search}")).await, expected, "{search}");
    }
}

async fn an_update_changes_what_a_resource_is_found_by(kit: Kit) {
    people(&kit).await;
    let body = r#"{"resourceType":"Observation","id":"a","status":"amended","code":{"coding":[{"system":"urn:s","code":"c9"}]},"subject":{"reference":"Patient/q"},"effectiveDateTime":"2024"}"#;
    assert_eq!(kit.put("Observation/a", body).await.status, StatusCode::OK);
    assert_eq!(kit.ids("Observation?patient=p").await, ["c", "b"]);
    assert_eq!(kit.ids("Observation?patient=q").await, ["a", "d"]);
    assert_eq!(kit.ids("Observation?code=c1").await, ["d", "c"]);
    assert_eq!(kit.ids("Observation?code=c9&patient=q&status=amended").await, ["a"]);
    assert_eq!(kit.ids("Observation?date=2020").await, Vec::<String>::new());
    kit.delete("Observation/a").await;
    for search in ["patient=q", "code=c9", "date=2024", "status=amended", ""] {
        let found = kit.ids(&format!("Observation?{search}")).await;
        assert!(!found.contains(&"a".to_owned()), "{search}: {found:?}");
    }
}

async fn matches_come_newest_first_or_as_sorted(kit: Kit) {
    people(&kit).await;
    for (search, expected) in [
        ("_sort=date", ["a", "b", "c", "d"]),
        ("_sort=-date", ["d", "c", "b", "a"]),
        ("_sort=_lastUpdated", ["a", "b", "c", "d"]),
        ("_sort=-_lastUpdated&status=final", ["d", "c", "b", "a"]),
    ] {
        assert_eq!(kit.ids(&format!("Observation?{search}")).await, expected, "{search}");
    }
}

async fn a_walk_shows_every_match_once(kit: Kit) {
    people(&kit).await;
    for number in 0..23 {
        let date = format!("2019-01-{:02}", number / 2 + 1);
        observation(&kit, &format!("w{number}"), "p", "urn:s", "walk", &date).await;
    }
    for search in [
        "code=walk",
        "patient=p&code=walk",
        "patient=p&code=walk&_sort=date",
        "code=walk&_sort=_lastUpdated",
    ] {
        let mut seen = Vec::new();
        let mut next = Some(format!("Observation?{search}&_count=5"));
        while let Some(url) = next {
            let page = kit.search(&url).await;
            assert!(matches(&page).len() <= 5);
            seen.extend(matches(&page));
            next = link(&page, "next");
        }
        let walked = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((walked, seen.len()), (23, 23), "{search}");
    }
}

async fn a_page_link_is_a_secret_that_cannot_be_bent(kit: Kit) {
    people(&kit).await;
    let page = kit.search(&format!("Observation?patient.identifier={NUMBER}&_count=1")).await;
    let next = link(&page, "next").unwrap();
    assert!(!next.contains("999") && !next.contains("identifier"), "{next}");
    for bent in
        [format!("{next}x"), format!("{next}&code=c1"), next.replace("Observation", "Condition")]
    {
        kit.get(&bent).await.assert_refused(StatusCode::BAD_REQUEST);
    }
}

async fn the_patient_goes_along_if_asked_for(kit: Kit) {
    people(&kit).await;
    for include in ["Observation:patient", "Observation:subject"] {
        let bundle = kit.search(&format!("Observation?code=c1&_include={include}")).await;
        let modes: Vec<(&str, &str)> = bundle["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["resource"]["id"].as_str().unwrap(), e["search"]["mode"].as_str().unwrap()))
            .collect();
        let expected =
            [("d", "match"), ("c", "match"), ("a", "match"), ("p", "include"), ("q", "include")];
        assert_eq!(modes, expected);
        assert_eq!(bundle["total"], 3);
    }
}

async fn a_search_by_post_is_the_same_search(kit: Kit) {
    people(&kit).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let url = "/FHIR/R4/Observation/_search?status=final";
    let body = format!("patient.identifier={NUMBER}&code=c1");
    let found = kit.send("POST", url, &form, body).await;
    assert_eq!(matches(&found.json()), ["c", "a"], "{}", found.text);
    let line = kit.journal().pop().unwrap();
    assert!(line["detail"].as_str().unwrap().contains("code=c1"), "{line}");
    let json = [("content-type", "application/json")];
    let refused = kit.send("POST", "/FHIR/R4/Observation/_search", &json, "{}").await;
    refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let wrong = kit.send("GET", "/FHIR/R4/Observation/_search", &[], Body::empty()).await;
    wrong.assert_refused(StatusCode::METHOD_NOT_ALLOWED);
}

async fn totals_count_matches_on_all_pages(kit: Kit) {
    people(&kit).await;
    assert_eq!(kit.search("Observation?_count=2&_total=accurate").await["total"], 4);
    assert_eq!(kit.search("Observation?_count=2").await["total"], Value::Null);
    assert_eq!(kit.search("Observation?_count=4").await["total"], 4);
    for search in ["Observation?_summary=count&code=c1", "Observation?_count=0&code=c1"] {
        let bundle = kit.search(search).await;
        assert_eq!((&bundle["total"], &bundle["entry"]), (&3.into(), &Value::Null), "{search}");
    }
}

async fn two_conditions_on_one_reference_both_hold(kit: Kit) {
    let body = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"performer":[{"reference":"Practitioner/1"},{"reference":"Organization/2"}]}"#;
    assert_eq!(kit.put("Observation/o", body).await.status, StatusCode::CREATED);
    let both = "Observation?performer=Practitioner/1&performer=Organization/2";
    assert_eq!(kit.ids(both).await, ["o"]);
    let one = "Observation?performer=Practitioner/1&performer=Organization/3";
    assert_eq!(kit.ids(one).await, Vec::<String>::new());
}

async fn a_reference_by_our_own_url_is_to_this_record(kit: Kit) {
    people(&kit).await;
    observation(&kit, "own", "p", "urn:s", "own", "2024").await;
    let body = r#"{"resourceType":"Observation","id":"own","status":"final","code":{"coding":[{"system":"urn:s"}]},"subject":{"reference":"http://hub.test/FHIR/R4/Patient/p"},"effectiveDateTime":"2024"}"#;
    assert_eq!(kit.put("Observation/own", body).await.status, StatusCode::OK);
    assert_eq!(kit.ids(&format!("Observation?patient.identifier={NUMBER}")).await[0], "own");
    // Its coding has a system alone.
    assert_eq!(kit.ids("Observation?code=urn:s%7C&patient=p").await, ["own", "b", "a"]);
    let bundle = kit.search("Observation?_id=own&_include=Observation:patient").await;
    assert_eq!(bundle["entry"][1]["resource"]["id"], "p");
}

async fn an_old_number_finds_no_ones_facts(kit: Kit) {
    people(&kit).await;
    let old = r#"{"resourceType":"Patient","id":"old","identifier":[{"use":"old","system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000050"}]}"#;
    assert_eq!(kit.put("Patient/old", old).await.status, StatusCode::CREATED);
    observation(&kit, "theirs", "old", "urn:s", "c1", "2024").await;
    let found = kit.ids(&format!("Observation?patient.identifier={NUMBER}")).await;
    assert_eq!(found, ["c", "b", "a"]);
}

async fn searches_that_cost_too_much_are_refused(kit: Kit) {
    let ids = vec!["a"; 500].join(",");
    let long = format!("Observation?code={}", "x".repeat(5_000));
    for search in ["Observation?code=%00".to_owned(), format!("Provenance?target={ids}"), long] {
        kit.get(&search).await.assert_refused(StatusCode::BAD_REQUEST);
    }
}
