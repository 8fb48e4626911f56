//! What becomes of the outbox, whatever the locator says.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hub::registration::outbox::Depth;
use serde_json::{Value, json};
use service::clock::Clock;

use super::locator::{Locator, drain, send};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    pointers_follow_what_becomes_of_a_patient,
    of_a_patient_who_was_merged_only_the_survivor_is_found,
    only_verified_numbers_are_registered_if_so_configured,
    what_the_locator_refuses_is_parked_and_holds_up_nothing,
    trouble_with_the_locator_is_waited_for_as_long_as_it_asks,
    a_pointer_that_exists_already_is_adopted,
    what_the_locator_fails_at_again_and_again_is_parked,
);

const SYSTEM: &str = "https://fhir.nhs.uk/Id/nhs-number";
const ONE: &str = "9990000050";
const OTHER: &str = "9990000069";
const NOW_MICROS: i64 = 1_795_426_200_000_000;

fn patient(id: &str, identifier: Value, more: Value) -> String {
    let mut patient = json!({"resourceType": "Patient", "id": id, "identifier": [identifier]});
    let members = more.as_object().unwrap().clone();
    patient.as_object_mut().unwrap().extend(members);
    patient.to_string()
}

fn number(value: &str) -> Value {
    json!({"system": SYSTEM, "value": value})
}

fn advance(clock: &Clock, by: Duration) {
    let Clock::Fixed(micros) = clock else { panic!("the clock is fixed") };
    micros.fetch_add(by.as_micros() as i64, Ordering::Relaxed);
}

async fn pointers_follow_what_becomes_of_a_patient(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    let becomes = async |identifier: Value, more: Value, expected: &[&str]| {
        let written = kit.put("Patient/p", &patient("p", identifier, more)).await;
        assert!(written.status.is_success(), "{}", written.text);
        drain(&sender).await;
        assert_eq!(locator.numbers(), expected);
    };
    let old = json!({"system": SYSTEM, "value": ONE, "use": "old"});
    becomes(number(ONE), json!({}), &[ONE]).await;
    becomes(number(ONE), json!({"deceasedBoolean": false}), &[ONE]).await;
    becomes(number(ONE), json!({"deceasedDateTime": "2026-01-01"}), &[]).await;
    becomes(number(ONE), json!({}), &[ONE]).await;
    becomes(number(ONE), json!({"deceasedBoolean": true}), &[]).await;
    becomes(number(OTHER), json!({}), &[OTHER]).await;
    becomes(number(ONE), json!({}), &[ONE]).await;
    becomes(old, json!({}), &[]).await;
    becomes(number(ONE), json!({}), &[ONE]).await;
    kit.delete("Patient/p").await;
    drain(&sender).await;
    assert!(locator.numbers().is_empty());
    assert_eq!(kit.hub.store.registration_depth().await.unwrap(), Depth::default());
}

async fn of_a_patient_who_was_merged_only_the_survivor_is_found(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    kit.put("Patient/p", &patient("p", number(ONE), json!({}))).await;
    kit.put("Patient/q", &patient("q", number(OTHER), json!({}))).await;
    drain(&sender).await;
    assert_eq!(locator.numbers(), [ONE, OTHER]);
    let link = json!({"link": [{"other": {"reference": "Patient/q"}, "type": "replaced-by"}]});
    kit.put("Patient/p", &patient("p", number(ONE), link)).await;
    drain(&sender).await;
    assert_eq!(locator.numbers(), [OTHER]);
    // The survivor takes the number over, and gives it back when they are parted again.
    let both = json!({"identifier": [number(ONE), number(OTHER)]});
    kit.put("Patient/q", &patient("q", number(OTHER), both)).await;
    drain(&sender).await;
    assert_eq!(locator.numbers(), [ONE, OTHER]);
    kit.put("Patient/q", &patient("q", number(OTHER), json!({}))).await;
    kit.put("Patient/p", &patient("p", number(ONE), json!({}))).await;
    drain(&sender).await;
    assert_eq!(locator.numbers(), [ONE, OTHER]);
}

