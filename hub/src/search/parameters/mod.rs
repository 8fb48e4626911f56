//! From the query string to what is searched, or to a refusal that names the parameter at fault.
//!
//! | room | what lives there |
//! |---|---|
//! | here | a search as a whole, its bounds and its compartment |
//! | `answer` | the parameters about the answer |
//! | [`super::criterion`] | those about the resources |

mod answer;

use fhir::definitions::ResourceType;
use fhir::outcome::{Issue, IssueCode, Severity};
use fhir::subset::Subset;
use service::refusal::Refusal;

use super::condition::{Condition, Keys, Matching, Test, Under};
use super::criterion::Criteria;
use super::include::Include;
use super::order::Order;
use crate::store::vocabulary::Vocabulary;

/// Entries on a page unless asked otherwise, and at most.
pub const COUNT_DEFAULT: usize = 20;
/// See [`COUNT_DEFAULT`].
pub const COUNT_MAX: usize = 1_000;
/// Parameters in one search.
const PARAMETERS_MAX: usize = 64;
/// Most conditions of a search: an engine plans in the square of them and more.
const CONDITIONS_MAX: usize = 24;
/// Text of all parameters together, in bytes: a next link carries them.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// A search, understood.
#[derive(Debug)]
pub struct Search {
    /// Where it was asked, below our base: `Observation`, `Patient/a/Observation`, or nothing for all
    /// types.
    pub path: String,
    /// The generation of the index that it was understood for.
    pub generation: i64,
    /// The types searched.
    pub types: Vec<ResourceType>,
    /// What is searched.
    pub matching: Matching,
    /// In which order.
    pub order: Order,
    /// Entries on a page; 0 asks for the total alone.
    pub count: usize,
    /// Whether the total is wanted even where counting costs.
    pub total: bool,
    /// What goes along with the matches.
    pub include: Vec<Include>,
    /// Which part of each resource is wanted.
    pub subset: Option<Subset>,
    /// Whether each match is to say where the walk goes on after it.
    pub entry_links: bool,
    /// Whether a quantity is asked for.
    pub needs_units: bool,
    /// What was executed, for the self link.
    pub executed: Vec<(String, String)>,
    /// What was left out, told in the answer.
    pub left_out: Vec<Issue>,
}

/// Where a search is asked.
#[derive(Debug, Clone)]
pub struct Place {
    /// Below our base.
    pub path: String,
    /// The types searched.
    pub types: Vec<ResourceType>,
    /// The compartment, if in one.
    pub compartment: Option<Condition>,
}

impl Place {
    /// All resources of a type.
    pub fn of_type(resource_type: ResourceType) -> Self {
        let path = resource_type.as_str().to_owned();
        Self { path, types: vec![resource_type], compartment: None }
    }
}

/// What became of a parameter.
pub(super) enum Taken {
    /// It is executed, with this value.
    Executed(String),
    /// It needs no mention.
    Silently,
    /// It is not known here.
    NotMine,
}

/// Reads the decoded pairs of a query. `strict` is `Prefer: handling=strict`; `base` is our own
/// URL, by which absolute references to this record are known.
pub fn parse(
    place: Place,
    pairs: &[(String, String)],
    strict: bool,
    terms: &Vocabulary,
    base: &str,
) -> Result<Search, Refusal> {
    bounded(pairs)?;
    let all = place.types.len() == ResourceType::all().len();
    let types = if all { &[][..] } else { &place.types };
    let types = types.iter().map(|t| terms.resource_type(*t)).collect();
    let conditions = place.compartment.into_iter().collect();
    let mut search = Search {
        path: place.path,
        generation: terms.generation(),
        types: place.types,
        matching: Matching { types, conditions },
        order: Order::newest_first(),
        count: COUNT_DEFAULT,
        total: false,
        include: Vec::new(),
        subset: None,
        entry_links: false,
        needs_units: false,
        executed: Vec::new(),
        left_out: Vec::new(),
    };
    let criteria = Criteria { terms, base };
    for (name, value) in pairs {
        let taken = match search.result_parameter(name, value, terms, strict)? {
            Taken::NotMine => search.criterion(&criteria, name, value)?,
            taken => taken,
        };
        match taken {
            Taken::Silently => {}
            Taken::Executed(value) => search.executed.push((name.clone(), value)),
            Taken::NotMine => search.leave_out(unknown(name), strict)?,
        }
    }
    search.needs_units = search.matching.conditions.iter().any(asks_for_units);
    Ok(search)
}

