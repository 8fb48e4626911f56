//! What stands beside the matches, and what is left of a resource of which only a part is wanted.

use serde_json::{Value, json};

use crate::world::{Answer, Fake, Reply, World, fact, hub, locator, observation, searchset};

const PERFORMER: &str = "&_include=Observation:performer:Practitioner";

/// A hub with these Observations and this beside them, as often as it likes.
async fn with(matches: Vec<Value>, beside: Vec<Value>) -> Fake {
    let mut bundle = searchset(&matches);
    let entries = bundle["entry"].as_array_mut().unwrap();
    entries.extend(beside.iter().map(|r| json!({"resource": r, "search": {"mode": "include"}})));
    Fake::start(move |_| Reply::Json(200, bundle.clone())).await
}

fn practitioner() -> Value {
    let identifier = json!([{"system": "https://fhir.nhs.uk/Id/sds-user-id", "value": "1"}]);
    json!({"resourceType": "Practitioner", "id": "d", "identifier": identifier})
}

fn included(answer: &Answer) -> Vec<&Value> {
    answer.includes().into_iter().filter(|entry| entry["fullUrl"].is_string()).collect()
}

#[tokio::test]
async fn what_matches_refer_to_stands_beside_them_once_for_each_region() {
    let doctor = vec![practitioner(), practitioner()];
    let home =
        with(vec![observation("a", "2026-01-02"), observation("b", "2026-01-01")], doctor).await;
    let far = with(vec![observation("a", "2026-01-03")], vec![practitioner()]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let answer = world.observations(PERFORMER).await;
    assert_eq!((answer.status, answer.ids().len(), &answer.body["total"]), (200, 3, &json!(3)));
    let urls: Vec<_> = included(&answer).iter().map(|e| e["link"][0]["url"].clone()).collect();
    let expected = [&home, &far].map(|hub| json!(format!("{}/FHIR/R4/Practitioner/d", hub.origin)));
    assert_eq!(urls, expected, "the patient was not asked for");
    assert!(answer.says("same identity, same content"));
    assert!(far.asked()[0].body.contains("&_include=Observation%3Aperformer%3APractitioner&"));
    let own = answer.body["link"][0]["url"].as_str().unwrap();
    assert!(own.ends_with("&_include=Observation%3Aperformer%3APractitioner"), "{own}");
}

#[tokio::test]
async fn what_stands_beside_and_is_of_another_patient_discredits_the_region() {
    let mut foreign = observation("z", "2026-01-01");
    foreign["subject"] = json!({"reference": "Patient/z"});
    let home = with(vec![observation("a", "2026-01-02")], vec![foreign]).await;
    let far = hub(vec![observation("a", "2026-01-03")]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let answer = world.observations("&_include=Observation:has-member").await;
    assert_eq!(
        (answer.ids(), answer.statuses()),
        (vec!["FAR/a".to_owned()], vec!["wrong-patient"])
    );
    let unasked = world.observations("").await;
    assert_eq!(unasked.statuses(), ["invalid"]);
}

#[tokio::test]
async fn a_part_of_each_resource_is_taken_after_all_of_it_was_compared() {
    let (home, far) = (hub(vec![fact("a", "one", 1)]).await, hub(vec![fact("b", "one", 2)]).await);
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    for (part, kept, left_out) in [
        ("&_elements=effective", "effectiveDateTime", "subject"),
        ("&_summary=true", "effectiveDateTime", "identifier_"),
        ("&_summary=text", "status", "effectiveDateTime"),
        ("&_summary=data", "identifier", "text"),
    ] {
        let answer = world.observations(part).await;
        assert_eq!(
            (answer.status, answer.ids()),
            (200, vec!["HOME/a".into(), "FAR/b".into()]),
            "{part}"
        );
        assert!(answer.says("differ in valueInteger"), "{part}");
        for entry in answer.matches() {
            let resource = &entry["resource"];
            assert!(
                resource.get(kept).is_some() && resource.get(left_out).is_none(),
                "{part} {resource}"
            );
            assert_eq!(resource["meta"]["tag"][0]["code"], "SUBSETTED", "{part}");
        }
        let asked = far.asked();
        assert!(!asked.last().unwrap().body.contains("_elements"), "{part}");
        assert!(!asked.last().unwrap().body.contains("_summary"), "{part}");
    }
    assert_eq!(world.observations("&_summary=some").await.status, 400);
}
