//! How a region can end, and how it is told: one row for each.
//!
//! | status | complete | issue |
//! |---|---|---|
//! | ok, empty | yes | none |
//! | suppressed | no | suppressed |
//! | timeout | no | timeout |
//! | unreachable | no | transient |
//! | refused | no | processing |
//! | throttled | no | throttled |
//! | invalid | no | invalid |
//! | too-large | no | too-costly |
//! | wrong-patient | no | security |
//! | open | no | transient |
//! | unknown | no | incomplete |
//! | suspended | no | incomplete |

use std::time::Duration;

use fhir::OWN_SYSTEM;
use fhir::outcome::{Coding, Details, Issue, IssueCode, Severity};
use serde::{Deserialize, Serialize};

/// How a region ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegionStatus {
    /// Its whole answer is in.
    Ok,
    /// It answered that it holds nothing that matches.
    Empty,
    /// It answered, and said that it holds something back.
    Suppressed,
    /// It did not answer in time.
    Timeout,
    /// It could not be reached, or failed.
    Unreachable,
    /// It refused the question.
    Refused,
    /// It is too busy.
    Throttled,
    /// Its answer is not a searchset.
    Invalid,
    /// Its answer is larger than the gateway takes.
    TooLarge,
    /// Its answer holds something of another patient.
    WrongPatient,
    /// It has failed repeatedly, and is left alone for a while.
    Open,
    /// The locator names it, the directory does not.
    Unknown,
    /// The directory says that it is not to be asked.
    Suspended,
}

impl RegionStatus {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Empty,
        Self::Suppressed,
        Self::Timeout,
        Self::Unreachable,
        Self::Refused,
        Self::Throttled,
        Self::Invalid,
        Self::TooLarge,
        Self::WrongPatient,
        Self::Open,
        Self::Unknown,
        Self::Suspended,
    ];

    /// The code in `urn:shared-record:region-status`.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Whether everything that matches is in the answer.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Ok | Self::Empty)
    }

    /// Code, R4 issue code, and what there is to say after the region's name.
    fn row(self) -> (&'static str, IssueCode, &'static str) {
        match self {
            Self::Ok => ("ok", IssueCode::Informational, "answered."),
            Self::Empty => ("empty", IssueCode::Informational, "holds nothing that matches."),
            Self::Suppressed => (
                "suppressed",
                IssueCode::Suppressed,
                "holds more than it may show you: what is shown of it is not everything.",
            ),
            Self::Timeout => (
                "timeout",
                IssueCode::Timeout,
                "did not answer in time: its part of the record is missing here. Ask again, or \
                 allow more time with X-Request-Timeout-Ms.",
            ),
            Self::Unreachable => (
                "unreachable",
                IssueCode::Transient,
                "could not be reached: its part of the record is missing here. Ask again shortly.",
            ),
            Self::Refused => (
                "refused",
                IssueCode::Processing,
                "refused the question: its part of the record is missing here.",
            ),
            Self::Throttled => (
                "throttled",
                IssueCode::Throttled,
                "is too busy to answer: its part of the record is missing here. Ask again shortly.",
            ),
            Self::Invalid => (
                "invalid",
                IssueCode::Invalid,
                "sent an answer that cannot be relied on: its part of the record is missing here. \
                 Ask the region directly.",
            ),
            Self::TooLarge => (
                "too-large",
                IssueCode::TooCostly,
                "holds more than one answer can carry: its part of the record is missing here. \
                 Ask for less, by date, code or type.",
            ),
            Self::WrongPatient => (
                "wrong-patient",
                IssueCode::Security,
                "sent something of another patient, so nothing of it is shown. Ask the region \
                 directly, and report this.",
            ),
            Self::Open => (
                "open",
                IssueCode::Transient,
                "has failed repeatedly and was not asked this time: its part of the record is \
                 missing here. It is tried again within seconds.",
            ),
            Self::Unknown => (
                "unknown",
                IssueCode::Incomplete,
                "holds a record but is not in this gateway's directory, so it was not asked.",
            ),
            Self::Suspended => (
                "suspended",
                IssueCode::Incomplete,
                "is suspended in this gateway's directory, so it was not asked: its part of the \
                 record is missing here.",
            ),
        }
    }
}

impl RegionStatus {
    /// What is told of a region that ended so; `called` is its name and code.
    pub fn issue(self, called: &str, severity: Severity) -> Issue {
        let (status, code, text) = self.row();
        let coding = Coding {
            system: format!("{OWN_SYSTEM}region-status"),
            code: status.to_owned(),
            display: None,
        };
        let details = Details { coding: vec![coding], text: None };
        Issue::new(severity, code, format!("{called} {text}")).with_details(details)
    }
}

/// Why a region contributes nothing.
#[derive(Debug, Clone)]
pub struct Failure {
    /// How it ended.
    pub status: RegionStatus,
    /// What it said itself when it refused the question as such.
    pub refused: Option<Vec<Issue>>,
    /// How long it asks to be left alone.
    pub leave_alone: Option<Duration>,
}

impl From<RegionStatus> for Failure {
    fn from(status: RegionStatus) -> Self {
        Self { status, refused: None, leave_alone: None }
    }
}

/// A reason why it is not known whether all regions were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gap {
    /// The locator could not be asked; only the home hub was.
    LocatorFailed,
    /// Some of the locator's pointers could not be read.
    UnreadablePointers(usize),
    /// The number is not an NHS number and is linked with none.
    NotLinked,
    /// The number is linked with several NHS numbers.
    SeveralLinks,
    /// The patient with this NHS number carries another one.
    OtherNumber,
    /// It is not known which other numbers the patient has.
    LinksUnknown,
}

impl Gap {
    /// What is told of it.
    pub fn issue(self, severity: Severity) -> Issue {
        let (code, text) = match self {
            Self::LocatorFailed => (
                IssueCode::Transient,
                "The record locator cannot be asked at the moment: only the home region was \
                 asked, and it is not known whether others hold a record for this patient. Ask \
                 again shortly."
                    .to_owned(),
            ),
            Self::UnreadablePointers(count) => (
                IssueCode::Incomplete,
                format!(
                    "{count} of the record locator's pointers could not be read: a region that \
                     holds a record may not have been asked."
                ),
            ),
            Self::NotLinked => (
                IssueCode::Incomplete,
                "No NHS number is known here for this patient, and records are located by NHS \
                 number: only the home region was asked, and it is not known whether others hold \
                 a record."
                    .to_owned(),
            ),
            Self::SeveralLinks => (
                IssueCode::MultipleMatches,
                "The home region links this number with several NHS numbers, so it is not known \
                 whose records to ask other regions for: only the home region was asked. Ask by \
                 NHS number, and report this."
                    .to_owned(),
            ),
            Self::OtherNumber => (
                IssueCode::MultipleMatches,
                "The home region's patient with this NHS number carries another NHS number too: \
                 records under the other one were not asked for. Find out which of them is right, \
                 and report this."
                    .to_owned(),
            ),
            Self::LinksUnknown => (
                IssueCode::Incomplete,
                "The home region did not say in time which other numbers this patient has: records \
                 under another number were not asked for. Ask again shortly."
                    .to_owned(),
            ),
        };
        Issue::new(severity, code, text)
    }
}
