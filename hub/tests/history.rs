//! History of a resource, a type and the record; conditional reads; HEAD.

use std::collections::HashSet;

use axum::body::Body;
use http::StatusCode;
use serde_json::Value;

use crate::kit::{Kit, Response, link, on_both_engines};

on_both_engines!(
    a_types_history_and_the_records_are_newest_first_and_name_deletions,
    a_walk_through_a_history_shows_each_version_once_whatever_is_written_meanwhile,
    since_and_at_choose_versions_by_when_they_were_current,
    a_history_counts_only_what_it_is_asked_to_count,
    what_a_history_does_not_know_is_left_out_or_refused,
    a_history_link_is_good_for_its_own_history_alone,
    a_read_that_knows_the_version_is_spared_the_body,
    head_is_get_without_the_body,
);

fn patient(id: &str, family: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}]}}"#)
}

fn organization(id: &str) -> String {
    format!(r#"{{"resourceType":"Organization","id":"{id}","name":"A"}}"#)
}

/// Method, id and version of each entry.
fn entries(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let name = |entry: &Value| {
        let method = entry["request"]["method"].as_str().unwrap();
        let id = entry["fullUrl"].as_str().unwrap().rsplit('/').next().unwrap();
        let version = entry["response"]["etag"].as_str().unwrap();
        format!("{method} {id} {}", version.trim_matches(|c| "W/\"".contains(c)))
    };
    entries.iter().map(name).collect()
}

async fn written(kit: &Kit) {
    kit.put("Patient/a", &patient("a", "One")).await;
    kit.put("Organization/o", &organization("o")).await;
    kit.put("Patient/b", &patient("b", "One")).await;
    kit.put("Patient/a", &patient("a", "Two")).await;
    kit.delete("Patient/b").await;
}

async fn a_types_history_and_the_records_are_newest_first_and_name_deletions(kit: Kit) {
    written(&kit).await;
    let patients = kit.search("Patient/_history").await;
    assert_eq!(entries(&patients), ["DELETE b 2", "PUT a 2", "PUT b 1", "PUT a 1"]);
    assert_eq!((&patients["type"], &patients["total"]), (&"history".into(), &4.into()));
    assert!(patients["entry"][0]["resource"].is_null());
    assert_eq!(patients["entry"][1]["resource"]["meta"]["versionId"], "2");
    assert_eq!(patients["entry"][1]["fullUrl"], "http://hub.test/FHIR/R4/Patient/a");
    let all = kit.search("_history").await;
    let expected = ["DELETE b 2", "PUT a 2", "PUT b 1", "PUT o 1", "PUT a 1"];
    assert_eq!(entries(&all), expected);
    assert_eq!(all["link"][0]["url"], "http://hub.test/FHIR/R4/_history");
    let none = kit.search("Basic/_history").await;
    assert_eq!((entries(&none).len(), &none["total"]), (0, &0.into()));
    assert!(none.get("entry").is_none());
    kit.get("Bogus/_history").await.assert_refused(StatusCode::NOT_FOUND);
    kit.get("Patient/c/_history").await.assert_refused(StatusCode::NOT_FOUND);
}

async fn a_walk_through_a_history_shows_each_version_once_whatever_is_written_meanwhile(kit: Kit) {
    for round in 0..3 {
        for id in ["a", "b", "c"] {
            kit.put(&format!("Patient/{id}"), &patient(id, &format!("R{round}"))).await;
        }
    }
    for history in ["Patient/_history", "_history", "Patient/a/_history"] {
        let before: HashSet<String> = entries(&kit.search(history).await).into_iter().collect();
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut page = kit.search(&format!("{history}?_count=2")).await;
        loop {
            seen.extend(entries(&page));
            // Each write moves a version from the current ones to the replaced ones.
            kit.put("Patient/a", &patient("a", &format!("{history}{pages}"))).await;
            pages += 1;
            let Some(next) = link(&page, "next") else { break };
            page = kit.search(&next).await;
        }
        let unique: HashSet<String> = seen.iter().cloned().collect();
        assert_eq!(unique.len(), seen.len(), "{history}: {seen:?}");
        assert_eq!(unique, before, "{history}");
        assert!(pages > 1);
    }
}

async fn since_and_at_choose_versions_by_when_they_were_current(kit: Kit) {
    written(&kit).await;
    let history = kit.search("Patient/a/_history").await;
    let instant = |entry: usize| {
        history["entry"][entry]["response"]["lastModified"].as_str().unwrap().to_owned()
    };
    let (second, first) = (instant(0), instant(1));
    for (history, expected) in [
        (format!("Patient/a/_history?_since={second}"), vec!["PUT a 2"]),
        (format!("Patient/a/_history?_since={first}"), vec!["PUT a 2", "PUT a 1"]),
        (format!("Patient/a/_history?_at={first}"), vec!["PUT a 1"]),
        (format!("Patient/a/_history?_at={second}"), vec!["PUT a 2"]),
        (format!("Patient/_history?_at={second}"), vec!["PUT a 2", "PUT b 1"]),
        (format!("_history?_at={second}"), vec!["PUT a 2", "PUT b 1", "PUT o 1"]),
        (format!("_history?_since={second}"), vec!["DELETE b 2", "PUT a 2"]),
        ("_history?_at=2001".into(), vec![]),
        ("Patient/a/_history?_since=2999-01-01T00:00:00Z".into(), vec![]),
        ("Patient/a/_history?_since=2020-01-01T00:00:00+01:00".into(), vec!["PUT a 2", "PUT a 1"]),
    ] {
        assert_eq!(entries(&kit.search(&history).await), expected, "{history}");
    }
    let year = &first[..4];
    assert_eq!(entries(&kit.search(&format!("Patient/_history?_at={year}")).await).len(), 4);
    for bad in ["_since=notadate", "_at=2000-13", "_count=-1", "_count=x", "_total=many"] {
        let refused = kit.get(&format!("Patient/_history?{bad}")).await;
        let outcome = refused.assert_refused(StatusCode::BAD_REQUEST);
        let name = bad.split('=').next().unwrap();
        assert_eq!(outcome["issue"][0]["expression"][0], name, "{bad}");
    }
}

async fn a_history_counts_only_what_it_is_asked_to_count(kit: Kit) {
    written(&kit).await;
    for (history, total) in [
        ("Patient/_history?_count=1", Value::Null),
        ("Patient/_history?_count=1&_total=accurate", 4.into()),
        ("_history?_count=0", 5.into()),
        ("_history?_summary=count", 5.into()),
        ("Patient/a/_history?_count=1", 2.into()),
        ("Patient/a/_history?_count=0&_since=2999", 0.into()),
    ] {
        let page = kit.search(history).await;
        assert_eq!(page["total"], total, "{history}");
    }
}

async fn what_a_history_does_not_know_is_left_out_or_refused(kit: Kit) {
    written(&kit).await;
    let lenient = kit.search("Patient/_history?bogus=1&_count=7").await;
    assert_eq!(link(&lenient, "self").unwrap(), "Patient/_history?_count=7");
    let strict = [("prefer", "handling=strict")];
    let url = "/FHIR/R4/Patient/_history?bogus=1";
    kit.send("GET", url, &strict, Body::empty()).await.assert_refused(StatusCode::BAD_REQUEST);
    let sorted = kit.get("Patient/_history?_list=List/1").await;
    sorted.assert_refused(StatusCode::BAD_REQUEST);
}

async fn a_history_link_is_good_for_its_own_history_alone(kit: Kit) {
    written(&kit).await;
    let page = kit.search("Patient/_history?_count=1").await;
    let next = link(&page, "next").unwrap();
    let cursor = next.split_once('?').unwrap().1;
    for other in ["_history", "Organization/_history", "Patient/a/_history", "Patient"] {
        let refused = kit.get(&format!("{other}?{cursor}")).await;
        refused.assert_refused(StatusCode::BAD_REQUEST);
    }
    kit.get(&format!("{next}&_count=2")).await.assert_refused(StatusCode::BAD_REQUEST);
    kit.get("_history?_cursor=forged").await.assert_refused(StatusCode::BAD_REQUEST);
}

async fn a_read_that_knows_the_version_is_spared_the_body(kit: Kit) {
    written(&kit).await;
    let read = kit.get("Patient/a").await;
    let modified = read.header("last-modified").to_owned();
    let get = async |path: &str, headers: &[(&str, &str)]| -> Response {
        kit.send("GET", &format!("/FHIR/R4/{path}"), headers, Body::empty()).await
    };
    let later = "Fri, 31 Dec 2100 23:59:59 GMT";
    let long_ago = "Sat, 01 Jan 2000 00:00:00 GMT";
    for (headers, status) in [
        (vec![("if-none-match", "W/\"2\"")], 304),
        (vec![("if-none-match", "\"2\"")], 304),
        (vec![("if-none-match", "W/\"1\", W/\"2\"")], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "W/\"1\"")], 200),
        (vec![("if-modified-since", modified.as_str())], 304),
        (vec![("if-modified-since", later)], 304),
        (vec![("if-modified-since", long_ago)], 200),
        (vec![("if-modified-since", "yesterday")], 200),
        (vec![("if-none-match", "W/\"1\""), ("if-modified-since", later)], 200),
        (vec![("if-none-match", "W/\"2\""), ("if-modified-since", long_ago)], 304),
    ] {
        for path in ["Patient/a", "Patient/a/_history/2"] {
            let answer = get(path, &headers).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {headers:?}");
            assert_eq!((answer.etag(), answer.header("last-modified")), ("W/\"2\"", &*modified));
            assert_eq!(answer.text.is_empty(), status == 304);
        }
    }
    let first = get("Patient/a/_history/1", &[("if-none-match", "W/\"1\"")]).await;
    assert_eq!((first.status, first.etag()), (StatusCode::NOT_MODIFIED, "W/\"1\""));
    get("Patient/b", &[("if-none-match", "*")]).await.assert_refused(StatusCode::GONE);
}

async fn head_is_get_without_the_body(kit: Kit) {
    written(&kit).await;
    for path in ["Patient/a", "Patient?_id=a", "Patient/a/_history", "metadata", "Patient/nobody"] {
        let url = format!("/FHIR/R4/{path}");
        let get = kit.send("GET", &url, &[], Body::empty()).await;
        let head = kit.send("HEAD", &url, &[], Body::empty()).await;
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        for name in ["content-type", "etag", "last-modified", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert_eq!(head.header("content-length"), get.text.len().to_string(), "{path}");
    }
    let heads = kit.journal().iter().filter(|line| line["method"] == "HEAD").count();
    assert_eq!(heads, 4);
}
