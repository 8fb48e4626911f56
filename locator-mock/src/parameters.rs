//! The parameters of a search: what may be given, and what it comes to.
//!
//! Parameters that are not named here are refused. GET and POST take the same ones and differ in
//! how a fault is worded.

use axum::extract::Query;
use fhir::identifier::{NHS_NUMBER, NhsNumber, ODS_CODE};
use http::Uri;

use crate::error::{Fault, LocatorError, NumberFault, Source};
use crate::permission::Rights;
use crate::pointer::{Node, codes};
use crate::registry::Filter;

const SUBJECT: &str = "subject:identifier";
const CUSTODIAN: &str = "custodian:identifier";
const SUBJECT_PATTERN: &str = r"^https\:\/\/fhir\.nhs\.uk\/Id\/nhs-number\|(\d+)$";
const CUSTODIAN_PATTERN: &str = r"^https\:\/\/fhir\.nhs\.uk\/Id\/ods-organization-code\|(\w+)$";

/// Parameters as they were given.
#[derive(Debug)]
pub(crate) struct Parameters {
    source: Source,
    given: Vec<(String, String)>,
}

/// A search that can be run.
#[derive(Debug)]
pub(crate) struct Search {
    /// What it looks for.
    pub(crate) filter: Filter,
    /// Whether only the number of matches is wanted.
    pub(crate) count: bool,
    /// Whether it came by GET.
    pub(crate) by_get: bool,
    /// The query of its self link.
    pub(crate) link: String,
}

impl Parameters {
    /// Parameters of a GET.
    pub(crate) fn from_query(uri: &Uri) -> Result<Self, LocatorError> {
        let source = Source::Query;
        let given = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let Ok(Query(given)) = given else {
            let fault = Fault::new("query", "The query is not percent-encoded UTF-8");
            return Err(LocatorError::Malformed { source, faults: vec![fault] });
        };
        for (i, (name, _)) in given.iter().enumerate() {
            if given[..i].iter().any(|(earlier, _)| earlier == name) {
                let fault = Fault::new(name.as_str(), "The parameter is given more than once");
                return Err(LocatorError::Malformed { source, faults: vec![fault] });
            }
        }
        Ok(Self { source, given })
    }

    /// Parameters of a POST `_search`: members of a JSON object.
    pub(crate) fn from_body(body: &[u8]) -> Result<Self, LocatorError> {
        let source = Source::Body;
        let malformed = |faults| LocatorError::Malformed { source, faults };
        let root = Node::parse(body)
            .map_err(|error| malformed(vec![Fault::new("", format!("Invalid JSON: {error}"))]))?;
        let duplicates = root.duplicates();
        if !duplicates.is_empty() {
            return Err(LocatorError::DuplicateKeys(duplicates));
        }
        let Node::Object(members) = root else {
            return Err(malformed(vec![Fault::new("", "Input should be an object")]));
        };
        let mut given = Vec::with_capacity(members.len());
        let mut faults = Vec::new();
        for (name, value) in members {
            match value {
                Node::Text(value) => given.push((name, value)),
                _ => faults.push(Fault::new(name, "Input should be a valid string")),
            }
        }
        if faults.is_empty() { Ok(Self { source, given }) } else { Err(malformed(faults)) }
    }

    /// A consumer's search.
    pub(crate) fn for_consumer(&self, rights: &Rights) -> Result<Search, LocatorError> {
        let allowed = [SUBJECT, CUSTODIAN, "type", "category", "_summary"];
        self.check(&allowed, true)?;
        let number = self.number().ok_or(LocatorError::NhsNumber(NumberFault::Consumer))?;
        let custodian = self.get(CUSTODIAN).and_then(|token| value_in(token, ODS_CODE));
        let mut search = self.search(number, rights)?;
        search.filter.custodian = custodian.map(str::to_owned);
        search.link = self.link(number);
        Ok(search)
    }

