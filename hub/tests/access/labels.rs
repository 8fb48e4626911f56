//! Security labels hide, wherever a resource can be named.

use std::collections::BTreeMap;

use axum::body::Body;
use http::StatusCode;
use serde_json::json;
use service::caller::mandate::Purpose;
use service::clock::Clock;

use super::*;
use crate::kit::on_both_engines;

on_both_engines!(
    a_hidden_resource_is_answered_for_like_one_that_never_was,
    a_deleted_resource_stays_as_hidden_as_it_was,
    a_label_hides_old_versions_and_an_old_label_its_version,
    a_hidden_resource_is_no_match_and_not_counted,
    a_chain_does_not_pass_through_what_is_hidden,
    values_cannot_be_bisected_by_has,
    nothing_hidden_goes_along,
    everything_leaves_out_what_is_hidden_and_what_only_that_leads_to,
    a_hidden_list_lists_nothing,
    what_holds_a_labelled_resource_is_hidden_with_it,
    a_role_is_shown_what_it_is_cleared_for,
    a_batch_says_nothing_more_than_its_entries,
    the_region_itself_sees_everything,
    labels_of_before_are_compiled_when_a_record_is_opened,
);

/// P4 has one restricted Observation, `r`, beside an open one, `o`.
async fn told(kit: &Kit) -> Caller {
    let mut hidden = restricted(observation("r", "p4", "hiv"));
    hidden["performer"] = json!([{"reference": "Practitioner/only-r"}]);
    stored(
        kit,
        &[
            patient("p4", "9434765919"),
            json!({"resourceType": "Practitioner", "id": "only-r", "active": true}),
            observation("o", "p4", "bp"),
            hidden,
        ],
    )
    .await;
    clinician("RX2")
}

async fn a_hidden_resource_is_answered_for_like_one_that_never_was(kit: Kit) {
    let caller = told(&kit).await;
    assert_absent(&kit, &caller, "Observation/r").await;
    assert_there(&kit, &caller, "Observation/o").await;
}

async fn a_deleted_resource_stays_as_hidden_as_it_was(kit: Kit) {
    let caller = told(&kit).await;
    for name in ["Observation/r", "Observation/o"] {
        assert_eq!(kit.delete(name).await.status, StatusCode::NO_CONTENT);
    }
    assert_absent(&kit, &caller, "Observation/r").await;
    assert_eq!(get(&kit, &caller, "Observation/o").await.status, StatusCode::GONE);
    let all = entries(&kit, &caller, "Observation/_history").await;
    assert!(!all.contains(&"Observation/r".to_owned()), "{all:?}");
}

async fn a_label_hides_old_versions_and_an_old_label_its_version(kit: Kit) {
    let caller = told(&kit).await;
    // Labelled later: what was said before is as secret.
    stored(&kit, &[restricted(observation("o", "p4", "bp"))]).await;
    assert_absent(&kit, &caller, "Observation/o").await;
    // Open later: the version that was labelled stays hidden.
    stored(&kit, &[observation("r", "p4", "bp")]).await;
    assert_there(&kit, &caller, "Observation/r").await;
    assert_eq!(get(&kit, &caller, "Observation/r/_history/1").await.status, StatusCode::NOT_FOUND);
    assert_there(&kit, &caller, "Observation/r/_history/2").await;
    let history = found(&kit, &caller, "Observation/r/_history").await;
    assert_eq!(
        (history["total"].as_i64(), history["entry"].as_array().unwrap().len()),
        (Some(1), 1)
    );
    for path in ["_history?_total=accurate", "Observation/_history?_total=accurate"] {
        let history = found(&kit, &caller, path).await;
        let text = history.to_string();
        assert!(!text.contains("hiv") && !text.contains("Observation/o"), "{path}: {text}");
        assert_eq!(history["total"], history["entry"].as_array().unwrap().len(), "{path}");
    }
}

async fn a_hidden_resource_is_no_match_and_not_counted(kit: Kit) {
    let caller = told(&kit).await;
    for path in [
        "Observation?_total=accurate",
        "Observation?patient=p4&_total=accurate",
        "Observation?patient=p4&code=hiv,bp&_total=accurate",
        "Observation?code=hiv,bp&_sort=code&_total=accurate",
        "Observation?code=hiv,bp&_sort=-_lastUpdated&_total=accurate",
        "Observation?subject=Patient/p4&_sort=date&_total=accurate",
        "Patient/p4/Observation?_total=accurate",
        "Observation?_id=r,o&_total=accurate",
        "Observation?_security=R&_id=r,o&_total=accurate",
        "Observation?patient.identifier=https://fhir.nhs.uk/Id/nhs-number|9434765919&_total=accurate",
        "?_type=Observation,Practitioner&_id=o,r&_total=accurate",
    ] {
        let bundle = found(&kit, &caller, path).await;
        let expected: &[&str] = if path.contains("_security") { &[] } else { &["o"] };
        assert_eq!(matches(&bundle), expected, "{path}");
        assert_eq!(bundle["total"], expected.len(), "{path}");
    }
    let counted = found(&kit, &caller, "Observation?_summary=count").await;
    assert_eq!(counted["total"], 1);
    let last = ids(&kit, &caller, "Observation/$lastn?patient=p4").await;
    assert_eq!(last, ["o"]);
    // Page by page, too.
    assert_eq!(entries(&kit, &caller, "Observation?_count=1").await, ["Observation/o"]);
}

