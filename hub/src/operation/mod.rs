//! Operations: what REST has no verb for, one file each. <https://hl7.org/fhir/R4/operations.html>
//!
//! | operation | file |
//! |---|---|
//! | `$validate` | [`validate`] |
//! | `$meta`, `$meta-add`, `$meta-delete` | [`meta`], [`meta_add`], [`meta_delete`] |
//!
//! [`labels`] is what the last two do to a resource; pure.

pub mod labels;
pub mod meta;
pub mod meta_add;
pub mod meta_delete;
pub mod validate;
