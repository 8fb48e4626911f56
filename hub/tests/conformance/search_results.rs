//! Includes, summaries, counts, links and order.

use std::collections::BTreeSet;

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};
use service::clock::Clock;

use super::fixtures::{
    assert_finds, assert_one_of, assert_searches_refused, coded, fact, family, identified, in_mode,
    observation, patient, process, put, resource, search, send, store, transaction, url,
};
use crate::kit::{Kit, link, matches, on_both_engines};

on_both_engines!(
    what_is_included_is_no_match_and_comes_once,
    includes_are_followed_as_far_as_was_asked,
    includes_that_do_not_fit_are_never_left_out_in_silence,
    a_summary_says_that_it_is_one,
    what_was_cut_is_not_stored_back,
    a_count_is_a_number_within_bounds,
    page_links_are_our_own_public_url,
    a_search_by_post_joins_its_url_and_its_form,
    the_self_link_says_what_was_executed,
    matches_are_sorted_by_every_key_with_missing_values_last,
    an_unknown_sort_key_is_refused_or_not_claimed,
    last_updated_is_compared_below_the_second,
);

async fn what_is_included_is_no_match_and_comes_once(kit: Kit) {
    store(&kit, [patient("p", json!({})), fact("a", "Patient/p", "c")]).await;
    store(&kit, [fact("b", "Patient/p", "c"), fact("c", "Patient/p", "c")]).await;
    for include in [
        "_include=Observation:subject",
        "_include=Observation:subject:Patient",
        "_include=Observation:patient&_include=Observation:subject",
    ] {
        let path = format!("Observation?code=c&_count=2&_total=accurate&{include}");
        let bundle = kit.search(&path).await;
        assert_eq!(matches(&bundle).len(), 2, "{include}");
        assert_eq!(in_mode(&bundle, "include"), ["p"], "{include}");
        assert_eq!(bundle["total"], 3, "{include}");
        let next = kit.search(&link(&bundle, "next").unwrap()).await;
        assert_eq!((matches(&next).len(), in_mode(&next, "include")), (1, vec!["p".to_owned()]));
    }
    let other_type = kit.search("Observation?code=c&_include=Observation:subject:Group").await;
    assert_eq!(in_mode(&other_type, "include"), Vec::<String>::new());
    let bundle = kit.search("Patient?_id=p&_revinclude=Observation:subject&_total=accurate").await;
    let included: BTreeSet<String> = in_mode(&bundle, "include").into_iter().collect();
    assert_eq!(included, ["a", "b", "c"].map(str::to_owned).into());
    assert_eq!((bundle["total"].clone(), matches(&bundle)), (json!(1), vec!["p".to_owned()]));
    let bad = [
        "Observation?_include=Bogus:x",
        "Observation?_include=Observation:bogus",
        "Observation?_include=Observation:code",
        "Patient?_revinclude=Bogus:x",
        "Patient?_revinclude=Observation:bogus",
    ];
    assert_searches_refused(&kit, &bad).await;
}

async fn includes_are_followed_as_far_as_was_asked(kit: Kit) {
    let members = json!({"managingOrganization": {"reference": "Organization/o"}});
    let part = json!({"name": "o", "partOf": {"reference": "Organization/parent"}});
    store(
        &kit,
        [
            resource("Organization", "parent", json!({"name": "parent"})),
            resource("Organization", "o", part),
            patient("p", members),
            fact("a", "Patient/p", "c"),
        ],
    )
    .await;
    for (query, expected) in [
        ("_include=Observation:patient", vec!["p"]),
        ("_include=Observation:patient&_include:iterate=Patient:organization", vec!["o", "p"]),
        (
            "_include=Observation:patient&_include:iterate=Patient:organization\
             &_include:iterate=Organization:partof",
            vec!["o", "p", "parent"],
        ),
    ] {
        let bundle = kit.search(&search(&format!("Observation?_id=a&{query}"))).await;
        let mut included = in_mode(&bundle, "include");
        included.sort();
        assert_eq!(included, expected, "{query}");
    }
    let query = "Organization?_id=o&_revinclude=Patient:organization&_revinclude:iterate=Observation:patient";
    let mut included = in_mode(&kit.search(&search(query)).await, "include");
    included.sort();
    assert_eq!(included, ["a", "p"]);
    // A circle ends.
    let own = json!({"name": "circle", "partOf": {"reference": "Organization/circle"}});
    store(&kit, [resource("Organization", "circle", own)]).await;
    let circle = "Organization?_id=circle&_include:iterate=Organization:partof";
    let bundle = kit.search(&search(circle)).await;
    assert_eq!((matches(&bundle).len(), in_mode(&bundle, "include").len()), (1, 0));
}

