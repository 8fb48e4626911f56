//! References, chains and compartments.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};

use super::fixtures::{
    assert_finds, assert_searches_refused, coded, fact, family, in_mode, observation, patient,
    process, resource, search, send, store, transaction,
};
use crate::kit::{Kit, link, matches, on_both_engines};

on_both_engines!(
    every_spelling_of_a_reference_finds_the_same,
    a_chain_asks_the_resource_referred_to,
    a_reverse_chain_asks_the_resources_that_refer,
    a_chain_never_confuses_types_that_share_an_id,
    a_compartment_is_what_its_definition_says,
    everything_about_a_patient_comes_once_however_much_there_is,
);

async fn every_spelling_of_a_reference_finds_the_same(kit: Kit) {
    store(&kit, [patient("a", json!({})), patient("b", json!({}))]).await;
    store(
        &kit,
        [
            fact("relative", "Patient/a", "c"),
            fact("absolute", "http://hub.test/FHIR/R4/Patient/a", "c"),
            fact("versioned", "Patient/a/_history/1", "c"),
            fact("group", "Group/g", "c"),
            fact("external", "https://elsewhere.test/fhir/Patient/a", "c"),
            fact("other", "Patient/b", "c"),
            observation(
                "logical",
                json!({"subject": {"identifier": {"system": "urn:s", "value": "v"}}}),
            ),
        ],
    )
    .await;
    let own = "relative absolute versioned";
    let table = [
        ("subject=a", own),
        ("subject=Patient/a", own),
        ("subject=http://hub.test/FHIR/R4/Patient/a", own),
        ("subject:Patient=a", own),
        ("subject:Patient=Patient/a", own),
        ("patient=a", own),
        ("patient=Patient/a", own),
        ("subject:Group=a", ""),
        ("subject:Group=g", "group"),
        ("subject=Group/g", "group"),
        ("patient=g", ""),
        ("subject=https://elsewhere.test/fhir/Patient/a", "external"),
        ("subject=https://elsewhere.test/fhir/Patient/", ""),
        ("subject:identifier=urn:s|v", "logical"),
        ("subject:identifier=v", "logical"),
        ("subject:identifier=urn:t|v", ""),
        ("subject=a,b", "relative absolute versioned other"),
        ("subject=Patient/A", ""),
    ];
    assert_finds(&kit, "Observation", &table).await;
}

/// Two Organizations, a Patient of each, and a fact about each Patient.
async fn chained(kit: &Kit) {
    for (organisation, name, person, person_name, fact_id, code) in [
        ("leeds", "Leeds", "ann", "Chain", "o-ann", "c"),
        ("york", "York", "bob", "Link", "o-bob", "d"),
    ] {
        store(
            kit,
            [
                resource("Organization", organisation, json!({"name": name})),
                patient(
                    person,
                    json!({"name": [{"family": person_name, "given": ["Same"]}],
                "managingOrganization": {"reference": format!("Organization/{organisation}")}}),
                ),
                fact(fact_id, &format!("Patient/{person}"), code),
            ],
        )
        .await;
    }
}

async fn a_chain_asks_the_resource_referred_to(kit: Kit) {
    chained(&kit).await;
    let table = [
        ("subject:Patient.family=Chain", "o-ann"),
        ("subject:Patient.name=chai", "o-ann"),
        ("patient.family=Chain", "o-ann"),
        ("patient.family=Chain,Link", "o-ann o-bob"),
        ("patient.given=Same", "o-ann o-bob"),
        ("patient.given=Same&code=d", "o-bob"),
        ("patient.family=Chain&patient.given=Other", ""),
        ("patient.organization.name=Leeds", "o-ann"),
        ("subject:Patient.organization.name=York", "o-bob"),
        ("patient.organization=Organization/york", "o-bob"),
        ("patient._id=bob", "o-bob"),
        ("patient.family=Nobody", ""),
    ];
    assert_finds(&kit, "Observation", &table).await;
    assert_searches_refused(&kit, &["Observation?code.name=x"]).await;
}

async fn a_reverse_chain_asks_the_resources_that_refer(kit: Kit) {
    chained(&kit).await;
    let table = [
        ("_has:Observation:patient:code=c", "ann"),
        ("_has:Observation:subject:code=urn:s|d", "bob"),
        ("_has:Observation:patient:code=c,d", "ann bob"),
        ("_has:Observation:patient:code=never", ""),
        ("_has:Observation:patient:code=c&family=Link", ""),
        ("_has:Observation:patient:code=c&_has:Observation:patient:code=d", ""),
    ];
    assert_finds(&kit, "Patient", &table).await;
    let nested = [
        ("_has:Patient:organization:_has:Observation:patient:code=c", "leeds"),
        ("_has:Patient:organization:family=Link", "york"),
    ];
    assert_finds(&kit, "Organization", &nested).await;
    let facts = [("patient._has:Observation:patient:code=c", "o-ann")];
    assert_finds(&kit, "Observation", &facts).await;
    let bad = ["Patient?_has:Observation:code:code=c", "Patient?_has:Bogus:patient:code=c"];
    assert_searches_refused(&kit, &bad).await;
}

