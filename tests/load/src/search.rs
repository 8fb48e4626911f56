//! `search` and `federated`: a template asked over and over with values sampled from the server.

use std::collections::HashSet;

use memchr::memmem;
use reqwest::{StatusCode, Url};
use serde_json::Value;

use crate::drive::{Ticket, Work};
use crate::queries::{NAMED, Query};
use crate::sample::{Values, entries};
use crate::tally::{Outcome, Tally};
use crate::target::{Answer, Target};

/// Different questions that are asked at most.
const PATHS_MAX: usize = 400;

/// The names of the searches that have one.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|query| query.name)
}

/// A search that is asked with many values.
#[derive(Debug)]
pub(crate) struct Search {
    target: Target,
    name: String,
    /// The paths that are asked in turn, and what is right for each: so many entries, or nothing
    /// because its first answer was wrong.
    paths: Vec<(String, Right)>,
}

/// How an answer is judged while the server is under load, when reading each as JSON would take the
/// server's share of the processor.
#[derive(Debug, Clone)]
enum Right {
    /// As many entries as its first answer had, which was read and was right.
    Entries(usize),
    /// Any searchset.
    Any,
    /// None: why its first answer was wrong.
    Never(String),
}

impl Search {
    /// Fills a named or a given template from what was sampled, asks each path once, and remembers
    /// what was answered: every later answer must be as long.
    pub(crate) async fn new(
        target: &Target,
        query: &str,
        sample: &[Values],
    ) -> Result<Self, String> {
        let named = NAMED.iter().find(|named| named.name == query);
        let mut paths = Vec::new();
        for (path, values) in fill(named.map_or(query, |named| named.template), sample)? {
            let right = first(target, &path, named, values).await;
            paths.push((path, right.unwrap_or_else(Right::Never)));
        }
        Ok(Self { target: target.clone(), name: query.to_owned(), paths })
    }

    /// Asks given paths in turn: what a gateway is asked. A region may be missing from an answer
    /// and be there in the next.
    pub(crate) fn of_paths(target: &Target, name: &str, paths: Vec<String>) -> Self {
        let paths = paths.into_iter().map(|path| (path, Right::Any)).collect();
        Self { target: target.clone(), name: name.to_owned(), paths }
    }
}

impl Work for Search {
    fn operations(&self) -> Vec<&str> {
        vec![&self.name]
    }

    async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
        let (path, right) = &self.paths[(ticket.number % self.paths.len() as u64) as usize];
        let answer = self.target.get(path).await;
        tally.count(0, ticket.due, answer.and_then(|answer| check(&answer, right)));
    }
}

/// The template's paths, each once, with the values that each was filled from.
fn fill<'a>(template: &str, sample: &'a [Values]) -> Result<Vec<(String, &'a Values)>, String> {
    let mut seen = HashSet::new();
    let mut paths = Vec::new();
    for values in sample {
        let mut path = template.to_owned();
        for (name, value) in values {
            path = path.replace(&format!("{{{name}}}"), &encode(value));
        }
        if !path.contains('{') && seen.insert(path.clone()) {
            paths.push((path, values));
        }
    }
    if paths.is_empty() {
        return Err(format!("nothing was found to fill {template} with: import some first"));
    }
    let mut paths = shuffled(paths);
    paths.truncate(PATHS_MAX);
    Ok(paths)
}

/// Asks a path for the first time and reads the answer closely.
async fn first(
    target: &Target,
    path: &str,
    named: Option<&Query>,
    values: &Values,
) -> Result<Right, String> {
    let answer = target.get(path).await?;
    let outcome = check(&answer, &Right::Any)?;
    let bundle: Value =
        serde_json::from_slice(&answer.body).map_err(|_| "the answer is not JSON")?;
    if bundle["resourceType"] != "Bundle" {
        return Err("the answer is not a searchset Bundle".to_owned());
    }
    let found: Vec<&Value> = entries(&bundle).collect();
    if let Some(query) = named
        && !(query.holds)(&found, values)
    {
        return Err(format!("wrong: not what {path} asks for"));
    }
    Ok(Right::Entries(outcome.items as usize))
}

