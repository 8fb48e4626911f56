//! How every region ended, counted: whether the answer is complete, and what is told if it is not.

use fhir::identifier::OdsCode;
use fhir::outcome::{Issue, IssueCode, Severity};
use http::{HeaderName, HeaderValue};

use crate::directory::Region;
use crate::outcome::{Failure, Gap, RegionStatus};

/// `X-Federation-Complete: true|false`
pub const COMPLETE: HeaderName = HeaderName::from_static("x-federation-complete");
/// `X-Federation-Regions: total=5,ok=4,timeout=1`
pub const REGIONS: HeaderName = HeaderName::from_static("x-federation-regions");

/// How every region ended, and what else is not known.
#[derive(Debug, Default)]
pub struct Tally {
    rows: Vec<Row>,
    gaps: Vec<Gap>,
    lacking: Vec<Issue>,
    partial: bool,
}

#[derive(Debug)]
struct Row {
    called: String,
    status: RegionStatus,
    /// It said that the question itself is wrong.
    refused_question: bool,
    issues: Vec<Issue>,
}

impl Tally {
    /// A tally with what is already known to be unknown.
    pub fn new(gaps: Vec<Gap>) -> Self {
        Self { gaps, ..Self::default() }
    }

    /// Counts a region of the directory. `issues` is what it said itself.
    pub fn count(&mut self, region: &Region, status: RegionStatus, issues: Vec<Issue>) {
        self.partial |= issues.iter().any(says_partial);
        self.rows.push(Row {
            called: format!("{} ({})", region.name, region.ods),
            status,
            refused_question: false,
            issues,
        });
    }

    /// Counts a region that contributes nothing.
    pub fn count_failure(&mut self, region: &Region, failure: Failure) {
        let refused_question = failure.refused.is_some();
        let said = failure.refused.unwrap_or_default();
        self.rows.push(Row {
            called: format!("{} ({})", region.name, region.ods),
            status: failure.status,
            refused_question,
            issues: said,
        });
    }

    /// Counts an organisation that holds a record and has no entry in the directory.
    pub fn count_unknown(&mut self, ods: &OdsCode) {
        self.rows.push(Row {
            called: format!("The organisation {ods}"),
            status: RegionStatus::Unknown,
            refused_question: false,
            issues: Vec::new(),
        });
    }

    /// Notes something else that the answer lacks.
    pub fn lack(&mut self, issue: Issue) {
        self.lacking.push(issue);
    }

    /// Whether everything that matches, anywhere, is in the answer.
    pub fn is_complete(&self) -> bool {
        let whole = self.rows.iter().all(|row| row.status.is_complete());
        whole && self.gaps.is_empty() && self.lacking.is_empty() && !self.partial
    }

    /// Whether regions were asked and none contributed.
    pub fn is_failed(&self) -> bool {
        let contributed =
            |row: &Row| row.status.is_complete() || row.status == RegionStatus::Suppressed;
        !self.rows.is_empty() && !self.rows.iter().any(contributed)
    }

    /// Whether nobody holds a record: nobody was named, and the home hub, if any, has nothing.
    pub fn is_unregistered(&self, others: usize) -> bool {
        others == 0
            && self.is_complete()
            && self.rows.iter().all(|r| r.status == RegionStatus::Empty)
    }

    /// If every region refused the question as such: what the first of them said.
    pub fn refused_by_all(&self) -> Option<Vec<Issue>> {
        let all = !self.rows.is_empty() && self.rows.iter().all(|row| row.refused_question);
        all.then(|| self.rows[0].issues.clone())
    }

    /// One issue for each thing that is missing, then what the regions said themselves.
    pub fn issues(&self, severity: Severity) -> Vec<Issue> {
        let missing = self.rows.iter().filter(|row| !row.status.is_complete());
        let gaps = self.gaps.iter().map(|gap| gap.issue(severity));
        let mut issues: Vec<_> =
            missing.map(|row| row.status.issue(&row.called, severity)).chain(gaps).collect();
        issues.extend(self.lacking.iter().map(|issue| Issue { severity, ..issue.clone() }));
        for row in &self.rows {
            issues.extend(row.issues.iter().map(|issue| attributed(issue, &row.called)));
        }
        issues
    }

    /// The value of `X-Federation-Regions`; empty counts as ok.
    pub fn header(&self) -> HeaderValue {
        let statuses: Vec<_> = self.rows.iter().map(|row| row.status).collect();
        let counted = counts(&statuses);
        let counted: Vec<_> =
            counted.iter().map(|(name, count)| format!("{name}={count}")).collect();
        let text = counted.join(",");
        HeaderValue::from_str(&text).expect("codes and numbers are visible ASCII")
    }

