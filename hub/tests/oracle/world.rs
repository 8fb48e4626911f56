//! A small world in which much collides: few names, few codes, few dates.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::dice::Dice;

pub(super) const SYSTEMS: [&str; 2] = ["urn:s", "urn:t"];
pub(super) const CODES: [&str; 6] = ["c1", "C1", "c2", "c,3", "c$4", "c|5"];
pub(super) const DISPLAYS: [&str; 4] = ["Heart rate", "heart RATE, resting", "Pulse", "Pülse"];
pub(super) const NAMES: [&str; 12] = [
    "Ann",
    "ANN",
    "Änn",
    "Anna  Bea",
    "Straße",
    "Strasse 7",
    "ﬁnn",
    "Finn, O",
    "Ode",
    "O\\de|x$",
    "ςΣ",
    "100%_",
];
pub(super) const DATES: [&str; 12] = [
    "2019",
    "2020",
    "2020-01",
    "2020-02",
    "2020-01-01",
    "2020-01-31",
    "2020-02-01",
    "2020-01-01T00:00:00Z",
    "2020-01-01T00:30:00+01:00",
    "2020-01-31T23:59:59.999Z",
    "2020-02-01T00:00:00.5-05:00",
    "2021-12-31",
];
pub(super) const NUMBERS: [&str; 12] =
    ["0", "0.5", "1", "1.0", "5", "5.4", "5.35", "5.45", "99.5", "100", "1000", "-1"];
pub(super) const VALUES: [&str; 4] = ["1", "2", "A1", "a1"];
pub(super) const URIS: [&str; 5] =
    ["http://a.test/x", "http://a.test/x/y", "http://a.test/x/y/z", "http://a.test/xy", "urn:a:b"];
pub(super) const UCUM: &str = "http://unitsofmeasure.org";
pub(super) const BASE: &str = "http://hub.test/FHIR/R4";

/// How many resources of each type there may be: ids count from 0.
pub(super) const TYPES: [(&str, usize); 8] = [
    ("Patient", 8),
    ("Organization", 5),
    ("Location", 5),
    ("Encounter", 8),
    ("Observation", 28),
    ("MedicationRequest", 8),
    ("RiskAssessment", 7),
    ("ValueSet", 6),
];

pub(super) type World = BTreeMap<(String, String), Value>;

/// Every resource of a new world.
pub(super) fn made(dice: &mut Dice) -> World {
    let mut world = World::new();
    for (resource_type, count) in TYPES {
        for number in 0..count {
            let id = format!("{}{number}", resource_type[..1].to_lowercase());
            world.insert((resource_type.into(), id.clone()), resource(dice, resource_type, &id));
        }
    }
    world
}

/// A resource of that type and id.
pub(super) fn resource(dice: &mut Dice, resource_type: &str, id: &str) -> Value {
    let mut resource = match resource_type {
        "Patient" => patient(dice),
        "Organization" => organization(dice),
        "Location" => location(dice),
        "Encounter" => encounter(dice),
        "Observation" => observation(dice),
        "MedicationRequest" => medication_request(dice),
        "RiskAssessment" => risk_assessment(dice),
        _ => value_set(dice),
    };
    resource["resourceType"] = resource_type.into();
    resource["id"] = id.into();
    if dice.percent(20) {
        resource["meta"] = json!({"tag": [coding(dice)]});
    }
    resource
}

/// Sets a member now and then.
fn maybe(dice: &mut Dice, chance: usize, at: &mut Value, name: &str, make: fn(&mut Dice) -> Value) {
    if dice.percent(chance) {
        at[name] = make(dice);
    }
}

fn several(dice: &mut Dice, make: fn(&mut Dice) -> Value) -> Value {
    Value::Array(dice.few(make))
}

fn name(dice: &mut Dice) -> Value {
    (*dice.one(&NAMES)).into()
}

fn date(dice: &mut Dice) -> Value {
    (*dice.one(&DATES)).into()
}

fn truth(dice: &mut Dice) -> Value {
    dice.percent(50).into()
}

fn coding(dice: &mut Dice) -> Value {
    let mut coding = json!({"code": dice.one(&CODES)});
    if dice.percent(70) {
        coding["system"] = (*dice.one(&SYSTEMS)).into();
    }
    if dice.percent(40) {
        coding["display"] = (*dice.one(&DISPLAYS)).into();
    }
    if dice.percent(5) {
        coding = json!({"system": dice.one(&SYSTEMS)});
    }
    coding
}

fn concept(dice: &mut Dice) -> Value {
    let mut concept = json!({});
    if dice.percent(85) {
        concept["coding"] = several(dice, coding);
    }
    if dice.percent(30) || concept.get("coding").is_none() {
        concept["text"] = (*dice.one(&DISPLAYS)).into();
    }
    concept
}

