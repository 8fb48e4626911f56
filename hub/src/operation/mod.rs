//! Operations: what REST has no verb for, one file each. <https://hl7.org/fhir/R4/operations.html>
//!
//! | operation | file |
//! |---|---|
//! | `$everything` | [`everything`] |
//! | `$lastn` | [`lastn`] |
//! | `$validate` | [`validate`] |
//! | `$meta`, `$meta-add`, `$meta-delete` | [`meta`], [`meta_add`], [`meta_delete`] |
//! | `$receive`, `$accept`, `$reject`, `$log-disagreement` | [`task`] |
//!
//! [`labels`] is what the last two do to a resource; pure.

pub mod everything;
pub mod labels;
pub mod lastn;
pub mod meta;
pub mod meta_add;
pub mod meta_delete;
pub mod task;
pub mod validate;
