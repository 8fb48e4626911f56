//! Of a patient who must not be found, everyone is told who it is and no one where.

use serde_json::json;

use super::*;
use crate::kit::on_both_engines;

on_both_engines!(
    where_a_restricted_patient_is_stands_nowhere,
    a_restricted_patient_is_not_found_by_where_they_are,
    what_is_about_a_restricted_patient_does_not_tell_either,
    a_place_is_no_order_and_no_way_to_others,
    a_flag_works_at_once_and_ends_at_once,
    what_is_withheld_can_be_neither_probed_nor_lost,
);

/// P2 has the flag; p1 lives next door.
async fn told(kit: &Kit) -> Caller {
    stored(
        kit,
        &[
            json!({"resourceType": "Organization", "id": "gp", "name": "Surgery"}),
            json!({"resourceType": "Location", "id": "ward", "name": "Ward LS1"}),
            restricted(patient("p2", "9434765919")),
            patient("p1", "9434765870"),
            json!({"resourceType": "RelatedPerson", "id": "k", "patient": {"reference": "Patient/p2"},
                "name": [{"family": "Kin"}], "address": [{"postalCode": "LS1 4AP"}],
                "telecom": [{"system": "phone", "value": "0113496"}]}),
            json!({"resourceType": "Encounter", "id": "e", "status": "finished",
                "class": {"code": "AMB"}, "subject": {"reference": "Patient/p2"},
                "location": [{"location": {"reference": "Location/ward", "display": "LS1"}}],
                "serviceProvider": {"reference": "Organization/gp"},
                "period": {"start": "2024-01-01"}}),
            observation("o", "p2", "bp"),
        ],
    )
    .await;
    clinician("RX2")
}

/// What stands in a place, and nowhere else.
const TELLTALES: [&str; 5] = ["LS1", "Leeds", "0113496", "Organization/gp", "Location/ward"];

async fn where_a_restricted_patient_is_stands_nowhere(kit: Kit) {
    let caller = told(&kit).await;
    for path in [
        "Patient/p2",
        "Patient/p2/_history/1",
        "Patient/p2/_history",
        "Patient?_id=p2",
        "Patient?_id=p2&_elements=address,telecom,name",
        "Patient?_id=p2&_summary=true",
        "Patient?_id=p2&_summary=text",
        "Patient?identifier=9434765919",
        "Observation?_id=o&_include=Observation:subject",
        "Patient/p2/$everything",
        "RelatedPerson/k",
        "RelatedPerson?patient=p2",
        "Encounter/e",
        "Encounter?patient=p2&_include=Encounter:location&_include=Encounter:service-provider",
        "Encounter/e/_history",
        "Encounter/_history",
    ] {
        let response = get(&kit, &caller, path).await;
        assert_eq!(response.status, StatusCode::OK, "{path}: {}", response.text);
        for telltale in TELLTALES {
            assert!(!response.text.contains(telltale), "{telltale} in {path}: {}", response.text);
        }
    }
    let shown = found(&kit, &caller, "Patient/p2").await;
    assert_eq!(shown["name"][0]["family"], "Familyp2");
    assert_eq!(shown["identifier"][0]["value"], "9434765919");
    assert_eq!(shown["meta"]["tag"][0]["code"], "SUBSETTED");
    // Everyone else is where they are, and the region itself knows.
    assert!(found(&kit, &caller, "Patient/p1").await["address"].is_array());
    assert!(kit.search("Patient/p2").await["address"].is_array());
}

async fn a_restricted_patient_is_not_found_by_where_they_are(kit: Kit) {
    let caller = told(&kit).await;
    for path in [
        "Patient?address=LS1",
        "Patient?address-postalcode=LS1",
        "Patient?address-city=Leeds",
        "Patient?address:contains=S1",
        "Patient?address-postalcode:missing=false",
        "Patient?phone=0113496",
        "Patient?telecom=0113496",
        "Patient?general-practitioner=Organization/gp",
        "Patient?general-practitioner:Organization.name=Surgery",
        "Patient?organization=gp",
    ] {
        assert_eq!(ids(&kit, &caller, path).await, ["p1"], "{path}");
        assert_eq!(kit.ids(path).await.len(), 2, "{path}");
    }
    assert_eq!(ids(&kit, &caller, "Patient?name=family&address:missing=true").await, ["p2"]);
    for path in [
        "Observation?subject:Patient.address-postalcode=LS1",
        "Observation?subject:Patient.general-practitioner:Organization.name=Surgery",
        "Observation?patient.phone=0113496",
    ] {
        assert!(ids(&kit, &caller, path).await.is_empty(), "{path}");
        assert_eq!(kit.ids(path).await, ["o"], "{path}");
    }
    assert_eq!(ids(&kit, &caller, "Patient?name=family").await, ["p1", "p2"]);
    assert_eq!(ids(&kit, &caller, "Patient?identifier=9434765919").await, ["p2"]);
}

