//! The searches that have a name, and what makes an answer to each right.

use serde_json::Value;

use crate::sample::Values;

/// A named search.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    /// Its path, with a place in braces for each sampled value.
    pub(crate) template: &'static str,
    /// Whether these matches, in this order, are right for these values.
    pub(crate) holds: fn(&[&Value], &Values) -> bool,
}

/// All of them.
pub(crate) const NAMED: [Query; 10] = [
    Query {
        name: "patient-code",
        template: "Observation?patient={patient}&code={code}&_count=20",
        holds: |found, values| some(found, |one| is_about(one, values) && has_code(one, values)),
    },
    Query {
        name: "patient-status",
        template: "MedicationRequest?patient={patient}&status=active&_count=20",
        holds: |found, values| {
            found.iter().all(|one| is_about(one, values) && one["status"] == "active")
        },
    },
    Query {
        name: "code-sorted",
        template: "Observation?code={code}&_sort=-date&_count=20",
        holds: |found, values| {
            let date = |one: &&Value| one["effectiveDateTime"].as_str().map(str::to_owned);
            some(found, |one| has_code(one, values)) && found.iter().rev().is_sorted_by_key(date)
        },
    },
    Query {
        name: "everything",
        template: "Patient/{patient}/$everything",
        holds: |found, values| found.iter().any(|one| one["id"] == values["patient"].as_str()),
    },
    Query {
        name: "family",
        template: "Patient?family={family}&_count=20",
        holds: |found, values| some(found, |one| has_family(one, values)),
    },
    Query {
        name: "birthdate-sorted",
        template: "Patient?_sort=birthdate&_count=20",
        holds: |found, _| {
            let date = |one: &&Value| one["birthDate"].as_str().map(str::to_owned);
            !found.is_empty() && found.iter().is_sorted_by_key(date)
        },
    },
    Query {
        name: "date-range",
        template: "Observation?date=ge{month}&date=le{month}&_count=20",
        holds: |found, values| {
            some(found, |one| {
                let date = one["effectiveDateTime"].as_str();
                date.is_some_and(|date| date.starts_with(&values["month"]))
            })
        },
    },
    Query {
        name: "code-quantity",
        template: "Observation?code-value-quantity={code}$ge{quantity}&_count=20",
        holds: |found, values| {
            let least: f64 = values["quantity"].parse().unwrap_or(f64::INFINITY);
            let value = |one: &Value| one["valueQuantity"]["value"].as_f64();
            // A quantity means all numbers that round to it.
            let enough = |one: &Value| value(one).is_some_and(|value| value >= least - 0.5);
            some(found, |one| has_code(one, values) && enough(one))
        },
    },
    Query {
        name: "has-code",
        template: "Patient?_has:Observation:patient:code={code}&_count=20",
        holds: |found, _| some(found, |one| one["resourceType"] == "Patient"),
    },
    Query {
        name: "chain-family",
        template: "Observation?patient.family={family}&_count=20",
        holds: |found, _| found.iter().all(|one| one["resourceType"] == "Observation"),
    },
];

/// There are matches, and each is right.
fn some(found: &[&Value], right: impl Fn(&Value) -> bool) -> bool {
    !found.is_empty() && found.iter().all(|one| right(one))
}

fn is_about(resource: &Value, values: &Values) -> bool {
    let reference = resource["subject"]["reference"].as_str().unwrap_or_default();
    let id = reference.rsplit_once("Patient/").map(|(_, id)| id);
    id == Some(values["patient"].as_str())
}

fn has_code(resource: &Value, values: &Values) -> bool {
    let (system, code) = values["code"].split_once('|').unwrap_or_default();
    // Those with components have their codes there too.
    let components = resource["component"].as_array().into_iter().flatten();
    components.chain([resource]).any(|part| {
        let mut codings = part["code"]["coding"].as_array().into_iter().flatten();
        codings.any(|coding| coding["system"] == system && coding["code"] == code)
    })
}

fn has_family(resource: &Value, values: &Values) -> bool {
    let asked = values["family"].to_lowercase();
    let mut names = resource["name"].as_array().into_iter().flatten();
    names.any(|name| {
        let family = name["family"].as_str().unwrap_or_default();
        family.to_lowercase().starts_with(&asked)
    })
}
