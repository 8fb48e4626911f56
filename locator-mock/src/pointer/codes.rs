//! The codes a pointer may carry, as the NRL publishes them.

/// SNOMED CT.
pub(crate) const SNOMED: &str = "http://snomed.info/sct";
/// National Interim Clinical Imaging Procedure codes.
pub(crate) const NICIP: &str = "https://nicip.nhs.uk";
/// The NRL's own record types; a permitted system, of which no type is in use.
pub(crate) const RECORD_TYPE: &str = "https://fhir.nhs.uk/England/CodeSystem/England-NRLRecordType";
/// System of `content.format`.
pub(crate) const FORMAT: &str = "https://fhir.nhs.uk/England/CodeSystem/England-NRLFormatCode";
/// Contact details to be shown.
pub(crate) const CONTACT: &str = "urn:nhs-ic:record-contact";
/// A document for people.
pub(crate) const UNSTRUCTURED: &str = "urn:nhs-ic:unstructured";
/// A document for programs.
pub(crate) const STRUCTURED: &str = "urn:nhs-ic:structured";
/// What `content.attachment.contentType` may be.
pub(crate) const CONTENT_TYPES: [&str; 5] = [
    "application/pdf",
    "text/html",
    "application/json",
    "application/fhir+json",
    "application/json+fhir",
];
/// How a pointer may relate to another.
pub(crate) const RELATIONS: [&str; 6] =
    ["replaces", "transforms", "signs", "appends", "incorporates", "summarizes"];

/// A pointer type: (system, code, display, category code).
const TYPES: [(&str, &str, &str, &str); 16] = [
    (SNOMED, "736253002", "Mental health crisis plan", "734163000"),
    (SNOMED, "887701000000100", "Emergency health care plan", "734163000"),
    (SNOMED, "861421000000109", "End of life care coordination summary", "734163000"),
    (
        SNOMED,
        "1382601000000107",
        "ReSPECT (Recommended Summary Plan for Emergency Care and Treatment) form",
        "734163000",
    ),
    (SNOMED, "325691000000100", "Contingency plan", "734163000"),
    (SNOMED, "736373009", "End of life care plan", "734163000"),
    (SNOMED, "16521000000101", "Lloyd George record folder", "734163000"),
    (SNOMED, "736366004", "Advance care plan", "734163000"),
    (SNOMED, "735324008", "Treatment escalation plan", "734163000"),
    (SNOMED, "2181441000000107", "Personalised Care and Support Plan", "734163000"),
    (
        SNOMED,
        "1363501000000100",
        "Royal College of Physicians NEWS2 (National Early Warning Score 2) chart",
        "1102421000000108",
    ),
    (SNOMED, "824321000000109", "Summary record", "823651000000106"),
    (SNOMED, "887181000000106", "Clinical summary", "716931000000107"),
    (SNOMED, "749001000000101", "Appointment", "419891008"),
    (NICIP, "MAULR", "MRA Upper Limb Rt", "721981007"),
    (NICIP, "MAXIB", "MRI Axilla Both", "103693007"),
];

/// The types of which a patient may well have several pointers.
const SEVERAL: [&str; 3] = ["MAULR", "MAXIB", "749001000000101"];

/// A category: (code, display); its system is SNOMED CT.
const CATEGORIES: [(&str, &str); 7] = [
    ("734163000", "Care plan"),
    ("1102421000000108", "Observations"),
    ("823651000000106", "Clinical note"),
    ("716931000000107", "Record headings"),
    ("419891008", "Record artifact"),
    ("721981007", "Diagnostic studies report"),
    ("103693007", "Diagnostic procedure"),
];

const FORMATS: [(&str, &str); 3] = [
    (CONTACT, "Contact details (HTTP Unsecured)"),
    (UNSTRUCTURED, "Unstructured Document"),
    (STRUCTURED, "Structured Document"),
];

const RETRIEVALS: [(&str, &str); 4] = [
    ("Direct", "Direct"),
    ("SSP", "Spine Secure Proxy"),
    ("LDR", "Large Document Retrieval"),
    ("InContext", "Direct using In-Context"),
];

/// What is known of a pointer type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PointerType {
    /// The exact display.
    pub(crate) display: &'static str,
    /// The code of the one category it goes with.
    pub(crate) category: &'static str,
}

/// Every pointer type as `system|code`.
pub(crate) fn pointer_types() -> impl Iterator<Item = String> {
    TYPES.iter().map(|(system, code, ..)| format!("{system}|{code}"))
}

/// The pointer type of this system and code.
pub(crate) fn pointer_type(system: &str, code: &str) -> Option<PointerType> {
    let known = TYPES.iter().find(|row| row.0 == system && row.1 == code)?;
    Some(PointerType { display: known.2, category: known.3 })
}

/// Whether a patient may well have several pointers of the type with this code.
pub(crate) fn comes_in_several(code: &str) -> bool {
    SEVERAL.contains(&code)
}

/// Whether `token` (`system|code`) is a category.
pub(crate) fn is_category(token: &str) -> bool {
    token
        .split_once('|')
        .is_some_and(|(system, code)| system == SNOMED && category_display(code).is_some())
}

/// The display of a category.
pub(crate) fn category_display(code: &str) -> Option<&'static str> {
    display(&CATEGORIES, code)
}

/// The display of a format.
pub(crate) fn format_display(code: &str) -> Option<&'static str> {
    display(&FORMATS, code)
}

/// The display of a retrieval mechanism.
pub(crate) fn retrieval_display(code: &str) -> Option<&'static str> {
    display(&RETRIEVALS, code)
}

fn display(table: &[(&str, &'static str)], code: &str) -> Option<&'static str> {
    let row = table.iter().find(|(known, _)| *known == code);
    row.map(|(_, display)| *display)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_category_with_a_display() {
        for (.., category) in TYPES {
            assert!(category_display(category).is_some(), "{category}");
        }
    }
}
