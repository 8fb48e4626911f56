//! What a stream tells, part by part, as server-sent events or as lines.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fhir::OWN_SYSTEM;
use fhir::bundle::{SearchMode, push_entry, push_transient};
use fhir::identifier::OdsCode;
use fhir::outcome::{Issue, IssueCode, OperationOutcome, Severity};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use service::negotiation::Streamed;

use crate::directory::Region;
use crate::fan_out::Regional;
use crate::merge::check::Candidate;
use crate::merge::{Merged, Shown};
use crate::outcome::RegionStatus;
use crate::question::Question;
use crate::tally::counts;

/// What is sent at once.
#[derive(Debug)]
pub enum Part {
    /// More is to come.
    More(Bytes),
    /// The last; without it a stream was cut.
    Last(Bytes),
}

/// What is told at the end.
#[derive(Debug)]
pub struct Ending {
    /// Whether everything that matches, anywhere, was sent.
    pub complete: bool,
    /// How many matches there are, if that is known.
    pub total: Option<usize>,
    /// Which of the entries that were sent are, or may be, one fact.
    pub linkages: Vec<Vec<u8>>,
    /// What the answer says about itself.
    pub outcome: OperationOutcome,
    /// How many regions ended how.
    pub regions: Vec<(&'static str, usize)>,
}

impl Default for Ending {
    fn default() -> Self {
        let outcome = OperationOutcome { issue: Vec::new() };
        Self { complete: false, total: None, linkages: Vec::new(), outcome, regions: Vec::new() }
    }
}

impl Ending {
    /// Counts how the regions ended, and says so: an outcome has at least one issue.
    pub(super) fn count(&mut self, statuses: &[RegionStatus]) {
        self.regions = counts(statuses);
        let ok = statuses.iter().filter(|status| status.is_complete()).count();
        let text = format!("Of {} regions {ok} sent everything that matches.", statuses.len());
        let issue = Issue::new(Severity::Information, IssueCode::Informational, text);
        self.outcome.issue.push(issue);
    }

    /// The outcome, tagged as a Bundle would be.
    fn outcome(&self) -> String {
        let code = if self.complete { "complete" } else { "partial" };
        let tag = format!(r#"{{"system":"{OWN_SYSTEM}completeness","code":"{code}"}}"#);
        let issues = serde_json::to_string(&self.outcome.issue);
        let issues = issues.expect("strings and enums always serialise");
        format!(
            r#"{{"resourceType":"OperationOutcome","meta":{{"tag":[{tag}]}},"issue":{issues}}}"#
        )
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pending<'a> {
    regions: Vec<Named<'a>>,
    deadline_ms: u128,
}

#[derive(Serialize)]
struct Named<'a> {
    ods: &'a str,
    name: &'a str,
}

impl<'a> Named<'a> {
    fn of(region: &'a Region) -> Self {
        Self { ods: region.ods.as_str(), name: &region.name }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegionEnded<'a> {
    ods: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    status: &'a str,
    took_ms: u128,
    count: usize,
    entries: usize,
}

#[derive(Serialize)]
struct Ended<'a> {
    complete: bool,
    #[serde(serialize_with = "members")]
    regions: &'a [(&'static str, usize)],
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    outcome: &'a RawValue,
}

