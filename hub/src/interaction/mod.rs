//! The RESTful interactions, one file each. <https://hl7.org/fhir/R4/http.html>
//!
//! | interaction | file |
//! |---|---|
//! | read, vread | [`read`], [`vread`] |
//! | create, update, delete | [`create`], [`update`], [`delete`] |
//! | history of a resource, a type, the record | [`history`] |
//! | search-type | [`search`] |
//! | transaction | [`transaction`], its text in [`links`] |
//! | capabilities | [`capabilities`] |
//!
//! [`binary`] lets what is not FHIR come and go as itself; [`content`] turns a body into what is stored; [`preconditions`] reads the headers they share.

pub mod binary;
pub mod capabilities;
pub mod content;
pub mod create;
pub mod delete;
pub mod history;
pub mod links;
pub mod preconditions;
pub mod read;
pub mod search;
pub mod transaction;
pub mod update;
pub mod vread;
