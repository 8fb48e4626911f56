//! A question while its parameters are taken, one by one: which are known, what each does.

use fhir::definitions::ResourceType;
use fhir::identifier::{OdsCode, PatientNumber};
use fhir::outcome::{Issue, IssueCode, Severity};
use fhir::subset::{Subset, parse_elements};

use super::{Dedup, Handling, Order, Pages, Question, Total};
use crate::error::GatewayError;
use crate::kind::Kind;

const COUNT: &str = "_count is a whole number; _count=0 gives the total alone.";
const TOTAL: &str = "_total is none, estimate or accurate.";
const SORT: &str = "Across regions only one date can be sorted by: _lastUpdated or a date \
                    parameter of the type, newest first with a minus sign before it.";
const SUMMARY: &str = "_summary is true, text, data, count or false.";
const CONTAINED: &str = "Contained resources are not searched across regions.";
const SNAPSHOT: &str = "snapshot is true or false.";
const SNAPSHOT_INCLUDES: &str = "A snapshot holds what matches, and the patient: ask for what that \
                                 refers to on its own.";
const REGION: &str = "region takes the organisation codes of the regions to ask, with commas between \
                      them, and is given once.";

/// A question of which some parameters have been taken.
pub(super) struct Draft {
    kind: &'static Kind,
    handling: Handling,
    number: Option<PatientNumber>,
    forwarded: Vec<(String, String)>,
    executed: Vec<(String, String)>,
    regions: Vec<OdsCode>,
    order: Order,
    dedup: Dedup,
    count_only: bool,
    count: Option<u32>,
    total: Total,
    show_patient: bool,
    subset: Option<Subset>,
    complete_only: bool,
    pages: Pages,
    notes: Vec<Issue>,
}

impl Draft {
    pub(super) fn new(kind: &'static Kind, handling: Handling) -> Self {
        let order = Order::by(kind, kind.date_parameter(), true);
        let order = order.expect("the parameter is one of the type's dates");
        Self {
            kind,
            handling,
            number: None,
            forwarded: Vec::new(),
            executed: Vec::new(),
            regions: Vec::new(),
            order,
            dedup: Dedup::Link,
            count_only: false,
            count: None,
            total: Total::Known,
            show_patient: false,
            subset: None,
            complete_only: false,
            pages: Pages::Live,
            notes: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, name: String, value: String) -> Result<(), GatewayError> {
        let executed = match &*name {
            "_format" | "_pretty" => false,
            _ if self.is_identity(&name) => self.identity(&name, &value)?,
            "_count" => self.count(&value)?,
            "_sort" => self.sort(&value)?,
            "_summary" => self.summary(&value)?,
            "dedup" => self.dedup(&value)?,
            "incomplete" => self.incomplete(&value)?,
            "region" => self.region(&value)?,
            "snapshot" => self.snapshot(&value)?,
            "_total" => self.total(&value)?,
            "_elements" => self.elements(&value),
            "_contained" | "_containedType" => {
                return Err(GatewayError::NotSupported(name, CONTAINED));
            }
            _ if is_include(&name) => self.include(&name, &value),
            _ if names_patient(&name) => return Err(GatewayError::LocalId(name)),
            _ => {
                self.forwarded.push((name.clone(), value.clone()));
                true
            }
        };
        if executed {
            self.executed.push((name, value));
        }
        Ok(())
    }

    /// The question, if a patient was named.
    pub(super) fn finish(self) -> Result<Question, GatewayError> {
        let number = self.number.ok_or(GatewayError::NoPatient(self.kind.name()))?;
        if self.pages == Pages::Snapshot && self.forwarded.iter().any(|(name, _)| is_include(name))
        {
            return Err(GatewayError::NotSupported("snapshot".to_owned(), SNAPSHOT_INCLUDES));
        }
        Ok(Question {
            kind: self.kind,
            number,
            forwarded: self.forwarded,
            executed: self.executed,
            regions: self.regions,
            order: self.order,
            dedup: self.dedup,
            count_only: self.count_only,
            count: self.count,
            page: None,
            total: self.total,
            show_patient: self.show_patient,
            subset: self.subset,
            everything: None,
            complete_only: self.complete_only,
            pages: self.pages,
            notes: self.notes,
        })
    }

    fn is_identity(&self, name: &str) -> bool {
        match self.kind.patient {
            None => name == "identifier",
            Some(_) => matches!(
                name,
                "patient.identifier"
                    | "patient:Patient.identifier"
                    | "patient:identifier"
                    | "subject.identifier"
                    | "subject:Patient.identifier"
                    | "subject:identifier"
            ),
        }
    }

    fn identity(&mut self, name: &str, value: &str) -> Result<bool, GatewayError> {
        if self.number.is_some() || value.contains(',') {
            return Err(GatewayError::SeveralPatients(name.to_owned()));
        }
        let (system, number) = match value.split_once('|') {
            Some((system, number)) if !system.is_empty() => (system, number),
            _ => return Err(GatewayError::BareNumber(name.to_owned())),
        };
        let number = PatientNumber::parse(system, number)
            .map_err(|cause| GatewayError::BadNumber(name.to_owned(), cause))?;
        self.number = Some(number);
        Ok(true)
    }

    fn count(&mut self, value: &str) -> Result<bool, GatewayError> {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(GatewayError::BadValue("_count", COUNT));
        }
        match value.parse().unwrap_or(u32::MAX) {
            0 => self.count_only = true,
            count => self.count = Some(count),
        }
        Ok(true)
    }

