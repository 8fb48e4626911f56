//! The shape of prescriptions and of statements about them, after UK Core's examples.
//! <https://simplifier.net/hl7fhirukcorer4>

use jiff::civil::Date;

use super::catalogue::{Code, Form, Medicine, SNOMED};
use super::json::{Json, array, object};
use super::resources::{Fact, UCUM, UK_CORE, coding, concept, hl7, identifiers, meta, reference};

/// UKCore-MedicationRequest: a repeat prescription, or a completed short course.
pub(super) fn request(fact: &Fact, medicine: &Medicine, repeat: bool) -> Json {
    let course = if repeat {
        ("continuous", "Continuous long term therapy")
    } else {
        ("acute", "Short course (acute) therapy")
    };
    object! {
        "resourceType" => "MedicationRequest",
        "meta" => meta("UKCore-MedicationRequest"),
        "identifier" => identifiers(&fact.identifier),
        "status" => if repeat { "active" } else { "completed" },
        "intent" => "order",
        "category" => array![hl7("medicationrequest-category", "community", "Community")],
        "medicationCodeableConcept" => medication(medicine),
        "subject" => fact.patient.clone(),
        "encounter" => fact.encounter.clone(),
        "authoredOn" => &fact.when,
        "requester" => fact.by.clone(),
        "courseOfTherapyType" => hl7("medicationrequest-course-of-therapy", course.0, course.1),
        "dosageInstruction" => array![dosage(medicine)],
        "dispenseRequest" => object! { "quantity" => amount(medicine.supply, medicine.form) },
        "substitution" => object! { "allowedBoolean" => false },
    }
}

/// UKCore-MedicationStatement about a repeat prescription that began on `start`.
pub(super) fn statement(
    fact: &Fact,
    medicine: &Medicine,
    prescription: &str,
    start: Date,
    last_issue: Date,
) -> Json {
    object! {
        "resourceType" => "MedicationStatement",
        "meta" => meta("UKCore-MedicationStatement"),
        "extension" => array![object! {
            "url" => format!("{UK_CORE}Extension-UKCore-MedicationStatementLastIssueDate"),
            "valueDateTime" => last_issue.to_string(),
        }],
        "identifier" => identifiers(&fact.identifier),
        "basedOn" => array![reference(prescription)],
        "status" => "active",
        "category" => hl7("medication-statement-category", "community", "Community"),
        "medicationCodeableConcept" => medication(medicine),
        "subject" => fact.patient.clone(),
        "effectivePeriod" => object! { "start" => start.to_string() },
        "dateAsserted" => &fact.when,
        "informationSource" => fact.by.clone(),
        "dosage" => array![dosage(medicine)],
    }
}

fn medication(medicine: &Medicine) -> Json {
    object! { "coding" => array![coding(medicine.code)], "text" => medicine.product }
}

fn dosage(medicine: &Medicine) -> Json {
    let (oral, inhaled) = (
        Code(SNOMED, "26643006", "Oral route"),
        Code(SNOMED, "447694001", "Respiratory tract route"),
    );
    let (one, many, route) = match medicine.form {
        Form::Tablet => ("tablet", "tablets", oral),
        Form::Capsule => ("capsule", "capsules", oral),
        Form::Puff => ("puff", "puffs", inhaled),
    };
    let each = if medicine.each == 1 { format!("One {one}") } else { format!("Two {many}") };
    let times = match medicine.times_a_day {
        1 => "once a day",
        2 => "twice a day",
        3 => "three times a day",
        _ => "up to four times a day",
    };
    object! {
        "text" => format!("{each} {times}"),
        "timing" => object! { "repeat" => object! {
            "frequency" => medicine.times_a_day, "period" => 1, "periodUnit" => "d",
        } },
        "route" => concept(route),
        "doseAndRate" => array![object! { "doseQuantity" => amount(medicine.each, medicine.form) }],
    }
}

fn amount(value: u32, form: Form) -> Json {
    let (unit, system, code) = match form {
        Form::Tablet => ("tablet", SNOMED, "732936001"),
        Form::Capsule => ("capsule", SNOMED, "732937005"),
        Form::Puff => ("puff", UCUM, "{puff}"),
    };
    object! { "value" => value, "unit" => unit, "system" => system, "code" => code }
}