fn bounded(pairs: &[(String, String)]) -> Result<(), Refusal> {
    if pairs.len() > PARAMETERS_MAX {
        let text = format!("A search may have at most {PARAMETERS_MAX} parameters.");
        return Err(Refusal::bad_request(IssueCode::TooCostly, text));
    }
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > TEXT_BYTES_MAX {
        let text = format!("A search may have at most {TEXT_BYTES_MAX} bytes of parameters.");
        return Err(Refusal::bad_request(IssueCode::TooCostly, text));
    }
    let control = |c: char| c.is_control() && !c.is_ascii_whitespace();
    match pairs.iter().find(|(name, value)| name.contains(control) || value.contains(control)) {
        Some((name, _)) => {
            Err(invalid(&name.replace(control, ""), "must not hold a control character"))
        }
        None => Ok(()),
    }
}

impl Search {
    /// Tells of what was not used; refuses it if the caller is strict.
    fn leave_out(&mut self, issue: Issue, strict: bool) -> Result<(), Refusal> {
        if strict {
            return Err(Refusal::bad_request_issue(issue));
        }
        self.left_out.push(Issue { severity: Severity::Warning, ..issue });
        Ok(())
    }

    fn criterion(
        &mut self,
        criteria: &Criteria<'_>,
        name: &str,
        value: &str,
    ) -> Result<Taken, Refusal> {
        // Those without a value ask for nothing.
        if value.is_empty() {
            return Ok(Taken::Silently);
        }
        let Some(condition) = criteria.read(&self.types, name, value)? else {
            return Ok(Taken::NotMine);
        };
        if self.matching.conditions.len() == CONDITIONS_MAX {
            let text = format!("A search may have at most {CONDITIONS_MAX} conditions.");
            return Err(Refusal::bad_request(IssueCode::TooCostly, text));
        }
        self.matching.conditions.push(condition);
        Ok(Taken::Executed(value.to_owned()))
    }
}

/// Whether a condition is on quantities, or rests on one that is.
fn asks_for_units(condition: &Condition) -> bool {
    let any = |matching: &Matching| matching.conditions.iter().any(asks_for_units);
    match condition {
        Condition::Value(_, Test::Number(_)) => true,
        Condition::Value(_, Test::Reference { targets: Keys::Matching(all), .. }) => {
            all.iter().any(any)
        }
        Condition::Referred { sources, .. } => any(sources),
        Condition::Not(inner) => asks_for_units(inner),
        Condition::Any(all) => all.iter().any(asks_for_units),
        _ => false,
    }
}

/// The compartment of a resource, for resources of these types.
/// <https://hl7.org/fhir/R4/compartmentdefinition.html>
pub fn compartment(
    owner: ResourceType,
    id: &str,
    types: &[ResourceType],
    terms: &Vocabulary,
) -> Option<Condition> {
    let compartment = fhir::definitions::Compartment::of(owner)?;
    let targets = Keys::Entries(vec![(terms.resource_type(owner), id.to_owned())]);
    if owner == ResourceType::PATIENT {
        return Some(Condition::Compartment(targets));
    }
    let numbers = types.iter().flat_map(|t| {
        let codes = t.compartment(compartment).iter();
        codes.flat_map(|code| terms.numbers(*t, code)).map(|numbers| numbers.own)
    });
    let under = Under::Parameters(numbers.collect());
    Some(Condition::Value(under, Test::Reference { targets, compartment: false }))
}

pub(super) fn invalid(name: &str, must: &str) -> Refusal {
    let text = format!("The search parameter {name} {must}.");
    Refusal::bad_request_issue(Issue::error(IssueCode::Value, text).at(name))
}

pub(super) fn not_supported(name: &str, why: &str) -> Refusal {
    let text = format!("The search parameter {name} cannot be used here: {why}.");
    Refusal::bad_request_issue(Issue::error(IssueCode::NotSupported, text).at(name))
}

fn unknown(name: &str) -> Issue {
    let text = format!("The search parameter {name} is not known for this type and was not used.");
    Issue::error(IssueCode::NotSupported, text).at(name)
}
