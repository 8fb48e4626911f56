//! The shape of each resource, after UK Core's published examples.
//! <https://simplifier.net/hl7fhirukcorer4>

use fhir::identifier::{CHI_NUMBER, NHS_NUMBER, ODS_CODE};

use super::catalogue::{Code, SNOMED, Vaccination};
use super::json::{Json, array, object};
use super::people::{Identity, Sex};
use super::staff::{Doctor, Place};

pub(super) const UK_CORE: &str = "https://fhir.hl7.org.uk/StructureDefinition/";
const TERMINOLOGY: &str = "http://terminology.hl7.org/CodeSystem/";
pub(super) const UCUM: &str = "http://unitsofmeasure.org";

/// What most clinical resources share.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    /// Business identifier: a UUID that stays with the fact wherever it is copied.
    pub(super) identifier: String,
    /// Reference to the Patient.
    pub(super) patient: Json,
    /// Reference to the Encounter at which it was recorded, if there was one.
    pub(super) encounter: Option<Json>,
    /// Reference to who recorded, prescribed or performed it.
    pub(super) by: Json,
    /// When, as a FHIR date or dateTime.
    pub(super) when: String,
}

/// A literal reference to another entry of the Bundle.
pub(super) fn reference(full_url: &str) -> Json {
    object! { "reference" => full_url }
}

/// A logical reference to a place, from records that do not hold it.
pub(super) fn place_reference(place: &Place) -> Json {
    let identifier = object! { "system" => ODS_CODE, "value" => &place.ods };
    object! { "identifier" => identifier, "display" => &place.name }
}

/// A logical reference to a doctor, for facts that several regions hold in the same words.
pub(super) fn doctor_reference(doctor: &Doctor) -> Json {
    let identifier = object! { "system" => GMP_NUMBER, "value" => &doctor.number };
    let display = format!("Dr {} {}", doctor.given, doctor.family);
    object! { "identifier" => identifier, "display" => display }
}

pub(super) fn meta(profile: &str) -> Json {
    object! { "profile" => array![format!("{UK_CORE}{profile}")] }
}

pub(super) fn coding(Code(system, code, display): Code) -> Json {
    object! { "system" => system, "code" => code, "display" => display }
}

pub(super) fn concept(code: Code) -> Json {
    object! { "coding" => array![coding(code)] }
}

/// A concept of HL7's terminology server: the last part of its system, code, display.
pub(super) fn hl7(system: &str, code: &str, display: &str) -> Json {
    object! { "coding" => array![object! {
        "system" => format!("{TERMINOLOGY}{system}"), "code" => code, "display" => display,
    }] }
}

pub(super) fn identifiers(uuid: &str) -> Json {
    let system = "https://fhir.nhs.uk/Id/cross-care-setting-identifier";
    array![object! { "system" => system, "value" => uuid }]
}

/// UKCore-Organization.
pub(super) fn organization(place: &Place) -> Json {
    object! {
        "resourceType" => "Organization",
        "id" => &place.ods,
        "meta" => meta("UKCore-Organization"),
        "identifier" => array![object! { "system" => ODS_CODE, "value" => &place.ods }],
        "active" => true,
        "name" => &place.name,
    }
}

/// The system of general medical practitioners' codes.
const GMP_NUMBER: &str = "https://fhir.hl7.org.uk/Id/gmp-number";

/// UKCore-Practitioner.
pub(super) fn practitioner(doctor: &Doctor) -> Json {
    object! {
        "resourceType" => "Practitioner",
        "id" => &doctor.number,
        "meta" => meta("UKCore-Practitioner"),
        "identifier" => array![object! { "system" => GMP_NUMBER, "value" => &doctor.number }],
        "active" => true,
        "name" => array![object! {
            "family" => doctor.family, "given" => array![doctor.given], "prefix" => array!["Dr"],
        }],
    }
}

/// UKCore-Patient. A Scottish register shows the CHI number first, and the NHS number where the
/// person has one that is linked with it.
pub(super) fn patient(identity: &Identity, scottish: bool, practice: Json, region: &Place) -> Json {
    let chi = identity.chi_number.filter(|_| scottish).map(|number| {
        object! { "use" => "official", "system" => CHI_NUMBER, "value" => number.as_str() }
    });
    let nhs = identity.nhs_number.map(|number| {
        object! {
            "extension" => array![extension("NHSNumberVerificationStatus", object! {
                "coding" => array![object! {
                    "system" =>
                        "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland",
                    "code" => "01",
                    "display" => "Number present and verified",
                }],
            })],
            "system" => NHS_NUMBER,
            "value" => number.as_str(),
        }
    });
    let (ethnicity, display) = identity.ethnicity;
    object! {
        "resourceType" => "Patient",
        "meta" => meta("UKCore-Patient"),
        "extension" => array![extension("EthnicCategory", object! { "coding" => array![object! {
            "system" => "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategoryEngland",
            "code" => ethnicity,
            "display" => display,
        }] })],
        "identifier" => array![chi, nhs],
        "active" => true,
        "name" => array![object! {
            "use" => "official",
            "family" => identity.family,
            "given" => array![identity.given],
            "prefix" => array![identity.prefix],
        }],
        "telecom" => array![
            object! { "system" => "phone", "value" => &identity.telephone, "use" => "home" },
            object! { "system" => "phone", "value" => &identity.mobile, "use" => "mobile" },
        ],
        "gender" => if identity.sex == Sex::Female { "female" } else { "male" },
        "birthDate" => identity.birth.to_string(),
        "address" => array![object! {
            "use" => "home",
            "line" => array![&identity.street],
            "city" => identity.town,
            "postalCode" => &identity.postcode,
        }],
        "generalPractitioner" => array![practice],
        "managingOrganization" => place_reference(region),
    }
}

