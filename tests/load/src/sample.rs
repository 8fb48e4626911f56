//! Values for templates, sampled from the server itself before anything is measured.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::target::Target;

/// Patients whose Observations are looked at.
const PATIENTS_LOOKED_AT: usize = 100;
/// Ids of a type that are collected at most.
const IDS_MAX: usize = 400;

/// Values that belong together, by the name of their place in a template: `patient` and `family`,
/// and of one of the patient's Observations `code` (`system|code`), `month` and `quantity`.
pub(crate) type Values = BTreeMap<&'static str, String>;

/// Collects patients, and with some of them each of their Observations. Servers that hold the same
/// people are asked for the same ones.
pub(crate) async fn sample(target: &Target) -> Result<Vec<Values>, String> {
    let mut patients = resources(target, "Patient").await?;
    patients.sort_by_cached_key(|patient| format!("{}{}", patient["name"], patient["birthDate"]));
    let patients: Vec<Values> = patients.iter().filter_map(of_patient).collect();
    let mut found = Vec::new();
    let step = patients.len().div_ceil(PATIENTS_LOOKED_AT).max(1);
    for patient in patients.iter().step_by(step) {
        let path = format!("Observation?patient={}&_count=50", patient["patient"]);
        for observation in entries(&page(target, &path).await?) {
            found.extend(of_observation(patient, observation));
        }
    }
    found.extend(patients);
    Ok(found)
}

fn of_patient(patient: &Value) -> Option<Values> {
    let mut values = Values::from([("patient", text(patient, "id")?)]);
    values.extend(text(&patient["name"][0], "family").map(|family| ("family", family)));
    Some(values)
}

fn of_observation(patient: &Values, observation: &Value) -> Option<Values> {
    let coding = &observation["code"]["coding"][0];
    let mut values = patient.clone();
    values.insert("code", format!("{}|{}", text(coding, "system")?, text(coding, "code")?));
    let month = text(observation, "effectiveDateTime").and_then(|t| t.get(..7).map(str::to_owned));
    values.extend(month.map(|month| ("month", month)));
    let quantity = observation["valueQuantity"]["value"].as_number();
    values.extend(quantity.map(|number| ("quantity", number.to_string())));
    Some(values)
}

/// Ids of a type, in the server's own order.
pub(crate) async fn ids(target: &Target, kind: &str) -> Result<Vec<String>, String> {
    let found = resources(target, kind).await?;
    Ok(found.iter().filter_map(|resource| text(resource, "id")).collect())
}

/// Resources of a type, over as many pages as it takes.
async fn resources(target: &Target, kind: &str) -> Result<Vec<Value>, String> {
    let mut found = Vec::new();
    let mut path = format!("{kind}?_count=100");
    loop {
        let bundle = page(target, &path).await?;
        found.extend(entries(&bundle).cloned());
        let links = bundle["link"].as_array().into_iter().flatten();
        let next = links.filter(|link| link["relation"] == "next").find_map(|l| text(l, "url"));
        // A page link that leads elsewhere is not followed: it may leave this machine.
        let next = next.and_then(|url| {
            let rest = url.strip_prefix(target.base())?;
            Some(rest.trim_start_matches('/').to_owned())
        });
        match next {
            Some(next) if found.len() < IDS_MAX && next != path => path = next,
            _ => return Ok(found),
        }
    }
}

async fn page(target: &Target, path: &str) -> Result<Value, String> {
    let problem = |reason: String| format!("sampling {} failed: {reason}", target.base());
    let answer = target.get(path).await.map_err(problem)?;
    let answer = answer.expect(&[reqwest::StatusCode::OK]).map_err(problem)?;
    let bundle: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| problem("the answer is not JSON".to_owned()))?;
    if bundle["resourceType"] == "Bundle" {
        Ok(bundle)
    } else {
        Err(problem("the answer is not a Bundle".to_owned()))
    }
}

/// The resources of a Bundle.
pub(crate) fn entries(bundle: &Value) -> impl Iterator<Item = &Value> {
    bundle["entry"].as_array().into_iter().flatten().map(|entry| &entry["resource"])
}

fn text(value: &Value, member: &str) -> Option<String> {
    value[member].as_str().map(str::to_owned)
}
