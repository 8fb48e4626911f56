//! What the published files that we read have beyond R4 4.0.1: elements of later versions, and of the
//! package that carries them. They are taken out again; where R4's own were replaced, they are put back.

use serde_json::{Value, json};

use crate::{items, text};

/// Paths that R4 does not have, with all below them.
const NOT_R4: [&str; 23] = [
    "Binary.url",
    "DeviceDefinition.bodySite",
    "EvidenceVariable.characteristic.",
    "Meta.account",
    "Meta.accounts",
    "Meta.author",
    "Meta.compartment",
    "Meta.onBehalfOf",
    "Meta.project",
    "ResearchStudy.associatedParty",
    "ResearchStudy.classifier",
    "ResearchStudy.comparisonGroup",
    "ResearchStudy.descriptionSummary",
    "ResearchStudy.label",
    "ResearchStudy.name",
    "ResearchStudy.objective.description",
    "ResearchStudy.outcomeMeasure",
    "ResearchStudy.progressStatus",
    "ResearchStudy.recruitment",
    "ResearchStudy.region",
    "ResearchStudy.result",
    "ResearchStudy.studyDesign",
    "ResearchStudy.whyStopped",
];

/// The elements of a definition as R4 has them.
pub(crate) fn elements(definition: &Value) -> Vec<Value> {
    let beyond = |path: &str| {
        let below = |own: &str| {
            path.strip_prefix(own)
                .is_some_and(|rest| own.ends_with('.') || rest.is_empty() || rest.starts_with('.'))
        };
        NOT_R4.into_iter().any(below)
    };
    let elements = items(&definition["snapshot"], "element").iter();
    let mut elements: Vec<Value> =
        elements.filter(|element| !beyond(text(element, "path"))).cloned().collect();
    if text(definition, "id") == "EvidenceVariable" {
        elements.extend(characteristic());
    }
    elements
}

/// <https://hl7.org/fhir/R4/evidencevariable.html>
fn characteristic() -> Vec<Value> {
    let element = |name: &str, min: u64, max: &str, types: Value| {
        let path = format!("EvidenceVariable.characteristic.{name}");
        json!({"path": path, "base": {"path": path}, "min": min, "max": max, "type": types})
    };
    let group = "http://hl7.org/fhir/StructureDefinition/Group";
    vec![
        element("description", 0, "1", json!([{"code": "string"}])),
        element(
            "definition[x]",
            1,
            "1",
            json!([{"code": "Reference", "targetProfile": [group]}, {"code": "canonical"},
                {"code": "CodeableConcept"}, {"code": "Expression"}, {"code": "DataRequirement"},
                {"code": "TriggerDefinition"}]),
        ),
        element("usageContext", 0, "*", json!([{"code": "UsageContext"}])),
        element("exclude", 0, "1", json!([{"code": "boolean"}])),
        element(
            "participantEffective[x]",
            0,
            "1",
            json!([{"code": "dateTime"}, {"code": "Period"}, {"code": "Duration"},
                {"code": "Timing"}]),
        ),
        element("timeFromStart", 0, "1", json!([{"code": "Duration"}])),
        element("groupMeasure", 0, "1", json!([{"code": "code"}])),
    ]
}