async fn a_chain_does_not_pass_through_what_is_hidden(kit: Kit) {
    let caller = told(&kit).await;
    let report = |id: &str, result: &str| {
        json!({"resourceType": "DiagnosticReport", "id": id, "status": "final",
            "code": {"text": "x"}, "result": [{"reference": format!("Observation/{result}")}]})
    };
    stored(&kit, &[report("d1", "r"), report("d2", "o")]).await;
    let path = "DiagnosticReport?result.code=hiv,bp";
    assert_eq!(ids(&kit, &caller, path).await, ["d2"]);
    assert_eq!(kit.ids(path).await.len(), 2, "the region itself");
    // A Patient who is hidden is no way to find what is about them.
    stored(&kit, &[labelled(patient("p4", "9434765919"), CONFIDENTIALITY, "V")]).await;
    for path in [
        "Observation?subject:Patient.name=familyp4",
        "Observation?patient.identifier=https://fhir.nhs.uk/Id/nhs-number|9434765919",
        "Observation?patient.identifier=9434765919",
    ] {
        assert!(ids(&kit, &caller, path).await.is_empty(), "{path}");
    }
}

async fn values_cannot_be_bisected_by_has(kit: Kit) {
    let caller = told(&kit).await;
    for (path, expected) in [
        ("Patient?_has:Observation:subject:code=hiv", 0),
        ("Patient?_has:Observation:subject:code=bp", 1),
        ("Patient?_has:Observation:subject:_id=r", 0),
        ("Patient?_has:Observation:subject:date=ge2024", 1),
        ("Practitioner?_has:Observation:performer:code=hiv", 0),
        ("Practitioner?_has:Observation:performer:code:not=bp", 0),
    ] {
        assert_eq!(ids(&kit, &caller, path).await.len(), expected, "{path}");
    }
}

async fn nothing_hidden_goes_along(kit: Kit) {
    let caller = told(&kit).await;
    for path in [
        "Patient?_id=p4&_revinclude=Observation:subject",
        "Patient?_id=p4&_revinclude=*",
        "Patient?_id=p4&_revinclude:iterate=Observation:subject&_include:iterate=Observation:performer",
    ] {
        let all = entries(&kit, &caller, path).await;
        assert_eq!(all, ["Observation/o", "Patient/p4"], "{path}");
    }
    let report = json!({"resourceType": "DiagnosticReport", "id": "d", "status": "final",
        "code": {"text": "x"}, "result": [{"reference": "Observation/r"}]});
    stored(&kit, &[report]).await;
    for path in [
        "DiagnosticReport?_include=DiagnosticReport:result&_include:iterate=Observation:performer",
        "DiagnosticReport?_include=*",
    ] {
        assert_eq!(entries(&kit, &caller, path).await, ["DiagnosticReport/d"], "{path}");
    }
}

async fn everything_leaves_out_what_is_hidden_and_what_only_that_leads_to(kit: Kit) {
    let caller = told(&kit).await;
    let all = entries(&kit, &caller, "Patient/p4/$everything").await;
    assert_eq!(all, ["Observation/o", "Patient/p4"]);
    let own = kit.search("Patient/p4/$everything").await;
    assert_eq!(own["entry"].as_array().unwrap().len(), 4, "the region itself");
    let hidden = get(&kit, &caller, "Patient/p5/$everything").await;
    stored(&kit, &[labelled(patient("p4", "9434765919"), CONFIDENTIALITY, "V")]).await;
    let response = get(&kit, &caller, "Patient/p4/$everything").await;
    assert_eq!((response.status, response.text), (StatusCode::NOT_FOUND, hidden.text));
}

async fn a_hidden_list_lists_nothing(kit: Kit) {
    let caller = told(&kit).await;
    let list = |id: &str| {
        json!({"resourceType": "List", "id": id, "status": "current", "mode": "working",
            "entry": [{"item": {"reference": "Observation/o"}},
                {"item": {"reference": "Observation/r"}}]})
    };
    stored(&kit, &[list("l1"), restricted(list("l2"))]).await;
    assert_eq!(ids(&kit, &caller, "Observation?_list=l1").await, ["o"]);
    assert!(ids(&kit, &caller, "Observation?_list=l2").await.is_empty());
}

