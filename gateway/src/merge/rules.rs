//! When two resources are the same fact, when they may be, and what they must not differ in: one
//! row for each type. Other types are the same only by an identifier that is unique in the world.

use std::sync::LazyLock;

use fhir::definitions::ResourceType;
use fhir::identifier::ODS_CODE;

/// What is known of a type.
#[derive(Debug)]
pub struct Rule {
    /// The type.
    pub resource_type: &'static str,
    /// Systems whose values name one resource of the type, wherever it is held.
    pub systems: &'static [&'static str],
    /// Whether a number that names its assigner does so too.
    pub assigned: Assigned,
    /// What two resources that may be the same have in common: all parts of one list. A resource
    /// without one of the parts is like no other.
    pub alike: &'static [&'static [Part]],
    /// Members in which two copies of one fact contradict each other.
    pub fields: &'static [&'static str],
    /// The member that names what the resource replaces.
    pub replaces: Option<&'static str>,
    /// What copies are.
    pub copies: Copies,
}

/// What a number that names its assigner names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// Nothing by itself.
    Nothing,
    /// One resource.
    One,
    /// One resource of each code, as an accession number does.
    OneOfEachCode,
}

/// What copies of one fact are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// Versions: the newest counts.
    Versions,
    /// Descriptions of somebody or something, each its region's own.
    Descriptions,
}

/// A part of what two resources have in common.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// The codes of the first of these members that there is; a text is none.
    Code(&'static [&'static str]),
    /// The codes, or without them the text, of `code`, else of the one `reaction.substance`.
    Substance,
    /// The codes of the product, wherever they stand.
    Product,
    /// The first of these dates, as precise as it is given.
    Date(&'static [&'static str]),
    /// The beginning of a Period.
    Start(&'static str),
    /// The organisation that a reference names by its identifier.
    Logical(&'static str),
    /// What these members say; at least one of them says something.
    Same(&'static [&'static str]),
    /// What these members say, if they say anything.
    Also(&'static [&'static str]),
    /// Hash and size of each attachment.
    Attachment,
}

use Part::{Also, Attachment, Code, Date, Logical, Product, Same, Start, Substance};

const SDS_USER: &str = "https://fhir.nhs.uk/Id/sds-user-id";
const SDS_ROLE: &str = "https://fhir.nhs.uk/Id/sds-role-profile-id";
const GMC: &str = "https://fhir.hl7.org.uk/Id/gmc-number";
const NMC: &str = "https://fhir.hl7.org.uk/Id/nmc-number";
const GPHC: &str = "https://fhir.hl7.org.uk/Id/gphc-number";
const ODS_SITE: &str = "https://fhir.nhs.uk/Id/ods-site-code";
const ORDER_ITEM: &str = "https://fhir.nhs.uk/Id/prescription-order-item-number";
const DISPENSE_ITEM: &str = "https://fhir.nhs.uk/Id/prescription-dispense-item-number";
const UBRN: &str = "https://fhir.nhs.uk/Id/UBRN";

const PRODUCT: &str = "medicationCodeableConcept";
/// What an Observation says.
const FINDING: &[&str] = &[
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "valueBoolean",
    "valueInteger",
    "valueRange",
    "valueRatio",
    "valueSampledData",
    "valueTime",
    "valueDateTime",
    "valuePeriod",
    "component",
];

/// The row of a type of which nothing more is known.
const NOTHING: Rule = Rule {
    resource_type: "",
    systems: &[],
    assigned: Assigned::Nothing,
    alike: &[],
    fields: &[],
    replaces: None,
    copies: Copies::Versions,
};

const DESCRIPTION: Rule = Rule { copies: Copies::Descriptions, ..NOTHING };