async fn includes_that_do_not_fit_are_never_left_out_in_silence(kit: Kit) {
    let many = (0..1_100).map(|n| {
        let id = format!("o{n}");
        send("PUT", &format!("Observation/{id}"), fact(&id, "Patient/p", "c"))
    });
    let patient = [send("PUT", "Patient/p", patient("p", json!({})))];
    process(&kit, &transaction(&many.chain(patient).collect::<Vec<_>>())).await;
    let bundle = kit.search("Patient?_id=p&_revinclude=Observation:subject").await;
    let included: BTreeSet<String> = in_mode(&bundle, "include").into_iter().collect();
    let told = !in_mode(&bundle, "outcome").is_empty() || link(&bundle, "next").is_some();
    assert!(included.len() == 1_100 || told, "{} and not a word", included.len());
}

async fn a_summary_says_that_it_is_one(kit: Kit) {
    let div = r#"<div xmlns="http://www.w3.org/1999/xhtml">Ann</div>"#;
    let members = json!({"gender": "female", "birthDate": "2000", "name": [{"family": "Ann"}],
        "maritalStatus": {"text": "single"}, "text": {"status": "generated", "div": div}});
    store(&kit, [patient("p", members)]).await;
    let timed = json!({"effectiveDateTime": "2020", "subject": {"reference": "Patient/p"},
        "note": [{"text": "n"}], "code": coded("c")});
    store(&kit, [observation("o", timed)]).await;
    let has = ["gender", "birthDate", "name", "maritalStatus", "text"];
    for (path, kept) in [
        ("Patient?_elements=gender", "gender"),
        ("Patient?_elements=gender,birthDate", "gender birthDate"),
        ("Patient?_summary=text", "text"),
        ("Patient?_summary=data", "gender birthDate name maritalStatus"),
        ("Patient?_summary=true", "gender birthDate name"),
    ] {
        let resource = kit.search(path).await["entry"][0]["resource"].clone();
        let kept: Vec<&str> = kept.split(' ').collect();
        for member in has {
            assert_eq!(
                resource.get(member).is_some(),
                kept.contains(&member),
                "{path}: {resource}"
            );
        }
        assert_eq!((&resource["resourceType"], &resource["id"]), (&json!("Patient"), &json!("p")));
        assert!(is_subsetted(&resource), "{path}: {resource}");
    }
    let resource =
        kit.search("Observation?_elements=subject").await["entry"][0]["resource"].clone();
    for (member, kept) in [
        ("status", true),
        ("code", true),
        ("subject", true),
        ("effectiveDateTime", false),
        ("note", false),
    ] {
        assert_eq!(resource.get(member).is_some(), kept, "{member}: {resource}");
    }
    let whole = kit.search("Patient?_summary=false").await["entry"][0]["resource"].clone();
    assert!(!is_subsetted(&whole), "{whole}");
    assert_eq!(whole, kit.search("Patient/p").await);
    let counted = kit.search("Patient?_summary=count&gender=female").await;
    assert_eq!((&counted["total"], &counted["entry"]), (&json!(1), &Value::Null));
    assert!(url(&counted, "self").contains("gender=female"));
    assert_searches_refused(&kit, &["Patient?_summary=bogus"]).await;
}

fn is_subsetted(resource: &Value) -> bool {
    let system = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
    let tags = resource["meta"]["tag"].as_array().cloned().unwrap_or_default();
    tags.iter().any(|tag| tag["system"] == system && tag["code"] == "SUBSETTED")
}

async fn what_was_cut_is_not_stored_back(kit: Kit) {
    store(&kit, [patient("p", json!({"gender": "female", "birthDate": "2000"}))]).await;
    let tag = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED"});
    let cut = patient("p", json!({"gender": "female", "meta": {"tag": [tag]}}));
    assert_one_of(&kit.put("Patient/p", &cut.to_string()).await, &[400, 422]);
    let entry = send("PUT", "Patient/p", cut);
    assert_one_of(&kit.post("", &transaction(&[entry])).await, &[400, 422]);
    assert_eq!(kit.search("Patient/p").await["birthDate"], "2000");
}

