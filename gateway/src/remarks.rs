//! What an answer says about itself beside what is missing: facts that are there twice, people who
//! may be two, numbers that are out of use.

use std::fmt::Write as _;

use fhir::outcome::{Issue, IssueCode, Severity};

use crate::directory::Region;
use crate::merge::demographics::{About, Disagreement};
use crate::merge::fold::Finding;
use crate::merge::{Merged, Shown, Source};

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
pub fn only(asked: &[&Region], others: &[&Region]) -> Issue {
    let names = |regions: &[&Region]| {
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
    };
    let (first, second) = (called(found.first.region), called(found.second.region));
    let text = format!(
        "{first} and {second} hold different {what} under this number: these may be records of \
         two people. Make sure who the patient is before you rely on either."
    );
    let issue = Issue::new(Severity::Warning, IssueCode::Conflict, text);
    issue.at(found.first.full_url(base)).at(found.second.full_url(base))
}

/// A fact that reached us more than once.
pub fn finding(base: &str, merged: &Merged<'_>, finding: Finding) -> Issue {
    let full = |place: usize| merged.matches[place].full_url(base);
    let canonical = |place: usize| merged.matches[place].canonical_url();
    let issue = |severity, code, text| Issue::new(severity, code, text);
    match finding {
        Finding::Duplicate(first, second) => {
            let text = "These two entries are the same fact: same identifier, same content.";
            let issue = issue(Severity::Information, IssueCode::Duplicate, text);
            issue.at(full(first)).at(full(second))
        }
        Finding::Folded(first, second) => {
            let text = "These two are the same fact, with the same identifier and the same \
                        content: the first is shown, for both.";
            let issue = issue(Severity::Information, IssueCode::Duplicate, text);
            issue.at(canonical(first)).at(canonical(second))
        }
        Finding::Conflict(first, second) => {
            let text = "These two entries carry the same identifier and differ in content: \
                        compare them before you rely on either.";
            let issue = issue(Severity::Warning, IssueCode::Conflict, text);
            issue.at(full(first)).at(full(second))
        }
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
pub fn retried<'r>(regions: impl Iterator<Item = &'r Region>) -> Issue {
    let regions: Vec<_> = regions.map(called).collect();
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
