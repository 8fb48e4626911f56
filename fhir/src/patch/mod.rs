//! Changing part of a resource. <https://hl7.org/fhir/R4/http.html#patch>
//!
//! | room | what it knows |
//! |---|---|
//! | `json` | JSON Patch (RFC 6902), and `pointer` (RFC 6901), by which it names places |
//! | `merge` | JSON Merge Patch (RFC 7396), which FHIR does not name but clients send |
//! | `fhirpath` | FHIRPath Patch: a Parameters resource, and the paths in it |
//! | `draft` | the resource while it is patched: what may not change, what it may cost, what is left at the end |
//! | `equal` | when two JSON values are the same |
//!
//! All operations succeed or nothing is changed. What they do not touch comes back as it was: numbers keep
//! their digits and members their order. Arrays and objects that a removal has emptied go too, once all
//! operations are done, for FHIR knows no empty ones. Whether the outcome is a well-formed resource is not judged here:
//! see [`crate::validate`].

mod draft;
mod equal;
mod fhirpath;
mod json;
mod merge;
mod pointer;

use std::fmt;

use crate::definitions::ResourceType;
use draft::Draft;

/// A patch may have this many operations.
pub const OPERATIONS_MAX: usize = 1_000;
/// What a patch makes may be this large, and so may all that it copies.
pub const OUTPUT_MAX: usize = 16 << 20;
/// A path, or a JSON Pointer, may be this long.
pub const PATH_MAX: usize = 1 << 10;

/// Why a patch was not applied. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchError {
    /// What is at fault.
    pub kind: PatchErrorKind,
    /// Which operation, counted from 0; also 0 if it is the patch as a whole.
    pub operation: usize,
    /// A sentence for whoever wrote the patch. It holds no value of the resource.
    pub sentence: String,
}

/// What is at fault with a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchErrorKind {
    /// It is not a patch: not JSON, a part is missing, of the wrong type, or not of this language.
    Malformed,
    /// What it is to change is not there.
    NotFound,
    /// It names several elements where one is to be changed.
    Ambiguous,
    /// What it adds is there already, and may be there once only.
    Occupied,
    /// Its `test` did not hold.
    TestFailed,
    /// It changes what only the server may change.
    Protected,
    /// It asks for a part of FHIRPath that is not read here.
    NotSupported,
    /// It has too many operations, or makes something too large or too deep.
    TooLarge,
}

impl PatchError {
    fn new(kind: PatchErrorKind, sentence: impl Into<String>) -> Self {
        Self { kind, operation: 0, sentence: sentence.into() }
    }

    fn malformed(sentence: impl Into<String>) -> Self {
        Self::new(PatchErrorKind::Malformed, sentence)
    }

    fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(PatchErrorKind::NotFound, sentence)
    }

    fn too_large(sentence: impl Into<String>) -> Self {
        Self::new(PatchErrorKind::TooLarge, sentence)
    }

    /// Says which operation it was.
    fn of(mut self, operation: usize) -> Self {
        self.operation = operation;
        self
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation {} of the patch: {}", self.operation, self.sentence)
    }
}

impl std::error::Error for PatchError {}

/// Applies a JSON Patch document to a resource's JSON text and gives the new text, without white space.
/// <https://www.rfc-editor.org/rfc/rfc6902>
pub fn apply_json(text: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let operations = json::read(patch)?;
    let mut draft = Draft::read(text)?;
    for (index, operation) in operations.into_iter().enumerate() {
        let done = json::apply(&mut draft, operation).and_then(|()| draft.guard());
        done.map_err(|error| error.of(index))?;
    }
    draft.finish()
}

/// Applies the operations of a Parameters resource to a resource's JSON text and gives the new text, without white
/// space. <https://hl7.org/fhir/R4/fhirpatch.html>
///
/// Paths are of a part of FHIRPath: elements, `[0]`, `first()`, `last()`, `where(…)` and `exists(…)` with `=`, `!=`, `and`,
/// `or`, `not()` and `empty()`, `ofType(…)` and `as`, `extension(…)`, `%resource` and `$this`. A choice is
/// named as in FHIRPath (`value`) or by its member (`valueQuantity`).
pub fn apply_fhirpath(
    text: &[u8],
    resource_type: ResourceType,
    parameters: &[u8],
) -> Result<Vec<u8>, PatchError> {
    let operations = fhirpath::read(parameters)?;
    let mut draft = Draft::read(text)?;
    for (index, operation) in operations.into_iter().enumerate() {
        let done = fhirpath::apply(&mut draft, resource_type, operation);
        done.and_then(|()| draft.guard()).map_err(|error| error.of(index))?;
    }
    draft.finish()
}

/// Applies a JSON Merge Patch to a resource's JSON text and gives the new text, without white space.
/// <https://www.rfc-editor.org/rfc/rfc7396>
pub fn apply_merge(text: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let patch = merge::read(patch)?;
    let mut draft = Draft::read(text)?;
    merge::apply(&mut draft, patch)?;
    draft.guard()?;
    draft.finish()
}

fn count_is_bounded(operations: usize) -> Result<(), PatchError> {
    if operations > OPERATIONS_MAX {
        let sentence = format!("A patch may have {OPERATIONS_MAX} operations; send it in parts.");
        return Err(PatchError::too_large(sentence));
    }
    Ok(())
}

fn length_is_bounded(path: &str) -> Result<(), PatchError> {
    if path.len() > PATH_MAX {
        let sentence = format!("A path may be {PATH_MAX} bytes long.");
        return Err(PatchError::too_large(sentence));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
