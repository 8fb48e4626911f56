//! The federated question: everything observed about one patient, asked of one gateway.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use service::program::ProgramError;

use super::load::{Question, diagnostics};
use crate::world::Site;

/// A federated answer, counted.
#[derive(Debug)]
pub(super) struct Answer {
    /// Where it was asked.
    pub(super) gateway: String,
    /// How long it took.
    pub(super) took: Duration,
    /// `X-Federation-Complete`
    pub(super) complete: bool,
    /// `X-Federation-Regions`
    pub(super) regions: String,
    /// `Bundle.total`, if the answer is complete.
    pub(super) total: Option<u64>,
    /// Matches by the region they came from.
    pub(super) matches: BTreeMap<String, u64>,
    /// What the answer says about itself.
    pub(super) remarks: Vec<String>,
}

/// Asks by POST, so that the number stands in no URL.
pub(super) async fn ask(
    client: &reqwest::Client,
    site: &Site,
    question: &Question,
) -> Result<Answer, ProgramError> {
    let failed = |error| ProgramError::failed("asking the gateway", error);
    let token = format!("{}|{}", question.number.system(), question.number.value());
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("patient.identifier", &token)
        .finish();
    let started = Instant::now();
    let response = client
        .post(format!("{}/Observation/_search", site.gateway_url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .map_err(failed)?;
    let status = response.status();
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (complete, regions) = (header("x-federation-complete"), header("x-federation-regions"));
    let bundle: Value = response.json().await.map_err(failed)?;
    let took = started.elapsed();
    if !status.is_success() {
        let text = format!("the gateway refused with {status}: {}", diagnostics(&bundle));
        return Err(ProgramError::Failed(text));
    }
    let mut answer = Answer {
        gateway: site.region.name.clone(),
        took,
        complete: complete == "true",
        regions,
        total: bundle["total"].as_u64(),
        matches: BTreeMap::new(),
        remarks: Vec::new(),
    };
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        answer.count(entry);
    }
    Ok(answer)
}

impl Answer {
    fn count(&mut self, entry: &Value) {
        match entry["search"]["mode"].as_str() {
            Some("match") => {
                let url = entry["fullUrl"].as_str().unwrap_or_default();
                let region = url.split("/at/").nth(1).and_then(|rest| rest.split('/').next());
                *self.matches.entry(region.unwrap_or("?").to_owned()).or_default() += 1;
            }
            Some("outcome") => {
                let issues = entry["resource"]["issue"].as_array().into_iter().flatten();
                let remarks = issues.filter_map(|issue| {
                    issue["diagnostics"].as_str().or(issue["details"]["text"].as_str())
                });
                self.remarks.extend(remarks.map(str::to_owned));
            }
            _ => {}
        }
    }
}
