//! From the query string to what is searched, or to a refusal that names the parameter at fault.

use fhir::definitions::{ParameterKind, ResourceType, SearchParameter};
use fhir::outcome::{Issue, IssueCode, Severity};
use service::refusal::Refusal;

use super::grammar::{DateTest, TokenTest, split, unescape};
use crate::store::index::{Target, clinical_parameter};

/// Entries on a page unless asked otherwise, and at most.
pub const COUNT_DEFAULT: usize = 20;
/// See [`COUNT_DEFAULT`].
pub const COUNT_MAX: usize = 1_000;
/// Values in one OR list, and parameters in one search.
const VALUES_MAX: usize = 500;
const PARAMETERS_MAX: usize = 64;
/// Resources that one reference parameter may mean.
const TARGETS_MAX: usize = 1_000;
/// Text of all parameters together, in bytes: a next link carries them.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// A search, understood.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is searched.
    pub resource_type: ResourceType,
    /// All must hold.
    pub clauses: Vec<Clause>,
    /// In which order.
    pub order: Order,
    /// Entries on a page; 0 asks for the total alone.
    pub count: usize,
    /// Whether the total is wanted even where counting costs.
    pub total: bool,
    /// References whose targets go along.
    pub include: Vec<&'static SearchParameter>,
    /// What was executed, for the self link.
    pub executed: Vec<(String, String)>,
    /// What was left out, told in the answer.
    pub left_out: Vec<Issue>,
}