async fn what_holds_a_labelled_resource_is_hidden_with_it(kit: Kit) {
    let caller = told(&kit).await;
    let mut inner = restricted(observation("x", "p4", "hiv"));
    let bundle = json!({"resourceType": "Bundle", "id": "b", "type": "collection",
        "entry": [{"fullUrl": "urn:uuid:6b1f3b2c-0000-4000-8000-000000000001", "resource": inner}]});
    inner["id"] = "inner".into();
    inner.as_object_mut().unwrap().remove("meta");
    let mut holder = json!({"resourceType": "List", "id": "c", "status": "current",
        "mode": "working", "contained": [inner], "entry": [{"item": {"reference": "#inner"}}]});
    holder["contained"][0]["meta"] =
        json!({"security": [{"system": CONFIDENTIALITY, "code": "R"}]});
    stored(&kit, &[bundle]).await;
    assert_absent(&kit, &caller, "Bundle/b").await;
    assert!(ids(&kit, &caller, "Bundle?type=collection").await.is_empty());
    // Validation may refuse labels within; what is stored is hidden.
    if kit.put("List/c", &holder.to_string()).await.status.is_success() {
        assert_absent(&kit, &caller, "List/c").await;
    }
}

async fn a_role_is_shown_what_it_is_cleared_for(kit: Kit) {
    let clearance = BTreeMap::from([("R8000".to_owned(), vec!["R".to_owned(), "HIV".to_owned()])]);
    let kit = kit.reopened(|config| config.access.clearance = clearance, Clock::System).await;
    told(&kit).await;
    let act_code = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    stored(
        &kit,
        &[
            labelled(observation("v", "p4", "x"), CONFIDENTIALITY, "V"),
            labelled(observation("h", "p4", "x"), act_code, "HIV"),
            labelled(observation("y", "p4", "x"), act_code, "PSY"),
            labelled(observation("u", "p4", "x"), "urn:other", "SECRET"),
            labelled(observation("n", "p4", "x"), CONFIDENTIALITY, "N"),
        ],
    )
    .await;
    let cleared = asking("RX2", Purpose::DirectCare, "R8000");
    assert_eq!(ids(&kit, &cleared, "Observation?patient=p4").await, ["h", "n", "o", "r"]);
    let other = clinician("RX2");
    assert_eq!(ids(&kit, &other, "Observation?patient=p4").await, ["n", "o"]);
    let research = asking("RX2", Purpose::SecondaryUses, "R8000");
    assert_eq!(ids(&kit, &research, "Observation?patient=p4").await, ["n", "o"]);
}

async fn a_batch_says_nothing_more_than_its_entries(kit: Kit) {
    let caller = told(&kit).await;
    let get = |url: &str| json!({"request": {"method": "GET", "url": url}});
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        get("Observation/r"), get("Observation/never"), get("Observation?code=hiv"),
        get("Observation/r/_history"), get("Observation/never/_history")]});
    let response = kit.send_as(&caller, "POST", "", &[], bundle.to_string()).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    let entry = &response.json()["entry"];
    assert_eq!(entry[0], entry[1]);
    assert_eq!(entry[2]["resource"]["total"], 0);
    assert_eq!(entry[3], entry[4]);
}

async fn the_region_itself_sees_everything(kit: Kit) {
    told(&kit).await;
    assert_eq!(kit.get("Observation/r").await.status, StatusCode::OK);
    assert_eq!(kit.ids("Observation?patient=p4").await.len(), 2);
    assert_eq!(
        kit.send("GET", "/FHIR/R4/Observation/r/_history/1", &[], Body::empty()).await.status,
        200
    );
}

/// As a record is that was written before anyone asked who may see it.
async fn labels_of_before_are_compiled_when_a_record_is_opened(kit: Kit) {
    let caller = told(&kit).await;
    stored(
        &kit,
        &[consent("c", "p4", "2024-01-01", json!({"type": "deny", "actor": actor("RX3")}))],
    )
    .await;
    kit.delete("Observation/r").await;
    let kit = kit.rewritten(async |url: &str| forget(url).await).await;
    assert_absent(&kit, &caller, "Observation/r").await;
    assert_there(&kit, &caller, "Observation/o").await;
    assert_absent(&kit, &clinician("RX3"), "Observation/o").await;
}

async fn forget(url: &str) {
    let sql = "DELETE FROM restriction; DELETE FROM concern; DELETE FROM consent_rule; \
               DELETE FROM setting WHERE name = 'policy'";
    match url.strip_prefix("sqlite://") {
        Some(path) => rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap(),
        None => {
            use sqlx::Connection as _;
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
    }
}