fn extension(name: &str, concept: Json) -> Json {
    object! {
        "url" => format!("{UK_CORE}Extension-UKCore-{name}"),
        "valueCodeableConcept" => concept,
    }
}

/// UKCore-Encounter. `class` is a code and display of v3-ActCode.
pub(super) fn encounter(
    fact: &Fact,
    class: (&str, &str),
    kind: Code,
    end: &str,
    provider: Json,
) -> Json {
    object! {
        "resourceType" => "Encounter",
        "meta" => meta("UKCore-Encounter"),
        "identifier" => identifiers(&fact.identifier),
        "status" => "finished",
        "class" => object! {
            "system" => format!("{TERMINOLOGY}v3-ActCode"), "code" => class.0, "display" => class.1,
        },
        "type" => array![concept(kind)],
        "subject" => fact.patient.clone(),
        "participant" => array![object! { "individual" => fact.by.clone() }],
        "period" => object! { "start" => &fact.when, "end" => end },
        "serviceProvider" => provider,
    }
}

/// UKCore-Condition: on the problem list while it lasts, an encounter's diagnosis once resolved.
pub(super) fn condition(fact: &Fact, code: Code, onset: &str, abatement: Option<&str>) -> Json {
    let (clinical, display) = match abatement {
        None => ("active", "Active"),
        Some(_) => ("resolved", "Resolved"),
    };
    let category = match abatement {
        None => hl7("condition-category", "problem-list-item", "Problem List Item"),
        Some(_) => hl7("condition-category", "encounter-diagnosis", "Encounter Diagnosis"),
    };
    object! {
        "resourceType" => "Condition",
        "meta" => meta("UKCore-Condition"),
        "identifier" => identifiers(&fact.identifier),
        "clinicalStatus" => hl7("condition-clinical", clinical, display),
        "verificationStatus" => hl7("condition-ver-status", "confirmed", "Confirmed"),
        "category" => array![category],
        "code" => concept(code),
        "subject" => fact.patient.clone(),
        "encounter" => fact.encounter.clone(),
        "onsetDateTime" => onset,
        "abatementDateTime" => abatement,
        "recordedDate" => &fact.when,
        "recorder" => fact.by.clone(),
    }
}

/// UKCore-AllergyIntolerance. `specific` is the category and the reaction (manifestation,
/// severity); without it the code says that no allergy is known.
pub(super) fn allergy(fact: &Fact, code: Code, specific: Option<(&str, (Code, &str))>) -> Json {
    let reaction = specific.map(|(_, (manifestation, severity))| {
        array![object! {
            "manifestation" => array![concept(manifestation)], "severity" => severity,
        }]
    });
    object! {
        "resourceType" => "AllergyIntolerance",
        "meta" => meta("UKCore-AllergyIntolerance"),
        "identifier" => identifiers(&fact.identifier),
        "clinicalStatus" => hl7("allergyintolerance-clinical", "active", "Active"),
        "verificationStatus" => hl7("allergyintolerance-verification", "confirmed", "Confirmed"),
        "type" => specific.map(|_| "allergy"),
        "category" => specific.map(|(category, _)| array![category]),
        "code" => concept(code),
        "patient" => fact.patient.clone(),
        "encounter" => fact.encounter.clone(),
        "recordedDate" => &fact.when,
        "recorder" => fact.by.clone(),
        "reaction" => reaction,
    }
}

/// UKCore-Immunization.
pub(super) fn immunization(fact: &Fact, vaccination: &Vaccination, lot: &str) -> Json {
    object! {
        "resourceType" => "Immunization",
        "meta" => meta("UKCore-Immunization"),
        "extension" => array![extension("VaccinationProcedure", concept(vaccination.procedure))],
        "identifier" => identifiers(&fact.identifier),
        "status" => "completed",
        "vaccineCode" => concept(vaccination.product),
        "patient" => fact.patient.clone(),
        "encounter" => fact.encounter.clone(),
        "occurrenceDateTime" => &fact.when,
        "primarySource" => true,
        "lotNumber" => lot,
        "route" => concept(Code(SNOMED, "78421000", "Intramuscular route")),
        "performer" => array![object! { "actor" => fact.by.clone() }],
    }
}