async fn a_chain_never_confuses_types_that_share_an_id(kit: Kit) {
    store(
        &kit,
        [
            family("x", "Chain"),
            resource("Location", "x", json!({"name": "Elsewhere"})),
            resource("Location", "y", json!({"name": "Chain"})),
            fact("of-patient", "Patient/x", "c"),
            fact("of-x", "Location/x", "c"),
            fact("of-y", "Location/y", "c"),
        ],
    )
    .await;
    let table = [
        ("subject:Patient.name=Chain", "of-patient"),
        ("subject:Location.name=Chain", "of-y"),
        ("subject:Patient.family=Chain", "of-patient"),
        ("subject:Location.name=Elsewhere", "of-x"),
    ];
    assert_finds(&kit, "Observation", &table).await;
    // Without a type: all that it may be, or a refusal, but never a part.
    let untyped = kit.get(&search("Observation?subject.name=Chain")).await;
    if untyped.status == StatusCode::OK {
        let found: BTreeSet<String> = matches(&untyped.json()).into_iter().collect();
        assert_eq!(found, BTreeSet::from(["of-patient".to_owned(), "of-y".to_owned()]));
    } else {
        untyped.assert_refused(StatusCode::BAD_REQUEST);
    }
    let reverse = [("_has:Observation:subject:code=c", "x y")];
    assert_finds(&kit, "Location", &reverse).await;
}

async fn a_compartment_is_what_its_definition_says(kit: Kit) {
    store(&kit, [patient("a", json!({})), patient("b", json!({}))]).await;
    let focus = json!({"focus": [{"reference": "Patient/a"}], "code": coded("c"),
        "subject": {"reference": "Patient/b"}});
    let performer = json!({"performer": [{"reference": "Patient/a"}], "code": coded("c"),
        "subject": {"reference": "Patient/b"}});
    let encounter = json!({"status": "finished", "subject": {"reference": "Patient/a"},
        "class": {"system": "urn:class", "code": "AMB"}});
    let met = json!({"encounter": {"reference": "Encounter/e"}, "code": coded("e")});
    store(&kit, [resource("Encounter", "e", encounter), observation("met", met)]).await;
    store(
        &kit,
        [
            fact("subject", "Patient/a", "c"),
            fact("other-code", "Patient/a", "d"),
            observation("focus", focus),
            observation("performer", performer),
        ],
    )
    .await;
    for (path, table) in [
        ("Patient/a/Observation", [("code=c", "subject performer"), ("code=d", "other-code")]),
        ("Patient/b/Observation", [("code=c", "focus performer"), ("code=d", "")]),
        ("Patient/nobody/Observation", [("code=c", ""), ("", "")]),
        ("Encounter/e/Observation", [("", "met"), ("code=c", "")]),
    ] {
        assert_finds(&kit, path, &table).await;
    }
    kit.get("Patient/a/Bogus").await.assert_refused(StatusCode::NOT_FOUND);
    let empty = kit.search("Patient/nobody/Observation").await;
    assert_eq!((&empty["total"], &empty["entry"]), (&json!(0), &Value::Null));
}

async fn everything_about_a_patient_comes_once_however_much_there_is(kit: Kit) {
    let many = (0..1_100).map(|n| {
        let id = format!("o{n}");
        send("PUT", &format!("Observation/{id}"), fact(&id, "Patient/a", "c"))
    });
    let condition = json!({"subject": {"reference": "Patient/a"}, "code": coded("c")});
    let mut entries: Vec<Value> = many.collect();
    entries.push(send("PUT", "Patient/a", patient("a", json!({}))));
    entries.push(send("PUT", "Condition/k", resource("Condition", "k", condition)));
    entries.push(send("PUT", "Observation/b", fact("b", "Patient/b", "c")));
    process(&kit, &transaction(&entries)).await;
    for first in ["Patient/a/$everything", "Patient/a/$everything?_count=300"] {
        let (mut seen, mut next) = (Vec::new(), Some(first.to_owned()));
        while let Some(page) = next {
            let bundle = kit.search(&page).await;
            let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
            assert!(!first.contains("_count") || entries.len() <= 300, "{}", entries.len());
            let urls = entries.iter().map(|entry| entry["fullUrl"].as_str().unwrap().to_owned());
            seen.extend(urls);
            assert!(in_mode(&bundle, "outcome").is_empty());
            next = link(&bundle, "next");
        }
        let distinct: BTreeSet<&String> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (1_102, 1_102), "{first}");
        for (path, expected) in
            [("Patient/a", true), ("Condition/k", true), ("Observation/b", false)]
        {
            let url = format!("http://hub.test/FHIR/R4/{path}");
            assert_eq!(distinct.contains(&url), expected, "{first}: {path}");
        }
    }
    kit.get("Patient/nobody/$everything").await.assert_refused(StatusCode::NOT_FOUND);
}