fn members<S: Serializer>(pairs: &&[(&'static str, usize)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().copied())
}

/// Writes the parts of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// How.
    pub streamed: Streamed,
}

impl Writer {
    /// Who is asked, and who cannot be.
    pub fn pending(self, asked: &[Arc<Region>], unknown: &[OdsCode], left: Duration) -> Bytes {
        let mut out = Vec::new();
        let regions = asked.iter().map(|region| Named::of(region)).collect();
        self.tell(&mut out, "pending", &Pending { regions, deadline_ms: left.as_millis() });
        for ods in unknown {
            let status = RegionStatus::Unknown.as_str();
            let (ods, name) = (ods.as_str(), None);
            let ended = RegionEnded { ods, name, status, took_ms: 0, count: 0, entries: 0 };
            self.tell(&mut out, "region", &ended);
        }
        out.into()
    }

    /// How a region ended, then everything of it that is shown.
    pub fn region(
        self,
        base: &str,
        question: &Question,
        answer: &Regional,
        status: RegionStatus,
        merged: &Merged<'_>,
    ) -> Bytes {
        let matches = merged.shown().map(|shown| (shown, SearchMode::Match));
        let include = |shown| (shown, SearchMode::Include);
        let patients = merged.patients.iter().filter(|_| question.show_patient);
        let beside = merged.includes.iter().chain(patients).map(include);
        let entries: Vec<_> = matches.chain(beside).filter(|_| !question.count_only).collect();
        let bytes: usize = entries.iter().map(|(s, _)| s.candidate.resource.len() + 320).sum();
        let mut out = Vec::with_capacity(bytes + 256);
        let ended = RegionEnded {
            ods: answer.region.ods.as_str(),
            name: Some(&answer.region.name),
            status: status.as_str(),
            took_ms: answer.took.as_millis(),
            count: merged.shown_count(),
            entries: entries.len(),
        };
        self.tell(&mut out, "region", &ended);
        let mut text = Vec::new();
        for (shown, mode) in entries {
            text.clear();
            entry(&mut text, base, question, shown, mode);
            self.send(&mut out, "entry", &text);
        }
        out.into()
    }

    /// Which entries are one fact, and what an ordinary answer says of itself.
    pub fn complete(self, ending: &Ending) -> Bytes {
        let (mut out, outcome) = (Vec::new(), ending.outcome());
        for linkage in &ending.linkages {
            let mut text = Vec::new();
            push_transient(&mut text, linkage, SearchMode::Include);
            self.send(&mut out, "entry", &text);
        }
        if self.streamed == Streamed::Ndjson {
            let mut text = Vec::new();
            push_transient(&mut text, outcome.as_bytes(), SearchMode::Outcome);
            self.send(&mut out, "complete", &text);
            return out.into();
        }
        let outcome = RawValue::from_string(outcome).expect("it was written as JSON");
        let Ending { complete, total, regions, .. } = ending;
        let told = Ended { complete: *complete, regions, total: *total, outcome: &outcome };
        self.tell(&mut out, "complete", &told);
        out.into()
    }

    /// An event that is no entry: lines are entries only.
    fn tell(self, out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
        if self.streamed == Streamed::EventStream {
            let data = serde_json::to_vec(data).expect("strings and numbers always serialise");
            self.send(out, name, &data);
        }
    }

    /// Sends JSON. A line break in it stands between its members, where any white space may.
    fn send(self, out: &mut Vec<u8>, name: &str, json: &[u8]) {
        let mut lines = json.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|l| !l.is_empty());
        match self.streamed {
            Streamed::EventStream => {
                out.extend_from_slice(b"event: ");
                out.extend_from_slice(name.as_bytes());
                for line in lines {
                    out.extend_from_slice(b"\ndata: ");
                    out.extend_from_slice(line);
                }
                out.extend_from_slice(b"\n\n");
            }
            Streamed::Ndjson => {
                out.extend_from_slice(lines.next().unwrap_or_default());
                for line in lines {
                    out.push(b' ');
                    out.extend_from_slice(line);
                }
                out.push(b'\n');
            }
        }
    }
}

fn entry(out: &mut Vec<u8>, base: &str, asked: &Question, shown: &Shown<'_>, mode: SearchMode) {
    let canonical = shown.canonical_url();
    let links = [("canonical", canonical.as_str())];
    let Candidate { key, resource } = &shown.candidate;
    let part = asked.part(&key.resource_type, resource);
    push_entry(out, &shown.full_url(base), &links, &part, mode);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const BROKEN: &[u8] = b"{\"a\":\r\n  1.10,\n\n\"b\":\"\\n\"}";

    fn sent(streamed: Streamed) -> String {
        let mut out = Vec::new();
        Writer { streamed }.send(&mut out, "entry", BROKEN);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_resource_of_several_lines_is_one_line_or_one_event() {
        assert_eq!(sent(Streamed::Ndjson), "{\"a\":   1.10, \"b\":\"\\n\"}\n");
        assert_eq!(
            sent(Streamed::EventStream),
            "event: entry\ndata: {\"a\":\ndata:   1.10,\ndata: \"b\":\"\\n\"}\n\n"
        );
    }

    #[test]
    fn the_end_counts_the_regions_and_always_says_something() {
        let mut ending = Ending { complete: true, total: Some(3), ..Ending::default() };
        ending.count(&[RegionStatus::Ok, RegionStatus::Empty]);
        let bytes = Writer { streamed: Streamed::EventStream }.complete(&ending);
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.starts_with(
            "event: complete\ndata: {\"complete\":true,\"regions\":{\"total\":2,\"ok\":2},\"total\":3,"
        ));
        let outcome = ending.outcome();
        let survey = fhir::validate::validate(outcome.as_bytes()).unwrap();
        assert!(survey.issues.is_empty(), "{:?}", survey.issues);
    }
}
