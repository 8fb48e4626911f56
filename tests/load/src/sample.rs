//! Values for templates, sampled from the server itself before anything is measured.

use serde_json::Value;

use crate::target::Target;

/// Patients whose codes are looked at.
const PATIENTS_LOOKED_AT: usize = 40;
/// Ids of a type that are collected at most.
const IDS_MAX: usize = 400;

/// What was found on a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Patients.
    pub(crate) patients: Vec<String>,
    /// A patient and a code (`system|code`) of one of their Observations.
    pub(crate) pairs: Vec<(String, String)>,
    /// The codes of those, each once.
    pub(crate) codes: Vec<String>,
}

/// Collects patients and the codes of their Observations.
pub(crate) async fn sample(target: &Target) -> Result<Sample, String> {
    let patients = ids(target, "Patient").await?;
    let mut found = Sample { patients, ..Sample::default() };
    let step = found.patients.len().div_ceil(PATIENTS_LOOKED_AT).max(1);
    for patient in found.patients.iter().step_by(step) {
        let path = format!("Observation?patient={patient}&_count=50");
        for entry in entries(&page(target, &path).await?) {
            for coding in entry["code"]["coding"].as_array().into_iter().flatten() {
                if let (Some(system), Some(code)) = (text(coding, "system"), text(coding, "code")) {
                    found.pairs.push((patient.clone(), format!("{system}|{code}")));
                }
            }
        }
    }
    found.pairs.sort();
    found.pairs.dedup();
    found.codes = found.pairs.iter().map(|(_, code)| code.clone()).collect();
    found.codes.sort();
    found.codes.dedup();
    Ok(found)
}

/// Ids of a type, in the server's own order, over as many pages as it takes.
pub(crate) async fn ids(target: &Target, kind: &str) -> Result<Vec<String>, String> {
    let mut ids = Vec::new();
    let mut path = format!("{kind}?_count=100");
    loop {
        let bundle = page(target, &path).await?;
        ids.extend(entries(&bundle).filter_map(|resource| text(resource, "id")));
        let links = bundle["link"].as_array().into_iter().flatten();
        let next = links.filter(|link| link["relation"] == "next").find_map(|l| text(l, "url"));
        // A page link that leads elsewhere is not followed: it may leave this machine.
        let next = next.and_then(|url| {
            let rest = url.strip_prefix(target.base())?;
            Some(rest.trim_start_matches('/').to_owned())
        });
        match next {
            Some(next) if ids.len() < IDS_MAX && next != path => path = next,
            _ => return Ok(ids),
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

fn entries(bundle: &Value) -> impl Iterator<Item = &Value> {
    bundle["entry"].as_array().into_iter().flatten().map(|entry| &entry["resource"])
}

fn text(value: &Value, member: &str) -> Option<String> {
    value[member].as_str().map(str::to_owned)
}
