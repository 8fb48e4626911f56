//! The audit trail: what was done with the record, in chains that show what was done to them.
//!
//! | room | what lives there |
//! |---|---|
//! | [`chain`] | what binds an entry to all before it; pure |
//! | [`lines`] | the journal's lines -> the trail, each once |
//! | [`head`] | where all lanes end, in one signed document |
//! | [`keeper`] | what moves lines and makes heads while a hub serves |
//! | [`disclosed`] | whom an answer is about, for the journal |
//! | [`subject`] | whom an entry is about |
//! | [`event`] | an entry as an AuditEvent; pure |
//! | [`interaction`] | `GET AuditEvent?…` and `GET AuditEvent/[id]` |
//! | [`witness`] | heads sent to other regions, and theirs kept |
//! | [`verify`] | what was altered, dropped, moved or cut off |
//! | [`command`] | the same, for an operator |
//!
//! What shows what: the chain shows everything but a new chain or a shorter one; a head shows those
//! too, up to where it was made; that heads themselves are gone shows only to who keeps a copy.

pub mod chain;
pub mod command;
pub mod disclosed;
pub mod event;
pub mod head;
pub mod interaction;
pub mod keeper;
pub mod lines;
pub mod subject;
pub mod verify;
pub mod witness;
