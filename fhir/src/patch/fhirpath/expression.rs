//! The part of FHIRPath that is read here. <http://hl7.org/fhirpath/N1>

use crate::tree::Tree;

/// What a path or a condition says.
#[derive(Debug, PartialEq)]
pub(super) enum Expression<'p> {
    Literal(Literal<'p>),
    Path(Path<'p>),
    Equal { left: Box<Self>, right: Box<Self>, negated: bool },
    Both(Vec<Self>),
    Either(Vec<Self>),
}

/// A value written in a condition.
#[derive(Debug, PartialEq)]
pub(super) enum Literal<'p> {
    /// A string, a number or a boolean.
    Value(Tree<'p>),
    /// A date, a dateTime or a time, as it stands after the `@`.
    Date(&'p str),
}

/// Steps from element to element.
#[derive(Debug, PartialEq)]
pub(super) struct Path<'p> {
    pub(super) head: Head<'p>,
    pub(super) steps: Vec<Step<'p>>,
}

/// Where a path begins.
#[derive(Debug, PartialEq)]
pub(super) enum Head<'p> {
    /// The resource, or the element that a condition is about.
    This,
    /// `%resource`
    Resource,
    /// What stands in parentheses.
    Inner(Box<Expression<'p>>),
}

#[derive(Debug, PartialEq)]
pub(super) enum Step<'p> {
    Member(&'p str),
    Index(usize),
    First,
    Last,
    Where(Expression<'p>),
    OfType(&'p str),
    Extension(String),
    Exists,
    Empty,
    Not,
}