    /// A producer's search: among its own pointers.
    pub(crate) fn for_producer(
        &self,
        rights: &Rights,
        organisation: &str,
    ) -> Result<Search, LocatorError> {
        self.check(&[SUBJECT, "type", "category"], false)?;
        let missing = self.get(SUBJECT).is_none();
        let fault =
            if missing { NumberFault::ProducerMissing } else { NumberFault::ProducerInvalid };
        let number = self.number().ok_or(LocatorError::NhsNumber(fault))?;
        let mut search = self.search(number, rights)?;
        search.filter.custodian = Some(organisation.to_owned());
        Ok(search)
    }

    /// A consumer's count.
    pub(crate) fn for_count(&self, rights: &Rights) -> Result<Filter, LocatorError> {
        self.check(&[SUBJECT], true)?;
        let number = self.number().ok_or(LocatorError::NhsNumber(NumberFault::Count))?;
        Ok(Filter::of(number.as_str(), rights.types()))
    }

    /// Names and shapes; every fault is reported.
    fn check(&self, allowed: &[&str], subject_required: bool) -> Result<(), LocatorError> {
        let mut faults = Vec::new();
        for name in allowed {
            let message = match (*name, self.get(name)) {
                (SUBJECT, None) if subject_required => "Field required".to_owned(),
                (SUBJECT, Some(token)) if !is_subject(token) => {
                    format!("String should match pattern '{SUBJECT_PATTERN}'")
                }
                (CUSTODIAN, Some(token)) if !is_custodian(token) => {
                    format!("String should match pattern '{CUSTODIAN_PATTERN}'")
                }
                ("_summary", Some(summary)) if summary != "count" => {
                    "Input should be 'count'".to_owned()
                }
                _ => continue,
            };
            faults.push(Fault::new(*name, message));
        }
        for (name, _) in &self.given {
            if !allowed.contains(&name.as_str()) {
                faults.push(Fault::new(name.as_str(), "Extra inputs are not permitted"));
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(LocatorError::Malformed { source: self.source, faults })
    }

    /// Type and category, which both kinds of search have.
    fn search(&self, number: NhsNumber, rights: &Rights) -> Result<Search, LocatorError> {
        let mut filter = Filter::of(number.as_str(), rights.types());
        if let Some(kind) = self.get("type") {
            if !rights.permit(kind) {
                return Err(LocatorError::SearchType(self.source));
            }
            filter.kinds = vec![kind.to_owned()];
        }
        if let Some(categories) = self.get("category") {
            filter.categories = categories.split(',').map(str::to_owned).collect();
            if !filter.categories.iter().all(|category| codes::is_category(category)) {
                return Err(LocatorError::SearchCategory(self.source));
            }
        }
        let count = self.get("_summary").is_some();
        let by_get = self.source == Source::Query;
        Ok(Search { filter, count, by_get, link: String::new() })
    }

    fn number(&self) -> Option<NhsNumber> {
        value_in(self.get(SUBJECT)?, NHS_NUMBER)?.parse().ok()
    }

    /// The query of a GET that asks the same, in the NRL's order and not percent-encoded.
    fn link(&self, number: NhsNumber) -> String {
        let mut link = format!("{SUBJECT}={NHS_NUMBER}|{}", number.as_str());
        for name in [CUSTODIAN, "type", "category", "_summary"] {
            if let Some(value) = self.get(name) {
                link.extend(["&", name, "=", value]);
            }
        }
        link
    }

    fn get(&self, name: &str) -> Option<&str> {
        let given = self.given.iter().find(|(given, _)| given == name);
        given.map(|(_, value)| value.as_str())
    }
}

/// The value of a `system|value` token of this system.
fn value_in<'a>(token: &'a str, system: &str) -> Option<&'a str> {
    token.strip_prefix(system)?.strip_prefix('|')
}

fn is_subject(token: &str) -> bool {
    let value = value_in(token, NHS_NUMBER).unwrap_or_default();
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())
}

fn is_custodian(token: &str) -> bool {
    let value = value_in(token, ODS_CODE).unwrap_or_default();
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
