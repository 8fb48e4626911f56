//! Small valid R4 resources to write. Nobody in them exists.

use bytes::Bytes;

/// The types of the CRUD workload, in the order in which they are written.
pub(crate) const KINDS: [&str; 9] = [
    "Patient",
    "Location",
    "Organization",
    "Practitioner",
    "Encounter",
    "Observation",
    "MedicationRequest",
    "Claim",
    "ExplanationOfBenefit",
];

/// A resource of `kind`, told apart from others by `number`; with its `id` if it has one already.
pub(crate) fn resource(kind: &str, number: u64, id: Option<&str>) -> Bytes {
    let id = id.map_or_else(String::new, |id| format!(r#""id":"{id}","#));
    let rest = members(kind, number);
    Bytes::from(format!(r#"{{"resourceType":"{kind}",{id}{rest}}}"#))
}

/// An Observation about a patient.
pub(crate) fn observation(patient: &str, number: u64) -> Bytes {
    let subject = format!(r#""subject":{{"reference":"{patient}"}},"#);
    let rest = members("Observation", number);
    Bytes::from(format!(r#"{{"resourceType":"Observation",{subject}{rest}}}"#))
}

fn members(kind: &str, number: u64) -> String {
    let (year, month, day) = (1940 + number % 80, 1 + number % 12, 1 + number % 28);
    let money = r#""type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/claim-type","code":"professional"}]},"use":"claim","patient":{"display":"nobody"}"#;
    match kind {
        "Patient" => format!(
            r#""active":true,"name":[{{"family":"Load{number}","given":["Test"]}}],"gender":"other","birthDate":"{year}-{month:02}-{day:02}""#
        ),
        "Location" => format!(r#""status":"active","name":"Ward {number}","mode":"instance""#),
        "Organization" => format!(r#""active":true,"name":"Practice {number}""#),
        "Practitioner" => {
            format!(r#""active":true,"name":[{{"family":"Load{number}","prefix":["Dr"]}}]"#)
        }
        "Encounter" => format!(
            r#""status":"finished","class":{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}},"period":{{"start":"2024-{month:02}-{day:02}T09:00:00Z","end":"2024-{month:02}-{day:02}T09:20:00Z"}}"#
        ),
        "MedicationRequest" => format!(
            r#""status":"active","intent":"order","medicationCodeableConcept":{{"coding":[{{"system":"http://snomed.info/sct","code":"322236009","display":"Paracetamol 500mg tablets"}}]}},"subject":{{"display":"nobody"}},"authoredOn":"2024-{month:02}-{day:02}""#
        ),
        "Claim" => format!(
            r#""status":"active",{money},"created":"2024-{month:02}-{day:02}","provider":{{"display":"nobody"}},"priority":{{"coding":[{{"code":"normal"}}]}},"insurance":[{{"sequence":1,"focal":true,"coverage":{{"display":"none"}}}}]"#
        ),
        "ExplanationOfBenefit" => format!(
            r#""status":"active",{money},"created":"2024-{month:02}-{day:02}","insurer":{{"display":"none"}},"provider":{{"display":"nobody"}},"outcome":"complete","insurance":[{{"focal":true,"coverage":{{"display":"none"}}}}]"#
        ),
        _ => format!(
            r#""status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7","display":"Body weight"}}]}},"effectiveDateTime":"2024-{month:02}-{day:02}T09:10:00Z","valueQuantity":{{"value":{}.{},"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}"#,
            50 + number % 50,
            number % 10
        ),
    }
}
