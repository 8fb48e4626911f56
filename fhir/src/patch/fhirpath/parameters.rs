//! The operations in a Parameters resource. <https://hl7.org/fhir/R4/fhirpatch.html>

use std::borrow::Cow;

use super::super::{PatchError, count_is_bounded};
use super::value::{Given, Item};
use crate::tree::Tree;

/// One operation.
#[derive(Debug)]
pub(in super::super) struct Operation<'a> {
    pub(super) path: Cow<'a, str>,
    pub(super) action: Action<'a>,
}

#[derive(Debug)]
pub(super) enum Action<'a> {
    Add { name: Cow<'a, str>, value: Given<'a> },
    Insert { index: usize, value: Given<'a> },
    Delete,
    Replace(Given<'a>),
    Move { source: usize, destination: usize },
}

/// A parameter, or a part of one.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) given: Option<Given<'a>>,
}

/// Reads all operations before any is applied.
pub(in super::super) fn read(parameters: &[u8]) -> Result<Vec<Operation<'_>>, PatchError> {
    let unreadable = |error| PatchError::malformed(format!("The patch is not JSON: {error}."));
    let mut parameters = Tree::parse(parameters).map_err(unreadable)?;
    if parameters.text("resourceType") != Some("Parameters") {
        return Err(PatchError::malformed("A FHIRPath Patch is a Parameters resource."));
    }
    let operations = match parameters.remove("parameter") {
        None => Vec::new(),
        Some(Tree::Array(operations)) => operations,
        Some(_) => return Err(PatchError::malformed("parameter must be an array.")),
    };
    count_is_bounded(operations.len())?;
    let operations = operations.into_iter().enumerate();
    operations.map(|(i, operation)| Operation::read(operation).map_err(|e| e.of(i))).collect()
}

/// The parts that an operation may have, each once.
#[derive(Default)]
struct Parts<'a> {
    action: Option<Cow<'a, str>>,
    path: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    value: Option<Given<'a>>,
    index: Option<usize>,
    source: Option<usize>,
    destination: Option<usize>,
}

impl<'a> Operation<'a> {
    fn read(operation: Tree<'a>) -> Result<Self, PatchError> {
        let Part { name, given } = Part::read(operation)?;
        let parts = match given {
            Some(Given::Parts(parts)) if name == "operation" => parts,
            _ => {
                let sentence = "Each parameter must be named operation and have parts.";
                return Err(PatchError::malformed(sentence));
            }
        };
        let mut read = Parts::default();
        for part in parts {
            read.take(part)?;
        }
        let Parts { action, path, name, value, index, source, destination } = read;
        let value = || required(value, "value");
        let action = match action.as_deref() {
            Some("add") => Action::Add { name: required(name, "name")?, value: value()? },
            Some("insert") => Action::Insert { index: required(index, "index")?, value: value()? },
            Some("delete") => Action::Delete,
            Some("replace") => Action::Replace(value()?),
            Some("move") => Action::Move {
                source: required(source, "source")?,
                destination: required(destination, "destination")?,
            },
            _ => {
                let sentence = "type must be add, insert, delete, replace or move.";
                return Err(PatchError::malformed(sentence));
            }
        };
        Ok(Self { path: required(path, "path")?, action })
    }
}

impl<'a> Parts<'a> {
    fn take(&mut self, part: Part<'a>) -> Result<(), PatchError> {
        let Part { name, given } = part;
        let given = given.ok_or_else(|| PatchError::malformed("A part has no value."))?;
        match &*name {
            "type" => once(&mut self.action, text(given)?),
            "path" => once(&mut self.path, text(given)?),
            "name" => once(&mut self.name, text(given)?),
            "value" => once(&mut self.value, given),
            "index" => once(&mut self.index, number(given)?),
            "source" => once(&mut self.source, number(given)?),
            "destination" => once(&mut self.destination, number(given)?),
            _ => {
                let sentence = "The parts of an operation are type, path, name, value, index, source and destination.";
                Err(PatchError::malformed(sentence))
            }
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), PatchError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(PatchError::malformed("A part is given twice.")),
    }
}

fn required<T>(part: Option<T>, name: &str) -> Result<T, PatchError> {
    part.ok_or_else(|| PatchError::malformed(format!("The part {name} is required.")))
}

fn text(given: Given<'_>) -> Result<Cow<'_, str>, PatchError> {
    match given {
        Given::Value { item: Item { value: Tree::String(text), .. }, .. } => Ok(text),
        _ => Err(PatchError::malformed("type, path and name must be strings.")),
    }
}

fn number(given: Given<'_>) -> Result<usize, PatchError> {
    let number = match &given {
        Given::Value { item: Item { value: Tree::Number(text), .. }, .. } => text.parse().ok(),
        _ => None,
    };
    let sentence = "index, source and destination must be integers, and not negative.";
    number.ok_or_else(|| PatchError::malformed(sentence))
}

impl<'a> Part<'a> {
    fn read(part: Tree<'a>) -> Result<Self, PatchError> {
        let Tree::Object(members) = part else {
            return Err(PatchError::malformed("A parameter must be an object."));
        };
        let mut name = None;
        let mut form: Option<String> = None;
        let mut item = Item::default();
        let mut given = Vec::new();
        for (key, member) in members {
            match (&*key, member) {
                ("name", Tree::String(text)) => name = Some(text),
                ("part", Tree::Array(parts)) => {
                    let parts = parts.into_iter().map(Self::read).collect::<Result<_, _>>()?;
                    given.push(Given::Parts(parts));
                }
                ("resource", resource) => given.push(Given::Resource(resource)),
                ("id" | "_name" | "extension", _) => {}
                (key, member) => {
                    let (key, beside) = key.strip_prefix('_').map_or((key, false), |k| (k, true));
                    let suffix = key.strip_prefix("value").filter(|suffix| !suffix.is_empty());
                    let suffix = suffix.filter(|s| form.as_deref().is_none_or(|form| form == *s));
                    let Some(suffix) = suffix else {
                        let sentence =
                            "A parameter has a name, and one of value[x], resource and part.";
                        return Err(PatchError::malformed(sentence));
                    };
                    form = Some(suffix.to_owned());
                    *(if beside { &mut item.beside } else { &mut item.value }) = member;
                }
            }
        }
        given.extend(form.map(|form| Given::Value { form, item }));
        if given.len() > 1 {
            let sentence = "A parameter has one of value[x], resource and part.";
            return Err(PatchError::malformed(sentence));
        }
        Ok(Self { name: required(name, "name")?, given: given.pop() })
    }
}
