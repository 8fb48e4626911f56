//! `search` and `federated`: a template asked over and over with values sampled from the server.

use reqwest::{StatusCode, Url};
use serde_json::Value;

use crate::drive::{Ticket, Work};
use crate::sample::Sample;
use crate::tally::{Outcome, Tally};
use crate::target::{Answer, Target};

/// One answer in this many is read as JSON and its entries are counted, for all of them: reading
/// each would take the server's share of the processor.
const READ_ONE_IN: u64 = 64;

/// The searches that have a name.
const NAMED: [(&str, &str); 4] = [
    ("patient-code", "Observation?patient={patient}&code={code}&_count=20"),
    ("patient-status", "MedicationRequest?patient={patient}&status=active&_count=20"),
    ("code-sorted", "Observation?code={code}&_sort=-date&_count=20"),
    ("everything", "Patient/{patient}/$everything"),
];

/// The names of the searches that have one.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(name, _)| *name)
}

/// A search that is asked with many values.
#[derive(Debug)]
pub(crate) struct Search {
    target: Target,
    name: String,
    /// The paths that are asked in turn, values filled in.
    paths: Vec<String>,
}

impl Search {
    /// Fills a named or a given template from what was sampled. `{patient}` and `{code}` in one
    /// template are of one Observation.
    pub(crate) fn new(target: &Target, query: &str, sample: &Sample) -> Result<Self, String> {
        let named = NAMED.iter().find(|(name, _)| *name == query);
        let template = named.map_or(query, |(_, template)| template);
        let (patient, code) = (template.contains("{patient}"), template.contains("{code}"));
        let fill = |patient: &str, code: &str| {
            template.replace("{patient}", &encode(patient)).replace("{code}", &encode(code))
        };
        let paths: Vec<String> = match (patient, code) {
            (true, true) => sample.pairs.iter().map(|(p, c)| fill(p, c)).collect(),
            (true, false) => sample.patients.iter().map(|p| fill(p, "")).collect(),
            (false, true) => sample.codes.iter().map(|c| fill("", c)).collect(),
            (false, false) => vec![template.to_owned()],
        };
        if paths.is_empty() {
            return Err(format!(
                "{} holds no patients or Observations to search for: import some first",
                target.base()
            ));
        }
        Ok(Self { target: target.clone(), name: query.to_owned(), paths: shuffled(paths) })
    }

    /// Asks given paths in turn: what a gateway is asked.
    pub(crate) fn of_paths(target: &Target, name: &str, paths: Vec<String>) -> Self {
        Self { target: target.clone(), name: name.to_owned(), paths }
    }
}

impl Work for Search {
    fn operations(&self) -> Vec<&str> {
        vec![&self.name]
    }

    async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
        let path = &self.paths[(ticket.number % self.paths.len() as u64) as usize];
        let answer = self.target.get(path).await;
        let outcome =
            answer.and_then(|answer| check(&answer, ticket.number.is_multiple_of(READ_ONE_IN)));
        tally.count(0, ticket.due, outcome);
    }
}

/// An answer to a search is a searchset Bundle; when `closely`, its entries are counted.
fn check(answer: &Answer, closely: bool) -> Result<Outcome, String> {
    let not_searchset = || Err("the answer is not a searchset Bundle".to_owned());
    if answer.status != StatusCode::OK {
        return Err(format!("status {}", answer.status.as_u16()));
    }
    let mut outcome = Outcome { bytes: answer.body.len() as u64, items: 0 };
    if closely {
        let Ok(bundle) = serde_json::from_slice::<Value>(&answer.body) else {
            return not_searchset();
        };
        if bundle["resourceType"] != "Bundle" || bundle["type"] != "searchset" {
            return not_searchset();
        }
        outcome.items = bundle["entry"].as_array().map_or(0, Vec::len) as u64 * READ_ONE_IN;
    } else if !answer.has("\"searchset\"") {
        return not_searchset();
    }
    Ok(outcome)
}

/// Percent-encodes a value for a query.
fn encode(value: &str) -> String {
    let mut url = Url::parse("http://localhost").expect("this is a URL");
    url.query_pairs_mut().append_key_only(value);
    url.query().unwrap_or_default().to_owned()
}

/// The same values in an order that does not favour caches: by a mixed-up place.
fn shuffled(paths: Vec<String>) -> Vec<String> {
    let mut placed: Vec<(usize, String)> = paths.into_iter().enumerate().collect();
    // Knuth's multiplicative hash: the same order on every server and in every run.
    placed.sort_by_key(|(place, _)| (*place as u32).wrapping_mul(2_654_435_761));
    placed.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::stub;

    fn sample() -> Sample {
        let pair =
            |patient: &str, code: &str| (patient.to_owned(), format!("http://loinc.org|{code}"));
        Sample {
            patients: vec!["a".into(), "b".into(), "c".into()],
            pairs: vec![pair("a", "1"), pair("b", "2")],
            codes: vec!["http://loinc.org|1".into(), "http://loinc.org|2".into()],
        }
    }

    #[tokio::test]
    async fn a_named_search_is_filled_from_the_sample() {
        let target = stub::serve(200, r#"{"resourceType":"Bundle","type":"searchset"}"#).await;
        let mut paths = Search::new(&target, "patient-code", &sample()).unwrap().paths;
        paths.sort();
        assert_eq!(
            paths,
            [
                "Observation?patient=a&code=http%3A%2F%2Floinc.org%7C1&_count=20",
                "Observation?patient=b&code=http%3A%2F%2Floinc.org%7C2&_count=20",
            ]
        );
        assert_eq!(Search::new(&target, "everything", &sample()).unwrap().paths.len(), 3);
        assert_eq!(Search::new(&target, "Patient?_count=1", &sample()).unwrap().paths.len(), 1);
        let nothing = Search::new(&target, "code-sorted", &Sample::default());
        assert!(nothing.unwrap_err().contains("import some first"));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_searchset_is_an_error() {
        let bodies = [
            (200, r#"{"resourceType":"Bundle","type":"searchset","entry":[{},{}]}"#, 0),
            (200, r#"{"resourceType":"OperationOutcome"}"#, 130),
            (200, "", 130),
            (500, r#"{"resourceType":"Bundle","type":"searchset"}"#, 130),
        ];
        for (status, body, failed) in bodies {
            let target = stub::serve(status, body).await;
            let search = Search::of_paths(&target, "any", vec!["Patient".into()]);
            let tally = stub::run(search, 130).await;
            assert_eq!(tally.failed(), failed, "{body}");
        }
    }

    #[test]
    fn every_path_is_asked_once_a_turn_and_not_in_the_order_of_the_server() {
        let paths: Vec<String> = (0..100).map(|n| format!("{n:02}")).collect();
        let mut turned = shuffled(paths.clone());
        assert_ne!(turned, paths);
        turned.sort();
        assert_eq!(turned, paths);
    }
}