fn identifier(dice: &mut Dice) -> Value {
    let mut identifier = json!({"value": dice.one(&VALUES)});
    if dice.percent(70) {
        identifier["system"] = (*dice.one(&SYSTEMS)).into();
    }
    if dice.percent(40) {
        identifier["type"] = json!({"coding": several(dice, coding)});
    }
    identifier
}

fn human_name(dice: &mut Dice) -> Value {
    let mut of = json!({"family": dice.one(&NAMES)});
    if dice.percent(60) {
        of["given"] = several(dice, name);
    }
    maybe(dice, 20, &mut of, "text", name);
    of
}

fn contact(dice: &mut Dice) -> Value {
    json!({"system": dice.one(&["phone", "email"]), "value": dice.one(&VALUES)})
}

/// A period whose ends are in order, if it has both.
fn period(dice: &mut Dice) -> Value {
    let mut ends = [*dice.one(&DATES), *dice.one(&DATES)];
    ends.sort_by_key(|date| super::scale::Span::of(date).low);
    match dice.below(4) {
        0 => json!({"start": ends[0]}),
        1 => json!({"end": ends[1]}),
        _ if super::scale::Span::of(ends[0]).high <= super::scale::Span::of(ends[1]).low => {
            json!({"start": ends[0], "end": ends[1]})
        }
        _ => json!({"start": ends[0], "end": ends[0]}),
    }
}

