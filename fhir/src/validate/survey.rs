//! What a validation found.

use std::borrow::Cow;
use std::fmt;

use crate::definitions::ResourceType;
use crate::outcome::IssueCode;

/// What a resource's text holds, and what is wrong with it.
#[derive(Debug)]
pub struct Survey<'a> {
    /// Its type; none if it names none that R4 has.
    pub resource_type: Option<ResourceType>,
    /// Its id, as it is written.
    pub id: Option<Cow<'a, str>>,
    /// Everything that is wrong; empty for a well-formed resource.
    pub issues: Vec<ValidationIssue>,
    /// Strings that may have to be rewritten when urn:uuid links are resolved, in order.
    pub references: Vec<Found>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationIssue {
    /// Where: element names and indices, `Observation.component[1].code`.
    pub expression: String,
    /// What kind of fault it is.
    pub code: IssueCode,
    /// What to do about it; never a value of the resource.
    pub message: String,
}

/// A string's content within the validated text: the bytes between its quotes, escapes and all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// First byte after the opening quote.
    pub start: usize,
    /// The closing quote.
    pub end: usize,
    /// What the string is.
    pub kind: FoundKind,
}

/// What a [`Found`] string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundKind {
    /// Any `Reference.reference`.
    Reference,
    /// A `uri`, `url`, `oid` or `uuid` that begins with `urn:`.
    Uri,
    /// A narrative in which `urn:` occurs.
    Narrative,
}

/// Why a text cannot be read as a resource at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    what: String,
    line: usize,
    column: usize,
}

impl Malformed {
    /// `what` went wrong at a byte of the text.
    pub(super) fn at(text: &[u8], offset: usize, what: impl Into<String>) -> Self {
        let before = &text[..offset.min(text.len())];
        let mut lines = before.split(|b| *b == b'\n').rev();
        let column = lines.next().map_or(0, <[u8]>::len).max(1);
        Self { what: what.into(), line: lines.count() + 1, column }
    }

    pub(super) fn not_utf8(text: &[u8], error: &std::str::Utf8Error) -> Self {
        Self::at(text, error.valid_up_to() + 1, "The body is not UTF-8")
    }

    /// The parser's error on a part of the text that starts at `start`.
    pub(super) fn json(text: &str, start: usize, error: &serde_json::Error) -> Self {
        let lines = text[start..].split_inclusive('\n');
        let above: usize = lines.take(error.line().saturating_sub(1)).map(str::len).sum();
        let offset = start + above + error.column();
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or_default();
        // What is wrong with the data rather than the syntax is a sentence of our own.
        let what = match error.classify() {
            serde_json::error::Category::Data => said.to_owned(),
            _ => format!("The body is not JSON: {said}"),
        };
        Self::at(text.as_bytes(), offset, what)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, line, column } = self;
        write!(f, "{what} (line {line}, column {column}).")
    }
}

impl std::error::Error for Malformed {}
