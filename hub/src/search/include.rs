//! What goes along with the matches: `_include`, `_revinclude`, `:iterate`.
//! <https://hl7.org/fhir/R4/search.html#revinclude>

use std::collections::BTreeSet;

use fhir::definitions::{ParameterKind, ResourceType};
use fhir::outcome::IssueCode;
use service::refusal::Refusal;

use super::parameters::invalid;
use super::predicate::one_of;
use crate::access::View;
use crate::access::predicate::Rows;
use crate::error::HubError;
use crate::store::Store;
use crate::store::query::{Found, Query};
use crate::store::vocabulary::Vocabulary;

/// Resources that may go along with one page, before anyone would rather ask for them.
const INCLUDED_MAX: usize = 50_000;
/// Rounds of `:iterate`.
const ROUNDS_MAX: usize = 16;
/// Keys in one question to the store.
const KEYS_MAX: usize = 400;

/// One `_include` or `_revinclude`.
#[derive(Debug, Clone)]
pub struct Include {
    /// Whether it is what refers to the matches that goes along.
    pub reverse: bool,
    /// Whether it is applied to what goes along, too.
    pub iterate: bool,
    /// The numbers of the parameters followed.
    pub parameters: Vec<i64>,
    /// Only resources of this type, by its number.
    pub of_type: Option<i64>,
}

impl Include {
    /// Reads `Observation:subject`, `Observation:subject:Patient`, `Observation:*` or `*`.
    pub(super) fn read(
        types: &[ResourceType],
        code: &str,
        modifier: &str,
        value: &str,
        terms: &Vocabulary,
    ) -> Result<Self, Refusal> {
        let must = "must be Type:parameter, a reference parameter, perhaps with :TargetType";
        let wrong = || invalid(code, must);
        let reverse = code == "_revinclude";
        let iterate = match modifier {
            "" => false,
            "iterate" | "recurse" => true,
            _ => return Err(invalid(code, "has no modifier but :iterate")),
        };
        let mut parts = value.split(':');
        let (source, parameter) = (parts.next().unwrap_or_default(), parts.next());
        let of_type =
            parts.next().map(str::parse::<ResourceType>).transpose().map_err(|_| wrong())?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        let sources: Vec<ResourceType> = match source {
            "*" if reverse || iterate => ResourceType::all().collect(),
            "*" => types.to_vec(),
            source => vec![source.parse().map_err(|_| wrong())?],
        };
        if !reverse && !iterate && !sources.iter().any(|source| types.contains(source)) {
            return Err(invalid(code, "must start from what is searched, unless it has :iterate"));
        }
        let parameters = numbers(&sources, parameter.unwrap_or("*"), terms);
        if parameters.is_empty() {
            return Err(wrong());
        }
        let of_type = of_type.map(|t| terms.resource_type(t));
        Ok(Self { reverse, iterate, parameters, of_type })
    }

    /// What refers to these resources, or what they refer to.
    fn query(&self, keys: &[i64], view: &View) -> Query {
        let mut query = Query::default();
        let (from, to) = if self.reverse { ("target", "key") } else { ("key", "target") };
        query.push("SELECT DISTINCT t.").push(to).push(" FROM reference t WHERE t.param ");
        one_of(&mut query, &self.parameters);
        query.push(" AND t.").push(from).push(" ");
        one_of(&mut query, keys);
        view.placed(&mut query, "t", &self.parameters);
        if let Some(of_type) = self.of_type.filter(|_| !self.reverse) {
            query.push(" AND EXISTS (SELECT 1 FROM directory d WHERE d.key = t.target ");
            query.push("AND d.type = ").number(of_type).push(")");
        }
        if view.bound.is_some() {
            // What is hidden leads nowhere.
            query.push(" AND EXISTS (SELECT 1 FROM resource r WHERE r.key = t.").push(to);
            query.push(" AND r.method < 2");
            view.visible(&mut query, "r", Rows::Current);
            query.push(")");
        }
        query
    }
}

/// The numbers of the reference parameters of that code, or of all.
fn numbers(sources: &[ResourceType], code: &str, terms: &Vocabulary) -> Vec<i64> {
    let mut numbers = Vec::new();
    for source in sources {
        for parameter in terms.definitions(*source) {
            let asked = code == "*" || code == parameter.code;
            if asked && parameter.kind == ParameterKind::Reference {
                numbers.extend(terms.numbers(*source, parameter.code).iter().map(|n| n.own));
            }
        }
    }
    numbers
}

/// The keys of what goes along with these matches, least first; no match is among them.
pub(super) async fn included(
    store: &Store,
    view: &View,
    includes: &[Include],
    matches: &[Found],
) -> Result<Vec<i64>, HubError> {
    let shown: BTreeSet<i64> = matches.iter().map(|found| found.key).collect();
    let mut included = BTreeSet::new();
    let mut fresh: Vec<i64> = shown.iter().copied().collect();
    for round in 0..ROUNDS_MAX {
        let mut next = BTreeSet::new();
        for include in includes.iter().filter(|include| round == 0 || include.iterate) {
            for keys in fresh.chunks(KEYS_MAX) {
                next.extend(store.numbers(&include.query(keys, view)).await?);
            }
        }
        next.retain(|key| !shown.contains(key) && included.insert(*key));
        if included.len() > INCLUDED_MAX {
            return Err(too_many().into());
        }
        fresh = next.into_iter().collect();
        if fresh.is_empty() {
            break;
        }
    }
    Ok(included.into_iter().collect())
}

/// The current resources of these keys that a view shows, in their order; what is no resource of ours is
/// passed over.
pub(super) async fn resources(
    store: &Store,
    view: &View,
    keys: &[i64],
) -> Result<Vec<Found>, HubError> {
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_MAX) {
        let mut query = Query::default();
        query.push("SELECT r.key, r.type, d.id, r.body FROM resource r ");
        query.push("JOIN directory d ON d.key = r.key WHERE r.method < 2 AND r.key ");
        one_of(&mut query, keys);
        view.visible(&mut query, "r", Rows::Current);
        query.push(" ORDER BY r.key");
        found.extend(store.resources(&query).await?);
    }
    Ok(found)
}

fn too_many() -> Refusal {
    let text = format!(
        "More than {INCLUDED_MAX} resources would go along with this page: ask for fewer matches \
         with _count, or search for what refers to them."
    );
    Refusal::bad_request(IssueCode::TooCostly, text)
}