/// The rows.
pub static RULES: [Rule; 18] = [
    // Its number, once verified, is read by `names`; who it can be, by `demographics`.
    Rule { resource_type: "Patient", ..DESCRIPTION },
    Rule {
        resource_type: "AllergyIntolerance",
        alike: &[&[Substance, Also(&["category"])]],
        fields: &["clinicalStatus", "verificationStatus", "criticality", "type", "code"],
        ..NOTHING
    },
    Rule {
        resource_type: "Condition",
        alike: &[&[
            Code(&["code"]),
            Date(&["onsetDateTime", "onsetPeriod", "recordedDate"]),
            Also(&["category", "bodySite"]),
        ]],
        fields: &[
            "clinicalStatus",
            "verificationStatus",
            "abatementDateTime",
            "abatementAge",
            "abatementPeriod",
            "abatementRange",
            "abatementString",
            "code",
            "bodySite",
        ],
        ..NOTHING
    },
    Rule {
        resource_type: "MedicationRequest",
        systems: &[ORDER_ITEM],
        alike: &[&[
            Product,
            Date(&["authoredOn"]),
            Same(&["dosageInstruction"]),
            Also(&["intent", "doNotPerform"]),
        ]],
        fields: &[
            "status",
            PRODUCT,
            "dosageInstruction",
            "courseOfTherapyType",
            "doNotPerform",
            "intent",
        ],
        replaces: Some("priorPrescription"),
        ..NOTHING
    },
    Rule {
        resource_type: "MedicationStatement",
        alike: &[&[Product, Date(&["effectiveDateTime", "effectivePeriod"]), Same(&["dosage"])]],
        fields: &["status", PRODUCT, "dosage"],
        ..NOTHING
    },
    Rule {
        resource_type: "MedicationDispense",
        systems: &[DISPENSE_ITEM],
        alike: &[&[Product, Date(&["whenHandedOver"]), Same(&["quantity"])]],
        fields: &["status", PRODUCT, "quantity", "dosageInstruction"],
        ..NOTHING
    },
    Rule {
        resource_type: "Immunization",
        alike: &[&[Code(&["vaccineCode"]), Date(&["occurrenceDateTime"]), Also(&["lotNumber"])]],
        fields: &["status", "vaccineCode", "lotNumber", "doseQuantity", "protocolApplied"],
        ..NOTHING
    },
    Rule {
        resource_type: "Observation",
        assigned: Assigned::OneOfEachCode,
        alike: &[&[
            Code(&["code"]),
            Date(&["effectiveDateTime", "effectivePeriod", "effectiveInstant"]),
            Same(FINDING),
            Also(&["bodySite"]),
        ]],
        fields: &[
            "status",
            "code",
            "valueQuantity",
            "valueCodeableConcept",
            "valueString",
            "valueBoolean",
            "valueInteger",
            "valueRange",
            "valueRatio",
            "valueSampledData",
            "valueTime",
            "valueDateTime",
            "valuePeriod",
            "component",
            "dataAbsentReason",
            "bodySite",
        ],
        ..NOTHING
    },
    Rule {
        resource_type: "DiagnosticReport",
        assigned: Assigned::One,
        alike: &[&[
            Code(&["code"]),
            Date(&["effectiveDateTime", "effectivePeriod"]),
            Also(&["category"]),
        ]],
        fields: &["status", "code", "conclusion", "conclusionCode"],
        ..NOTHING
    },
    Rule {
        resource_type: "Procedure",
        alike: &[&[
            Code(&["code"]),
            Date(&["performedDateTime", "performedPeriod"]),
            Also(&["bodySite"]),
        ]],
        fields: &["status", "code", "bodySite"],
        ..NOTHING
    },
    Rule {
        resource_type: "Encounter",
        assigned: Assigned::One,
        alike: &[&[Logical("serviceProvider"), Start("period"), Same(&["class"])]],
        fields: &["status", "period"],
        ..NOTHING
    },
    Rule {
        resource_type: "DocumentReference",
        alike: &[
            &[Code(&["type"]), Date(&["date"]), Logical("custodian"), Also(&["author"])],
            &[Attachment],
        ],
        fields: &["status", "docStatus", "content"],
        replaces: Some("relatesTo"),
        ..NOTHING
    },
    // Not among those that have parts in common: only its own number names a referral.
    Rule {
        resource_type: "ServiceRequest",
        systems: &[UBRN],
        fields: &["status", "intent", "code", "doNotPerform"],
        replaces: Some("replaces"),
        ..NOTHING
    },
    Rule {
        resource_type: "Organization",
        systems: &[ODS_CODE],
        fields: &["active", "name"],
        ..DESCRIPTION
    },
    Rule {
        resource_type: "Practitioner",
        systems: &[SDS_USER, GMC, NMC, GPHC],
        fields: &["name", "qualification"],
        ..DESCRIPTION
    },
    Rule {
        resource_type: "PractitionerRole",
        systems: &[SDS_ROLE],
        alike: &[&[Logical("practitioner"), Logical("organization"), Code(&["code"])]],
        fields: &["period"],
        ..DESCRIPTION
    },
    Rule {
        resource_type: "Location",
        systems: &[ODS_SITE, ODS_CODE],
        alike: &[&[Same(&["name"]), Same(&["address"])]],
        fields: &["status"],
        ..DESCRIPTION
    },
    // Read for the product of those that refer to it.
    Rule { resource_type: "Medication", fields: &["code", "status"], ..NOTHING },
];

