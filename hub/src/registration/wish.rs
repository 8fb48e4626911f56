//! Which numbers the locator should know: those whose Patient, as it is now, is alive and carries them;
//! if only verified ones are registered, those that are said to be verified.
//! NRL "Pointer maintenance": pointers are deleted when the patient has died.

use std::collections::HashSet;

use fhir::definitions::ResourceType;
use fhir::identifier::NHS_NUMBER;
use fhir::tree::Tree;

use crate::store::query::Query;
use crate::store::unique::identifiers;
use crate::store::{Store, StoreError};

/// Of numbers and the directory keys of their Patients, those that may be registered at `now`
/// (microseconds since 1970).
pub async fn registrable(
    store: &Store,
    only_verified: bool,
    numbers: &[(&str, i64)],
    now: i64,
) -> Result<HashSet<String>, StoreError> {
    let mut keys: Vec<i64> = numbers.iter().map(|(_, key)| *key).collect();
    let Some(last) = keys.last().copied() else { return Ok(HashSet::new()) };
    // Few lengths, so that few statements are prepared.
    keys.resize(keys.len().next_power_of_two(), last);
    let mut query = Query::default();
    let sql = "SELECT r.key, r.type, d.id, r.body FROM resource r \
               JOIN directory d ON d.key = r.key WHERE r.method < 2 AND r.key IN ";
    query.push(sql).numbers(&keys);
    let mut found = HashSet::new();
    for patient in store.resources(&query).await? {
        let tree =
            Tree::parse(&patient.body).expect("what is stored was read before it was stored");
        let own = identifiers(ResourceType::PATIENT, &tree, now).into_iter();
        let own = own.filter(|i| i.system == NHS_NUMBER && !i.deceased);
        let own = own.filter(|i| i.verified || !only_verified);
        found.extend(own.map(|identifier| (patient.key, identifier.value)));
    }
    let carried = numbers.iter().filter(|(n, key)| found.contains(&(*key, (*n).to_owned())));
    Ok(carried.map(|(number, _)| (*number).to_owned()).collect())
}
