//! The index made anew while the record is in use.
//!
//! | room | what lives there |
//! |---|---|
//! | [`mod@walk`] | all resources into the index, a few at a time |

pub mod walk;
