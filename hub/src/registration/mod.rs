//! Registration: the locator knows, for each NHS number that a Patient here carries, that this
//! region holds a record; it learns it from the write's own transaction and nothing slows a write.
//!
//! | room | what lives there |
//! |---|---|
//! | [`outbox`] | what is to be done, kept in the store |
//! | [`mod@pointer`] | the region's pointer, as the locator wants it |
//! | [`locator`] | the producer side of the locator's API |
//! | [`sender`] | does what the outbox says, again and again until it is done |
//! | [`wish`] | which numbers are registered, by what their Patient says now |
//! | [`mod@reconcile`] | the record and the locator, compared in both directions |
//! | [`keeper`] | when they are compared |
//! | [`admin`], [`command`] | compared on demand |

pub mod admin;
pub mod command;
pub mod keeper;
pub mod locator;
pub mod outbox;
pub mod pointer;
pub mod reconcile;
pub mod sender;
pub mod wish;