    /// Everything a refusal has to say.
    pub fn shortfall(&self) -> Shortfall {
        let missing = || self.rows.iter().filter(|row| !row.status.is_complete());
        Shortfall {
            all_timed_out: missing().count() > 0
                && missing().all(|r| r.status == RegionStatus::Timeout),
            issues: self.issues(Severity::Error),
            regions: self.header(),
        }
    }
}

/// How many regions there are, how many are in the answer, and how each of the others ended; none
/// is counted as 0 but the first.
pub fn counts(statuses: &[RegionStatus]) -> Vec<(&'static str, usize)> {
    let of = |wanted: &dyn Fn(&RegionStatus) -> bool| statuses.iter().filter(|s| wanted(s)).count();
    let mut counts = vec![("total", statuses.len()), ("ok", of(&|status| status.is_complete()))];
    let missing = RegionStatus::ALL.into_iter().filter(|status| !status.is_complete());
    counts.extend(missing.map(|status| (status.as_str(), of(&|s| *s == status))));
    counts.retain(|(name, count)| *count > 0 || *name == "total");
    counts
}

/// What is told instead of an answer that would miss too much.
#[derive(Debug)]
pub struct Shortfall {
    /// Time is the only thing that was missing.
    pub all_timed_out: bool,
    /// One issue for each thing that is missing.
    pub issues: Vec<Issue>,
    /// The value of `X-Federation-Regions`.
    pub regions: HeaderValue,
}

impl Shortfall {
    /// The shortfall of a question to one region.
    pub fn of(region: &Region, status: RegionStatus) -> Self {
        let mut tally = Tally::default();
        tally.count(region, status, Vec::new());
        tally.shortfall()
    }
}

/// A region's own issue, with the region's name before it.
fn attributed(issue: &Issue, called: &str) -> Issue {
    let mut issue = issue.clone();
    let text = issue
        .diagnostics
        .take()
        .or_else(|| issue.details.as_ref()?.text.clone())
        .unwrap_or_else(|| "raised this issue without saying more.".to_owned());
    issue.diagnostics = Some(format!("{called} says: {text}"));
    if matches!(issue.severity, Severity::Error | Severity::Fatal) {
        issue.severity = Severity::Warning;
    }
    issue
}

/// Whether a region's own issue says that its answer is not whole.
fn says_partial(issue: &Issue) -> bool {
    let severe = matches!(issue.severity, Severity::Error | Severity::Fatal);
    let missing = matches!(
        issue.code,
        IssueCode::Incomplete
            | IssueCode::Timeout
            | IssueCode::Throttled
            | IssueCode::Transient
            | IssueCode::TooCostly
    );
    severe || (missing && issue.severity == Severity::Warning)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use service::config::Nation;

    fn region(ods: &str) -> Region {
        Region {
            ods: ods.parse().unwrap(),
            name: "North".into(),
            nation: Nation::England,
            url: "http://h/FHIR/R4".into(),
        }
    }

    #[test]
    fn the_header_counts_total_then_ok_then_the_others() {
        let mut tally = Tally::default();
        for status in [RegionStatus::Timeout, RegionStatus::Empty, RegionStatus::Ok] {
            tally.count(&region("A1"), status, Vec::new());
        }
        tally.count_unknown(&"Z9".parse().unwrap());
        assert_eq!(tally.header(), "total=4,ok=2,timeout=1,unknown=1");
        assert!(!tally.is_complete() && !tally.is_failed());
    }

    #[test]
    fn every_status_names_the_region_by_name_and_code() {
        for status in RegionStatus::ALL {
            let mut tally = Tally::default();
            tally.count(&region("A1"), status, Vec::new());
            let issues = tally.issues(Severity::Warning);
            assert_eq!(issues.is_empty(), status.is_complete());
            for issue in issues {
                let text = issue.diagnostics.unwrap();
                assert!(text.starts_with("North (A1) ") && text.ends_with('.'), "{text}");
                assert_eq!(issue.details.unwrap().coding[0].code, status.as_str());
            }
        }
    }

    #[test]
    fn a_region_that_calls_its_own_answer_incomplete_makes_the_whole_incomplete() {
        let mut tally = Tally::default();
        let issue = Issue::new(Severity::Warning, IssueCode::Incomplete, "One provider is silent.");
        tally.count(&region("A1"), RegionStatus::Ok, vec![issue]);
        assert!(!tally.is_complete());
        let said = tally.issues(Severity::Warning)[0].diagnostics.clone().unwrap();
        assert_eq!(said, "North (A1) says: One provider is silent.");
    }

    #[test]
    fn a_gap_alone_makes_an_answer_incomplete() {
        assert!(!Tally::new(vec![Gap::LocatorFailed]).is_complete());
        assert!(Tally::default().is_complete());
    }
}
