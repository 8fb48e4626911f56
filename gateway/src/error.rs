//! Everything that keeps the gateway from answering, and the one table that says how it is told.
//!
//! | error | status | issue |
//! |---|---|---|
//! | `UnknownType`, `UnknownRegion` | 404 | not-found |
//! | `NotAboutAPatient`, `LocalId`, `NotHere`, `NotSupported`, `NotLinked` | 400 | not-supported |
//! | `NoPatient` | 400 | required |
//! | `SeveralPatients`, `BareNumber`, `BadNumber`, `BadValue`, `BadDeadline`, `NotInDirectory` | 400 | value |
//! | `AlreadyFederated` | 400 | processing |
//! | `ForgedPage`, `PageNotAlone` | 400 | invalid |
//! | `PageTooCostly` | 400 | too-costly |
//! | `ExpiredPage`, `SnapshotGone` | 410 | expired |
//! | `SnapshotTooLarge` | 422 | too-costly |
//! | `SnapshotsFull` | 503 | throttled |
//! | `RefusedByAll` | 400 | what the first region said |
//! | `LocatorUnavailable` | 503 | transient |
//! | `NoRegionAnswered` | 504 if all timed out, else 502 | one per region |
//! | `RegionFailed` | 504 if it timed out, else 502 | the region's |
//! | `Internal` | 500 | exception |
//!
//! The silence of one region among several is no error: it is part of the answer ([`crate::tally`]).

use fhir::identifier::{CHI_NUMBER, HC_NUMBER, NHS_NUMBER, NumberError, OdsCode};
use fhir::outcome::{Issue, IssueCode, OperationOutcome};
use http::StatusCode;
use service::refusal::Refusal;
use thiserror::Error;

