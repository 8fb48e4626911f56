//! Races, closed by construction.

use std::sync::Arc;

use http::StatusCode;

use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    one_of_many_writers_wins,
    one_patient_holds_a_number,
    parallel_creates_all_land,
    a_hot_resource_takes_every_update,
    what_is_refused_late_takes_nothing_along_and_leaves_nothing,
);

async fn one_of_many_writers_wins(kit: Kit) {
    let kit = Arc::new(kit);
    kit.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let writers = (0..64).map(|writer| {
        let kit = kit.clone();
        tokio::spawn(async move {
            let body = format!(r#"{{"resourceType":"Patient","id":"p","language":"x-w{writer}"}}"#);
            kit.put_if_match("Patient/p", "W/\"1\"", &body).await.status
        })
    });
    let statuses = futures::future::join_all(writers).await;
    let count = |wanted| statuses.iter().filter(|s| *s.as_ref().unwrap() == wanted).count();
    assert_eq!((count(StatusCode::OK), count(StatusCode::PRECONDITION_FAILED)), (1, 63));
    assert_eq!(kit.search("Patient/p/_history").await["total"], 2);
}

async fn one_patient_holds_a_number(kit: Kit) {
    let kit = Arc::new(kit);
    let body = r#"{"resourceType":"Patient","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000050"}]}"#;
    let creators = (0..16).map(|_| {
        let kit = kit.clone();
        tokio::spawn(async move { kit.post("Patient", body).await.status })
    });
    let statuses = futures::future::join_all(creators).await;
    let created = statuses.iter().filter(|s| *s.as_ref().unwrap() == StatusCode::CREATED).count();
    let refused = statuses.iter().filter(|s| *s.as_ref().unwrap() == StatusCode::CONFLICT).count();
    assert_eq!((created, refused), (1, 15), "{statuses:?}");
    let found = kit.ids("Patient?identifier=https://fhir.nhs.uk/Id/nhs-number%7C9990000050").await;
    let outcome = kit.post("Patient", body).await.assert_refused(StatusCode::CONFLICT);
    assert_eq!(outcome["issue"][0]["code"], "duplicate");
    assert!(outcome.to_string().contains(&found[0]), "the holder is named: {outcome}");
    assert!(!outcome.to_string().contains("9990000050"), "the number is not: {outcome}");
    // A Patient who is gone holds nothing.
    kit.delete(&format!("Patient/{}", found[0])).await;
    assert_eq!(kit.post("Patient", body).await.status, StatusCode::CREATED);
}

async fn parallel_creates_all_land(kit: Kit) {
    let kit = Arc::new(kit);
    let creators = (0..32).map(|creator| {
        let kit = kit.clone();
        tokio::spawn(async move {
            for number in 0..8 {
                let body = format!(
                    r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"urn:s{creator}","code":"c{number}"}}]}},"subject":{{"reference":"Patient/p{number}"}}}}"#
                );
                let created = kit.post("Observation", &body).await;
                assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
            }
        })
    });
    for creator in futures::future::join_all(creators).await {
        creator.unwrap();
    }
    assert_eq!(kit.count("Observation").await, 256);
    assert_eq!(kit.ids("Observation?code=urn:s7%7Cc3").await.len(), 1);
    assert_eq!(kit.ids("Observation?patient=p3&_count=100").await.len(), 32);
}

async fn a_hot_resource_takes_every_update(kit: Kit) {
    let kit = Arc::new(kit);
    kit.put("Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let writers = (0..24).map(|writer| {
        let kit = kit.clone();
        tokio::spawn(async move {
            for turn in 0..5 {
                let body = format!(
                    r#"{{"resourceType":"Patient","id":"p","language":"x-w{writer}-{turn}"}}"#
                );
                let updated = kit.put("Patient/p", &body).await;
                assert_eq!(updated.status, StatusCode::OK, "{}", updated.text);
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    assert_eq!(kit.search("Patient/p/_history").await["total"], 121);
    kit.delete("Patient/p").await;
    kit.get("Patient/p").await.assert_refused(StatusCode::GONE);
}

async fn what_is_refused_late_takes_nothing_along_and_leaves_nothing(kit: Kit) {
    let kit = Arc::new(kit);
    let number = r#"{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000050"}"#;
    let holder = format!(r#"{{"resourceType":"Patient","identifier":[{number}]}}"#);
    assert_eq!(kit.post("Patient", &holder).await.status, StatusCode::CREATED);
    let senders = (0..48).map(|sender| {
        let kit = kit.clone();
        // Every third wants a number that is taken: known only once all else of it is written.
        let identifier = if sender % 3 == 0 { number } else { r#"{"value":"own"}"# };
        let body = format!(
            r#"{{"resourceType":"Bundle","type":"transaction","entry":[
            {{"request":{{"method":"POST","url":"Basic"}},"resource":{{"resourceType":"Basic","code":{{"coding":[{{"system":"urn:late","code":"s{sender}"}}]}}}}}},
            {{"request":{{"method":"POST","url":"Patient"}},"resource":{{"resourceType":"Patient","identifier":[{identifier}]}}}}]}}"#
        );
        tokio::spawn(async move { (sender, kit.post("", &body).await.status) })
    });
    for sent in futures::future::join_all(senders).await {
        let (sender, status) = sent.unwrap();
        let refused = sender % 3 == 0;
        let expected = if refused { StatusCode::CONFLICT } else { StatusCode::OK };
        assert_eq!(status, expected, "{sender}");
        let found = kit.ids(&format!("Basic?code=urn:late%7Cs{sender}")).await.len();
        assert_eq!(found, usize::from(!refused), "{sender}");
    }
    assert_eq!(kit.search("Basic/_history?_count=100").await["total"], 32);
    assert_eq!(kit.count("Patient").await, 33);
}
