//! The region's pointer: one dynamic Clinical summary a patient, without the number in its URL.
//! NRL "Pointer maintenance": dynamic content is assembled on request, the pointer never changes.

use fhir::identifier::{NHS_NUMBER, ODS_CODE, OdsCode};
use serde_json::{Value, json};

/// The pointer's type, as `system|code`: SNOMED CT Clinical summary.
pub const TYPE: &str = "http://snomed.info/sct|887181000000106";

const EXTENSION: &str = "https://fhir.nhs.uk/England/StructureDefinition/Extension-England-";
const CODE_SYSTEM: &str = "https://fhir.nhs.uk/England/CodeSystem/England-";

/// The DocumentReference that says: `region` holds a record for `number`, at `base`.
pub fn document_reference(region: &OdsCode, base: &str, number: &str) -> Value {
    let coding = |system: &str, code: &str, display: &str| json!({"coding": [{"system": system, "code": code, "display": display}]});
    let extension = |name: &str, system: &str, code: &str, display: &str| {
        json!({
            "url": format!("{EXTENSION}{name}"),
            "valueCodeableConcept": coding(&format!("{CODE_SYSTEM}{system}"), code, display),
        })
    };
    let organisation = json!({"identifier": {"system": ODS_CODE, "value": region.as_str()}});
    json!({
        "resourceType": "DocumentReference",
        "status": "current",
        "type": coding("http://snomed.info/sct", "887181000000106", "Clinical summary"),
        "category": [coding("http://snomed.info/sct", "716931000000107", "Record headings")],
        "subject": {"identifier": {"system": NHS_NUMBER, "value": number}},
        "author": [organisation.clone()],
        "custodian": organisation,
        "content": [{
            "attachment": {"contentType": "application/fhir+json", "url": base},
            "format": {
                "system": format!("{CODE_SYSTEM}NRLFormatCode"),
                "code": "urn:nhs-ic:structured",
                "display": "Structured Document",
            },
            "extension": [
                extension("ContentStability", "NRLContentStability", "dynamic", "Dynamic"),
                extension("NRLRetrievalMechanism", "NRLRetrievalMechanism", "Direct", "Direct"),
            ],
        }],
        "context": {
            "practiceSetting":
                coding("http://snomed.info/sct", "224891009", "Healthcare services"),
        },
    })
}
