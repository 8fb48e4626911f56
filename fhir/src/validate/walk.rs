//! Where the pass is, and what it has found so far.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize as _;
use serde::de::{Error, IgnoredAny};
use serde_json::value::RawValue;

use super::container::Container;
use super::facts::Fact;
use super::object::Object;
use super::pairing::Note;
use super::rules::Broken;
use super::survey::{Found, FoundKind, Malformed, Survey, ValidationIssue};
use super::{DEPTH_MAX, ISSUES_MAX, locate};
use crate::definitions::ResourceType;
use crate::outcome::IssueCode;

/// Where a resource stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The body itself.
    Top,
    /// In a Bundle's entry or a parameter.
    Inside,
    /// In another resource's `contained`.
    Contained,
}

/// The resource that is being read.
struct Current<'a> {
    place: Place,
    /// How long the path to it is.
    depth: usize,
    /// Its `meta.versionId`, once that was read.
    version: Option<Cow<'a, str>>,
}

/// A resource that has been read.
pub(super) struct Known<'a> {
    pub(super) resource_type: Option<ResourceType>,
    pub(super) version: Option<Cow<'a, str>>,
}

/// One step of the expression that leads here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Segment {
    Element(&'static str),
    Index(usize),
}

/// The state of one pass.
pub(super) struct Walk<'a> {
    pub(super) text: &'a str,
    pub(super) path: Vec<Segment>,
    pub(super) notes: Vec<Note>,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) facts: Vec<Fact<'a>>,
    pub(super) container: Container<'a>,
    resource: Current<'a>,
    root: &'static str,
    depth: usize,
    issues: Vec<ValidationIssue>,
    uncounted: usize,
    references: Vec<Found>,
    /// Why the pass stopped; the parser's own error then says nothing.
    stopped: Option<Malformed>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            path: Vec::with_capacity(32),
            notes: Vec::new(),
            id: None,
            facts: Vec::new(),
            container: Container::default(),
            resource: Current { place: Place::Top, depth: 0, version: None },
            root: "Resource",
            depth: 0,
            issues: Vec::new(),
            uncounted: 0,
            references: Vec::new(),
            stopped: None,
        }
    }

    pub(super) fn finish(mut self, resource_type: Option<ResourceType>) -> Survey<'a> {
        if self.uncounted > 0 {
            self.issues.push(ValidationIssue {
                expression: self.root.to_owned(),
                code: IssueCode::Informational,
                message: format!("There are {} more issues.", self.uncounted),
            });
        }
        self.references.sort_unstable_by_key(|found| found.start);
        Survey { resource_type, id: self.id, issues: self.issues, references: self.references }
    }

    /// Reads a whole resource; `text` is a part of the body.
    pub(super) fn resource(&mut self, text: &'a str, place: Place) -> Result<Known<'a>, Malformed> {
        let current = Current { place, depth: self.path.len(), version: None };
        let outer = std::mem::replace(&mut self.resource, current);
        let resource_type = if place == Place::Contained && outer.place != Place::Contained {
            self.contain();
            self.read(text, place)?
        } else {
            let around = std::mem::take(&mut self.container);
            let resource_type = self.read(text, place)?;
            let container = std::mem::replace(&mut self.container, around);
            self.close(&container, resource_type);
            resource_type
        };
        let version = std::mem::replace(&mut self.resource, outer).version;
        Ok(Known { resource_type, version })
    }

    fn read(&mut self, text: &'a str, place: Place) -> Result<Option<ResourceType>, Malformed> {
        let named = locate::resource_type(text).map_err(|e| self.stop(text, &e))?;
        let known = named.as_ref().and_then(|name| name.parse().ok());
        let mut parser = serde_json::Deserializer::from_str(text);
        let read = match known {
            Some(resource_type) => {
                if place == Place::Top {
                    self.root = ResourceType::as_str(resource_type);
                }
                Object::resource(self, resource_type.definition(), place).read(&mut parser)
            }
            None => IgnoredAny::deserialize(&mut parser).map(|_| ()),
        };
        let read = read.and_then(|()| parser.end());
        read.map_err(|e| self.stop(text, &e))?;
        if known.is_none() {
            self.without_type(text, place, named.is_some())?;
        }
        Ok(known)
    }

    /// Where the resource stands that is being read.
    pub(super) fn place(&self) -> Place {
        self.resource.place
    }

    /// An id that is a member of its resource, or of the resource's `meta`.
    pub(super) fn id(&mut self, name: &str, id: impl FnOnce() -> Cow<'a, str>) {
        match (self.path.len() - self.resource.depth, name, self.resource.place) {
            (1, "id", Place::Top) => self.id = Some(id()),
            (1, "id", Place::Contained) => self.identify(id()),
            (2, "versionId", _) => self.resource.version = Some(id()),
            _ => {}
        }
    }

    /// Well-formed JSON, but not of any type that R4 has.
    fn without_type(&mut self, text: &str, place: Place, named: bool) -> Result<(), Malformed> {
        if !text.trim_ascii_start().starts_with('{') {
            if place == Place::Top {
                return Err(Malformed::at(b"", 0, "A resource must be a JSON object"));
            }
            self.issue(IssueCode::Structure, "A resource must be a JSON object.");
        } else if named {
            self.issue(
                IssueCode::Structure,
                "R4 has no resource type of the name that resourceType gives.",
            );
        } else {
            self.issue(
                IssueCode::Required,
                "A resource must say what it is: resourceType is missing.",
            );
        }
        Ok(())
    }

    /// Reads a resource inside this one, for a parser that reads around it.
    pub(super) fn inner<E: Error>(
        &mut self,
        raw: &'a RawValue,
        place: Place,
    ) -> Result<Known<'a>, E> {
        let read = self.resource(raw.get(), place);
        read.map_err(|malformed| self.stop_with(malformed))
    }

    /// One level deeper into objects and arrays.
    pub(super) fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Ends the pass from within a parser's visitor.
    pub(super) fn stop_with<E: Error>(&mut self, malformed: Malformed) -> E {
        self.stopped = Some(malformed);
        E::custom("stopped")
    }

    /// What to answer when the parser of a part of the text has given up.
    pub(super) fn stop(&mut self, part: &str, error: &serde_json::Error) -> Malformed {
        let start = self.offset(part);
        let read = || Malformed::json(self.text, start, error);
        self.stopped.take().unwrap_or_else(read)
    }

    /// Where a part of the text starts.
    pub(super) fn offset(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.text.as_ptr().addr()
    }

    pub(super) fn found(&mut self, span: Option<(usize, usize)>, kind: FoundKind) {
        let found = span.map(|(start, end)| Found { start, end, kind });
        self.references.extend(found);
    }

    /// Something is wrong here.
    #[cold]
    pub(super) fn issue(&mut self, code: IssueCode, message: impl Into<String>) {
        self.issue_below(&[], code, message);
    }

    /// Something is wrong with an element of this object.
    #[cold]
    pub(super) fn issue_at(
        &mut self,
        element: &'static str,
        code: IssueCode,
        message: impl Into<String>,
    ) {
        self.issue_below(&[Segment::Element(element)], code, message);
    }

    /// Something is wrong some steps from here.
    #[cold]
    pub(super) fn issue_below(
        &mut self,
        steps: &[Segment],
        code: IssueCode,
        message: impl Into<String>,
    ) {
        let here = self.path.len();
        self.path.extend_from_slice(steps);
        self.issue_of(self.expression(), code, message);
        self.path.truncate(here);
    }

    /// Something is wrong with what an expression leads to.
    #[cold]
    pub(super) fn issue_of(
        &mut self,
        expression: String,
        code: IssueCode,
        message: impl Into<String>,
    ) {
        if self.issues.len() >= ISSUES_MAX {
            self.uncounted += 1;
            return;
        }
        self.issues.push(ValidationIssue { expression, code, message: message.into() });
    }

    /// An object breaks a rule.
    #[cold]
    pub(super) fn broken(&mut self, broken: Broken) {
        let message = format!("{} ({})", broken.said, broken.key);
        let steps: &[Segment] = match broken.at {
            None => &[],
            Some((element, None)) => &[Segment::Element(element)],
            Some((element, Some(item))) => &[Segment::Element(element), Segment::Index(item)],
        };
        self.issue_below(steps, IssueCode::Invariant, message);
    }

    pub(super) fn expression(&self) -> String {
        let mut expression = self.root.to_owned();
        for segment in &self.path {
            let _ = match segment {
                Segment::Element(name) => write!(expression, ".{name}"),
                Segment::Index(index) => write!(expression, "[{index}]"),
            };
        }
        expression
    }
}

const TOO_DEEP: &str = "The JSON is nested more than 64 levels deep";
const _: () = assert!(DEPTH_MAX == 64, "the sentence says the number");
