//! A write that someone asks for: by a request of its own, or by an entry of a Bundle.

use bytes::Bytes;
use fhir::definitions::ResourceType;

/// What is to be written, not yet looked at against the record.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The type that the URL names.
    pub resource_type: ResourceType,
    /// What is to be done.
    pub deed: Deed,
    /// Only if this is the current version.
    pub if_match: Option<i64>,
    /// Where its resource stands, for errors: `Patient`, `Bundle.entry[3].resource`.
    pub at: String,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Deed {
    /// `POST [type]`
    Create {
        /// The resource.
        text: Bytes,
        /// Only if these criteria select nothing.
        if_none_exist: Option<String>,
    },
    /// `PUT [type]/[id]`, `PUT [type]?criteria`
    Update {
        /// Which resource.
        target: Target,
        /// The resource.
        text: Bytes,
        /// The id in it.
        id: Option<String>,
        /// Only if there is none yet: `If-None-Match: *`.
        if_none_match: bool,
    },
    /// `PATCH [type]/[id]`, `PATCH [type]?criteria`
    Patch {
        /// Which resource.
        target: Target,
        /// The language of the patch.
        language: Language,
        /// The patch.
        text: Bytes,
    },
    /// `DELETE [type]/[id]`, `DELETE [type]?criteria`
    Delete {
        /// Which resource.
        target: Target,
    },
}

/// A language of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// RFC 7396, which FHIR does not name.
    Merge,
    /// RFC 6902.
    JsonPatch,
    /// A Parameters resource. <https://hl7.org/fhir/R4/fhirpatch.html>
    FhirPath,
}

/// Which resource.
#[derive(Debug, Clone)]
pub enum Target {
    /// The one with this id.
    Id(String),
    /// The one that these criteria select.
    Criteria(String),
}

impl Intent {
    /// The interaction's name, as the audit trail has it.
    pub fn interaction(&self) -> &'static str {
        match self.deed {
            Deed::Create { .. } => "create",
            Deed::Update { .. } => "update",
            Deed::Patch { .. } => "patch",
            Deed::Delete { .. } => "delete",
        }
    }

    /// The text that came with it.
    pub fn text(&self) -> Option<&Bytes> {
        match &self.deed {
            Deed::Create { text, .. } | Deed::Update { text, .. } | Deed::Patch { text, .. } => {
                Some(text)
            }
            Deed::Delete { .. } => None,
        }
    }

    /// The resource that came with it, and of what type it must be.
    pub fn carries(&self) -> Option<(ResourceType, &Bytes)> {
        match &self.deed {
            Deed::Create { text, .. } | Deed::Update { text, .. } => {
                Some((self.resource_type, text))
            }
            Deed::Patch { language: Language::FhirPath, text, .. } => {
                Some((ResourceType::PARAMETERS, text))
            }
            Deed::Patch { .. } | Deed::Delete { .. } => None,
        }
    }

    /// The same with another text, and its turn in a transaction: DELETE, POST, PUT and PATCH.
    pub fn with(mut self, other: Option<Bytes>) -> (u8, Self) {
        let (turn, text) = match &mut self.deed {
            Deed::Delete { .. } => return (0, self),
            Deed::Create { text, .. } => (1, text),
            Deed::Update { text, .. } | Deed::Patch { text, .. } => (2, text),
        };
        if let Some(other) = other {
            *text = other;
        }
        (turn, self)
    }

    /// Everything that makes it another request than any other.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let (target, condition) = match &self.deed {
            Deed::Create { if_none_exist, .. } => (None, if_none_exist.clone()),
            Deed::Update { target, if_none_match, .. } => {
                (Some(target), if_none_match.then(|| "*".to_owned()))
            }
            Deed::Patch { target, language, .. } => (Some(target), Some(format!("{language:?}"))),
            Deed::Delete { target } => (Some(target), None),
        };
        let target = match target {
            Some(Target::Id(id)) => format!("/{id}"),
            Some(Target::Criteria(criteria)) => format!("?{criteria}"),
            None => String::new(),
        };
        let head = format!("{} {}{target}", self.interaction(), self.resource_type);
        let conditions = format!("{condition:?} {:?}", self.if_match);
        let text = self.text().map(|text| text.to_vec()).unwrap_or_default();
        vec![head.into_bytes(), conditions.into_bytes(), text]
    }
}
