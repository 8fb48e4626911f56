//! By what a resource is known everywhere. Only its source can say so: with an identifier of a
//! system whose values are unique in the world, or by naming the place where it took the resource
//! from. A bare local number, and an id, name nothing.

use fhir::definitions::ResourceType;
use fhir::identifier::ODS_CODE;
use fhir::reference::is_id;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Shown;
use super::alike::codes;
use super::key::{Identifier, Subject, descend, identifiers};
use super::rules::{Assigned, Rule};

const UUID: &str = "https://tools.ietf.org/html/rfc4122";
const URI: &str = "urn:ietf:rfc:3986";
const CROSS_CARE_SETTING: &str = "https://fhir.nhs.uk/Id/cross-care-setting-identifier";
/// `extension` of an NHS number: whether it was traced.
const VERIFICATION: &str =
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus";
const VERIFIED: &str = "number-present-and-verified";

/// The names of a resource. `sources`: whether any resource of the answer names its source, so that
/// the places of all of them are names.
pub fn names(entry: &Shown<'_>, rule: Option<&Rule>, sources: bool) -> Vec<String> {
    let key = &entry.candidate.key;
    let mut names = Vec::new();
    let mut push = |name: String| names.push(format!("{}|{name}", key.resource_type));
    let master = key.member("masterIdentifier");
    let master = master.and_then(|raw| serde_json::from_str::<Identifier<'_>>(raw.get()).ok());
    for identifier in identifiers(key.identifier).iter().chain(&master) {
        if let Some((system, value)) = worldwide(identifier) {
            push(format!("{system}|{value}"));
        } else if let Some(rule) = rule
            && let Some(name) = of_rule(entry, rule, identifier)
        {
            push(name);
        }
    }
    if sources {
        push(entry.canonical_url());
        let source = key.source.as_deref().and_then(|source| place(source, &key.resource_type));
        source.into_iter().for_each(push);
    }
    names
}

/// System and value of an identifier that is unique in the world; UUIDs and OIDs are the same in
/// any case.
pub fn worldwide<'i>(identifier: &'i Identifier<'_>) -> Option<(&'i str, String)> {
    let system = identifier.system.as_deref()?;
    let unique = match system {
        UUID | CROSS_CARE_SETTING | URI => identifier.value.as_deref()?.to_ascii_lowercase(),
        _ => return None,
    };
    let whole = match system {
        URI => unique.starts_with("urn:uuid:") || unique.starts_with("urn:oid:"),
        _ => !unique.is_empty(),
    };
    whole.then_some((system, unique))
}

/// The name that an identifier is for resources of one type.
fn of_rule(entry: &Shown<'_>, rule: &Rule, identifier: &Identifier<'_>) -> Option<String> {
    let value = identifier.value.as_deref().filter(|value| !value.is_empty())?;
    let system = identifier.system.as_deref()?;
    if rule.systems.contains(&system) {
        return Some(format!("{system}|{}", value.to_ascii_uppercase()));
    }
    if rule.resource_type == ResourceType::PATIENT.as_str() {
        let number = identifier.number().filter(|_| is_verified(identifier))?;
        return Some(format!("{}|{}", number.system(), number.value()));
    }
    let assigner = identifier.assigner.filter(|_| rule.assigned != Assigned::Nothing)?;
    let assigner = organisation(assigner)?;
    let code = match rule.assigned {
        Assigned::Nothing | Assigned::One => String::new(),
        Assigned::OneOfEachCode => codes(entry.candidate.key.member("code")?)?,
    };
    Some(format!("{assigner}|{system}|{value}|{code}"))
}

fn is_verified(identifier: &Identifier<'_>) -> bool {
    #[derive(Deserialize)]
    struct Extension<'a> {
        url: &'a str,
    }
    let extensions = identifier.extension.map_or_else(Vec::new, |raw| descend(raw, &[]));
    let verified = |raw: &&RawValue| {
        let url = serde_json::from_str::<Extension<'_>>(raw.get());
        let codes = descend(raw, &["valueCodeableConcept", "coding", "code"]);
        url.is_ok_and(|extension| extension.url == VERIFICATION)
            && codes.iter().any(|code| code.get().trim_matches('"') == VERIFIED)
    };
    !identifier.is_old() && extensions.iter().any(verified)
}

/// The code of the organisation that a reference names by its identifier.
pub fn organisation(reference: &RawValue) -> Option<String> {
    let subject: Subject<'_> = serde_json::from_str(reference.get()).ok()?;
    let identifier = subject.identifier?;
    let known = identifier.system.as_deref() == Some(ODS_CODE);
    let code = identifier.value.filter(|_| known)?;
    Some(code.to_ascii_uppercase())
}

/// The URL of a resource of that type, without fragment and version.
fn place(source: &str, resource_type: &str) -> Option<String> {
    let source = source.split('#').next().unwrap_or_default();
    let place = source.split("/_history/").next().unwrap_or_default();
    let mut steps = place.rsplit('/');
    let id = steps.next().is_some_and(is_id);
    let named = id && steps.next() == Some(resource_type) && place.contains("://");
    named.then(|| place.to_owned())
}