/// One of these, digit by digit.
fn number(dice: &mut Dice, of: &[&'static str]) -> serde_json::Number {
    let text = *dice.one(of);
    serde_json::from_str(text).unwrap()
}

fn quantity(dice: &mut Dice) -> Value {
    let number = number(dice, &NUMBERS);
    let mut quantity = json!({"value": number});
    match dice.below(6) {
        0 => {}
        1 => quantity["unit"] = "tablet".into(),
        2 => {
            quantity["system"] = "urn:units".into();
            quantity["code"] = (*dice.one(&["mg", "tablet"])).into();
        }
        _ => {
            quantity["system"] = UCUM.into();
            quantity["code"] = (*dice.one(&["mg", "g", "kg"])).into();
            quantity["unit"] = quantity["code"].clone();
        }
    }
    if dice.percent(10) {
        quantity["comparator"] = (*dice.one(&["<", ">="])).into();
    }
    quantity
}

fn duration(dice: &mut Dice) -> Value {
    let number = number(dice, &NUMBERS[..11]);
    json!({"value": number, "system": UCUM, "code": dice.one(&["min", "h"])})
}

/// A reference to one of these types, in one of the ways in which one can be written.
fn reference(dice: &mut Dice, types: &[&str]) -> Value {
    let resource_type = *dice.one(types);
    let count = TYPES.iter().find(|(name, _)| *name == resource_type).unwrap().1;
    // One more than there are: some refer to nothing.
    let id = format!("{}{}", resource_type[..1].to_lowercase(), dice.below(count + 1));
    let relative = format!("{resource_type}/{id}");
    match dice.below(12) {
        0 => json!({"reference": format!("{BASE}/{relative}")}),
        1 => json!({"reference": format!("{relative}/_history/1")}),
        2 => json!({"reference": format!("http://other.test/fhir/{relative}")}),
        3 => json!({"identifier": identifier(dice), "type": resource_type}),
        4 => json!({"reference": relative, "identifier": identifier(dice)}),
        _ => json!({"reference": relative}),
    }
}

fn patient(dice: &mut Dice) -> Value {
    let mut of = json!({});
    maybe(dice, 80, &mut of, "name", |dice| several(dice, human_name));
    maybe(dice, 60, &mut of, "identifier", |dice| several(dice, identifier));
    maybe(dice, 60, &mut of, "birthDate", |dice| (*dice.one(&DATES[..7])).into());
    maybe(dice, 60, &mut of, "gender", |dice| (*dice.one(&["male", "female", "other"])).into());
    maybe(dice, 50, &mut of, "active", truth);
    maybe(dice, 40, &mut of, "telecom", |dice| several(dice, contact));
    maybe(dice, 50, &mut of, "managingOrganization", |dice| reference(dice, &["Organization"]));
    maybe(dice, 30, &mut of, "generalPractitioner", |dice| {
        several(dice, |dice| reference(dice, &["Organization"]))
    });
    match dice.below(4) {
        0 => of["deceasedBoolean"] = truth(dice),
        1 => of["deceasedDateTime"] = date(dice),
        _ => {}
    }
    of
}

fn organization(dice: &mut Dice) -> Value {
    let mut of = json!({"name": dice.one(&NAMES)});
    maybe(dice, 40, &mut of, "alias", |dice| several(dice, name));
    maybe(dice, 50, &mut of, "identifier", |dice| several(dice, identifier));
    maybe(dice, 50, &mut of, "active", truth);
    maybe(dice, 50, &mut of, "type", |dice| several(dice, concept));
    maybe(dice, 50, &mut of, "partOf", |dice| reference(dice, &["Organization"]));
    of
}

fn location(dice: &mut Dice) -> Value {
    let mut of = json!({});
    maybe(dice, 80, &mut of, "name", name);
    maybe(dice, 60, &mut of, "position", |dice| {
        let number = |at: &f64| serde_json::Number::from_f64(*at).unwrap();
        json!({"latitude": number(dice.one(&[51.5, 52.5, 55.25])),
               "longitude": number(dice.one(&[-0.125, -1.5, 0.5]))})
    });
    maybe(dice, 50, &mut of, "status", |dice| (*dice.one(&["active", "suspended"])).into());
    maybe(dice, 50, &mut of, "partOf", |dice| reference(dice, &["Location"]));
    maybe(dice, 50, &mut of, "managingOrganization", |dice| reference(dice, &["Organization"]));
    of
}

fn encounter(dice: &mut Dice) -> Value {
    let mut of = json!({"status": dice.one(&["planned", "finished"]), "class": coding(dice)});
    maybe(dice, 80, &mut of, "subject", |dice| reference(dice, &["Patient"]));
    maybe(dice, 80, &mut of, "period", period);
    maybe(dice, 50, &mut of, "length", duration);
    maybe(dice, 50, &mut of, "type", |dice| several(dice, concept));
    maybe(dice, 50, &mut of, "serviceProvider", |dice| reference(dice, &["Organization"]));
    maybe(dice, 40, &mut of, "partOf", |dice| reference(dice, &["Encounter"]));
    maybe(dice, 40, &mut of, "location", |dice| {
        several(dice, |dice| json!({"location": reference(dice, &["Location"])}))
    });
    of
}

fn observation(dice: &mut Dice) -> Value {
    let status = dice.one(&["registered", "final", "amended", "corrected"]);
    let mut of = json!({"status": status, "code": concept(dice)});
    maybe(dice, 80, &mut of, "subject", |dice| {
        reference(dice, &["Patient", "Patient", "Patient", "Location"])
    });
    maybe(dice, 50, &mut of, "category", |dice| several(dice, concept));
    maybe(dice, 40, &mut of, "identifier", |dice| several(dice, identifier));
    maybe(dice, 50, &mut of, "encounter", |dice| reference(dice, &["Encounter"]));
    maybe(dice, 40, &mut of, "performer", |dice| {
        several(dice, |dice| reference(dice, &["Organization", "Patient"]))
    });
    maybe(dice, 30, &mut of, "hasMember", |dice| {
        several(dice, |dice| reference(dice, &["Observation"]))
    });
    match dice.below(6) {
        0 => {}
        1 => of["effectivePeriod"] = period(dice),
        2 => of["effectiveTiming"] = json!({"event": several(dice, date)}),
        _ => of["effectiveDateTime"] = date(dice),
    }
    if dice.percent(40) {
        of["component"] = several(dice, |dice| {
            let mut of = json!({"code": concept(dice)});
            value(dice, &mut of);
            of
        });
    } else {
        // A value and components of the same code would be two answers to one question.
        value(dice, &mut of);
    }
    of
}

fn value(dice: &mut Dice, at: &mut Value) {
    match dice.below(8) {
        0 => at["valueString"] = name(dice),
        1 => at["valueCodeableConcept"] = concept(dice),
        2 => at["valueDateTime"] = date(dice),
        3 => at["valuePeriod"] = period(dice),
        4 => {}
        _ => at["valueQuantity"] = quantity(dice),
    }
}

fn medication_request(dice: &mut Dice) -> Value {
    let mut of = json!({
        "status": dice.one(&["active", "completed"]),
        "intent": dice.one(&["order", "plan"]),
        "medicationCodeableConcept": concept(dice),
        "subject": reference(dice, &["Patient"]),
    });
    maybe(dice, 70, &mut of, "authoredOn", date);
    maybe(dice, 50, &mut of, "encounter", |dice| reference(dice, &["Encounter"]));
    of
}

fn risk_assessment(dice: &mut Dice) -> Value {
    let mut of = json!({"status": "final", "subject": reference(dice, &["Patient"])});
    maybe(dice, 70, &mut of, "occurrenceDateTime", date);
    maybe(dice, 80, &mut of, "prediction", |dice| {
        several(dice, |dice| {
            let number = number(dice, &NUMBERS[..10]);
            json!({"probabilityDecimal": number})
        })
    });
    of
}

fn value_set(dice: &mut Dice) -> Value {
    let mut of = json!({"status": dice.one(&["draft", "active"])});
    maybe(dice, 80, &mut of, "url", |dice| (*dice.one(&URIS)).into());
    maybe(dice, 50, &mut of, "date", |dice| (*dice.one(&DATES)).into());
    maybe(dice, 50, &mut of, "title", name);
    of
}
