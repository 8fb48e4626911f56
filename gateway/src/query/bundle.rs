//! Several types' answers as one searchset: what each says of itself first, then the entries, type
//! by type, in each answer's own order and as they came.

use std::fmt::Write as _;

use fhir::OWN_SYSTEM;
use fhir::bundle::{Entry, SearchMode, push_transient};
use fhir::outcome::{Issue, OperationOutcome};
use serde::Deserialize;
use serde_json::value::RawValue;
use service::program::ProgramError;

use super::ask::Whole;
use super::said;

/// One searchset.
#[derive(Debug)]
pub struct Merged {
    /// Its text.
    pub text: String,
    /// Whether everything that matches is in it.
    pub complete: bool,
}

#[derive(Deserialize)]
struct Searchset<'a> {
    #[serde(default)]
    total: Option<u64>,
    #[serde(borrow, default)]
    link: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    entry: Vec<&'a RawValue>,
}

/// Makes one Bundle of all answers; if none is one, what they say instead.
pub fn merged(answers: Vec<Whole>) -> Result<Merged, ProgramError> {
    let reading = |error| ProgramError::failed("reading the answer", error);
    let complete = answers.iter().all(|answer| answer.is_bundle && answer.complete == Some(true));
    let (mut total, mut issues) = (0, Vec::new());
    let (mut links, mut entries) = (Vec::new(), Vec::new());
    for answer in &answers {
        if !answer.is_bundle {
            let outcome: OperationOutcome =
                serde_json::from_slice(&answer.body).map_err(reading)?;
            add(&mut issues, outcome.issue);
            continue;
        }
        let found: Searchset<'_> = serde_json::from_slice(&answer.body).map_err(reading)?;
        total += found.total.unwrap_or_default();
        links.extend(found.link.iter().map(|link| link.get()));
        for raw in found.entry {
            let entry: Entry<'_> = serde_json::from_str(raw.get()).map_err(reading)?;
            match entry.resource.filter(|_| is_outcome(&entry)) {
                Some(outcome) => {
                    let outcome: OperationOutcome =
                        serde_json::from_str(outcome.get()).map_err(reading)?;
                    add(&mut issues, outcome.issue);
                }
                None => entries.push(raw.get()),
            }
        }
    }
    if answers.iter().all(|answer| !answer.is_bundle && answer.complete.is_none()) {
        return Err(ProgramError::Failed(said(&issues)));
    }
    let total = complete.then_some(total);
    Ok(Merged { text: written(total, complete, &links, issues, &entries), complete })
}

fn is_outcome(entry: &Entry<'_>) -> bool {
    entry.search.and_then(|search| search.mode) == Some(SearchMode::Outcome)
}

/// Adds what has not been said yet.
fn add(issues: &mut Vec<Issue>, more: Vec<Issue>) {
    for issue in more {
        if !issues.contains(&issue) {
            issues.push(issue);
        }
    }
}

fn written(
    total: Option<u64>,
    complete: bool,
    links: &[&str],
    issue: Vec<Issue>,
    entries: &[&str],
) -> String {
    let code = if complete { "complete" } else { "partial" };
    let tag = format!(r#"{{"system":"{OWN_SYSTEM}completeness","code":"{code}"}}"#);
    let mut text =
        format!(r#"{{"resourceType":"Bundle","meta":{{"tag":[{tag}]}},"type":"searchset""#);
    if let Some(total) = total {
        let _ = write!(text, r#","total":{total}"#);
    }
    let mut outcome = Vec::new();
    if !issue.is_empty() {
        let text = OperationOutcome { issue }.to_json();
        push_transient(&mut outcome, &text, SearchMode::Outcome);
    }
    let outcome = String::from_utf8(outcome).expect("JSON is UTF-8");
    let mut all: Vec<&str> = Vec::with_capacity(entries.len() + 1);
    all.extend((!outcome.is_empty()).then_some(&*outcome));
    all.extend(entries);
    for (name, members) in [("link", links), ("entry", &all[..])] {
        if !members.is_empty() {
            let _ = write!(text, r#","{name}":[{}]"#, members.join(","));
        }
    }
    text.push('}');
    text
}
