//! What index rows refer to: resources, and texts that are kept once for all. Each has a key in the
//! directory, by its space and its text.

use std::borrow::Cow;
use std::fmt::Write as _;

use fhir::definitions::ResourceType;
use fhir::fold::fold;
use fhir::reference::Reference;
use sha2::{Digest, Sha256};

/// Longest code kept as it is in an index row; a longer one keeps its beginning and a digest.
const CODE_BYTES_MAX: usize = 190;
/// Longest text kept as it is in the directory.
const TEXT_BYTES_MAX: usize = 900;
/// Stands between the parts of a directory text; no FHIR string may hold it.
pub const SEPARATOR: char = '\u{1f}';

/// The spaces of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// A resource, by its id.
    Resource(ResourceType),
    /// What is not of this record, by its URL.
    External,
    /// A text that is searched: folded, then as it was written.
    Text,
    /// A unit: system, code, human unit.
    Unit,
    /// A composite's parameter with the value of its first component: the parameter's number, code,
    /// system. Under its key stand the values of the second component.
    Pair,
}

impl Space {
    /// Its number in the directory; a resource type's is its term's.
    pub fn number(self, of_type: impl Fn(ResourceType) -> i64) -> i64 {
        match self {
            Self::Resource(resource_type) => of_type(resource_type),
            Self::External => 0,
            Self::Text => TEXT,
            Self::Unit => UNIT,
            Self::Pair => PAIR,
        }
    }
}

/// [`Space::Text`] in the directory.
pub const TEXT: i64 = -1;
/// [`Space::Unit`] in the directory.
pub const UNIT: i64 = -2;
/// [`Space::Pair`] in the directory.
pub const PAIR: i64 = -3;

/// An entry of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// What it is.
    pub space: Space,
    /// The id, URL or text.
    pub id: String,
}

impl Target {
    /// A resource of this record.
    pub fn resource(resource_type: ResourceType, id: impl Into<String>) -> Self {
        Self { space: Space::Resource(resource_type), id: id.into() }
    }

    /// The target of a literal reference; `None` for contained ones and what is no reference.
    pub fn parse(reference: &str) -> Option<Self> {
        match Reference::parse(reference) {
            Reference::Relative { resource_type, id, .. } => {
                Some(Self::resource(resource_type.parse().ok()?, id))
            }
            Reference::Absolute(url) => Some(Self::external(url)),
            _ => None,
        }
    }

    /// Something that is not of this record.
    pub fn external(url: &str) -> Self {
        Self { space: Space::External, id: code_key(url).into_owned() }
    }

    /// A text as it is searched.
    pub fn text(text: &str) -> Self {
        Self { space: Space::Text, id: exact_key(text) }
    }

    /// A quantity's unit; nothing if it has none.
    pub fn unit(system: Option<&str>, code: Option<&str>, unit: Option<&str>) -> Option<Self> {
        let parts = [system, code, unit].map(|part| code_key(part.unwrap_or_default()));
        let some = parts.iter().any(|part| !part.is_empty());
        some.then(|| Self { space: Space::Unit, id: parts.join(&SEPARATOR.to_string()) })
    }

    /// A composite's parameter with the code of its first component.
    pub fn pair(parameter: i64, code: &str, system: &str) -> Self {
        let (code, system) = (code_key(code), code_key(system));
        Self { space: Space::Pair, id: format!("{parameter}{SEPARATOR}{code}{SEPARATOR}{system}") }
    }

    /// The type, if it is a resource.
    pub fn resource_type(&self) -> Option<ResourceType> {
        if let Space::Resource(resource_type) = self.space { Some(resource_type) } else { None }
    }
}

/// A text in the directory: folded, so that it is found by its beginning, then as it was written.
pub fn exact_key(text: &str) -> String {
    format!("{}{SEPARATOR}{}", text_key(text), shorten(text, TEXT_BYTES_MAX))
}

/// What the directory text of everything that folds to this begins with.
pub fn text_key(text: &str) -> String {
    shorten(&fold(text), TEXT_BYTES_MAX).into_owned()
}

/// A code as it stands in an index row and in the search for it.
pub fn code_key(code: &str) -> Cow<'_, str> {
    shorten(code, CODE_BYTES_MAX)
}

/// A text of at most `bytes_max`: a longer one keeps its beginning, and a digest tells it apart.
fn shorten(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let mut end = bytes_max - 65;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut key = format!("{}#", &text[..end]);
    for byte in Sha256::digest(text) {
        // Writing into a String cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    Cow::Owned(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_code_keeps_its_beginning_and_a_digest() {
        let long = "é".repeat(300);
        let key = code_key(&long);
        assert!(key.len() <= CODE_BYTES_MAX && key.starts_with('é'));
        assert_ne!(key, code_key(&"é".repeat(301)));
        assert_eq!(code_key("short"), "short");
    }

    #[test]
    fn a_text_is_found_by_its_folded_beginning_and_told_apart_by_its_writing() {
        let (plain, marked) = (Target::text("Muller"), Target::text("Müller"));
        assert!(plain.id.starts_with("muller") && marked.id.starts_with("muller"));
        assert_ne!(plain, marked);
    }

    #[test]
    fn a_unit_is_whatever_names_it() {
        assert_eq!(Target::unit(None, None, None), None);
        assert_ne!(
            Target::unit(None, None, Some("mg")),
            Target::unit(Some("http://unitsofmeasure.org"), Some("mg"), Some("mg"))
        );
    }
}
