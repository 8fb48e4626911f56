//! A patient's whole record, of every region that holds something.

use fhir::identifier::{CHI_NUMBER, NHS_NUMBER};
use serde_json::{Value, json};

use crate::world::{
    Answer, Fake, NUMBER, Reply, World, hub, locator, observation, patient, searchset,
};

/// A hub whose Patient has that id, and everything it holds of them.
async fn record(id: &'static str, held: Vec<Value>) -> Fake {
    Fake::start(move |request| {
        let operation = format!("/FHIR/R4/Patient/{id}/$everything");
        let found = |resources: &[Value]| {
            let entry = |resource| json!({"resource": resource, "search": {"mode": "match"}});
            let entries: Vec<_> = resources.iter().map(entry).collect();
            Reply::Json(
                200,
                json!({"resourceType": "Bundle", "type": "searchset", "entry": entries}),
            )
        };
        if request.target == "/FHIR/R4/Patient/_search" {
            found(&[patient(id, NUMBER)])
        } else if request.target.starts_with(&operation) {
            found(&held)
        } else {
            Reply::Json(404, json!({"resourceType": "OperationOutcome", "issue": []}))
        }
    })
    .await
}

fn of(id: &str, subject: &str) -> Value {
    let mut observation = observation(id, "2026-01-01");
    observation["subject"] = json!({"reference": subject});
    observation
}

fn practitioner() -> Value {
    json!({"resourceType": "Practitioner", "id": "d", "name": [{"text": "Dr A"}]})
}

fn names(answer: &Answer, mode: &str) -> Vec<String> {
    let entries = if mode == "match" { answer.matches() } else { answer.includes() };
    let name =
        |entry: &&Value| entry["fullUrl"].as_str()?.split_once("/at/").map(|(_, at)| at.to_owned());
    entries.iter().filter_map(name).collect()
}

#[tokio::test]
async fn everything_of_every_region_is_in_one_answer() {
    let home = record("p", vec![patient("p", NUMBER), of("a", "Patient/p"), practitioner()]).await;
    let mut condition = json!({
        "resourceType": "Condition", "id": "c", "recordedDate": "2026-02-01",
        "subject": {"reference": "Patient/q"},
    });
    condition["meta"] = json!({"lastUpdated": "2026-02-02T00:00:00Z"});
    let far = record("q", vec![condition, of("b", "Patient/q")]).await;
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let path =
        format!("Patient/{NUMBER}/$everything?_since=2020-01-01T00:00:00Z&start=2019&end=2027");
    let answer = world.get(&path).await;
    assert_eq!((answer.status, &answer.body["total"]), (200, &json!(4)));
    assert_eq!(
        names(&answer, "match"),
        ["FAR/Condition/c", "HOME/Observation/a", "FAR/Observation/b", "HOME/Patient/p",]
    );
    assert_eq!(names(&answer, "include"), ["HOME/Practitioner/d"]);
    assert_eq!(answer.header("x-federation-regions"), "total=2,ok=2");
    let own = answer.body["link"][0]["url"].as_str().unwrap();
    assert!(own.ends_with("?_since=2020-01-01T00%3A00%3A00Z&start=2019&end=2027"), "{own}");
    let asked = far.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].target,
        "/FHIR/R4/Patient/q/$everything?_since=2020-01-01T00%3A00%3A00Z&start=2019&end=2027&_count=1000"
    );
    assert_eq!(far.seen().iter().filter(|seen| seen.target.contains(NUMBER)).count(), 0);
}

#[tokio::test]
async fn what_is_of_another_patient_discredits_the_region_whatever_names_them() {
    let performed = json!({
        "resourceType": "Observation", "id": "x", "status": "final",
        "performer": [{"reference": "Patient/z"}],
    });
    let logical = json!({"identifier": {"system": NHS_NUMBER, "value": "9876543210"}});
    let mut numbered = of("x", "");
    numbered["subject"] = logical;
    let met = json!({
        "resourceType": "Appointment", "id": "x", "status": "booked",
        "participant": [{"actor": {"reference": "http://elsewhere/FHIR/R4/Patient/p"}}],
    });
    for foreign in [of("x", "Patient/z"), performed, numbered, met, patient("z", "9876543210")] {
        let home = record("p", vec![patient("p", NUMBER), of("a", "Patient/p")]).await;
        let far = record("q", vec![of("b", "Patient/q"), foreign.clone()]).await;
        let locator = locator(&["FAR"]).await;
        let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
        let answer = world.get(&format!("Patient/{NUMBER}/$everything")).await;
        assert_eq!(answer.statuses(), ["wrong-patient"], "{foreign}");
        assert_eq!(names(&answer, "match"), ["HOME/Observation/a", "HOME/Patient/p"]);
        assert!(answer.body.get("total").is_none());
    }
}

