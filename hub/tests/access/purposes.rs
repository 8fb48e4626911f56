//! Why somebody asks.

use service::caller::mandate::Purpose;

use super::*;
use crate::kit::on_both_engines;

on_both_engines!(
    patient_access_is_given_nothing_and_stores_nothing,
    an_emergency_alone_lifts_nothing
);

async fn patient_access_is_given_nothing_and_stores_nothing(kit: Kit) {
    stored(&kit, &[observation("o", "p1", "bp")]).await;
    let caller = asking("RX2", Purpose::PatientAccess, "R1");
    for path in [
        "Observation/o",
        "Observation/never",
        "Observation/o/_history",
        "Observation?code=bp",
        "_history",
        "Observation/o/_history/1",
        "Observation/o/$meta",
        "Patient/p1/$everything",
    ] {
        get(&kit, &caller, path).await.assert_refused(StatusCode::FORBIDDEN);
    }
    let body = observation("x", "p1", "bp").to_string();
    for (method, path) in
        [("POST", "Observation"), ("PUT", "Observation/o"), ("DELETE", "Observation/o")]
    {
        let response = kit.send_as(&caller, method, path, &[], body.clone()).await;
        assert!(response.status.is_client_error(), "{method}: {}", response.text);
    }
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "POST", "url": "Observation"}, "resource": observation("x", "p", "y")}]});
    let response = kit.send_as(&caller, "POST", "", &[], bundle.to_string()).await;
    response.assert_refused(StatusCode::FORBIDDEN);
    assert_eq!(kit.count("Observation").await, 1);
}

async fn an_emergency_alone_lifts_nothing(kit: Kit) {
    stored(&kit, &[restricted(observation("r", "p1", "bp")), observation("o", "p1", "bp")]).await;
    let deny = json!({"type": "deny"});
    let caller = asking("RX2", Purpose::Emergency, "R1");
    assert_absent(&kit, &caller, "Observation/r").await;
    assert_there(&kit, &caller, "Observation/o").await;
    stored(&kit, &[consent("c", "p1", "2024-01-01", deny)]).await;
    assert_absent(&kit, &caller, "Observation/o").await;
}
