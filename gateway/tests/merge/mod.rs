//! Facts that are, seem or fail to be the same in two regions: nothing is lost, nothing is fused.

use fhir::identifier::NHS_NUMBER;
use serde_json::{Value, json};

use crate::world::{Answer, GUID, NUMBER, World, hub, locator};

const SNOMED: &str = "http://snomed.info/sct";
const ORDER_ITEM: &str = "https://fhir.nhs.uk/Id/prescription-order-item-number";

/// A severity, and some words.
type Said = (&'static str, &'static str);

/// Two resources in two regions, and what is said of them.
struct Case {
    name: &'static str,
    home: Value,
    far: Value,
    /// The severity of what is said, and some of its words; nothing is said if there are none.
    said: Option<Said>,
    /// How the second stands in the Linkage, if there is one.
    linked: Option<&'static str>,
}

fn code(code: &str) -> Value {
    json!({"coding": [{"system": SNOMED, "code": code}]})
}

fn status(system: &str, code: &str) -> Value {
    let system = format!("http://terminology.hl7.org/CodeSystem/{system}");
    json!({"coding": [{"system": system, "code": code}]})
}

/// A resource of the patient: its type, and everything else.
fn of(kind: &str, members: &Value) -> Value {
    let patient =
        if kind == "AllergyIntolerance" || kind == "Immunization" { "patient" } else { "subject" };
    let mut resource = json!({"resourceType": kind, "id": "x"});
    resource[patient] = json!({"reference": "Patient/p"});
    with(&resource, members)
}

fn with(resource: &Value, members: &Value) -> Value {
    let mut resource = resource.clone();
    for (name, value) in members.as_object().unwrap() {
        resource[name] = value.clone();
    }
    resource
}

fn named(name: &str) -> Value {
    json!([{"system": GUID, "value": name}])
}

fn updated(day: u8) -> Value {
    json!({"lastUpdated": format!("2026-03-{day:02}T00:00:00Z")})
}

const APART: (Option<Said>, Option<&str>) = (None, None);