    fn total(&mut self, value: &str) -> Result<bool, GatewayError> {
        self.total = match value {
            "none" => Total::None,
            "estimate" => Total::Estimate,
            "accurate" => Total::Accurate,
            _ => return Err(GatewayError::BadValue("_total", TOTAL)),
        };
        Ok(true)
    }

    fn sort(&mut self, value: &str) -> Result<bool, GatewayError> {
        let (descending, code) = match value.strip_prefix('-') {
            Some(code) => (true, code),
            None => (false, value),
        };
        let Some(order) = Order::by(self.kind, code, descending) else {
            return self.left_out("_sort", SORT);
        };
        self.order = order;
        Ok(true)
    }

    fn summary(&mut self, value: &str) -> Result<bool, GatewayError> {
        match value {
            "count" => self.count_only = true,
            "false" => {}
            "true" => self.subset = Some(Subset::True),
            "text" => self.subset = Some(Subset::Text),
            "data" => self.subset = Some(Subset::Data),
            _ => return Err(GatewayError::BadValue("_summary", SUMMARY)),
        }
        Ok(true)
    }

    fn dedup(&mut self, value: &str) -> Result<bool, GatewayError> {
        self.dedup = match value {
            "off" => Dedup::Off,
            "link" => Dedup::Link,
            "fold" => Dedup::Fold,
            _ => return Err(GatewayError::BadValue("dedup", "dedup is off, link or fold.")),
        };
        Ok(true)
    }

    fn incomplete(&mut self, value: &str) -> Result<bool, GatewayError> {
        self.complete_only = match value {
            "error" => true,
            "show" => false,
            _ => {
                let text = "incomplete is error or show.";
                return Err(GatewayError::BadValue("incomplete", text));
            }
        };
        Ok(true)
    }

    fn snapshot(&mut self, value: &str) -> Result<bool, GatewayError> {
        self.pages = match value {
            "true" => Pages::Snapshot,
            "false" => Pages::Live,
            _ => return Err(GatewayError::BadValue("snapshot", SNAPSHOT)),
        };
        Ok(true)
    }

    fn region(&mut self, value: &str) -> Result<bool, GatewayError> {
        if !self.regions.is_empty() {
            return Err(GatewayError::BadValue("region", REGION));
        }
        let codes: Result<Vec<OdsCode>, _> = value.split(',').map(str::parse).collect();
        self.regions = codes.map_err(|_| GatewayError::BadValue("region", REGION))?;
        Ok(true)
    }

    fn elements(&mut self, value: &str) -> bool {
        self.subset = Some(Subset::Elements(parse_elements(value)));
        true
    }

    /// The patient is always asked for, and shown if wanted; all else is the regions' to find.
    fn include(&mut self, name: &str, value: &str) -> bool {
        let kind = self.kind.name();
        let of_patient = ["patient", "subject"].iter().any(|parameter| {
            let plain = format!("{kind}:{parameter}");
            value == plain || value == format!("{plain}:Patient")
        });
        if name == "_include" && of_patient && self.kind.patient.is_some() {
            self.show_patient = true;
        } else {
            self.show_patient |= may_include_patient(value);
            self.forwarded.push((name.to_owned(), value.to_owned()));
        }
        true
    }

    /// A parameter that nobody executes: refused if the caller is strict, else named.
    pub(super) fn left_out(&mut self, name: &str, why: &'static str) -> Result<bool, GatewayError> {
        if self.handling == Handling::Strict {
            return Err(GatewayError::NotSupported(name.to_owned(), why));
        }
        let text = format!("{name} was left out. {why}");
        let issue = Issue::new(Severity::Information, IssueCode::NotSupported, text);
        self.notes.push(issue.at(name));
        Ok(false)
    }
}

pub(super) fn is_include(name: &str) -> bool {
    let base = name.split(':').next().unwrap_or_default();
    matches!(base, "_include" | "_revinclude")
}

/// Whether what is included can be a Patient.
fn may_include_patient(value: &str) -> bool {
    let mut steps = value.split(':');
    let source = steps.next().and_then(|source| source.parse::<ResourceType>().ok());
    let (parameter, target) = (steps.next().unwrap_or("*"), steps.next());
    if parameter == "*" || target.is_some() {
        return target.is_none_or(|target| target == "Patient");
    }
    let parameter = source.and_then(|source| source.search_parameter(parameter));
    parameter.is_some_and(|parameter| parameter.targets.contains(&ResourceType::PATIENT))
}

/// Whether a parameter names the patient other than by number.
fn names_patient(name: &str) -> bool {
    let base = name.split([':', '.']).next().unwrap_or_default();
    matches!(base, "patient" | "subject")
}