async fn what_is_about_a_restricted_patient_does_not_tell_either(kit: Kit) {
    let caller = told(&kit).await;
    for path in [
        "RelatedPerson?address-postalcode=LS1",
        "RelatedPerson?telecom=0113496",
        "Encounter?location=Location/ward",
        "Encounter?location.name=Ward",
        "Encounter?service-provider=gp",
        "Patient?_has:Encounter:patient:location=ward",
        "Patient?_has:RelatedPerson:patient:address=LS1",
        "Location?_has:Encounter:location:patient=p2",
        "Organization?_has:Patient:general-practitioner:_id=p2",
    ] {
        assert!(ids(&kit, &caller, path).await.is_empty(), "{path}");
        assert_eq!(kit.ids(path).await.len(), 1, "{path}");
    }
    assert_eq!(ids(&kit, &caller, "RelatedPerson?name=Kin").await, ["k"]);
}

async fn a_place_is_no_order_and_no_way_to_others(kit: Kit) {
    let caller = told(&kit).await;
    let mut far = patient("p9", "9434765862");
    far["address"][0]["city"] = "York".into();
    stored(&kit, &[far]).await;
    // Leeds comes before York; of P2 nothing is known, and that comes last.
    let sorted = matches(&found(&kit, &caller, "Patient?_sort=address-city,_id").await);
    assert_eq!(sorted, ["p1", "p9", "p2"]);
    let sorted = matches(&found(&kit, &caller, "Patient?_sort=phone,_id").await);
    assert_eq!(sorted, ["p1", "p9", "p2"]);
    for (path, along) in [
        ("Patient?_id=p2&_include=Patient:general-practitioner", vec!["Patient/p2"]),
        ("Patient?_id=p2&_include=*", vec!["Patient/p2"]),
        (
            "Organization?_id=gp&_revinclude=Patient:organization",
            vec!["Organization/gp", "Patient/p1", "Patient/p9"],
        ),
        ("Location?_id=ward&_revinclude=Encounter:location", vec!["Location/ward"]),
    ] {
        assert_eq!(entries(&kit, &caller, path).await, along, "{path}");
    }
}

async fn a_flag_works_at_once_and_ends_at_once(kit: Kit) {
    let caller = told(&kit).await;
    stored(&kit, &[restricted(patient("p1", "9434765870"))]).await;
    assert!(ids(&kit, &caller, "Patient?address=LS1").await.is_empty());
    let shown = get(&kit, &caller, "Patient/p1/_history").await.text;
    assert!(!shown.contains("LS1"), "old versions too: {shown}");
    stored(&kit, &[patient("p2", "9434765919")]).await;
    assert_eq!(ids(&kit, &caller, "Patient?address=LS1").await, ["p2"]);
    assert!(found(&kit, &caller, "Encounter/e").await["location"].is_array());
}

async fn what_is_withheld_can_be_neither_probed_nor_lost(kit: Kit) {
    let caller = told(&kit).await;
    let patch = r#"[{"op":"test","path":"/address/0/city","value":"Leeds"},{"op":"add","path":"/active","value":true}]"#;
    let headers = [("content-type", "application/json-patch+json")];
    let url = "/FHIR/R4/Patient/p2";
    let response = kit.send_as(&caller, "PATCH", "Patient/p2", &headers, patch).await;
    response.assert_refused(StatusCode::FORBIDDEN);
    assert_eq!(kit.send("PATCH", url, &headers, patch).await.status, StatusCode::OK);
    // What was shown cannot be sent back in place of the whole.
    let shown = found(&kit, &caller, "Patient/p2").await;
    let response = kit.send_as(&caller, "PUT", "Patient/p2", &[], shown.to_string()).await;
    response.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(kit.search("Patient/p2").await["address"].is_array());
    // A conditional create finds the patient, and shows no more than a read.
    let headers = [("if-none-exist", "identifier=9434765919"), ("prefer", "return=representation")];
    let body = patient("x", "9434765919").to_string();
    let response = kit.send_as(&caller, "POST", "Patient", &headers, body).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    assert!(!response.text.contains("LS1"), "{}", response.text);
}
