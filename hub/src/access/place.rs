//! Where a patient is to be found. Of a Patient who is labelled R (the Spine's "sensitive" flag), every
//! caller is told who it is, and none where: these elements are left out of every answer, and these
//! search parameters do not find the resource, nor sort it, nor lead from it to others.
//!
//! What is left out is left out of a Patient with the label, and of resources that refer to one. The
//! narrative repeats what the elements say, so it goes along. What is shown is tagged SUBSETTED: it can
//! not be sent back in place of the whole.

use std::borrow::Cow;

use bytes::Bytes;
use fhir::definitions::ResourceType;
use fhir::tree::Tree;

use super::label::nested;

/// What tells a patient's place in resources of a type.
#[derive(Debug)]
pub struct Place {
    of_type: &'static str,
    /// The elements.
    pub elements: &'static [&'static str],
    /// The search parameters.
    pub parameters: &'static [&'static str],
}

const fn place(
    of_type: &'static str,
    elements: &'static [&'static str],
    parameters: &'static [&'static str],
) -> Place {
    Place { of_type, elements, parameters }
}

/// Everything that tells a patient's place.
pub const PLACES: [Place; 14] = [
    place(
        "Patient",
        &["address", "telecom", "contact", "generalPractitioner", "managingOrganization"],
        &[
            "address",
            "address-city",
            "address-country",
            "address-postalcode",
            "address-state",
            "address-use",
            "email",
            "general-practitioner",
            "organization",
            "phone",
            "telecom",
        ],
    ),
    place(
        "RelatedPerson",
        &["address", "telecom"],
        &[
            "address",
            "address-city",
            "address-country",
            "address-postalcode",
            "address-state",
            "address-use",
            "email",
            "phone",
            "telecom",
        ],
    ),
    place(
        "Person",
        &["address", "telecom", "managingOrganization"],
        &[
            "address",
            "address-city",
            "address-country",
            "address-postalcode",
            "address-state",
            "address-use",
            "email",
            "organization",
            "phone",
            "telecom",
        ],
    ),
    place(
        "Encounter",
        &["location", "serviceProvider", "hospitalization"],
        &["location", "location-period", "service-provider"],
    ),
    place("EpisodeOfCare", &["managingOrganization"], &["organization"]),
    place("Procedure", &["location"], &["location"]),
    place("Immunization", &["location"], &["location"]),
    place("AdverseEvent", &["location"], &["location"]),
    place("Device", &["location", "contact"], &["location"]),
    place("ServiceRequest", &["locationCode", "locationReference"], &[]),
    place("MedicationDispense", &["location", "destination"], &["destination"]),
    place("SupplyDelivery", &["destination"], &[]),
    place("Claim", &["facility"], &["facility"]),
    place("ChargeItem", &["performingOrganization"], &["performing-organization"]),
];

impl Place {
    /// The type.
    ///
    /// # Panics
    /// If R4 had no such type.
    pub fn resource_type(&self) -> ResourceType {
        self.of_type.parse().expect("these are types of R4")
    }
}

/// Whether resources of this type may tell a patient's place, by themselves or in what they hold.
pub fn may_tell(resource_type: ResourceType) -> bool {
    let name = resource_type.as_str();
    matches!(name, "Bundle" | "Parameters") || PLACES.iter().any(|place| place.of_type == name)
}

/// A resource without where its patient is.
pub fn without(body: &Bytes) -> Bytes {
    let Ok(mut tree) = Tree::parse(body) else { return Bytes::new() };
    leave_out(&mut tree);
    let mut out = Vec::with_capacity(body.len() + 128);
    tree.write(&mut out);
    out.into()
}

fn leave_out(resource: &mut Tree<'_>) {
    let name = resource.text("resourceType").unwrap_or_default().to_owned();
    if let Some(place) = PLACES.iter().find(|place| place.of_type == name) {
        for element in place.elements.iter().chain(&["text", "contained"]) {
            resource.remove(element);
            resource.remove(&format!("_{element}"));
        }
        without_addresses(resource);
        tag(resource);
    }
    if nested(resource).is_empty() {
        return;
    }
    for list in ["contained", "entry", "parameter"] {
        if let Some(Tree::Array(items)) = resource.get_mut(list) {
            items.iter_mut().for_each(within);
        }
    }
}

/// What an item of a list holds: it may be a resource, or have one.
fn within(item: &mut Tree<'_>) {
    if item.get("resourceType").is_some() {
        leave_out(item);
    }
    if let Some(resource) = item.get_mut("resource") {
        leave_out(resource);
    }
    if let Some(Tree::Array(parts)) = item.get_mut("part") {
        parts.iter_mut().for_each(within);
    }
}

/// Extensions that are addresses, such as a place of birth.
fn without_addresses(resource: &mut Tree<'_>) {
    let Some(Tree::Array(extensions)) = resource.get_mut("extension") else { return };
    let tells =
        |e: &Tree<'_>| e.get("valueAddress").is_some() || e.get("valueContactPoint").is_some();
    extensions.retain(|extension| !tells(extension));
    if extensions.is_empty() {
        resource.remove("extension");
    }
}

fn tag(resource: &mut Tree<'_>) {
    if fhir::subset::is_subsetted(resource) {
        return;
    }
    let text = |text: &'static str| Tree::String(Cow::Borrowed(text));
    let coding = Tree::Object(vec![
        ("system".into(), text("http://terminology.hl7.org/CodeSystem/v3-ObservationValue")),
        ("code".into(), text("SUBSETTED")),
        ("display".into(), text("subsetted")),
    ]);
    if resource.get("meta").is_none() {
        resource.set("meta".into(), Tree::Object(Vec::new()));
    }
    let Some(meta) = resource.get_mut("meta") else { return };
    match meta.get_mut("tag") {
        Some(Tree::Array(tags)) => tags.push(coding),
        _ => meta.set("tag".into(), Tree::Array(vec![coding])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_parameter_is_r4s() {
        for place in &PLACES {
            let of_type = place.resource_type();
            for code in place.parameters {
                assert!(of_type.search_parameter(code).is_some(), "{of_type}.{code}");
            }
        }
    }

    #[test]
    fn a_place_is_left_out_wherever_it_stands_and_the_rest_stays() {
        let patient = r#"{"resourceType":"Patient","id":"a","meta":{"versionId":"1"},"text":{"div":"LS1"},"name":[{"family":"F"}],"address":[{"postalCode":"LS1"}],"telecom":[{"value":"0113"}],"extension":[{"url":"b","valueAddress":{"city":"LS1"}},{"url":"c","valueCode":"k"}],"generalPractitioner":[{"reference":"Organization/LS1"}]}"#;
        let shown = without(&Bytes::from(patient));
        let expected = r#"{"resourceType":"Patient","id":"a","meta":{"versionId":"1","tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED","display":"subsetted"}]},"name":[{"family":"F"}],"extension":[{"url":"c","valueCode":"k"}]}"#;
        assert_eq!(shown, expected.as_bytes());
        for holder in [
            format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{patient}}}]}}"#),
            format!(
                r#"{{"resourceType":"Parameters","parameter":[{{"part":[{{"resource":{patient}}}]}}]}}"#
            ),
        ] {
            let shown = String::from_utf8_lossy(&without(&Bytes::from(holder))).into_owned();
            assert!(!shown.contains("LS1") && shown.contains(r#""family":"F""#), "{shown}");
        }
    }
}
