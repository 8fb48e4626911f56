//! The tables of the model: one for each object in a pointer.

use super::{Element, Kind, any, once, optional, some};
use crate::pointer::codes;
use crate::pointer::pattern::Pattern;

const ID: Element = optional("id", Kind::Text(Pattern::Id));

/// `DocumentReference`
pub(in crate::pointer) static DOCUMENT_REFERENCE: [Element; 22] = [
    once("resourceType", Kind::OneOf(&["DocumentReference"])),
    optional("id", Kind::Text(Pattern::PointerId)),
    optional("meta", Kind::Object(&META)),
    optional("implicitRules", Kind::Text(Pattern::Anything)),
    optional("language", Kind::Text(Pattern::Code)),
    optional("text", Kind::Object(&NARRATIVE)),
    optional("masterIdentifier", Kind::Object(&IDENTIFIER)),
    any("identifier", Kind::Object(&IDENTIFIER)),
    once("status", Kind::Text(Pattern::Current)),
    optional("docStatus", Kind::OneOf(&["entered-in-error", "amended", "preliminary", "final"])),
    once("type", Kind::Object(&NRL_CODEABLE_CONCEPT)),
    some("category", Kind::Object(&NRL_CODEABLE_CONCEPT), usize::MAX),
    optional("subject", Kind::Object(&REFERENCE)),
    optional("date", Kind::Text(Pattern::Instant)),
    some("author", Kind::Object(&REFERENCE), usize::MAX),
    optional("authenticator", Kind::Object(&REFERENCE)),
    optional("custodian", Kind::Object(&REFERENCE)),
    any("relatesTo", Kind::Object(&RELATES_TO)),
    optional("description", Kind::Text(Pattern::Words)),
    any("securityLabel", Kind::Object(&CODEABLE_CONCEPT)),
    some("content", Kind::Object(&CONTENT), usize::MAX),
    once("context", Kind::Object(&CONTEXT)),
];

static META: [Element; 7] = [
    ID,
    optional("versionId", Kind::Text(Pattern::Id)),
    optional("lastUpdated", Kind::Text(Pattern::Instant)),
    optional("source", Kind::Text(Pattern::Words)),
    any("profile", Kind::Text(Pattern::Words)),
    any("security", Kind::Object(&CODING)),
    any("tag", Kind::Object(&CODING)),
];

static NARRATIVE: [Element; 3] =
    [ID, once("status", Kind::Text(Pattern::Code)), once("div", Kind::Text(Pattern::Anything))];

static IDENTIFIER: [Element; 7] = [
    ID,
    optional("use", Kind::Text(Pattern::Code)),
    optional("type", Kind::Object(&CODEABLE_CONCEPT)),
    optional("system", Kind::Text(Pattern::Words)),
    optional("value", Kind::Text(Pattern::Words)),
    optional("period", Kind::Object(&PERIOD)),
    optional("assigner", Kind::Object(&REFERENCE)),
];

static REFERENCE: [Element; 5] = [
    ID,
    optional("reference", Kind::Text(Pattern::Words)),
    optional("type", Kind::Text(Pattern::Words)),
    optional("identifier", Kind::Object(&IDENTIFIER)),
    optional("display", Kind::Text(Pattern::Words)),
];

static PERIOD: [Element; 3] = [
    ID,
    optional("start", Kind::Text(Pattern::DateTime)),
    optional("end", Kind::Text(Pattern::DateTime)),
];

static CODING: [Element; 6] = [
    ID,
    optional("system", Kind::Text(Pattern::System)),
    optional("version", Kind::Text(Pattern::Words)),
    optional("code", Kind::Text(Pattern::Code)),
    optional("display", Kind::Text(Pattern::Words)),
    optional("userSelected", Kind::Flag),
];

static CODEABLE_CONCEPT: [Element; 3] =
    [ID, any("coding", Kind::Object(&CODING)), optional("text", Kind::Text(Pattern::Words))];

static NRL_CODING: [Element; 6] = [
    ID,
    once("system", Kind::Text(Pattern::System)),
    optional("version", Kind::Text(Pattern::Words)),
    once("code", Kind::Text(Pattern::Code)),
    once("display", Kind::Text(Pattern::Words)),
    optional("userSelected", Kind::Flag),
];

static NRL_CODEABLE_CONCEPT: [Element; 3] = [
    ID,
    some("coding", Kind::Object(&NRL_CODING), 1),
    optional("text", Kind::Text(Pattern::Words)),
];

static RELATES_TO: [Element; 3] =
    [ID, once("code", Kind::Text(Pattern::Code)), once("target", Kind::Object(&REFERENCE))];

static CONTENT: [Element; 4] = [
    ID,
    once("attachment", Kind::Object(&ATTACHMENT)),
    once("format", Kind::Object(&FORMAT)),
    some("extension", Kind::Object(&EXTENSION), 2),
];

static ATTACHMENT: [Element; 9] = [
    ID,
    once("contentType", Kind::Text(Pattern::Code)),
    optional("language", Kind::Text(Pattern::Code)),
    optional("data", Kind::Text(Pattern::Base64)),
    once("url", Kind::Text(Pattern::Anything)),
    optional("size", Kind::Integer),
    optional("hash", Kind::Text(Pattern::Base64)),
    optional("title", Kind::Text(Pattern::Words)),
    optional("creation", Kind::Text(Pattern::DateTime)),
];

static FORMAT: [Element; 6] = [
    ID,
    once("system", Kind::OneOf(&[codes::FORMAT])),
    optional("version", Kind::Text(Pattern::Words)),
    once("code", Kind::OneOf(&[codes::CONTACT, codes::UNSTRUCTURED, codes::STRUCTURED])),
    once(
        "display",
        Kind::OneOf(&[
            "Contact details (HTTP Unsecured)",
            "Unstructured Document",
            "Structured Document",
        ]),
    ),
    optional("userSelected", Kind::Flag),
];

pub(super) static EXTENSION: [Element; 3] = [
    ID,
    optional("url", Kind::Text(Pattern::Anything)),
    optional("valueCodeableConcept", Kind::Object(&CODEABLE_CONCEPT)),
];

static CONTEXT: [Element; 8] = [
    ID,
    any("encounter", Kind::Object(&REFERENCE)),
    any("event", Kind::Object(&CODEABLE_CONCEPT)),
    optional("period", Kind::Object(&PERIOD)),
    optional("facilityType", Kind::Object(&CODEABLE_CONCEPT)),
    once("practiceSetting", Kind::Object(&NRL_CODEABLE_CONCEPT)),
    optional("sourcePatientInfo", Kind::Object(&REFERENCE)),
    any("related", Kind::Object(&REFERENCE)),
];
