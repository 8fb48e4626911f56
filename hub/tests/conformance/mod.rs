//! What FHIR R4 asks of one exchange, where servers are known to slip.
//!
//! | room | what is asked |
//! |---|---|
//! | [`fixtures`] | resources, Bundles, and tables of searches |
//! | [`versioning`] | ids, versions, deletions and what a client may read again |
//! | [`conditional`] | writes that name their resource by a search |
//! | [`preferences`] | what a caller asks for with Prefer, and which search it is refused |
//! | [`negotiation`] | media types, formats, methods and bodies |
//! | [`fidelity`] | what goes in comes out |
//! | [`strictness`] | what may not go in |
//! | [`search_values`] | strings, tokens and dates |
//! | [`search_numbers`] | numbers and quantities |
//! | [`search_references`] | references, chains and compartments |
//! | [`search_results`] | includes, summaries, counts, links and order |
//! | [`walks`] | pages while others write |
//! | [`bundles`], [`bundle_order`], [`bundle_size`] | transactions and batches |
//! | [`history`] | one resource's, one type's, everyone's |
//! | [`patch`] | JSON Patch and FHIRPath Patch |
//! | [`capabilities`] | what is declared works |
//! | [`platform`] | compression, correlation, refusals |

mod bundle_order;
mod bundle_size;
mod bundles;
mod capabilities;
mod conditional;
mod fidelity;
mod fixtures;
mod history;
mod negotiation;
mod patch;
mod platform;
mod preferences;
mod search_numbers;
mod search_references;
mod search_results;
mod search_values;
mod strictness;
mod versioning;
mod walks;