fn check(answer: &Answer, right: &Right) -> Result<Outcome, String> {
    if answer.status != StatusCode::OK {
        return Err(format!("status {}", answer.status.as_u16()));
    }
    if !answer.has("\"searchset\"") {
        return Err("the answer is not a searchset Bundle".to_owned());
    }
    let entries = memmem::find_iter(&answer.body, "\"fullUrl\"").count();
    match right {
        Right::Entries(expected) if *expected != entries => {
            Err("wrong: not as many entries as at first".to_owned())
        }
        Right::Never(reason) => Err(reason.clone()),
        _ => Ok(Outcome { bytes: answer.body.len() as u64, items: entries as u64 }),
    }
}

/// Percent-encodes a value for a query.
fn encode(value: &str) -> String {
    let mut url = Url::parse("http://localhost").expect("this is a URL");
    url.query_pairs_mut().append_key_only(value);
    url.query().unwrap_or_default().to_owned()
}

/// The same values in an order that does not favour caches: by a mixed-up place.
fn shuffled<T>(values: Vec<T>) -> Vec<T> {
    let mut placed: Vec<(usize, T)> = values.into_iter().enumerate().collect();
    // Knuth's multiplicative hash: the same order on every server and in every run.
    placed.sort_by_key(|(place, _)| (*place as u32).wrapping_mul(2_654_435_761));
    placed.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::stub;

    fn values(patient: &str, code: Option<&str>) -> Values {
        let code = code.map(|code| ("code", format!("http://loinc.org|{code}")));
        [("patient", patient.to_owned())].into_iter().chain(code).collect()
    }

    fn sample() -> Vec<Values> {
        let of = |patient, code| values(patient, code);
        vec![of("a", Some("1")), of("a", Some("1")), of("b", Some("2")), of("c", None)]
    }

    fn paths(query: &str) -> Vec<String> {
        let sample = sample();
        let named = NAMED.iter().find(|named| named.name == query).unwrap();
        let mut paths: Vec<String> =
            fill(named.template, &sample).unwrap().into_iter().map(|(path, _)| path).collect();
        paths.sort();
        paths
    }

    #[test]
    fn a_named_search_is_filled_from_the_sample() {
        assert_eq!(
            paths("patient-code"),
            [
                "Observation?patient=a&code=http%3A%2F%2Floinc.org%7C1&_count=20",
                "Observation?patient=b&code=http%3A%2F%2Floinc.org%7C2&_count=20",
            ]
        );
        assert_eq!(paths("everything").len(), 3);
        assert_eq!(fill("Patient?_count=1", &sample()).unwrap().len(), 1);
        assert!(fill("Patient?x={none}", &sample()).unwrap_err().contains("import some first"));
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

    #[tokio::test]
    async fn an_answer_to_another_question_is_an_error() {
        let body = r#"{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"u",
            "resource":{"id":"a","subject":{"reference":"Patient/a"},"status":"active"}}]}"#;
        let target = stub::serve(200, body).await;
        for (asked, failed) in [("a", 0), ("b", 30)] {
            for query in ["patient-status", "everything"] {
                let search = Search::new(&target, query, &[values(asked, None)]).await.unwrap();
                assert_eq!(stub::run(search, 30).await.failed(), failed, "{query} of {asked}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_grew_or_shrank_is_an_error() {
        let target = stub::serve(200, r#"{"type":"searchset","entry":[{"fullUrl":"u"}]}"#).await;
        for (right, failed) in [(Right::Entries(1), 0), (Right::Entries(2), 10)] {
            let mut search = Search::of_paths(&target, "any", vec!["Patient".into()]);
            search.paths[0].1 = right;
            assert_eq!(stub::run(search, 10).await.failed(), failed);
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
