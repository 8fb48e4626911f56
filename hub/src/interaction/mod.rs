//! The RESTful interactions, one file each. <https://hl7.org/fhir/R4/http.html>
//!
//! | interaction | file |
//! |---|---|
//! | read, vread | [`read`], [`vread`] |
//! | create, update, patch, delete | [`create`], [`update`], [`patch`], [`delete`], and their conditional forms |
//! | history of a resource, a type, the record | [`history`] |
//! | search-type | [`search`] |
//! | batch, transaction | [`bundle`], its text in [`links`] |
//! | capabilities | [`capabilities`] |
//!
//! [`binary`] lets what is not FHIR come and go as itself.
//!
//! Every write goes the same way, whether it came by itself or in a Bundle:
//!
//! | step | file |
//! |---|---|
//! | headers -> conditions | [`preconditions`] |
//! | request or entry -> what is asked for | [`intent`] |
//! | where it leads in the record, and on what it then rests | [`resolve`], [`footing`] |
//! | text -> what is stored | [`content`] |
//! | written, with what stands beside it | [`perform`], [`provenance`], [`once`] |
//! | told | [`done`] |
//!
//! An edit of another organisation's resource may lead elsewhere: see [`custody`](crate::custody).
//!
//! [`permission`] holds what is asked to what the caller's scopes grant.

pub mod binary;
pub mod bundle;
pub mod capabilities;
pub mod content;
pub mod create;
pub mod delete;
pub mod done;
pub mod footing;
pub mod history;
pub mod intent;
pub mod links;
pub mod once;
pub mod patch;
pub mod perform;
pub mod permission;
pub mod preconditions;
pub mod provenance;
pub mod read;
pub mod resolve;
pub mod search;
pub mod update;
pub mod vread;