async fn only_verified_numbers_are_registered_if_so_configured(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, true, Clock::System).await;
    let with = |code: &str| {
        let system = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland";
        let concept = json!({"coding": [{"system": system, "code": code}]});
        let url = "https://fhir.hl7.org.uk/StructureDefinition/\
                   Extension-UKCore-NHSNumberVerificationStatus";
        let extension = json!([{"url": url, "valueCodeableConcept": concept}]);
        json!({"extension": extension, "system": SYSTEM, "value": ONE})
    };
    for (identifier, expected) in
        [(number(ONE), vec![]), (with("02"), vec![]), (with("01"), vec![ONE]), (with("03"), vec![])]
    {
        let written = kit.put("Patient/p", &patient("p", identifier, json!({}))).await;
        assert!(written.status.is_success(), "{}", written.text);
        drain(&sender).await;
        assert_eq!(locator.numbers(), expected);
    }
}

async fn what_the_locator_refuses_is_parked_and_holds_up_nothing(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    for (status, id, value) in [(400, "p", ONE), (422, "q", OTHER)] {
        locator.answers(status, None, 1);
        kit.put(&format!("Patient/{id}"), &patient(id, number(value), json!({}))).await;
        assert_eq!(send(&sender).await.rest, None);
    }
    let depth = kit.hub.store.registration_depth().await.unwrap();
    assert_eq!((depth.waiting, depth.parked), (0, 2));
    let third = patient("r", number("9990000077"), json!({}));
    kit.put("Patient/r", &third).await;
    drain(&sender).await;
    assert_eq!(locator.numbers(), ["9990000077"]);
}

async fn trouble_with_the_locator_is_waited_for_as_long_as_it_asks(kit: Kit) {
    let clock = Clock::fixed(NOW_MICROS);
    let (locator, kit, sender) = Locator::of(kit, false, clock.clone()).await;
    kit.put("Patient/p", &patient("p", number(ONE), json!({}))).await;
    for (status, asked, at_least_s) in [
        (401, None, 0),
        (403, None, 0),
        (404, None, 0),
        (429, Some("120"), 120),
        (503, Some("90"), 90),
        (504, None, 0),
    ] {
        locator.answers(status, asked, 1);
        let sent = send(&sender).await;
        let rest = sent.rest.expect("the locator is left alone");
        assert!((at_least_s..=at_least_s + 30).contains(&rest.as_secs()), "{status}: {rest:?}");
        assert!(locator.numbers().is_empty());
        if at_least_s > 0 {
            advance(&clock, Duration::from_secs(at_least_s - 1));
            assert_eq!(send(&sender).await.taken, 0, "it is asked too soon");
        }
        advance(&clock, Duration::from_mins(1));
    }
    let depth = kit.hub.store.registration_depth().await.unwrap();
    assert_eq!((depth.waiting, depth.oldest, depth.parked), (1, Some(NOW_MICROS), 0));
    drain(&sender).await;
    assert_eq!(locator.numbers(), [ONE]);
}

async fn a_pointer_that_exists_already_is_adopted(kit: Kit) {
    let (locator, kit, sender) = Locator::of(kit, false, Clock::System).await;
    locator.slip(ONE, super::locator::HERE);
    locator.answers(409, None, 1);
    kit.put("Patient/p", &patient("p", number(ONE), json!({}))).await;
    drain(&sender).await;
    assert_eq!(locator.numbers(), [ONE]);
    assert_eq!(kit.hub.store.registration_depth().await.unwrap(), Depth::default());
}

async fn what_the_locator_fails_at_again_and_again_is_parked(kit: Kit) {
    let clock = Clock::fixed(NOW_MICROS);
    let (locator, kit, sender) = Locator::of(kit, false, clock.clone()).await;
    kit.put("Patient/p", &patient("p", number(ONE), json!({}))).await;
    locator.answers(500, None, 100);
    for attempt in 0..=20 {
        let sent = send(&sender).await;
        assert_eq!((sent.taken, sent.rest), (1, None), "others are not held up");
        let depth = kit.hub.store.registration_depth().await.unwrap();
        assert_eq!(depth.parked, i64::from(attempt == 20), "attempt {attempt}");
        advance(&clock, Duration::from_secs(31));
    }
}