use crate::tally::{COMPLETE, REGIONS, Shortfall};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The URL names no resource type.
    #[error("R4 has no resource type of that name")]
    UnknownType,
    /// The URL names no region of the directory.
    #[error("the directory has no region of that code")]
    UnknownRegion,
    /// The type leads to no patient.
    #[error("{0} is not about a patient")]
    NotAboutAPatient(&'static str),
    /// The search names no patient.
    #[error("the search names no patient")]
    NoPatient(&'static str),
    /// The search names more than one patient.
    #[error("the search names more than one patient")]
    SeveralPatients(String),
    /// The patient's number comes without its system.
    #[error("the number comes without its system")]
    BareNumber(String),
    /// The patient's number is none.
    #[error("the number is not valid")]
    BadNumber(String, NumberError),
    /// The patient is named by an id that means something in one region only.
    #[error("the patient is named by a logical id")]
    LocalId(String),
    /// A resource is asked for by an id that means something in one region only.
    #[error("a resource is asked for by a logical id")]
    NotHere,
    /// A parameter that cannot be executed across regions.
    #[error("{0} cannot be executed across regions")]
    NotSupported(String, &'static str),
    /// A parameter has a value that it does not take.
    #[error("{0} has a value that it does not take")]
    BadValue(&'static str, &'static str),
    /// A region is to be asked that the directory does not have.
    #[error("the directory has no region {0}")]
    NotInDirectory(OdsCode),
    /// `X-Request-Timeout-Ms` is not a number in range.
    #[error("the request's deadline is out of range")]
    BadDeadline,
    /// The request has been through a gateway before.
    #[error("the request was federated before")]
    AlreadyFederated,
    /// A page link that nobody here has made, or not for this caller.
    #[error("the page link is not one of ours")]
    ForgedPage,
    /// A page link that has served its time.
    #[error("the page link is too old")]
    ExpiredPage,
    /// A page link beside other parameters, or at another type's URL.
    #[error("the page link does not stand alone")]
    PageNotAlone,
    /// What a page link would have to carry does not fit into a URL.
    #[error("the page link would be too long")]
    PageTooCostly,
    /// What a snapshot would hold is more than one may.
    #[error("the snapshot would be too large")]
    SnapshotTooLarge,
    /// There is no room for another snapshot now.
    #[error("there is no room for a snapshot")]
    SnapshotsFull,
    /// A page of a snapshot that is not kept here.
    #[error("the snapshot is not kept here")]
    SnapshotGone,
    /// The number is not an NHS number, and no hub here can say which NHS number goes with it.
    #[error("no hub here can link the number")]
    NotLinked,
    /// Every region refused the question itself.
    #[error("every region refused the question")]
    RefusedByAll(Vec<Issue>),
    /// The locator cannot say who holds records; in so many seconds it may.
    #[error("the locator cannot be asked")]
    LocatorUnavailable(u64),
    /// No region answered, or not all did and the caller wants nothing less.
    #[error("regions are missing")]
    NoRegionAnswered(Shortfall),
    /// The one region that was asked did not answer.
    #[error("the region did not answer")]
    RegionFailed(Shortfall),
    /// A defect of ours.
    #[error("{0}")]
    Internal(String),
}

impl From<GatewayError> for Refusal {
    fn from(error: GatewayError) -> Self {
        use IssueCode::{
            Expired, Invalid, NotFound, NotSupported, Processing, Required, Throttled, TooCostly,
            Transient, Value,
        };
        match error {
            GatewayError::UnknownType => {
                let text = "FHIR R4 has no resource type of that name.";
                Self::error(StatusCode::NOT_FOUND, NotFound, text)
            }
            GatewayError::UnknownRegion => {
                let text = "The region directory has no region of that organisation code.";
                Self::error(StatusCode::NOT_FOUND, NotFound, text)
            }
            GatewayError::NotAboutAPatient(kind) => bad(NotSupported, &not_about(kind), None),
            GatewayError::NoPatient(kind) => bad(Required, &how_to_ask(kind), None),
            GatewayError::SeveralPatients(at) => bad(Value, SEVERAL, Some(at)),
            GatewayError::BareNumber(at) => bad(Value, &with_system(), Some(at)),
            GatewayError::BadNumber(at, cause) => bad(Value, &sentence(cause), Some(at)),
            GatewayError::LocalId(at) => bad(NotSupported, LOCAL_ID, Some(at)),
            GatewayError::NotHere => bad(NotSupported, NOT_HERE, None),
            GatewayError::NotSupported(at, text) => bad(NotSupported, text, Some(at)),
            GatewayError::BadValue(at, text) => bad(Value, text, Some(at.to_owned())),
            GatewayError::NotInDirectory(ods) => {
                bad(Value, &not_in_directory(&ods), Some("region".into()))
            }
            GatewayError::BadDeadline => bad(Value, BAD_DEADLINE, None),
            GatewayError::AlreadyFederated => bad(Processing, FEDERATED, None),
            GatewayError::ForgedPage => bad(Invalid, FORGED_PAGE, Some("_page".into())),
            GatewayError::PageNotAlone => bad(Invalid, PAGE_NOT_ALONE, Some("_page".into())),
            GatewayError::PageTooCostly => bad(TooCostly, PAGE_TOO_COSTLY, None),
            GatewayError::ExpiredPage => Self::error(StatusCode::GONE, Expired, EXPIRED_PAGE),
            GatewayError::SnapshotTooLarge => {
                Self::error(StatusCode::UNPROCESSABLE_ENTITY, TooCostly, SNAPSHOT_TOO_LARGE)
            }
            GatewayError::SnapshotsFull => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::error(status, Throttled, SNAPSHOTS_FULL).retry_after_s(60)
            }
            GatewayError::SnapshotGone => Self::error(StatusCode::GONE, Expired, SNAPSHOT_GONE),
            GatewayError::NotLinked => bad(NotSupported, NOT_LINKED, None),
            GatewayError::RefusedByAll(issues) => refused_by_all(issues),
            GatewayError::LocatorUnavailable(seconds) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::error(status, Transient, NO_LOCATOR).retry_after_s(seconds)
            }
            GatewayError::NoRegionAnswered(shortfall) => missing(shortfall, true),
            GatewayError::RegionFailed(shortfall) => missing(shortfall, false),
            GatewayError::Internal(cause) => Self::internal(&cause),
        }
    }
}

const FORGED_PAGE: &str = "This page link is not one of ours, or was made for another organisation: \
                           begin the search again.";
const EXPIRED_PAGE: &str =
    "This page link is older than a quarter of an hour: begin the search again.";
const PAGE_NOT_ALONE: &str = "A page link is used as it was given: at its own URL, and without more \
                              parameters.";
const PAGE_TOO_COSTLY: &str = "The next page's link would be too long for a URL: ask for less, with \
                               fewer codes or by date, or for more on each page.";
const SNAPSHOT_TOO_LARGE: &str = "A snapshot holds at most 10000 matches and 32 MiB, and less of one \
                                  region: ask for less, by date, code or type, or without \
                                  snapshot=true, page by page.";
const SNAPSHOTS_FULL: &str = "There is no room for another snapshot at the moment: try again in a \
                              minute, or ask without snapshot=true.";
const SNAPSHOT_GONE: &str = "This snapshot is no longer kept: it was taken more than a quarter of an \
                             hour ago, or by a process that has ended. Ask anew with snapshot=true.";
const SEVERAL: &str =
    "Ask for one patient at a time: give one number, in one parameter, without commas.";
const LOCAL_ID: &str = "A patient's logical id means something in one region only. Name the \
                        patient by number: patient.identifier=system|number, or \
                        Patient?identifier=system|number.";
