//! Where in a pointer something is. Hardly any pointer has a fault, so that a place is written out only
//! when it is told.

use std::fmt;

/// A path such as `content[0].format.display`, from its end to its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// The path so far; empty for the whole.
    Start(&'a str),
    /// A member of the object at a place.
    Member(&'a Place<'a>, &'a str),
    /// An item of the array at a place.
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(path) => formatter.write_str(path),
            Self::Member(Self::Start(""), name) => formatter.write_str(name),
            Self::Member(place, name) => write!(formatter, "{place}.{name}"),
            Self::Item(place, index) => write!(formatter, "{place}[{index}]"),
        }
    }
}
