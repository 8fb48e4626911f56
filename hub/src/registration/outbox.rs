//! What the locator should hold: one row a number, written with the Patient, settled by the sender.
//!
//! A row names the wish (`wanted`), not a step, so doing it twice is harmless. Its generation rises
//! with every new wish; an outcome settles a row only if the generation is still the one it was
//! taken with. A row that was tried before may have had an effect nobody heard of, so the sender
//! then looks before it posts.

/// A registration to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The NHS number.
    pub number: String,
    /// Whether the locator should hold a pointer (or no longer).
    pub wanted: bool,
    /// Which wish this is.
    pub generation: i64,
    /// How often it was tried before.
    pub attempts: i64,
    /// The pointer's id, as far as it is known.
    pub pointer: Option<String>,
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The task's number.
    pub number: String,
    /// The task's generation.
    pub generation: i64,
    /// How it ended.
    pub result: Settled,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The locator holds this pointer.
    Registered {
        /// Its id.
        pointer: String,
    },
    /// The locator holds no pointer of ours.
    Withdrawn,
    /// To be tried again.
    Retry {
        /// Not before this time (microseconds since 1970).
        due: i64,
        /// What was in the way; no patient data.
        problem: String,
    },
    /// The locator refuses it: a person must look.
    Parked {
        /// What the locator said; no patient data.
        problem: String,
    },
}