const NOT_HERE: &str = "A logical id means something in one region only. Read a resource at \
                        at/{region}/{type}/{id}, as the fullUrl of a search's entry gives it, or \
                        search by the patient's number: {type}?patient.identifier=system|number.";
const BAD_DEADLINE: &str =
    "X-Request-Timeout-Ms must be a whole number of milliseconds from 1 to 25000.";
const FEDERATED: &str = "This request has already been through a gateway, and one question is \
                         spread over the regions once only. Ask the region's hub instead.";
const NOT_LINKED: &str = "Records are located by NHS number, and this gateway has no hub of its \
                          own that could say which NHS number goes with this number: ask by NHS \
                          number.";
const NO_LOCATOR: &str = "The record locator cannot be asked at the moment, so it is not known \
                          which regions hold a record for this patient. Try again shortly.";

fn bad(code: IssueCode, text: &str, at: Option<String>) -> Refusal {
    let issue = Issue::error(code, text);
    let issue = match at {
        Some(at) => issue.at(at),
        None => issue,
    };
    Refusal::new(StatusCode::BAD_REQUEST, issue)
}

fn not_in_directory(ods: &OdsCode) -> String {
    format!("The region directory has no region {ods}: it cannot be asked.")
}

fn not_about(kind: &str) -> String {
    format!(
        "{kind} resources do not lead to a patient. The gateway answers questions about one \
         patient; ask a region's hub for anything else."
    )
}

fn how_to_ask(kind: &str) -> String {
    let parameter = match kind {
        "Patient" => "identifier",
        _ => "patient.identifier",
    };
    format!(
        "Say whose resources you want: {kind}?{parameter}=system|number, or the same as a POST to \
         {kind}/_search. Across regions a patient is named by a national number, with its system: \
         {}.",
        systems()
    )
}

fn with_system() -> String {
    format!("Give the number with its system, as system|number. The systems are {}.", systems())
}

fn systems() -> String {
    format!("{NHS_NUMBER} (NHS number), {CHI_NUMBER} (CHI), {HC_NUMBER} (H&C)")
}

fn sentence(cause: NumberError) -> String {
    let text = cause.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    let listed = match cause {
        NumberError::System => format!(" They are {}.", systems()),
        _ => String::new(),
    };
    format!("{}{}.{listed}", first.map(String::from).unwrap_or_default(), letters.as_str())
}

fn refused_by_all(issues: Vec<Issue>) -> Refusal {
    let mut refusal = Refusal::bad_request(
        IssueCode::Processing,
        "Every region that was asked refused the question.",
    );
    refusal.outcome.issue.extend(issues);
    refusal
}

fn missing(shortfall: Shortfall, federated: bool) -> Refusal {
    let status =
        if shortfall.all_timed_out { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    let mut refusal = Refusal::error(status, IssueCode::Incomplete, "");
    refusal.outcome = OperationOutcome { issue: shortfall.issues };
    if !federated {
        return refusal;
    }
    refusal
        .with_header(COMPLETE, http::HeaderValue::from_static("false"))
        .with_header(REGIONS, shortfall.regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_tells_a_person_what_to_do_and_nothing_of_the_inside() {
        let errors = [
            GatewayError::UnknownType,
            GatewayError::UnknownRegion,
            GatewayError::NotAboutAPatient("Practitioner"),
            GatewayError::NoPatient("Observation"),
            GatewayError::SeveralPatients("identifier".into()),
            GatewayError::BareNumber("patient.identifier".into()),
            GatewayError::BadNumber("identifier".into(), NumberError::System),
            GatewayError::LocalId("patient".into()),
            GatewayError::NotHere,
            GatewayError::NotSupported("_count".into(), "Leave it out."),
            GatewayError::BadValue("dedup", "Say link."),
            GatewayError::NotInDirectory("A1".parse().expect("it is well formed")),
            GatewayError::BadDeadline,
            GatewayError::AlreadyFederated,
            GatewayError::ForgedPage,
            GatewayError::ExpiredPage,
            GatewayError::PageNotAlone,
            GatewayError::PageTooCostly,
            GatewayError::SnapshotTooLarge,
            GatewayError::SnapshotsFull,
            GatewayError::SnapshotGone,
            GatewayError::NotLinked,
            GatewayError::RefusedByAll(Vec::new()),
            GatewayError::LocatorUnavailable(5),
            GatewayError::Internal("a secret cause".into()),
        ];
        for error in errors {
            let shown = format!("{error:?}");
            let refusal = Refusal::from(error);
            assert!(refusal.status.is_client_error() || refusal.status.is_server_error());
            for issue in &refusal.outcome.issue {
                let text = issue.diagnostics.as_deref().unwrap_or_default();
                assert!(text.ends_with('.') && !text.contains("secret"), "{shown}: {text}");
            }
        }
    }
}
