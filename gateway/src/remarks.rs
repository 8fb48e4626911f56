//! What an answer says about itself beside what is missing: facts that are there twice, people who
//! may be two, numbers that are out of use.

use std::fmt::Write as _;
use std::sync::Arc;

use fhir::outcome::{Issue, IssueCode, Severity};

use crate::directory::Region;
use crate::merge::demographics::{About, Disagreement};
use crate::merge::found::{Finding, What};
use crate::merge::{Merged, Shown, Source};

/// Most members that one finding names.
const FIELDS_MAX: usize = 8;
/// Most findings that are told one by one.
const FINDINGS_MAX: usize = 100;

/// A parameter that a region did not execute.
pub fn parameter_left_out(name: &str) -> Issue {
    let text = format!(
        "A region left out the parameter {name}: the answer may hold more than was asked for."
    );
    Issue::new(Severity::Warning, IssueCode::NotSupported, text).at(name)
}

/// Nobody holds a record.
pub fn unregistered() -> Issue {
    let text = "No region has registered a record for this patient.";
    Issue::new(Severity::Information, IssueCode::Informational, text)
}

/// Not everybody was to be asked: these were, those the locator does not name.
pub fn only(asked: &[Arc<Region>], others: &[Arc<Region>]) -> Issue {
    let names = |regions: &[Arc<Region>]| {
        regions.iter().map(|region| called(region)).collect::<Vec<_>>().join(", ")
    };
    let mut text = if asked.is_empty() {
        "None of the regions that region names was asked.".to_owned()
    } else {
        format!("Only these regions were asked, as region has it: {}.", names(asked))
    };
    if !others.is_empty() {
        let _ = write!(text, " The record locator names no record in: {}.", names(others));
    }
    text.push_str(
        " Others may hold more: complete means complete for the regions that were asked.",
    );
    Issue::new(Severity::Information, IssueCode::Informational, text).at("region")
}

/// The number that was asked for is no longer in use.
pub fn superseded() -> Issue {
    let text = "The number that was asked for is no longer in use: this is the record under the \
                number that replaced it, too. Include the patient to see that number, and use it \
                from now on.";
    Issue::new(Severity::Warning, IssueCode::Informational, text)
}

/// What there is to say of the Patients by whom a region's answer was checked.
pub fn of_source(source: &Source<'_>, superseded: bool) -> Vec<Issue> {
    let mut issues = Vec::new();
    let called = called(source.region);
    if source.checked.formerly && !superseded {
        let text = format!(
            "{called} knows this number as a former one of its patient: make sure that it is the \
             same person before you rely on what it holds."
        );
        issues.push(Issue::new(Severity::Warning, IssueCode::Conflict, text));
    }
    if source.checked.anothers > 0 {
        let text = format!(
            "{called} holds {} entries of somebody who once had this number and has another one \
             now: they are not this patient's, and are left out.",
            source.checked.anothers
        );
        issues.push(Issue::new(Severity::Information, IssueCode::Informational, text));
    }
    issues
}

/// Two Patients who can hardly be one person.
pub fn disagreement(base: &str, found: &Disagreement<'_, '_>) -> Issue {
    let what = match found.about {
        About::BirthDate => "dates of birth",
        About::Gender => "genders",
        About::Death => "statements of whether the patient has died",
    };
    let (first, second) = (called(found.first.region), called(found.second.region));
    let text = format!(
        "{first} and {second} hold different {what} under this number: these may be records of \
         two people. Make sure who the patient is before you rely on either."
    );
    let issue = Issue::new(Severity::Warning, IssueCode::Conflict, text);
    issue.at(found.first.full_url(base)).at(found.second.full_url(base))
}

/// What was found about pairs of entries, what has to be looked at first, up to a limit.
pub fn findings(base: &str, merged: &Merged<'_>) -> Vec<Issue> {
    let told = merged.findings.iter().take(FINDINGS_MAX);
    let mut issues: Vec<_> = told.map(|found| finding(base, merged, found)).collect();
    let untold = merged.findings.get(FINDINGS_MAX..).unwrap_or_default();
    if !untold.is_empty() {
        let warnings = untold.iter().filter(|found| found.what.is_warning()).count();
        let severity = if warnings > 0 { Severity::Warning } else { Severity::Information };
        let text = format!(
            "{} more pairs of entries are the same, alike or at odds with each other, of which \
             {warnings} have to be compared: ask for less, by date, code or type.",
            untold.len()
        );
        issues.push(Issue::new(severity, IssueCode::TooCostly, text));
    }
    issues
}

