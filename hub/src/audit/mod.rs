//! The audit trail: what was done with the record, in chains that show what was done to them.
//!
//! | room | what lives there |
//! |---|---|
//! | [`chain`] | what binds an entry to all before it; pure |

pub mod chain;