/// One condition; its alternatives are ORed.
#[derive(Debug, Clone)]
pub enum Clause {
    /// `_id`
    Id(Vec<String>),
    /// `_lastUpdated`
    LastUpdated(Vec<DateTest>),
    /// A token parameter.
    Token(&'static SearchParameter, Vec<TokenTest>),
    /// A date parameter.
    Date(&'static SearchParameter, Vec<DateTest>),
    /// A reference parameter.
    Reference(&'static SearchParameter, Vec<Target>),
    /// A reference parameter chained to the target's identifier.
    Identified(&'static SearchParameter, Vec<TokenTest>),
}

/// The order of the matches; the resource's key decides between equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: OrderBy,
    /// Greatest first.
    pub descending: bool,
}

/// What matches are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderBy {
    /// The type's clinical date; resources without one come last when it is descending.
    Clinical,
    /// `_lastUpdated`
    LastUpdated,
}

/// Reads the decoded pairs of a query. `strict` is `Prefer: handling=strict`; `base` is our own
/// URL, by which absolute references to this record are known.
pub fn parse(
    resource_type: ResourceType,
    pairs: &[(String, String)],
    strict: bool,
    base: &str,
) -> Result<Search, Refusal> {
    if pairs.len() > PARAMETERS_MAX {
        let text = format!("A search may have at most {PARAMETERS_MAX} parameters.");
        return Err(Refusal::bad_request(IssueCode::TooCostly, text));
    }
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > TEXT_BYTES_MAX {
        let text = format!("A search may have at most {TEXT_BYTES_MAX} bytes of parameters.");
        return Err(Refusal::bad_request(IssueCode::TooCostly, text));
    }
    if let Some((name, _)) =
        pairs.iter().find(|(name, value)| (name.clone() + value).contains('\0'))
    {
        return Err(invalid(&name.replace('\0', ""), "must not hold a NUL character"));
    }
    let order = Order { by: OrderBy::Clinical, descending: true };
    let mut search = Search {
        resource_type,
        clauses: Vec::new(),
        order,
        count: COUNT_DEFAULT,
        total: false,
        include: Vec::new(),
        executed: Vec::new(),
        left_out: Vec::new(),
    };
    for (name, value) in pairs {
        let taken = match search.result_parameter(name, value)? {
            Taken::NotMine => search.criterion(name, value, base)?,
            taken => taken,
        };
        match taken {
            Taken::Silently => {}
            Taken::Executed(value) => search.executed.push((name.clone(), value)),
            Taken::NotMine if strict => return Err(Refusal::bad_request_issue(unknown(name))),
            Taken::NotMine => {
                search.left_out.push(Issue { severity: Severity::Warning, ..unknown(name) });
            }
        }
    }
    Ok(search)
}

/// Whether a parameter of the definitions can be searched by.
pub fn supported(parameter: &SearchParameter) -> bool {
    matches!(parameter.kind, ParameterKind::Token | ParameterKind::Date | ParameterKind::Reference)
}

/// What became of a parameter.
enum Taken {
    /// It is executed, with this value.
    Executed(String),
    /// It needs no mention.
    Silently,
    /// It is not known here.
    NotMine,
}

impl Search {
    /// Parameters about the answer rather than the resources.
    fn result_parameter(&mut self, name: &str, value: &str) -> Result<Taken, Refusal> {
        match name {
            "_format" | "_pretty" => return Ok(Taken::Silently),
            "_count" => {
                let count = value
                    .parse::<u64>()
                    .map_err(|_| invalid(name, "must be a whole number, 0 or more"))?;
                self.count = usize::try_from(count).unwrap_or(COUNT_MAX).min(COUNT_MAX);
                return Ok(Taken::Executed(self.count.to_string()));
            }
            "_total" => match value {
                "none" => self.total = false,
                "accurate" | "estimate" => self.total = true,
                _ => return Err(invalid(name, "must be none, estimate or accurate")),
            },
            "_summary" => match value {
                "count" => self.count = 0,
                "false" => {}
                _ => return Err(not_supported(name, "only _summary=count is supported")),
            },
            "_sort" => return self.sort(value),
            "_include" => return self.include(value),
            "_elements" | "_revinclude" | "_contained" | "_containedType" | "_filter" | "_has"
            | "_list" | "_text" | "_content" | "_query" => {
                return Err(not_supported(name, "it is not supported"));
            }
            _ => return Ok(Taken::NotMine),
        }
        Ok(Taken::Executed(value.to_owned()))
    }

    fn sort(&mut self, value: &str) -> Result<Taken, Refusal> {
        let (key, descending) = match value.strip_prefix('-') {
            Some(key) => (key, true),
            None => (value, false),
        };
        let by = match key {
            "_lastUpdated" => OrderBy::LastUpdated,
            _ if clinical_parameter(self.resource_type) == Some(key) => OrderBy::Clinical,
            _ => {
                let clinical = clinical_parameter(self.resource_type).unwrap_or("_lastUpdated");
                let text = format!(
                    "{} is sorted by {clinical} or _lastUpdated, one key, \
                     with - for newest first",
                    self.resource_type
                );
                return Err(not_supported("_sort", &text));
            }
        };
        self.order = Order { by, descending };
        Ok(Taken::Executed(value.to_owned()))
    }

    fn include(&mut self, value: &str) -> Result<Taken, Refusal> {
        let mut parts = value.split(':');
        let source = parts.next().unwrap_or_default();
        let parameter = parts.next().and_then(|code| self.resource_type.search_parameter(code));
        let parameter = parameter.filter(|p| p.kind == ParameterKind::Reference);
        match parameter {
            Some(parameter) if source == self.resource_type.as_str() => {
                self.include.push(parameter);
                Ok(Taken::Executed(value.to_owned()))
            }
            _ => Err(invalid(
                "_include",
                &format!("must be {}:parameter, a reference parameter", self.resource_type),
            )),
        }
    }

    /// Parameters about the resources.
    fn criterion(&mut self, name: &str, value: &str, base: &str) -> Result<Taken, Refusal> {
        // Those without a value ask for nothing.
        if value.is_empty() {
            return Ok(Taken::Silently);
        }
        let values = split(value, ',');
        if values.len() > VALUES_MAX {
            let text = format!("may have at most {VALUES_MAX} values");
            return Err(invalid(name, &text));
        }
        let clause = match name {
            "_id" => Clause::Id(values.into_iter().map(unescape).collect()),
            "_lastUpdated" => Clause::LastUpdated(dates(name, &values)?),
            _ => match self.by_definition(name, &values, base)? {
                Some(clause) => clause,
                None => return Ok(Taken::NotMine),
            },
        };
        self.clauses.push(clause);
        Ok(Taken::Executed(value.to_owned()))
    }

    /// A parameter of the type's own, perhaps with a modifier or a chain.
    fn by_definition(
        &self,
        name: &str,
        values: &[&str],
        base: &str,
    ) -> Result<Option<Clause>, Refusal> {
        let end = name.find([':', '.']).unwrap_or(name.len());
        let (code, rest) = name.split_at(end);
        let Some(parameter) = self.resource_type.search_parameter(code) else { return Ok(None) };
        match (parameter.kind, rest) {
            (ParameterKind::Token, "") => Ok(Some(Clause::Token(parameter, tokens(name, values)?))),
            (ParameterKind::Date, "") => Ok(Some(Clause::Date(parameter, dates(name, values)?))),
            (ParameterKind::Reference, "") => Ok(Some(Clause::Reference(
                parameter,
                targets(parameter, None, name, values, base)?,
            ))),
            (ParameterKind::Reference, rest) => reference(parameter, rest, name, values, base),
            (_, "") => Err(not_supported(
                name,
                &format!("{} parameters are not supported", parameter.kind.as_str()),
            )),
            _ => Err(not_supported(name, "this modifier is not supported")),
        }
    }
}

/// `subject:Patient=…`, `patient.identifier=…`, `subject:Patient.identifier=…`
fn reference(
    parameter: &'static SearchParameter,
    rest: &str,
    name: &str,
    values: &[&str],
    base: &str,
) -> Result<Option<Clause>, Refusal> {
    let (target_type, chain) = match rest.strip_suffix(".identifier") {
        Some(target_type) => (target_type, true),
        None => (rest, false),
    };
    let target_type = match target_type.strip_prefix(':') {
        None if target_type.is_empty() => None,
        Some(target_type) => match target_type.parse::<ResourceType>() {
            Ok(t) if parameter.targets.contains(&t) => Some(t),
            _ => return Err(not_supported(name, "this modifier is not supported")),
        },
        None => return Err(not_supported(name, "only a chain to identifier is supported")),
    };
    if chain {
        if !parameter.targets.contains(&ResourceType::PATIENT)
            || target_type.is_some_and(|t| t != ResourceType::PATIENT)
        {
            return Err(not_supported(name, "only a chain to a Patient's identifier is supported"));
        }
        let any = tokens(name, values)?;
        if any.iter().any(|test| test.code.is_none()) {
            return Err(invalid(name, "must hold the identifier's value"));
        }
        return Ok(Some(Clause::Identified(parameter, any)));
    }
    Ok(Some(Clause::Reference(parameter, targets(parameter, target_type, name, values, base)?)))
}

/// The targets that reference values may mean: a bare id may be of any of the parameter's types.
fn targets(
    parameter: &SearchParameter,
    target_type: Option<ResourceType>,
    name: &str,
    values: &[&str],
    base: &str,
) -> Result<Vec<Target>, Refusal> {
    let mut targets = Vec::new();
    for value in values {
        let value = unescape(value);
        let own = value.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
        let text = own.unwrap_or(&value);
        if fhir::reference::is_id(text) {
            let types = target_type.map_or_else(|| parameter.targets.clone(), |t| vec![t]);
            targets.extend(types.into_iter().map(|resource_type| Target {
                resource_type: Some(resource_type),
                id: text.to_owned(),
            }));
        } else if let Some(target) = Target::parse(text) {
            let fits = target_type.is_none_or(|t| target.resource_type == Some(t));
            targets.extend(fits.then_some(target));
        }
    }
    if targets.len() > TARGETS_MAX {
        return Err(invalid(name, "names too many resources: say the type, as in Patient/id"));
    }
    Ok(targets)
}

fn tokens(name: &str, values: &[&str]) -> Result<Vec<TokenTest>, Refusal> {
    let tests = values.iter().map(|value| TokenTest::parse(value)).collect::<Option<_>>();
    tests.ok_or_else(|| invalid(name, "must be code, system|code, |code or system|"))
}

fn dates(name: &str, values: &[&str]) -> Result<Vec<DateTest>, Refusal> {
    let tests = values.iter().map(|value| DateTest::parse(value)).collect::<Option<_>>();
    tests.ok_or_else(|| {
        invalid(
            name,
            "must be a date such as ge2020-05-17: a prefix (eq ne gt lt ge le sa eb ap) \
                       may stand before a date, month, year or time that exists",
        )
    })
}

fn invalid(name: &str, must: &str) -> Refusal {
    let text = format!("The search parameter {name} {must}.");
    Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at(name))
}

fn not_supported(name: &str, why: &str) -> Refusal {
    let text = format!("The search parameter {name} cannot be used here: {why}.");
    Refusal::bad_request_issue(Issue::error(IssueCode::NotSupported, text).at(name))
}

fn unknown(name: &str) -> Issue {
    let text = format!("The search parameter {name} is not known for this type and was not used.");
    Issue::error(IssueCode::NotSupported, text).at(name)
}
