//! A search's conditions in the store's numbers: what `resolve` makes and `plan` asks.

use super::grammar::DateTest;

/// A condition in the store's numbers. An empty list matches nothing.
#[derive(Debug, Clone)]
pub enum Condition {
    /// One of these resources.
    Keys(Vec<i64>),
    /// Last updated then.
    LastUpdated(Vec<DateTest>),
    /// One of these tokens.
    Token {
        /// The parameter's number.
        parameter: i64,
        /// The alternatives.
        any: Vec<TokenNumbers>,
        /// Whether the store keeps the parameter's tokens by patient too.
        by_patient: bool,
    },
    /// One of these dates.
    Date {
        /// The parameter's number.
        parameter: i64,
        /// The alternatives.
        any: Vec<DateTest>,
    },
    /// Refers to one of these.
    Reference {
        /// The parameter's number.
        parameter: i64,
        /// Keys of the targets.
        targets: Vec<i64>,
        /// Whether all targets are Patients, and the parameter leads into their compartments.
        compartment: bool,
    },
}

/// A token in the store's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenNumbers {
    /// The system's number; `None`: any.
    pub system: Option<i64>,
    /// The code as it is kept; `None`: any.
    pub code: Option<String>,
}

impl Condition {
    /// Whether nothing can match.
    pub fn is_impossible(&self) -> bool {
        match self {
            Self::Keys(list) | Self::Reference { targets: list, .. } => list.is_empty(),
            Self::Token { any, .. } => any.is_empty(),
            Self::Date { .. } | Self::LastUpdated(_) => false,
        }
    }
}