#[tokio::test]
async fn a_region_without_the_patient_is_empty_and_one_that_fails_half_way_is_named() {
    let home = hub(vec![]).await;
    let failing = Fake::start(|request| match request.method.as_str() {
        "POST" => {
            let entry = json!({"resource": patient("q", NUMBER), "search": {"mode": "match"}});
            Reply::Json(
                200,
                json!({"resourceType": "Bundle", "type": "searchset", "entry": [entry]}),
            )
        }
        _ => Reply::Json(500, json!({})),
    })
    .await;
    let locator = locator(&["FAR"]).await;
    let regions = [home.region("HOME"), failing.region("FAR")];
    let world = World::start(&locator.origin, &regions).await;
    let answer = world.get(&format!("Patient/{NUMBER}/$everything")).await;
    assert_eq!((answer.status, answer.statuses()), (200, vec!["unreachable"]));
    assert_eq!(answer.header("x-federation-regions"), "total=2,ok=1,unreachable=1");
    let whole = world.get(&format!("Patient/{NUMBER}/$everything?incomplete=error")).await;
    assert_eq!(whole.status, 502);
}

#[tokio::test]
async fn a_regions_everything_is_followed_page_by_page_at_its_own_address() {
    let home = Fake::start(|request| {
        let mut page = if request.target.contains("cursor") {
            searchset(&[observation("b", "2026-01-02")])
        } else if request.target.contains("$everything") {
            let mut page = searchset(&[observation("a", "2026-01-01")]);
            let next = "http://elsewhere.invalid/FHIR/R4/Patient/p/$everything?cursor=2";
            page["link"] = json!([{"relation": "next", "url": next}]);
            page
        } else {
            let mut found = searchset(&[observation("p", "2026-01-01")]);
            found["entry"].as_array_mut().unwrap().remove(0);
            found["entry"][0]["search"]["mode"] = json!("match");
            found
        };
        page["entry"].as_array_mut().unwrap().retain(|entry| entry["resource"].is_object());
        Reply::Json(200, page)
    })
    .await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let answer = world.get(&format!("Patient/{NUMBER}/$everything")).await;
    assert_eq!(names(&answer, "match"), ["HOME/Observation/b", "HOME/Observation/a"]);
    assert_eq!(home.asked()[1].target, "/FHIR/R4/Patient/p/$everything?cursor=2");
}

#[tokio::test]
async fn the_patient_can_be_named_by_any_number_and_the_parameters_sent_as_a_resource() {
    let home = record("p", vec![patient("p", NUMBER), of("a", "Patient/p")]).await;
    let locator = locator(&["HOME"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME")]).await;
    let url = format!("{}/Patient/$everything", world.base);
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "identifier", "valueString": format!("{NHS_NUMBER}|{NUMBER}")},
        {"name": "_type", "valueCode": "Observation"},
    ]});
    let request = world.client.post(url).header("content-type", "application/fhir+json");
    let answer = Answer::of(request.body(parameters.to_string()).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let asked = home.asked();
    assert!(asked[0].target.contains("$everything?_type=Observation&_count="), "{asked:?}");
    assert!(world.journal().contains(NUMBER), "the journal keeps what was asked");
    for (path, words) in [
        ("Patient/9434765918/$everything", "check digit"),
        ("Patient/some-id/$everything", "ten digits"),
        ("Patient/$everything", "Say whose"),
        (&*format!("Patient/$everything?identifier={CHI_NUMBER}|0402568876"), "check digit"),
        (&*format!("Patient/{NUMBER}/$everything?_type=Bogus"), "resource types"),
        (&*format!("Patient/{NUMBER}/$everything?code=1"), "$everything takes"),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.says(words), "{path}: {}", answer.body);
    }
    let deleted = world.client.delete(format!("{}/Patient/{NUMBER}/$everything", world.base));
    assert_eq!(deleted.send().await.unwrap().status(), 405);
}
