//! The language the hub, the gateway and the locator speak: FHIR R4 as data, never as transport.
//!
//! | room | what lives there |
//! |---|---|
//! | [`identifier`] | NHS, CHI and H&C numbers and ODS codes: each parses by its own digit rules or not at all |
//! | [`instant`] | FHIR dates of any precision as half-open intervals of microseconds |
//! | [`clinical`] | which date orders a type's resources in time |
//! | [`mod@reference`] | what a `Reference.reference` points at |
//! | [`number`] | decimals as the intervals that their written precision names |
//! | [`ucum`] | units of measure, compared across prefixes and products |
//! | [`fold`] | text without case, marks and uneven spaces |
//! | [`outcome`] | OperationOutcome and its issues |
//! | [`bundle`] | searchset Bundles, written by splicing and read by borrowing |
//! | [`json`] | text-level helpers that keep every byte that matters |
//! | [`definitions`] | R4 elements, search parameters and compartments as compact tables |
//! | [`tree`], [`path`] | a borrowed JSON tree and the search values found in it |
//! | [`validate`] | one streaming pass: is this text a well-formed R4 resource? |
//! | [`patch`] | JSON Patch and FHIRPath Patch |
//! | [`subset`] | part of a resource: `_elements` and `_summary` |
//!
//! **Invariants.** Nothing here knows of tokio, axum or SQL. Nothing here edits a number's text.
//! Patient identifiers never appear in `Debug` output.

pub mod bundle;
pub mod clinical;
pub mod definitions;
pub mod fold;
pub mod identifier;
pub mod instant;
pub mod json;
pub mod number;
pub mod outcome;
pub mod patch;
pub mod path;
pub mod reference;
pub mod subset;
pub mod tree;
pub mod ucum;
pub mod validate;

/// Base of the code systems that are ours alone (`region-status`, `completeness`, `custodian`, `task`).
pub const OWN_SYSTEM: &str = "urn:shared-record:";

/// The FHIR media type of everything we send.
pub const FHIR_JSON: &str = "application/fhir+json";
