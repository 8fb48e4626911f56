//! The shape of each Observation, after UK Core's Observation profiles.
//! <https://simplifier.net/hl7fhirukcorer4>

use super::catalogue::{Code, LOINC, SNOMED, Test};
use super::json::{Json, array, object};
use super::resources::{Fact, UCUM, coding, concept, hl7, identifiers, meta};

fn observation(
    fact: &Fact,
    profile: &str,
    category: (&str, &str),
    code: Json,
    results: (&str, Json),
) -> Json {
    object! {
        "resourceType" => "Observation",
        "meta" => meta(profile),
        "identifier" => identifiers(&fact.identifier),
        "status" => "final",
        "category" => array![hl7("observation-category", category.0, category.1)],
        "code" => code,
        "subject" => fact.patient.clone(),
        "encounter" => fact.encounter.clone(),
        "effectiveDateTime" => &fact.when,
        "performer" => array![fact.by.clone()],
        results.0 => results.1,
    }
}

const VITAL_SIGNS: (&str, &str) = ("vital-signs", "Vital Signs");

fn quantity(value: Json, unit: &str, ucum: &str) -> Json {
    object! { "value" => value, "unit" => unit, "system" => UCUM, "code" => ucum }
}

fn in_both(snomed: (&'static str, &'static str), loinc: (&'static str, &'static str)) -> Json {
    object! {
        "coding" => array![
            coding(Code(SNOMED, snomed.0, snomed.1)),
            coding(Code(LOINC, loinc.0, loinc.1)),
        ],
        "text" => loinc.1,
    }
}

/// UKCore-Observation-VitalSigns-BloodPressure, in mmHg.
pub(super) fn blood_pressure(fact: &Fact, systolic: u32, diastolic: u32) -> Json {
    let component = |code, value: u32| {
        let value = quantity(value.into(), "millimeter of mercury", "mm[Hg]");
        object! { "code" => code, "valueQuantity" => value }
    };
    let upper =
        in_both(("271649006", "Systolic blood pressure"), ("8480-6", "Systolic blood pressure"));
    let lower =
        in_both(("271650006", "Diastolic blood pressure"), ("8462-4", "Diastolic blood pressure"));
    observation(
        fact,
        "UKCore-Observation-VitalSigns-BloodPressure",
        VITAL_SIGNS,
        in_both(
            ("75367002", "Blood pressure"),
            ("85354-9", "Blood pressure panel with all children optional"),
        ),
        ("component", array![component(upper, systolic), component(lower, diastolic)]),
    )
}

/// UKCore-Observation-VitalSigns-BodyWeight, from tenths of a kilogram.
pub(super) fn body_weight(fact: &Fact, tenths: u32) -> Json {
    observation(
        fact,
        "UKCore-Observation-VitalSigns-BodyWeight",
        VITAL_SIGNS,
        in_both(("27113001", "Body weight"), ("29463-7", "Body weight")),
        ("valueQuantity", quantity(Json::decimal(tenths, 1), "kilogram", "kg")),
    )
}

/// UKCore-Observation-VitalSigns-HeartRate, in beats a minute.
pub(super) fn heart_rate(fact: &Fact, rate: u32) -> Json {
    observation(
        fact,
        "UKCore-Observation-VitalSigns-HeartRate",
        VITAL_SIGNS,
        in_both(("364075005", "Heart rate"), ("8867-4", "Heart rate")),
        ("valueQuantity", quantity(rate.into(), "per minute", "/min")),
    )
}

/// UKCore-Observation-VitalSigns-BodyTemperature, from tenths of a degree Celsius.
pub(super) fn body_temperature(fact: &Fact, tenths: u32) -> Json {
    observation(
        fact,
        "UKCore-Observation-VitalSigns-BodyTemperature",
        VITAL_SIGNS,
        in_both(("276885007", "Core body temperature"), ("8310-5", "Body temperature")),
        ("valueQuantity", quantity(Json::decimal(tenths, 1), "degree Celsius", "Cel")),
    )
}

/// UKCore-Observation-Lab; `scaled` has the test's decimal places.
pub(super) fn laboratory(fact: &Fact, test: &Test, scaled: u32) -> Json {
    observation(
        fact,
        "UKCore-Observation-Lab",
        ("laboratory", "Laboratory"),
        concept(test.code),
        ("valueQuantity", quantity(Json::decimal(scaled, test.places), test.unit, test.ucum)),
    )
}

/// UKCore-Observation-TobaccoConsumption.
pub(super) fn smoking_status(fact: &Fact, status: Code) -> Json {
    observation(
        fact,
        "UKCore-Observation-TobaccoConsumption",
        ("social-history", "Social History"),
        concept(Code(SNOMED, "229819007", "Tobacco use and exposure")),
        ("valueCodeableConcept", concept(status)),
    )
}
