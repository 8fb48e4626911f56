//! From names and references to the store's numbers.

use super::condition::{Condition, TokenNumbers};
use super::grammar::TokenTest;
use super::parameters::{Clause, Search};
use crate::store::index::{Target, by_patient, code_key};
use crate::store::query::Query;
use crate::store::{Store, StoreError};
use fhir::definitions::{ResourceType, SearchParameter};
use fhir::identifier::PatientNumber;

/// Looks up everything a search names.
pub async fn conditions(search: &Search, store: &Store) -> Result<Vec<Condition>, StoreError> {
    let mut conditions = Vec::with_capacity(search.clauses.len());
    for clause in &search.clauses {
        conditions.push(condition(search.resource_type, clause, store).await?);
    }
    Ok(conditions)
}

async fn condition(
    resource_type: ResourceType,
    clause: &Clause,
    store: &Store,
) -> Result<Condition, StoreError> {
    let terms = store.terms();
    let number = |parameter: &SearchParameter| {
        terms.parameter(resource_type, parameter.code).unwrap_or_default()
    };
    Ok(match clause {
        Clause::Id(ids) => {
            let target =
                |id: &String| Target { resource_type: Some(resource_type), id: id.clone() };
            Condition::Keys(keys(&ids.iter().map(target).collect::<Vec<_>>(), store).await?)
        }
        Clause::LastUpdated(any) => Condition::LastUpdated(any.clone()),
        Clause::Token(parameter, any) => Condition::Token {
            parameter: number(parameter),
            any: tokens(any, store).await?,
            by_patient: by_patient(parameter.code),
        },
        Clause::Date(parameter, any) => {
            Condition::Date { parameter: number(parameter), any: any.clone() }
        }
        Clause::Reference(parameter, targets) => {
            let patients = targets.iter().all(|t| t.resource_type == Some(ResourceType::PATIENT));
            Condition::Reference {
                parameter: number(parameter),
                targets: keys(targets, store).await?,
                compartment: patients && in_compartment(resource_type, parameter),
            }
        }
        Clause::Identified(parameter, any) => Condition::Reference {
            parameter: number(parameter),
            targets: identified(any, store).await?,
            compartment: in_compartment(resource_type, parameter),
        },
    })
}

/// Whether whatever a parameter refers to as a Patient has the resource in its compartment: the
/// parameter is one of the compartment's, or reads the same elements as one (`patient` and
/// `subject`).
fn in_compartment(resource_type: ResourceType, parameter: &SearchParameter) -> bool {
    let paths = |p: &SearchParameter| p.terms.iter().map(|t| t.steps.clone()).collect::<Vec<_>>();
    let wanted = paths(parameter);
    resource_type.patient_compartment().iter().any(|code| {
        let known = resource_type.search_parameter(code).map(paths).unwrap_or_default();
        wanted.iter().all(|path| known.contains(path))
    })
}

async fn tokens(any: &[TokenTest], store: &Store) -> Result<Vec<TokenNumbers>, StoreError> {
    let mut tokens = Vec::with_capacity(any.len());
    for test in any {
        let code = test.code.as_deref().map(|code| code_key(code).into_owned());
        let system = match test.system.as_deref() {
            None => None,
            Some(system) => {
                let system = code_key(PatientNumber::canonical_system(system));
                // A system that no one has met matches nothing.
                let Some(number) = store.system(&system).await? else { continue };
                Some(number)
            }
        };
        tokens.push(TokenNumbers { system, code });
    }
    Ok(tokens)
}

async fn keys(targets: &[Target], store: &Store) -> Result<Vec<i64>, StoreError> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Query::default();
    query.push("SELECT key FROM directory WHERE (type, id) IN (VALUES ");
    for (place, target) in targets.iter().enumerate() {
        let number = target.resource_type.map_or(0, |t| store.terms().resource_type(t));
        query.push(if place == 0 { "(" } else { ",(" }).number(number);
        query.push(",").text(&target.id).push(")");
    }
    query.push(")");
    store.numbers(&query).await
}

/// The Patients who carry one of these identifiers. A national number is carried by the one Patient
/// whose it is now: not by those for whom it is old, has ended, or who were replaced.
async fn identified(any: &[TokenTest], store: &Store) -> Result<Vec<i64>, StoreError> {
    let national = |test: &TokenTest| test.system.as_deref().is_some_and(PatientNumber::is_system);
    let (numbers, others): (Vec<TokenTest>, Vec<TokenTest>) =
        any.iter().cloned().partition(national);
    let patient = store.terms().resource_type(ResourceType::PATIENT);
    let mut keys = Vec::new();
    for TokenTest { system, code } in &numbers {
        let system = PatientNumber::canonical_system(system.as_deref().unwrap_or_default());
        let mut query = Query::default();
        query.push("SELECT key FROM unique_identifier WHERE type = ").number(patient);
        query.push(" AND system = ").text(system).push(" AND value = ");
        query.text(code.as_deref().unwrap_or_default());
        keys.extend(store.numbers(&query).await?);
    }
    let others = tokens(&others, store).await?;
    if !others.is_empty() {
        let parameter = store.terms().parameter(ResourceType::PATIENT, "identifier");
        let mut query = Query::default();
        query.push("SELECT DISTINCT x.key FROM token x WHERE ");
        super::plan::token(&mut query, parameter.unwrap_or_default(), &others);
        keys.extend(store.numbers(&query).await?);
    }
    Ok(keys)
}