async fn a_count_is_a_number_within_bounds(kit: Kit) {
    store(&kit, [family("a", "A"), family("b", "B"), family("c", "C")]).await;
    let zero = kit.search("Patient?_count=0").await;
    assert_eq!((&zero["total"], &zero["entry"]), (&json!(3), &Value::Null));
    assert_eq!(link(&zero, "next"), None, "{zero}");
    let bad =
        ["Patient?_count=-1", "Patient?_count=abc", "Patient?_count=1.5", "Patient?_total=bogus"];
    assert_searches_refused(&kit, &bad).await;
    for asked in ["100000", "99999999999999999999"] {
        let answer = kit.get(&format!("Patient?_count={asked}")).await;
        if answer.status == StatusCode::BAD_REQUEST {
            // It is no number of any count.
            assert!(asked.len() > 19, "{}", answer.text);
            continue;
        }
        let own = url(&answer.json(), "self");
        let (_, count) = own.split_once("_count=").unwrap();
        let count: u64 = count.split('&').next().unwrap().parse().unwrap();
        assert!((3..=10_000).contains(&count), "{own}");
    }
}

async fn page_links_are_our_own_public_url(kit: Kit) {
    store(&kit, [family("a", "A"), family("b", "B"), family("c", "C")]).await;
    let proxied = [
        ("host", "inside.test:8401"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.test;proto=https"),
    ];
    for path in ["Patient?_count=1", "Patient/a/_history?_count=1"] {
        let answer = kit.send("GET", &format!("/FHIR/R4/{path}"), &proxied, Body::empty()).await;
        let bundle = answer.json();
        let links = bundle["link"].as_array().unwrap();
        assert!(!links.is_empty());
        for link in links {
            let url = link["url"].as_str().unwrap();
            assert!(url.starts_with("http://hub.test/FHIR/R4/Patient"), "{url}");
        }
        let full_url = bundle["entry"][0]["fullUrl"].as_str().unwrap();
        assert!(full_url.starts_with("http://hub.test/FHIR/R4/Patient/"), "{full_url}");
    }
}

async fn a_search_by_post_joins_its_url_and_its_form(kit: Kit) {
    let person = |id: &str, gender: &str, given: &[&str]| {
        patient(
            id,
            json!({"gender": gender, "name": [{"given": given}],
            "identifier": [{"system": "urn:s", "value": "x"}]}),
        )
    };
    store(&kit, [person("a", "male", &["Al", "Bo"]), person("b", "female", &["Al"])]).await;
    store(&kit, [patient("c", json!({"gender": "male"}))]).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for (query, body, expected) in [
        ("?gender=male", "identifier=x", vec!["a"]),
        ("", "gender=male&identifier=urn%3As%7Cx", vec!["a"]),
        ("?given=Al", "given=Bo", vec!["a"]),
        ("?given=Al", "", vec!["a", "b"]),
        ("?gender=male", "gender=female", vec![]),
    ] {
        let url_asked = format!("/FHIR/R4/Patient/_search{query}");
        let answer = kit.send("POST", &url_asked, &form, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{query} {body}: {}", answer.text);
        let bundle = answer.json();
        let mut found = matches(&bundle);
        found.sort();
        assert_eq!(found, expected, "{query} {body}");
        let own = url(&bundle, "self");
        assert!(own.starts_with("http://hub.test/FHIR/R4/Patient?"), "{own}");
        let mut again = matches(&kit.search(&link(&bundle, "self").unwrap()).await);
        again.sort();
        assert_eq!(again, expected, "{own}");
    }
    let json = [("content-type", "application/fhir+json")];
    let refused = kit.send("POST", "/FHIR/R4/Patient/_search", &json, "{}").await;
    refused.assert_refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

async fn the_self_link_says_what_was_executed(kit: Kit) {
    let empty = kit.search("Patient?identifier=urn:s%7Cnever&_sort=family").await;
    assert!(empty.get("entry").is_none(), "{empty}");
    assert_eq!((&empty["total"], &empty["type"]), (&json!(0), &json!("searchset")));
    store(&kit, [identified("a", "urn:s", "v,w")]).await;
    let asked = r"Patient?identifier=urn:s|v\,w&_sort=-birthdate&_count=5&gender:missing=true";
    let bundle = kit.search(&search(asked)).await;
    assert_eq!(matches(&bundle), ["a"]);
    let own = url(&bundle, "self");
    let decoded: Vec<(String, String)> =
        url::Url::parse(&own).unwrap().query_pairs().into_owned().collect();
    for pair in [
        ("identifier", r"urn:s|v\,w"),
        ("_sort", "-birthdate"),
        ("_count", "5"),
        ("gender:missing", "true"),
    ] {
        assert!(decoded.iter().any(|(n, v)| (&**n, &**v) == pair), "{pair:?}: {own}");
    }
    kit.get("Bogus?a=b").await.assert_refused(StatusCode::NOT_FOUND);
}

async fn matches_are_sorted_by_every_key_with_missing_values_last(kit: Kit) {
    let person = |id: &str, members: Value| patient(id, members);
    store(
        &kit,
        [
            person("a", json!({"birthDate": "2001-01-01", "name": [{"family": "Same"}]})),
            person("b", json!({"birthDate": "2000-01-01", "name": [{"family": "Same"}]})),
            person("c", json!({"birthDate": "2000-01-01", "name": [{"family": "Älter"}]})),
            person("d", json!({"name": [{"family": "zed"}]})),
            person("e", json!({"birthDate": "1999", "gender": "male"})),
        ],
    )
    .await;
    for (sort, expected) in [
        ("birthdate,_id", "e b c a d"),
        ("-birthdate,_id", "a b c e d"),
        ("-birthdate,-_id", "a c b e d"),
        ("family,birthdate,_id", "c b a d e"),
        ("family,-birthdate", "c a b d e"),
        ("-family,birthdate", "d b a c e"),
        ("_id", "a b c d e"),
        ("-_id", "e d c b a"),
        ("_lastUpdated,_id", "a b c d e"),
        ("gender,-_id", "e d c b a"),
    ] {
        let found = kit.ids(&format!("Patient?_sort={sort}")).await;
        assert_eq!(found.join(" "), expected, "{sort}");
    }
    assert_finds(&kit, "Patient", &[("_id=a,b,nobody", "a b"), ("_id=a&_id=b", "")]).await;
}

async fn an_unknown_sort_key_is_refused_or_not_claimed(kit: Kit) {
    store(&kit, [family("a", "A"), family("b", "B")]).await;
    for sort in ["colour", "-date,_id", "family,colour"] {
        let url_asked = format!("/FHIR/R4/Patient?_sort={sort}");
        let strict = [("prefer", "handling=strict")];
        let refused = kit.send("GET", &url_asked, &strict, Body::empty()).await;
        refused.assert_refused(StatusCode::BAD_REQUEST);
        let lenient = kit.get(&format!("Patient?_sort={sort}")).await;
        if lenient.status == StatusCode::OK {
            let own = url(&lenient.json(), "self");
            assert!(!own.contains("colour") && !own.contains("date"), "{own}");
            assert_eq!(in_mode(&lenient.json(), "outcome").len(), 1, "{}", lenient.text);
        } else {
            lenient.assert_refused(StatusCode::BAD_REQUEST);
        }
    }
}

async fn last_updated_is_compared_below_the_second(kit: Kit) {
    // 2020-01-01T00:00:00.100Z and a fifth of a second later.
    let clock = Clock::fixed(1_577_836_800_100_000);
    let kit = kit.reopened(|_| {}, clock.clone()).await;
    let first = put(&kit, &patient("a", json!({}))).await.json();
    assert_eq!(first["meta"]["lastUpdated"], "2020-01-01T00:00:00.100Z");
    let Clock::Fixed(micros) = &clock else { unreachable!("it was made so") };
    micros.store(1_577_836_800_300_000, std::sync::atomic::Ordering::Relaxed);
    put(&kit, &patient("b", json!({}))).await;
    let table = [
        ("_lastUpdated=gt2020-01-01T00:00:00.100Z", "b"),
        ("_lastUpdated=ge2020-01-01T00:00:00.100Z", "a b"),
        ("_lastUpdated=ge2020-01-01T00:00:00.101Z", "b"),
        ("_lastUpdated=lt2020-01-01T00:00:00.300Z", "a"),
        ("_lastUpdated=2020-01-01T00:00:00.300Z", "b"),
        ("_lastUpdated=2020-01-01T00:00:00Z", "a b"),
        ("_lastUpdated=gt2020-01-01T00:00:00Z", ""),
        ("_lastUpdated=ge2020-01-01T01:00:00.300+01:00", "b"),
        ("_lastUpdated=gt2019-12-31", "a b"),
        ("_lastUpdated=2020-01", "a b"),
        ("_lastUpdated=gt2020-01-01", ""),
    ];
    assert_finds(&kit, "Patient", &table).await;
}
