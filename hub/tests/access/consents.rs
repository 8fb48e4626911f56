//! Patients' Consents bind at once, for everything that is about them.

use serde_json::json;
use service::caller::mandate::Purpose;

use super::*;
use crate::kit::on_both_engines;

on_both_engines!(
    a_dissent_hides_the_patient_and_all_that_is_about_them,
    a_withdrawal_works_at_once_for_old_versions_and_later_pages,
    a_dissent_outlives_what_it_was_about,
    the_newest_consent_decides_while_it_is_in_force,
    exceptions_are_made_within_exceptions,
    an_organisation_alone_may_be_shut_out,
    a_consent_that_is_ended_binds_no_more,
    what_a_resource_holds_is_about_someone_too,
    the_opt_out_is_for_other_uses_than_care,
    searches_go_on_as_before_for_everyone_else,
);

/// P3 and another patient, each with an Observation.
async fn told(kit: &Kit) -> Caller {
    stored(
        kit,
        &[
            patient("p3", "9434765919"),
            patient("p1", "9434765870"),
            observation("o3", "p3", "bp"),
            observation("o1", "p1", "bp"),
        ],
    )
    .await;
    clinician("RX2")
}

const EVERYTHING: &str = "2024-01-01T00:00:00Z";
const LATER: &str = "2024-06-01T00:00:00Z";

async fn a_dissent_hides_the_patient_and_all_that_is_about_them(kit: Kit) {
    let caller = told(&kit).await;
    stored(&kit, &[consent("c", "p3", EVERYTHING, json!({"type": "deny"}))]).await;
    for name in ["Patient/p3", "Observation/o3", "Consent/c"] {
        assert_absent(&kit, &caller, name).await;
    }
    for (path, expected) in [
        ("Patient?name=family&_total=accurate", vec!["p1"]),
        ("Patient?identifier=9434765919&_total=accurate", vec![]),
        ("Observation?code=bp&_total=accurate", vec!["o1"]),
        ("Observation?patient=p3&_total=accurate", vec![]),
        ("Patient/p3/Observation?_total=accurate", vec![]),
        (
            "Observation?patient.identifier=https://fhir.nhs.uk/Id/nhs-number|9434765919&_total=accurate",
            vec![],
        ),
        ("Patient?_has:Observation:patient:code=bp&_total=accurate", vec!["p1"]),
        ("Consent?patient=p3&_total=accurate", vec![]),
    ] {
        let bundle = found(&kit, &caller, path).await;
        assert_eq!(matches(&bundle), expected, "{path}");
        assert_eq!(bundle["total"], expected.len(), "{path}");
    }
    let all = entries(&kit, &caller, "_history").await;
    assert!(all.iter().all(|name| !name.contains('3') && !name.contains("Consent")), "{all:?}");
    assert_there(&kit, &caller, "Observation/o1").await;
}

async fn a_withdrawal_works_at_once_for_old_versions_and_later_pages(kit: Kit) {
    let caller = told(&kit).await;
    stored(&kit, &[observation("o4", "p3", "hr"), observation("o5", "p3", "hr")]).await;
    stored(&kit, &[observation("o3", "p3", "changed")]).await;
    let first = found(&kit, &caller, "Observation?patient=p3&_count=1").await;
    let history = found(&kit, &caller, "Observation/o3/_history?_count=1").await;
    let whole = found(&kit, &caller, "Patient/p3/$everything?_count=1").await;
    stored(&kit, &[consent("c", "p3", EVERYTHING, json!({"type": "deny"}))]).await;
    let next = link(&first, "next").expect("there is more");
    assert!(found(&kit, &caller, &next).await["entry"].is_null());
    let next = link(&whole, "next").expect("there is more");
    assert_eq!(get(&kit, &caller, &next).await.status, StatusCode::NOT_FOUND);
    let next = link(&history, "next").expect("there is more");
    assert_eq!(get(&kit, &caller, &next).await.status, StatusCode::NOT_FOUND);
    assert_absent(&kit, &caller, "Observation/o3").await;
}