fn case(
    name: &'static str,
    base: &Value,
    changes: [Value; 2],
    end: (impl Into<Option<Said>>, Option<&'static str>),
) -> Case {
    let [home, far] = changes.map(|change| with(base, &change));
    Case { name, home, far, said: end.0.into(), linked: end.1 }
}

fn warns(words: &'static str) -> Said {
    ("warning", words)
}

fn medicines() -> Vec<Case> {
    let drug = of(
        "MedicationRequest",
        &json!({
            "status": "active", "intent": "order", "authoredOn": "2026-01-01",
            "medicationCodeableConcept": code("319775004"),
            "dosageInstruction": [{"text": "1 mg at night"}],
        }),
    );
    let item = json!([{"system": ORDER_ITEM, "value": "3F2A"}]);
    let five = json!([{"text": "5 mg at night"}]);
    let plan = |code: &str| status("medicationrequest-course-of-therapy", code);
    let uncoded = json!({"medicationCodeableConcept": {"text": "the white ones"}});
    vec![
        case(
            "1 mg and 5 mg of one product",
            &drug,
            [json!({}), json!({"dosageInstruction": five})],
            (warns("different doses"), None),
        ),
        case(
            "1 mg and 5 mg of one prescription item",
            &with(&drug, &json!({"identifier": item})),
            [json!({}), json!({"dosageInstruction": five})],
            (warns("differ in dosageInstruction"), Some("alternate")),
        ),
        case(
            "active here and stopped there",
            &drug,
            [json!({}), json!({"status": "stopped", "authoredOn": "2025-01-01"})],
            (warns("stopped in the second"), None),
        ),
        case(
            "acute and repeat",
            &drug,
            [
                json!({"courseOfTherapyType": plan("acute")}),
                json!({"courseOfTherapyType": plan("continuous")}),
            ],
            (warns("differ in courseOfTherapyType"), Some("alternate")),
        ),
        case("take and do not take", &drug, [json!({}), json!({"doNotPerform": true})], APART),
        case("uncoded medicines of one day", &drug, [uncoded.clone(), uncoded], APART),
        case(
            "without a dose",
            &of(
                "MedicationRequest",
                &json!({
                    "status": "active", "intent": "order", "authoredOn": "2026-01-01",
                    "medicationCodeableConcept": code("319775004"),
                }),
            ),
            [json!({}), json!({})],
            APART,
        ),
        case(
            "said alike by two",
            &drug,
            [json!({}), json!({})],
            (Some(("information", "may be the same fact")), Some("alternate")),
        ),
        case(
            "one prescription item, later cancelled",
            &with(&drug, &json!({"identifier": item})),
            [json!({"meta": updated(2), "status": "cancelled"}), json!({"meta": updated(1)})],
            (warns("the first was changed later"), Some("historical")),
        ),
    ]
}

fn conditions() -> Vec<Case> {
    let problem = of(
        "Condition",
        &json!({
            "code": code("38341003"), "onsetDateTime": "2020-05",
            "clinicalStatus": status("condition-clinical", "active"),
            "verificationStatus": status("condition-ver-status", "confirmed"),
        }),
    );
    let clinical = |code: &str| json!({"clinicalStatus": status("condition-clinical", code)});
    let verified = |code: &str| json!({"verificationStatus": status("condition-ver-status", code)});
    let mut undated = problem.clone();
    undated.as_object_mut().unwrap().remove("onsetDateTime");
    let site = |code_: &str| json!({"bodySite": [code(code_)]});
    let operation = of(
        "Procedure",
        &json!({
            "status": "completed", "code": code("52734007"), "performedDateTime": "2024-04-04",
        }),
    );
    vec![
        case(
            "active and resolved",
            &problem,
            [json!({}), clinical("resolved")],
            (warns("differ in clinicalStatus"), Some("alternate")),
        ),
        case(
            "confirmed and refuted",
            &problem,
            [json!({}), verified("refuted")],
            (warns("differ in verificationStatus"), Some("alternate")),
        ),
        case("undated", &undated, [json!({}), json!({})], APART),
        case(
            "with another precision",
            &problem,
            [json!({}), json!({"onsetDateTime": "2020-05-01"})],
            APART,
        ),
        case("left hip and right hip", &operation, [site("7771000"), site("24028007")], APART),
        case(
            "one operation, left and right",
            &with(&operation, &json!({"identifier": named("hip")})),
            [site("7771000"), site("24028007")],
            (warns("differ in bodySite"), Some("alternate")),
        ),
    ]
}

fn allergies() -> Vec<Case> {
    let allergy = of(
        "AllergyIntolerance",
        &json!({
            "code": code("91936005"), "category": ["medication"],
            "clinicalStatus": status("allergyintolerance-clinical", "active"),
            "verificationStatus": status("allergyintolerance-verification", "confirmed"),
        }),
    );
    let verified =
        |code: &str| json!({"verificationStatus": status("allergyintolerance-verification", code)});
    vec![
        case(
            "an allergy and none known",
            &allergy,
            [json!({}), json!({"code": code("716186003")})],
            (warns("says that none is known"), None),
        ),
        case(
            "a medicine and no known food allergy",
            &allergy,
            [json!({}), json!({"code": code("429625007"), "category": ["food"]})],
            APART,
        ),
        case(
            "a refuted allergy and none known",
            &allergy,
            [verified("refuted"), json!({"code": code("716186003")})],
            APART,
        ),
        case(
            "a confirmed and a refuted one",
            &allergy,
            [json!({}), verified("refuted")],
            (warns("differ in verificationStatus"), Some("alternate")),
        ),
        case(
            "in words alone",
            &allergy,
            [
                json!({"code": {"text": "Peanuts"}}),
                json!({"code": {"text": " peanuts"}, "criticality": "high"}),
            ],
            (warns("differ in criticality"), Some("alternate")),
        ),
    ]
}

fn finding() -> Value {
    of(
        "Observation",
        &json!({
            "status": "final", "code": code("75367002"), "effectiveDateTime": "2026-01-01T09:30:00Z",
        }),
    )
}

fn findings() -> Vec<Case> {
    let finding = finding();
    let parts =
        |value: u32| json!({"component": [{"code": code("271649006"), "valueInteger": value}]});
    vec![
        case(
            "false and true",
            &finding,
            [json!({"valueBoolean": false}), json!({"valueBoolean": true})],
            APART,
        ),
        case(
            "false and false",
            &finding,
            [json!({"valueBoolean": false}), json!({"valueBoolean": false})],
            (Some(("information", "may be the same fact")), Some("alternate")),
        ),
        case("components alone", &finding, [parts(120), parts(121)], APART),
        case("without any value", &finding, [json!({}), json!({})], APART),
        case(
            "equal at another hour",
            &finding,
            [
                json!({"valueInteger": 1}),
                json!({"valueInteger": 1, "effectiveDateTime": "2026-01-01T19:30:00Z"}),
            ],
            APART,
        ),
    ]
}

fn copies() -> Vec<Case> {
    let finding = finding();
    let local = json!([{"system": "https://lab.example/number", "value": "17"}]);
    let assigned = json!([{"system": "https://lab.example/number", "value": "17", "assigner": {
        "identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "RX1"}}}]);
    let shared = json!({"identifier": named("one")});
    let report = of("DiagnosticReport", &json!({"code": code("26604007"), "identifier": assigned}));
    vec![
        case(
            "entered in error and final",
            &with(&finding, &shared),
            [json!({"valueInteger": 1}), json!({"valueInteger": 1, "status": "entered-in-error"})],
            (warns("differ in status"), Some("alternate")),
        ),
        case(
            "entered in error, by likeness",
            &finding,
            [json!({"valueInteger": 1}), json!({"valueInteger": 1, "status": "entered-in-error"})],
            (warns("differ in status"), Some("alternate")),
        ),
        case(
            "a bare local number",
            &with(&finding, &json!({"identifier": local})),
            [json!({"valueInteger": 1}), json!({"valueInteger": 2})],
            APART,
        ),
        case(
            "a laboratory's number, other content",
            &with(&finding, &json!({"identifier": assigned})),
            [json!({"valueInteger": 1}), json!({"valueInteger": 2})],
            (warns("differ in valueInteger"), Some("alternate")),
        ),
        case(
            "a report and its amendment",
            &report,
            [
                json!({"status": "final", "meta": updated(1)}),
                json!({"status": "amended", "meta": updated(2)}),
            ],
            (warns("differ in status"), Some("historical")),
        ),
        case(
            "a newer copy with one more note",
            &with(&finding, &shared),
            [json!({"meta": updated(1)}), json!({"meta": updated(2), "note": [{"text": "seen"}]})],
            (Some(("information", "older version")), Some("historical")),
        ),
    ]
}

fn documents() -> Vec<Case> {
    let dose = of(
        "Immunization",
        &json!({
            "status": "completed", "vaccineCode": code("39114911000001105"), "occurrenceDateTime": "2026-01-05",
        }),
    );
    let letter = of("DocumentReference", &json!({"status": "current", "type": code("371531000")}));
    let replaces =
        json!([{"code": "replaces", "target": {"identifier": {"system": GUID, "value": "old"}}}]);
    vec![
        case(
            "two doses of one day, other lots",
            &dose,
            [json!({"lotNumber": "A"}), json!({"lotNumber": "B"})],
            APART,
        ),
        case(
            "given and not done",
            &dose,
            [json!({}), json!({"status": "not-done"})],
            (warns("differ in status"), Some("alternate")),
        ),
        case(
            "a letter and the one it replaces",
            &letter,
            [
                json!({"identifier": named("new"), "relatesTo": replaces}),
                json!({"identifier": named("old")}),
            ],
            (Some(("information", "older version")), Some("historical")),
        ),
    ]
}

async fn ask(world: &World, kind: &str, dedup: &str) -> Answer {
    let query = format!("{kind}?patient.identifier={NHS_NUMBER}|{NUMBER}&dedup={dedup}");
    world.get(&query).await
}

fn linkages(answer: &Answer) -> Vec<&Value> {
    let includes = answer.includes().into_iter().map(|entry| &entry["resource"]);
    includes.filter(|resource| resource["resourceType"] == "Linkage").collect()
}

/// Each region's entries that are shown.
fn shown(answer: &Answer, region: &str) -> Vec<Value> {
    let of_region =
        |entry: &&Value| entry["fullUrl"].as_str().unwrap().contains(&format!("/at/{region}/"));
    answer.matches().into_iter().filter(of_region).map(|entry| entry["resource"].clone()).collect()
}

#[tokio::test]
async fn whatever_two_regions_say_differently_is_shown_as_both_say_it() {
    let cases = [medicines(), conditions(), allergies(), findings(), copies(), documents()];
    for case in cases.into_iter().flatten() {
        let kind = case.home["resourceType"].as_str().unwrap().to_owned();
        // The ids are the same: they name nothing beyond their region.
        let home = hub(vec![case.home.clone()]).await;
        let far = hub(vec![case.far.clone()]).await;
        let locator = locator(&["FAR"]).await;
        let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
        for dedup in ["off", "link", "fold"] {
            let answer = ask(&world, &kind, dedup).await;
            let told = format!("{} ({dedup}): {:?}", case.name, answer.issues());
            assert_eq!(answer.status, 200, "{told}");
            assert_eq!(shown(&answer, "HOME"), std::slice::from_ref(&case.home), "{told}");
            assert_eq!(shown(&answer, "FAR"), std::slice::from_ref(&case.far), "{told}");
            assert_eq!(answer.header("x-federation-complete"), "true", "{told}");
            let (issues, linkages) = (answer.issues(), linkages(&answer));
            if dedup == "off" || case.said.is_none() {
                assert!(issues.is_empty() && linkages.is_empty(), "{told}");
                continue;
            }
            let (severity, words) = case.said.unwrap();
            assert_eq!(issues.len(), 1, "{told}");
            assert_eq!(issues[0]["severity"], severity, "{told}");
            assert!(answer.says(words), "{told}");
            let named: Vec<_> = issues[0]["expression"].as_array().unwrap().iter().collect();
            for origin in [&home.origin, &far.origin] {
                let canonical = json!(format!("{origin}/FHIR/R4/{kind}/x"));
                assert!(named.contains(&&canonical), "{told}");
            }
            let items = linkages.first().map(|linkage| &linkage["item"][1]["type"]);
            assert_eq!(items, case.linked.map(|role| json!(role)).as_ref(), "{told}");
        }
    }
}

#[tokio::test]
async fn what_is_the_same_in_three_regions_is_one_group_and_folded_on_request() {
    let one = |id: &str, day| {
        let members = json!({
            "status": "final", "identifier": named("one"), "valueInteger": 1, "meta": updated(day),
        });
        with(&of("Observation", &members), &json!({"id": id}))
    };
    let copy = with(
        &one("c", 3),
        &json!({"meta": {"lastUpdated": "2026-03-09T00:00:00Z", "tag": [
        {"system": "urn:shared-record:custodian", "code": "HOME"}]}}),
    );
    let (home, far, near) =
        (hub(vec![one("a", 1)]).await, hub(vec![one("b", 2)]).await, hub(vec![copy]).await);
    let locator = locator(&["FAR", "NEAR"]).await;
    let regions = [near.region("NEAR"), far.region("FAR"), home.region("HOME")];
    let world = World::start(&locator.origin, &regions).await;
    let linked = ask(&world, "Observation", "link").await;
    assert_eq!((linked.matches().len(), &linked.body["total"]), (3, &json!(3)));
    let groups = linkages(&linked);
    assert_eq!(groups.len(), 1);
    let urls: Vec<_> = groups[0]["item"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["resource"]["reference"].clone())
        .collect();
    // What belongs to another organisation comes after what a region holds as its own.
    let expected = [(&far, "b"), (&home, "a"), (&near, "c")];
    let expected =
        expected.map(|(hub, id)| json!(format!("{}/FHIR/R4/Observation/{id}", hub.origin)));
    assert_eq!(urls, expected);
    assert_eq!(groups[0]["author"]["identifier"]["value"], "HOME");
    let folded = ask(&world, "Observation", "fold").await;
    assert_eq!(folded.ids(), ["FAR/b"]);
    let names: Vec<_> =
        folded.issues().iter().map(|issue| issue["expression"][1].clone()).collect();
    assert_eq!(names, [expected[2].clone(), expected[1].clone()], "in the order of the answer");
}

#[tokio::test]
async fn many_findings_are_told_up_to_a_limit_and_then_counted() {
    let many = |value: u32| -> Vec<Value> {
        let fact = |number: u32| {
            let members = json!({
                "status": "final", "code": code("75367002"),
                "identifier": named(&number.to_string()), "valueInteger": value,
            });
            with(&of("Observation", &members), &json!({"id": number.to_string()}))
        };
        (0..130).map(fact).collect()
    };
    let (home, far) = (hub(many(1)).await, hub(many(2)).await);
    let locator = locator(&["FAR"]).await;
    let world = World::start(&locator.origin, &[home.region("HOME"), far.region("FAR")]).await;
    let answer = ask(&world, "Observation", "link").await;
    assert_eq!((answer.matches().len(), answer.issues().len()), (260, 101));
    assert!(answer.says("30 more pairs"));
}
