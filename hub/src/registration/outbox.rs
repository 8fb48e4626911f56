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
    /// The directory key of the Patient who carries it, or did.
    pub holder: i64,
    /// Whether the locator should hold a pointer (or no longer), as far as it is the record's to say.
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
    /// The locator does not hold what it should, or it is parked: it is to be done again.
    Again,
    /// The wish is to be what the record says, of whatever generation it is.
    Aligned,
}

/// How a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To do.
    Waiting,
    /// Done.
    Settled,
    /// Refused by the locator.
    Parked,
}

/// A number that a Patient carries, that the outbox knows, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The NHS number.
    pub number: String,
    /// The directory key of the current Patient who carries it.
    pub carrier: Option<i64>,
    /// What the outbox says of it.
    pub row: Option<KnownRow>,
}

/// A row of the outbox, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRow {
    /// The directory key of the Patient whose number it is, or was.
    pub holder: i64,
    /// Whether the record wants a pointer.
    pub wanted: bool,
    /// Which wish this is.
    pub generation: i64,
    /// How far it is.
    pub state: State,
    /// The pointer's id, as far as it is known.
    pub pointer: Option<String>,
    /// What was last in the way.
    pub problem: Option<String>,
}

impl Known {
    /// Whether the outbox wants what the record says.
    pub fn is_aligned(&self) -> bool {
        match (&self.row, self.carrier) {
            (Some(row), Some(carrier)) => row.wanted && row.holder == carrier,
            (Some(row), None) => !row.wanted,
            (None, carrier) => carrier.is_none(),
        }
    }
}

impl State {
    /// As the store keeps it.
    pub fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Waiting,
            1 => Self::Settled,
            _ => Self::Parked,
        }
    }
}

/// How much there is in the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Registrations to do.
    pub waiting: i64,
    /// Since when the oldest of them waits (microseconds since 1970).
    pub oldest: Option<i64>,
    /// Registrations that the locator refuses.
    pub parked: i64,
}