/// A rule, and the members of a resource that it looks at.
#[derive(Debug)]
struct Looked {
    rule: &'static Rule,
    members: Vec<&'static str>,
}

static BY_TYPE: LazyLock<Vec<Option<Looked>>> = LazyLock::new(|| {
    let looked = |resource_type: ResourceType| {
        let rule = RULES.iter().find(|rule| rule.resource_type == resource_type.as_str())?;
        Some(Looked { rule, members: rule.members() })
    };
    ResourceType::all().map(looked).collect()
});

impl Rule {
    /// The rule of a type.
    pub fn of(resource_type: &str) -> Option<&'static Self> {
        looked(resource_type.parse().ok()?).map(|looked| looked.rule)
    }

    fn members(&self) -> Vec<&'static str> {
        let parts = self.alike.iter().copied().flatten().flat_map(|part| part.members());
        let fields = self.fields.iter().copied();
        let mut members: Vec<_> = parts.chain(fields).chain(self.replaces).collect();
        if self.resource_type == "DocumentReference" {
            members.push("masterIdentifier");
        }
        members.sort_unstable();
        members.dedup();
        members
    }
}

/// The members that are read of a type to tell its resources apart, beside `identifier`.
pub fn members(resource_type: ResourceType) -> &'static [&'static str] {
    looked(resource_type).map_or(&[], |looked| &looked.members)
}

fn looked(resource_type: ResourceType) -> Option<&'static Looked> {
    BY_TYPE[resource_type.index()].as_ref()
}

impl Part {
    fn members(self) -> Vec<&'static str> {
        match self {
            Code(names) | Date(names) | Same(names) | Also(names) => names.to_vec(),
            Start(name) | Logical(name) => vec![name],
            Substance => vec!["code", "reaction"],
            Product => vec![PRODUCT, "medicationReference", "contained"],
            Attachment => vec!["content"],
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_the_table_is_one_of_its_type() {
        for rule in &RULES {
            let resource_type: ResourceType = rule.resource_type.parse().unwrap();
            for member in members(resource_type) {
                let known = resource_type.definition().element(member);
                assert!(known.is_some(), "{resource_type}.{member}");
            }
        }
    }

    #[test]
    fn every_type_of_the_table_is_the_same_by_something_or_like_something() {
        for rule in &RULES {
            let named = !rule.systems.is_empty() || rule.assigned != Assigned::Nothing;
            let known = named || !rule.alike.is_empty() || rule.copies == Copies::Descriptions;
            assert!(known || rule.resource_type == "Medication", "{}", rule.resource_type);
        }
    }
}
