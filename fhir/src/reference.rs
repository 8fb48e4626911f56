//! What a `Reference.reference` points at. <https://hl7.org/fhir/R4/references.html>

/// A literal reference, taken apart; borrowed from its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `Type/id`, perhaps with `/_history/version`, on the server that holds the resource.
    Relative {
        /// The resource type's name.
        resource_type: &'a str,
        /// The logical id.
        id: &'a str,
        /// The version, if the reference names one.
        version: Option<&'a str>,
    },
    /// Any absolute URL or URN.
    Absolute(&'a str),
    /// `#id`: a contained resource; `#` alone is the container.
    Contained(&'a str),
    /// `Type?criteria`: to be resolved within a transaction.
    Conditional {
        /// The resource type's name.
        resource_type: &'a str,
        /// The search that must match exactly one resource.
        query: &'a str,
    },
    /// None of these.
    Invalid,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart. Types are not looked up here: `Bogus/1` is relative too.
    pub fn parse(text: &'a str) -> Self {
        if let Some(contained) = text.strip_prefix('#') {
            return Self::Contained(contained);
        }
        if let Some((resource_type, query)) = text.split_once('?')
            && is_type(resource_type)
        {
            return Self::Conditional { resource_type, query };
        }
        if has_scheme(text) {
            return Self::Absolute(text);
        }
        Self::relative(text).unwrap_or(Self::Invalid)
    }

    fn relative(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let (resource_type, id) = (parts.next()?, parts.next()?);
        let version = match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => None,
            (Some("_history"), Some(version), None) => Some(version),
            _ => return None,
        };
        let well_formed = is_type(resource_type) && is_id(id) && version.is_none_or(is_id);
        well_formed.then_some(Self::Relative { resource_type, id, version })
    }
}

/// Whether `text` is a FHIR id: 1 to 64 of `A-Z a-z 0-9 - .`, but not what a URL reads as a step.
pub fn is_id(text: &str) -> bool {
    !matches!(text, "." | "..")
        && (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

fn is_type(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphabetic())
}

fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let relative =
            |resource_type, id, version| Reference::Relative { resource_type, id, version };
        for (text, expected) in [
            ("Patient/1", relative("Patient", "1", None)),
            ("Patient/1/_history/2", relative("Patient", "1", Some("2"))),
            ("https://x/Patient/1", Reference::Absolute("https://x/Patient/1")),
            ("urn:uuid:1", Reference::Absolute("urn:uuid:1")),
            ("#a", Reference::Contained("a")),
            (
                "Patient?identifier=s|v",
                Reference::Conditional { resource_type: "Patient", query: "identifier=s|v" },
            ),
            ("Patient/", Reference::Invalid),
            ("Patient/a_b", Reference::Invalid),
            ("patient/1", Reference::Invalid),
            ("Patient/1/2", Reference::Invalid),
            ("", Reference::Invalid),
        ] {
            assert_eq!(Reference::parse(text), expected, "{text}");
        }
    }
}
