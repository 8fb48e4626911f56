//! What a caller's scopes have to grant beyond the route's needs: by what a request's parameters and
//! entries reach. A parameter that looks at other resources tells something of them, so it takes the
//! right to search those.

use service::caller::Caller;
use service::caller::scope::{ANY, Rights};
use service::refusal::Refusal;

use super::intent::{Deed, Intent};
use super::search::Pairs;

/// Refuses a write that the scopes do not allow. What its conditions ask is decided where they are
/// looked up.
pub fn write(caller: &Caller, intent: &Intent) -> Result<(), Refusal> {
    let right = match &intent.deed {
        Deed::Create { .. } => Rights::CREATE,
        Deed::Update { .. } | Deed::Patch { .. } => Rights::UPDATE,
        Deed::Delete { .. } => Rights::DELETE,
    };
    caller.require(intent.resource_type.as_str(), right)
}

/// Refuses parameters that reach types which the scopes do not let be searched. Which resources go
/// along with the matches is decided one by one when they are shown.
pub fn search(caller: &Caller, pairs: &Pairs) -> Result<(), Refusal> {
    for (name, _) in pairs {
        if let Some(reached) = reached(name) {
            caller.require(reached, Rights::SEARCH)?;
        }
    }
    Ok(())
}

/// The type of other resources that a parameter looks at; all types, if it does not say which.
fn reached(name: &str) -> Option<&str> {
    if let Some(has) = name.strip_prefix("_has:") {
        let mut parts = has.splitn(3, ':');
        let (of_type, rest) = (parts.next()?, parts.nth(1).unwrap_or_default());
        return Some(if reached(rest).is_some() { ANY } else { of_type });
    }
    if name == "_list" {
        return Some("List");
    }
    let (reference, chained) = name.split_once('.')?;
    // Who may see a resource of a patient knows whose it is.
    if matches!(reference, "patient" | "subject" | "patient:Patient" | "subject:Patient")
        && chained == "identifier"
    {
        return None;
    }
    match reference.split_once(':') {
        Some((_, of_type)) if !chained.contains(['.', ':']) => Some(of_type),
        _ => Some(ANY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_looks_at_other_resources_says_which() {
        for (name, expected) in [
            ("code", None),
            ("code:not", None),
            ("patient.identifier", None),
            ("subject:Patient.identifier", None),
            ("performer.identifier", Some(ANY)),
            ("subject.name", Some(ANY)),
            ("subject:Patient.name", Some("Patient")),
            ("subject:Patient.organization.name", Some(ANY)),
            ("_has:Observation:patient:code", Some("Observation")),
            ("_has:Observation:patient:subject.name", Some(ANY)),
            ("_has:Observation:patient:_has:Flag:x:y", Some(ANY)),
            ("_has:Observation", Some("Observation")),
            ("_list", Some("List")),
            ("_include", None),
        ] {
            assert_eq!(reached(name), expected, "{name}");
        }
    }
}
