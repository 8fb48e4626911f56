//! A pointer: a DocumentReference that says where a record about a patient is held.
//!
//! | file | what lives there |
//! |---|---|
//! | `tree` | JSON that keeps order and duplicates |
//! | `model`, `pattern`, `place` | which members there may be, what they look like, where they are (400) |
//! | `rules`, `content` | what they must say, in the NRL's order (422) |
//! | `codes` | types, categories, formats |
//! | `setting` | practice settings: those known here, or those of a file |
//! | `text` | the server's id, date and lastUpdated put into the text as received |

pub(crate) mod codes;
mod content;
mod model;
mod pattern;
mod place;
mod rules;
mod setting;
mod text;
mod tree;

use fhir::identifier::NhsNumber;
use fhir::instant::{Interval, format_instant};

pub(crate) use setting::PracticeSettings;
pub(crate) use tree::Node;

use crate::error::{Fault, LocatorError, Source};

/// A pointer as it is stored: its text, and the values it is found by.
#[derive(Debug, Clone)]
pub(crate) struct Pointer {
    pub(crate) id: String,
    pub(crate) custodian: String,
    pub(crate) nhs_number: String,
    /// `system|code`
    pub(crate) kind: String,
    /// `system|code`
    pub(crate) category: String,
    pub(crate) created_micros: i64,
    pub(crate) updated_micros: i64,
    pub(crate) body: String,
}

/// A pointer as it was received, found to fit the model.
#[derive(Debug)]
pub(crate) struct Candidate {
    text: String,
    root: Node,
}

impl Candidate {
    /// Reads a pointer and checks it against the model.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, LocatorError> {
        let malformed = |faults| LocatorError::Malformed { source: Source::Body, faults };
        let invalid_json = |error: &dyn std::fmt::Display| {
            malformed(vec![Fault::new("", format!("Invalid JSON: {error}"))])
        };
        let text = std::str::from_utf8(body).map_err(|error| invalid_json(&error))?;
        let root = Node::parse(body).map_err(|error| invalid_json(&error))?;
        let faults = model::check("", &root, &model::DOCUMENT_REFERENCE);
        if !faults.is_empty() {
            return Err(malformed(faults));
        }
        let paths = root.duplicates();
        if !paths.is_empty() {
            return Err(LocatorError::DuplicateKeys(paths));
        }
        Ok(Self { text: text.to_owned(), root })
    }

    /// Checks the business rules. `id` is the one the pointer is to have.
    pub(crate) fn check(
        self,
        id: Option<String>,
        settings: &PracticeSettings,
    ) -> Result<Checked, LocatorError> {
        let nhs_number = rules::check(&self.root, id.as_deref(), settings)?;
        let id = id.expect("the rules refuse a pointer without an id");
        Ok(Checked { id, nhs_number, candidate: self })
    }

    /// Checks a pointer that comes from a registry: its id and instants are kept.
    pub(crate) fn restore(
        self,
        settings: &PracticeSettings,
        now_micros: i64,
    ) -> Result<Pointer, LocatorError> {
        let id = self.id().map(str::to_owned);
        let checked = self.check(id, settings)?;
        if producer_of(&checked.id) != checked.custodian() {
            return Err(LocatorError::foreign_id());
        }
        let instant = |path: &str| {
            let text = checked.root().text_at(path)?;
            Some((Interval::parse(text)?.low, text.to_owned()))
        };
        let created = instant("date").unwrap_or_else(|| (now_micros, format_instant(now_micros)));
        let updated = instant("meta.lastUpdated").unwrap_or_else(|| created.clone());
        Ok(checked.stored(created.0, updated.0, &created.1, &updated.1))
    }

    /// The id the pointer was sent with.
    pub(crate) fn id(&self) -> Option<&str> {
        self.root.text_at("id")
    }
}

/// A pointer that keeps every rule but those about its caller and about other pointers.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The id it is to have.
    pub(crate) id: String,
    nhs_number: NhsNumber,
    candidate: Candidate,
}

impl Checked {
    /// Its members.
    pub(crate) fn root(&self) -> &Node {
        &self.candidate.root
    }

    /// Its custodian's code.
    pub(crate) fn custodian(&self) -> &str {
        self.root().text_at("custodian.identifier.value").unwrap_or_default()
    }

    /// The patient's number.
    pub(crate) fn nhs_number(&self) -> &str {
        self.nhs_number.as_str()
    }

    /// Its type as `system|code`.
    pub(crate) fn kind(&self) -> String {
        self.token("type.coding[0]")
    }

    fn token(&self, coding: &str) -> String {
        let part =
            |name: &str| self.root().text_at(&format!("{coding}.{name}")).unwrap_or_default();
        format!("{}|{}", part("system"), part("code"))
    }

    /// The pointer as a new one, created at `now_micros`. Its own date is kept if it may be.
    pub(crate) fn created(&self, now_micros: i64, keep_date: bool) -> Pointer {
        let now = format_instant(now_micros);
        let own = self.root().text_at("date").filter(|_| keep_date);
        self.stored(now_micros, now_micros, own.unwrap_or(&now), &now)
    }

    /// The pointer in place of `previous`: its creation and date stay.
    pub(crate) fn updated(&self, previous: &Pointer, date: &str, now_micros: i64) -> Pointer {
        self.stored(previous.created_micros, now_micros, date, &format_instant(now_micros))
    }

    fn stored(
        &self,
        created_micros: i64,
        updated_micros: i64,
        date: &str,
        last_updated: &str,
    ) -> Pointer {
        Pointer {
            id: self.id.clone(),
            custodian: self.custodian().to_owned(),
            nhs_number: self.nhs_number().to_owned(),
            kind: self.kind(),
            category: self.token("category[0].coding[0]"),
            created_micros,
            updated_micros,
            body: text::stamp(&self.candidate.text, &self.id, date, last_updated),
        }
    }
}

/// Whether the text of a stored pointer still fits the model.
pub(crate) fn is_readable(body: &str) -> bool {
    let root = Node::parse(body.as_bytes());
    root.is_ok_and(|root| model::check("", &root, &model::DOCUMENT_REFERENCE).is_empty())
}

/// The code of the organisation that produced the pointer with this id.
pub(crate) fn producer_of(id: &str) -> &str {
    id.split_once('-').map_or(id, |(producer, _)| producer)
}