/// What was found about two entries. They are named as they are for ever, and then, if both are
/// shown, as they stand in the answer.
fn finding(base: &str, merged: &Merged<'_>, found: &Finding) -> Issue {
    let severity = if found.what.is_warning() { Severity::Warning } else { Severity::Information };
    let code = match found.what {
        What::Duplicate | What::Folded | What::Alike => IssueCode::Duplicate,
        What::Older | What::Described => IssueCode::Informational,
        _ => IssueCode::Conflict,
    };
    let (first, second) = (merged.entry(found.first), merged.entry(found.second));
    let issue = Issue::new(severity, code, said(found));
    let issue = issue.at(first.canonical_url()).at(second.canonical_url());
    if found.what == What::Folded {
        return issue;
    }
    issue.at(first.full_url(base)).at(second.full_url(base))
}

fn said(found: &Finding) -> String {
    let fields = found.fields.iter().take(FIELDS_MAX).cloned().collect::<Vec<_>>().join(", ");
    let in_fields = if fields.is_empty() { "content".to_owned() } else { fields };
    match found.what {
        What::Duplicate => "These two are the same fact: same identity, same content.".into(),
        What::Folded => "These two are the same fact, with the same identity and the same \
                         content: the first is shown, for both."
            .into(),
        What::Older => "The second of these two is an older version of the first.".into(),
        What::Conflict => format!(
            "These two carry the same identity and differ in {in_fields}; which of them is \
             current is not known: compare them before you rely on either."
        ),
        What::NewerConflict => format!(
            "These two carry the same identity and differ in {in_fields}; the first was changed \
             later: compare them before you rely on either."
        ),
        What::Described => {
            format!("These two carry the same identity and are described differently: {in_fields}.")
        }
        What::Alike => "These two may be the same fact: they say the same, and no source says \
                        that they are one."
            .into(),
        What::AlikeConflict => format!(
            "These two may be the same fact, and differ in {in_fields}: compare them before you \
             rely on either."
        ),
        What::NoKnownAllergy => "The first of these two is an allergy, and the second says that \
                                 none is known: find out which is right."
            .into(),
        What::OtherDose => "One product is active in two regions with different doses: find out \
                            which of them the patient takes."
            .into(),
        What::Stopped => "One product is active in the first of these two, and stopped in the \
                          second: find out whether the patient still takes it."
            .into(),
    }
}

/// A region whose part between two places is on none of the pages.
pub fn passed_by(region: &Region) -> Issue {
    let text = format!(
        "{} did not answer on an earlier page. What it holds before the place that the pages had \
         reached when it answered again is on none of them: follow the link retry-missing.",
        called(region)
    );
    Issue::new(Severity::Warning, IssueCode::Incomplete, text)
}

/// More is missing than a link can carry.
pub fn retry_too_costly() -> Issue {
    let text = "What is missing is more than a link can carry: ask the whole question again.";
    Issue::new(Severity::Information, IssueCode::TooCostly, text)
}

/// A page of what other pages were missing.
pub fn retried(regions: impl Iterator<Item = Arc<Region>>) -> Issue {
    let regions: Vec<_> = regions.map(|region| called(&region)).collect();
    let text = format!(
        "This is what earlier pages were missing of {}, and nothing else.",
        regions.join(", ")
    );
    Issue::new(Severity::Information, IssueCode::Informational, text)
}

/// A region that had to be asked for everything.
pub fn unordered(region: &Region) -> Issue {
    let text = format!(
        "{} does not keep to the order that was asked for: for each page it is asked for \
         everything, and what it holds is put in order here.",
        called(region)
    );
    Issue::new(Severity::Information, IssueCode::Informational, text)
}

/// A fact that the page before has shown.
pub fn folded_before(entry: &Shown<'_>) -> Issue {
    let text = "This is the same fact as an entry of the page before, with the same identifier and \
                the same content: that one is shown, for both.";
    let issue = Issue::new(Severity::Information, IssueCode::Duplicate, text);
    issue.at(entry.canonical_url())
}

fn called(region: &Region) -> String {
    format!("{} ({})", region.name, region.ods)
}
