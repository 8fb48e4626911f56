//! The rules of `content`: media types, formats and the two extensions the NRL knows.

use super::codes::{
    CONTACT, CONTENT_TYPES, STRUCTURED, UNSTRUCTURED, format_display, retrieval_display,
};
use super::model::{self, Element, Kind, once, optional, some};
use super::pattern::Pattern;
use super::tree::Node;
use crate::error::{Fault, LocatorError, Source};

const STABILITY_SET: &str = "https://fhir.nhs.uk/England/ValueSet/England-NRLContentStability";
const RETRIEVAL_SET: &str = "https://fhir.nhs.uk/England/ValueSet/England-NRLRetrievalMechanism";

macro_rules! extension_model {
    ($name:ident, $concept:ident, $coding:ident, $url:literal, $system:literal,
     $codes:expr, $displays:expr) => {
        static $name: [Element; 3] = [
            optional("id", Kind::Text(Pattern::Id)),
            once("url", Kind::OneOf(&[$url])),
            once("valueCodeableConcept", Kind::Object(&$concept)),
        ];
        static $concept: [Element; 3] = [
            optional("id", Kind::Text(Pattern::Id)),
            some("coding", Kind::Object(&$coding), 1),
            optional("text", Kind::Text(Pattern::Words)),
        ];
        static $coding: [Element; 6] = [
            optional("id", Kind::Text(Pattern::Id)),
            once("system", Kind::OneOf(&[$system])),
            optional("version", Kind::Text(Pattern::Words)),
            once("code", Kind::OneOf(&$codes)),
            once("display", Kind::OneOf(&$displays)),
            optional("userSelected", Kind::Flag),
        ];
    };
}

extension_model!(
    STABILITY,
    STABILITY_CONCEPT,
    STABILITY_CODING,
    "https://fhir.nhs.uk/England/StructureDefinition/Extension-England-ContentStability",
    "https://fhir.nhs.uk/England/CodeSystem/England-NRLContentStability",
    ["static", "dynamic"],
    ["Static", "Dynamic"]
);
extension_model!(
    RETRIEVAL,
    RETRIEVAL_CONCEPT,
    RETRIEVAL_CODING,
    "https://fhir.nhs.uk/England/StructureDefinition/Extension-England-NRLRetrievalMechanism",
    "https://fhir.nhs.uk/England/CodeSystem/England-NRLRetrievalMechanism",
    ["SSP", "Direct", "LDR", "InContext"],
    ["Spine Secure Proxy", "Direct", "Large Document Retrieval", "Direct using In-Context"]
);

/// Media types are among those allowed, and a format carries its own display.
pub(super) fn kinds(root: &Node, faults: &mut Vec<Fault>) {
    for (i, content) in root.items_at("content").iter().enumerate() {
        let part = |path: &str| content.text_at(path).unwrap_or_default();
        let content_type = part("attachment.contentType");
        if !CONTENT_TYPES.contains(&content_type) {
            let message = format!(
                "Invalid contentType: {content_type}. Must be 'application/pdf', 'text/html' or \
                 'application/fhir+json'"
            );
            faults.push(Fault::new(format!("content[{i}].attachment.contentType"), message));
        }
        let code = part("format.code");
        if let Some(expected) = format_display(code)
            && part("format.display") != expected
        {
            let message =
                format!("Invalid display for format code '{code}'. Expected '{expected}'");
            faults.push(Fault::new(format!("content[{i}].format.display"), message));
        }
    }
}

/// A media type goes with its format.
pub(super) fn formats(root: &Node, faults: &mut Vec<Fault>) {
    for (i, content) in root.items_at("content").iter().enumerate() {
        let part = |path: &str| content.text_at(path).unwrap_or_default();
        let code = part("format.code");
        let (allowed, expected, kind): (&[&str], _, _) = match part("attachment.contentType") {
            "text/html" => (&[CONTACT, STRUCTURED], CONTACT, "Contact details"),
            "application/pdf" => (&[UNSTRUCTURED], UNSTRUCTURED, "Unstructured Document"),
            other if CONTENT_TYPES.contains(&other) => {
                (&[STRUCTURED], STRUCTURED, "Structured Document")
            }
            _ => continue,
        };
        if !allowed.contains(&code) {
            let message = format!(
                "Invalid content format code: {code} format code must be '{expected}' for {kind} \
                 attachments."
            );
            faults.push(Fault::new(format!("content[{i}].format.code"), message));
        }
    }
}

/// Each content says once how stable it is, and at most once how it is retrieved. An extension of
/// the wrong shape ends the check with 400; the first content at fault ends it too.
pub(super) fn extensions(root: &Node, faults: &mut Vec<Fault>) -> Result<(), LocatorError> {
    for (i, content) in root.items_at("content").iter().enumerate() {
        let path = format!("content[{i}].extension");
        let extensions = content.items_at("extension");
        let message = match counts(extensions) {
            (1, 0 | 1) => None,
            (1, _) => Some(format!(
                "Invalid content retrieval extension: Extension must have one content retrieval \
                 extension, see: ('{RETRIEVAL_SET}')"
            )),
            _ => Some(format!(
                "Invalid content extension: Extension must have one content stability extension, \
                 see: ('{STABILITY_SET}')"
            )),
        };
        if let Some(message) = message {
            faults.push(Fault::new(path, message));
            return Ok(());
        }
        for (j, extension) in extensions.iter().enumerate() {
            if let Some(fault) = one_extension(&format!("{path}[{j}]"), extension)? {
                faults.push(fault);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// How many extensions are about stability, and how many about retrieval.
fn counts(extensions: &[Node]) -> (usize, usize) {
    let stability = extensions.iter().filter(|e| is_stability(e)).count();
    let retrieval = extensions.iter().filter(|e| !is_stability(e) && is_retrieval(e)).count();
    (stability, retrieval)
}

fn is_stability(extension: &Node) -> bool {
    extension.mentions("contentstability")
}

fn is_retrieval(extension: &Node) -> bool {
    extension.mentions("retrievalmechanism")
}

fn one_extension(path: &str, extension: &Node) -> Result<Option<Fault>, LocatorError> {
    let stability = is_stability(extension);
    let (model, source, set): (&'static [Element], _, _) = if stability {
        (&STABILITY, Source::StabilityExtension, STABILITY_SET)
    } else if is_retrieval(extension) {
        (&RETRIEVAL, Source::RetrievalExtension, RETRIEVAL_SET)
    } else {
        return Ok(None);
    };
    let mut faults = model::check(path, extension, model);
    if !faults.is_empty() {
        for fault in &mut faults {
            fault.message.push_str(", see: ");
            fault.message.push_str(set);
        }
        return Err(LocatorError::Malformed { source, faults });
    }
    let coding = "valueCodeableConcept.coding[0]";
    let part = |name: &str| extension.text_at(&format!("{coding}.{name}")).unwrap_or_default();
    let (code, display) = (part("code"), part("display"));
    let expected = match code {
        "static" => "Static",
        "dynamic" => "Dynamic",
        other => retrieval_display(other).unwrap_or_default(),
    };
    Ok((display != expected).then(|| {
        let message = format!(
            "Invalid content extension display: {display} Expected display is '{expected}'"
        );
        Fault::new(format!("{path}.{coding}.display"), message)
    }))
}
