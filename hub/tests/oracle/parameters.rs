//! The parameters that are asked for, as the specification's tables list them, written out anew.
//! <https://hl7.org/fhir/R4/searchparameter-registry.html>

use Kind::{
    Code, Coding, Concept, Contact, Date, Identifier, Name, Near, Number, Pair, Quantity,
    Reference, Text, Truth, Uri,
};

/// What a parameter's elements are, and how they are searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// `code`, with the system that its binding implies; or a boolean.
    Code(&'static str),
    Coding,
    Concept,
    Identifier,
    /// Of this system; empty: of any.
    Contact(&'static str),
    /// `exists() and != false`
    Truth,
    Text,
    Name,
    Date,
    Number,
    Quantity,
    /// To one of these types; only those that resolve to the first, if so.
    Reference(&'static [&'static str], bool),
    Uri,
    Near,
    /// `code` and this, within each of the elements.
    Pair(&'static [&'static str], &'static Kind, &'static [&'static str]),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub of: &'static str,
    pub code: &'static str,
    pub kind: Kind,
    pub paths: &'static [&'static str],
}

const ROOT: &[&str] = &[""];
const PART: &[&str] = &["component"];
const BOTH: &[&str] = &["", "component"];
const ORGANISATION: Kind = Reference(&["Organization"], false);
/// Of the types in the world: a performer may be more, but none that has these parameters.
const PERFORMER: Kind = Reference(&["Organization", "Patient"], false);
const PATIENT: Kind = Reference(&["Patient"], true);
const SUBJECT: Kind = Reference(&["Patient"], false);
const ENCOUNTER: Kind = Reference(&["Encounter"], false);

macro_rules! table {
    ($($of:ident { $($code:literal $kind:expr, $paths:expr;)+ })+) => {
        &[$($(Parameter { of: stringify!($of), code: $code, kind: $kind, paths: &$paths },)+)+]
    };
}