async fn a_dissent_outlives_what_it_was_about(kit: Kit) {
    let caller = told(&kit).await;
    // One was about P3 by mistake; the other was deleted.
    stored(&kit, &[observation("wrong", "p3", "bp"), observation("gone", "p3", "bp")]).await;
    stored(&kit, &[observation("wrong", "p1", "bp")]).await;
    kit.delete("Observation/gone").await;
    stored(&kit, &[consent("c", "p3", EVERYTHING, json!({"type": "deny"}))]).await;
    assert_absent(&kit, &caller, "Observation/gone").await;
    // What is about P1 now is P1's, but not what was said of P3.
    assert_there(&kit, &caller, "Observation/wrong").await;
    assert_eq!(
        get(&kit, &caller, "Observation/wrong/_history/1").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(ids(&kit, &caller, "Observation?patient=p1").await, ["o1", "wrong"]);
}

async fn the_newest_consent_decides_while_it_is_in_force(kit: Kit) {
    let caller = told(&kit).await;
    stored(&kit, &[consent("c2", "p3", LATER, json!({"type": "permit"}))]).await;
    stored(&kit, &[consent("c1", "p3", EVERYTHING, json!({"type": "deny"}))]).await;
    assert_there(&kit, &caller, "Observation/o3").await;
    // The newer one is over: the older one holds.
    let over = json!({"type": "permit", "period": {"end": "2024-07-01"}});
    stored(&kit, &[consent("c2", "p3", LATER, over)]).await;
    assert_absent(&kit, &caller, "Observation/o3").await;
    let to_come = json!({"type": "permit", "period": {"start": "2200-01-01"}});
    stored(&kit, &[consent("c2", "p3", LATER, to_come)]).await;
    assert_absent(&kit, &caller, "Observation/o3").await;
    stored(&kit, &[consent("c3", "p3", "2024-08-01", json!({"type": "permit"}))]).await;
    assert_there(&kit, &caller, "Observation/o3").await;
}

async fn exceptions_are_made_within_exceptions(kit: Kit) {
    let caller = told(&kit).await;
    let mut old = observation("old", "p3", "bp");
    old["effectiveDateTime"] = "2001-01-01".into();
    let timeless = json!({"resourceType": "Observation", "id": "timeless", "status": "final",
        "code": {"text": "x"}, "subject": {"reference": "Patient/p3"}});
    let condition = json!({"resourceType": "Condition", "id": "k",
        "subject": {"reference": "Patient/p3"}});
    stored(&kit, &[old, timeless, condition]).await;
    // Nobody, but RX2 in direct care Observations, but none before 2010.
    let provision = json!({"type": "deny", "provision": [
        {"type": "permit", "actor": actor("RX2"), "purpose": [{"code": "TREAT"}],
            "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}],
            "provision": [{"type": "deny", "dataPeriod": {"end": "2009-12-31"}}]}]});
    stored(&kit, &[consent("c", "p3", EVERYTHING, provision)]).await;
    assert_eq!(ids(&kit, &caller, "Observation?subject=Patient/p3").await, ["o3"]);
    assert_absent(&kit, &caller, "Condition/k").await;
    assert_absent(&kit, &caller, "Observation/old").await;
    // When it was cannot be told.
    assert_absent(&kit, &caller, "Observation/timeless").await;
    assert_absent(&kit, &clinician("RX4"), "Observation/o3").await;
    let research = asking("RX2", Purpose::SecondaryUses, "R1");
    assert_absent(&kit, &research, "Observation/o3").await;
}

async fn an_organisation_alone_may_be_shut_out(kit: Kit) {
    let caller = told(&kit).await;
    let label = json!({"system": CONFIDENTIALITY, "code": "R"});
    let provision = json!({"type": "permit", "provision": [
        {"type": "deny", "actor": actor("RX2")},
        {"type": "deny", "actor": actor("RX4"), "securityLabel": [label]}]});
    stored(&kit, &[consent("c", "p3", EVERYTHING, provision)]).await;
    assert_absent(&kit, &caller, "Observation/o3").await;
    assert_there(&kit, &clinician("RX4"), "Observation/o3").await;
    assert_there(&kit, &clinician("RX5"), "Observation/o3").await;
}

async fn a_consent_that_is_ended_binds_no_more(kit: Kit) {
    let caller = told(&kit).await;
    let mut one = consent("c", "p3", EVERYTHING, json!({"type": "deny"}));
    stored(&kit, &[one.clone()]).await;
    assert_absent(&kit, &caller, "Observation/o3").await;
    one["status"] = "inactive".into();
    stored(&kit, &[one.clone()]).await;
    assert_there(&kit, &caller, "Observation/o3").await;
    one["status"] = "active".into();
    stored(&kit, &[one]).await;
    assert_absent(&kit, &caller, "Observation/o3").await;
    kit.delete("Consent/c").await;
    assert_there(&kit, &caller, "Observation/o3").await;
}

async fn what_a_resource_holds_is_about_someone_too(kit: Kit) {
    let caller = told(&kit).await;
    let bundle = json!({"resourceType": "Bundle", "id": "b", "type": "collection",
        "entry": [{"fullUrl": "http://hub.test/FHIR/R4/Observation/o3",
            "resource": observation("o3", "p3", "bp")}]});
    let copy = json!({"resourceType": "Bundle", "id": "d", "type": "collection",
        "entry": [{"fullUrl": "http://hub.test/FHIR/R4/Patient/p3",
            "resource": {"resourceType": "Patient", "id": "p3", "active": true}}]});
    let basic = json!({"resourceType": "Basic", "id": "e", "code": {"text": "x"},
        "extension": [{"url": "urn:about", "valueReference": {"reference": "Patient/p3"}}]});
    let binary = json!({"resourceType": "Binary", "id": "f", "contentType": "text/plain",
        "securityContext": {"reference": "Patient/p3"}, "data": "eA=="});
    stored(&kit, &[bundle, copy, basic, binary]).await;
    let all = ["Bundle/b", "Bundle/d", "Basic/e", "Binary/f"];
    for name in all {
        assert_there(&kit, &caller, name).await;
    }
    stored(&kit, &[consent("c", "p3", EVERYTHING, json!({"type": "deny"}))]).await;
    for name in all {
        assert_absent(&kit, &caller, name).await;
    }
    assert!(ids(&kit, &caller, "Bundle?type=collection").await.is_empty());
}

async fn the_opt_out_is_for_other_uses_than_care(kit: Kit) {
    let caller = told(&kit).await;
    let mut opt_out = consent("c", "p3", EVERYTHING, json!({"type": "deny"}));
    opt_out["scope"] = json!({"coding": [{"code": "research"}]});
    opt_out["category"] = json!([{"coding": [
        {"system": "urn:shared-record:consent-category", "code": "national-data-opt-out"}]}]);
    stored(&kit, &[opt_out]).await;
    assert_there(&kit, &caller, "Observation/o3").await;
    let research = asking("RX2", Purpose::SecondaryUses, "R1");
    assert_absent(&kit, &research, "Observation/o3").await;
    assert_absent(&kit, &research, "Patient/p3").await;
    assert_eq!(ids(&kit, &research, "Observation?code=bp").await, ["o1"]);
    assert_eq!(ids(&kit, &caller, "Observation?code=bp").await, ["o1", "o3"]);
}

async fn searches_go_on_as_before_for_everyone_else(kit: Kit) {
    let caller = told(&kit).await;
    for path in [
        "Observation?code=bp&_sort=_id",
        "Patient?name=family&_revinclude=Observation:subject",
        "Observation?patient=p3&_include=Observation:subject",
        "Patient/p3/$everything",
    ] {
        let (own, bound) = (kit.get(path).await, get(&kit, &caller, path).await);
        assert_eq!(own.text, bound.text, "{path}");
    }
}
