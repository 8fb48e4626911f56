//! A search's conditions in the store's numbers: what [`super::criterion`] makes and
//! [`super::predicate`] asks. An empty list of alternatives matches nothing.

use fhir::instant::Interval;

use super::grammar::{DateTest, NumberTest, TextTest, UnitTest};

/// A condition on a resource.
#[derive(Debug, Clone)]
pub enum Condition {
    /// It has one of these ids.
    Ids {
        /// Numbers of the types searched.
        types: Vec<i64>,
        /// The ids.
        ids: Vec<String>,
    },
    /// It was last updated then.
    LastUpdated(Vec<DateTest>),
    /// It has one of these values.
    Value(Under, Test),
    /// A resource refers to it that matches.
    Referred {
        /// The numbers of the parameter that refers.
        parameters: Vec<i64>,
        /// Who refers.
        sources: Matching,
    },
    /// It is in the compartment of one of these Patients.
    Compartment(Keys),
    /// It is in no compartment, but something that meets a condition refers to it.
    ReferredFrom {
        /// Who refers.
        source: Box<Condition>,
        /// Never resources of this type.
        except: Option<i64>,
    },
    /// Its clinical time is in this interval, or it has none.
    Within(Interval),
    /// It is an entry of one of these Lists.
    Listed {
        /// The number of List's `item`.
        parameter: i64,
        /// The Lists.
        lists: Keys,
    },
    /// It has a value at all.
    Present(Under, Table),
    /// The condition does not hold.
    Not(Box<Condition>),
    /// One of these holds.
    Any(Vec<Condition>),
}

/// Under what a value stands in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Under {
    /// Numbers of parameters; several for a union of others, or for several types.
    Parameters(Vec<i64>),
    /// Composites with this first component.
    Pairs {
        /// Numbers of the composites.
        parameters: Vec<i64>,
        /// The first component's code.
        code: String,
        /// Its system; `None`: any.
        system: Option<String>,
    },
}

/// The tables of index values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the table of that name")]
pub enum Table {
    Token,
    Date,
    Number,
    Reference,
}

/// What a value must be.
#[derive(Debug, Clone)]
pub enum Test {
    /// One of these tokens.
    Token {
        /// The alternatives.
        any: Vec<TokenNumbers>,
        /// Whether the store keeps the parameter's tokens by patient too.
        by_patient: bool,
    },
    /// A uri below or equal to one of these.
    Below(Vec<String>),
    /// One of these dates.
    Date(Vec<DateTest>),
    /// One of these numbers.
    Number(Vec<(NumberTest, UnitTest)>),
    /// Not farther from a position than this.
    Near(Vec<Near>),
    /// A reference to one of these.
    Reference {
        /// What is referred to.
        targets: Keys,
        /// Whether all are Patients, and the parameter leads into their compartments.
        compartment: bool,
    },
}

impl Test {
    /// Where such values are kept.
    pub fn table(&self) -> Table {
        match self {
            Self::Token { .. } | Self::Below(_) => Table::Token,
            Self::Date(_) => Table::Date,
            Self::Number(_) | Self::Near(_) => Table::Number,
            Self::Reference { .. } => Table::Reference,
        }
    }
}

/// A token in the store's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenNumbers {
    /// The system.
    pub system: System,
    /// The code as it is kept; `None`: any.
    pub code: Option<String>,
}

/// A code system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// Any, or none.
    Any,
    /// The one of this number.
    Known(i64),
    /// One that this process has not met; another may have.
    Named(String),
}

/// A circle on the earth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Kilometres.
    pub within_km: f64,
}

/// Keys of directory entries.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Of these entries: the space's number and the text.
    Entries(Vec<(i64, String)>),
    /// Of the Patients who carry a national number now, or another identifier.
    Identified {
        /// The number of the type Patient.
        patient: i64,
        /// The number of Patient's `identifier`.
        parameter: i64,
        /// National numbers: system and value.
        numbers: Vec<(String, String)>,
        /// Other identifiers.
        others: Vec<TokenNumbers>,
    },
    /// Of texts.
    Texts(Vec<TextTest>),
    /// Of the resources that match.
    Matching(Vec<Matching>),
}

/// Resources of some types that meet all conditions.
#[derive(Debug, Clone)]
pub struct Matching {
    /// Numbers of the types; none: of all types.
    pub types: Vec<i64>,
    /// What all must hold.
    pub conditions: Vec<Condition>,
}