pub(super) const PARAMETERS: &[Parameter] = table! {
    Patient {
        "_tag" Coding, ["meta.tag"];
        "name" Name, ["name"];
        "family" Text, ["name.family"];
        "given" Text, ["name.given"];
        "identifier" Identifier, ["identifier"];
        "birthdate" Date, ["birthDate"];
        "gender" Code("http://hl7.org/fhir/administrative-gender"), ["gender"];
        "active" Code(""), ["active"];
        "deceased" Truth, ["deceasedBoolean", "deceasedDateTime"];
        "death-date" Date, ["deceasedDateTime"];
        "telecom" Contact(""), ["telecom"];
        "phone" Contact("phone"), ["telecom"];
        "organization" ORGANISATION, ["managingOrganization"];
        "general-practitioner" ORGANISATION, ["generalPractitioner"];
    }
    Organization {
        "_tag" Coding, ["meta.tag"];
        "name" Text, ["name", "alias"];
        "identifier" Identifier, ["identifier"];
        "active" Code(""), ["active"];
        "type" Concept, ["type"];
        "partof" ORGANISATION, ["partOf"];
    }
    Location {
        "name" Text, ["name", "alias"];
        "near" Near, ["position"];
        "status" Code("http://hl7.org/fhir/location-status"), ["status"];
        "partof" Reference(&["Location"], false), ["partOf"];
        "organization" ORGANISATION, ["managingOrganization"];
    }
    Encounter {
        "_tag" Coding, ["meta.tag"];
        "status" Code("http://hl7.org/fhir/encounter-status"), ["status"];
        "class" Coding, ["class"];
        "type" Concept, ["type"];
        "date" Date, ["period"];
        "length" Quantity, ["length"];
        "subject" SUBJECT, ["subject"];
        "patient" PATIENT, ["subject"];
        "service-provider" ORGANISATION, ["serviceProvider"];
        "part-of" ENCOUNTER, ["partOf"];
        "location" Reference(&["Location"], false), ["location.location"];
    }
    Observation {
        "_tag" Coding, ["meta.tag"];
        "status" Code("http://hl7.org/fhir/observation-status"), ["status"];
        "code" Concept, ["code"];
        "category" Concept, ["category"];
        "identifier" Identifier, ["identifier"];
        "date" Date, ["effectiveDateTime", "effectivePeriod", "effectiveTiming"];
        "value-quantity" Quantity, ["valueQuantity"];
        "value-string" Text, ["valueString", "valueCodeableConcept.text"];
        "value-concept" Concept, ["valueCodeableConcept"];
        "value-date" Date, ["valueDateTime", "valuePeriod"];
        "component-code" Concept, ["component.code"];
        "component-value-quantity" Quantity, ["component.valueQuantity"];
        "combo-code" Concept, ["code", "component.code"];
        "combo-value-quantity" Quantity, ["valueQuantity", "component.valueQuantity"];
        "subject" Reference(&["Patient", "Location"], false), ["subject"];
        "patient" PATIENT, ["subject"];
        "encounter" ENCOUNTER, ["encounter"];
        "performer" PERFORMER, ["performer"];
        "has-member" Reference(&["Observation"], false), ["hasMember"];
        "code-value-quantity" Pair(ROOT, &Quantity, &["valueQuantity"]), [];
        "code-value-concept" Pair(ROOT, &Concept, &["valueCodeableConcept"]), [];
        "code-value-string" Pair(ROOT, &Text, &["valueString"]), [];
        "code-value-date" Pair(ROOT, &Date, &["valueDateTime", "valuePeriod"]), [];
        "component-code-value-quantity" Pair(PART, &Quantity, &["valueQuantity"]), [];
        "combo-code-value-quantity" Pair(BOTH, &Quantity, &["valueQuantity"]), [];
        "combo-code-value-concept" Pair(BOTH, &Concept, &["valueCodeableConcept"]), [];
    }
    MedicationRequest {
        "status" Code("http://hl7.org/fhir/CodeSystem/medicationrequest-status"), ["status"];
        "intent" Code("http://hl7.org/fhir/CodeSystem/medicationrequest-intent"), ["intent"];
        "code" Concept, ["medicationCodeableConcept"];
        "authoredon" Date, ["authoredOn"];
        "subject" SUBJECT, ["subject"];
        "patient" PATIENT, ["subject"];
        "encounter" ENCOUNTER, ["encounter"];
    }
    RiskAssessment {
        "probability" Number, ["prediction.probabilityDecimal"];
        "date" Date, ["occurrenceDateTime"];
        "subject" SUBJECT, ["subject"];
        "patient" PATIENT, ["subject"];
    }
    ValueSet {
        "status" Code("http://hl7.org/fhir/publication-status"), ["status"];
        "url" Uri, ["url"];
        "date" Date, ["date"];
        "title" Text, ["title"];
    }
};

/// The parameters of a type.
pub(super) fn of(resource_type: &str) -> Vec<Parameter> {
    PARAMETERS.iter().filter(|p| p.of == resource_type).copied().collect()
}

pub(super) fn parameter(resource_type: &str, code: &str) -> Option<Parameter> {
    PARAMETERS.iter().find(|p| p.of == resource_type && p.code == code).copied()
}

/// The date by which a type's resources are ordered unless asked otherwise.
pub(super) fn clinical(resource_type: &str) -> Option<Parameter> {
    let code = if resource_type == "MedicationRequest" { "authoredon" } else { "date" };
    parameter(resource_type, code)
}

/// The parameters through which a resource is in a Patient's compartment.
/// <https://hl7.org/fhir/R4/compartmentdefinition-patient.html>
pub(super) fn compartment(resource_type: &str) -> &'static [&'static str] {
    match resource_type {
        "Observation" => &["subject", "performer"],
        "Encounter" => &["patient"],
        "MedicationRequest" | "RiskAssessment" => &["subject"],
        _ => &[],
    }
}
