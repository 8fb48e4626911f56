//! A resource while it is patched.

use super::{OUTPUT_MAX, PatchError, PatchErrorKind};
use crate::json::depth;
use crate::tree::Tree;
use crate::validate::DEPTH_MAX;

/// Steps that all operations of a patch may take together: values visited, items shifted.
const WORK_MAX: usize = 4 << 20;
/// What a value takes in memory beside its text.
const VALUE_BYTES: usize = 8;

/// What only the server may change.
const PROTECTED: [&str; 4] = ["resourceType", "id", "meta.versionId", "meta.lastUpdated"];

/// A resource, and what the operations on it have cost.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) tree: Tree<'a>,
    pub(super) budget: Budget,
    /// Whether an operation may have left an empty array or object behind.
    pub(super) removed: bool,
    protected: [Option<Tree<'a>>; 4],
}

/// What is left of what a patch may cost, so that no patch can cost much more than its length.
#[derive(Debug)]
pub(super) struct Budget {
    work: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn spend(&mut self, work: usize) -> Result<(), PatchError> {
        let left = self.work.checked_sub(work);
        let sentence = "The patch takes too many steps; send it in parts.";
        self.work = left.ok_or_else(|| PatchError::too_large(sentence))?;
        Ok(())
    }

    /// Allows for one step through a list.
    pub(super) fn pass(&mut self, length: usize) -> Result<(), PatchError> {
        self.spend(1 + length / 8)
    }

    /// Refuses a value that is too deep `below` other values; says how large it is.
    pub(super) fn measure(&mut self, value: &Tree<'_>, below: usize) -> Result<usize, PatchError> {
        self.spend(1)?;
        let mut bytes = VALUE_BYTES;
        match value {
            Tree::Null | Tree::Bool(_) => {}
            Tree::Number(text) | Tree::String(text) => bytes += text.len(),
            _ if below >= DEPTH_MAX => return Err(too_deep()),
            Tree::Array(items) => {
                for item in items {
                    bytes += self.measure(item, below + 1)?;
                }
            }
            Tree::Object(members) => {
                for (name, value) in members {
                    bytes += name.len() + self.measure(value, below + 1)?;
                }
            }
        }
        Ok(bytes)
    }

    /// Allows for a copy of a value.
    pub(super) fn copy(&mut self, value: &Tree<'_>, below: usize) -> Result<(), PatchError> {
        let bytes = self.measure(value, below)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(too_long)?;
        Ok(())
    }
}

impl<'a> Draft<'a> {
    pub(super) fn read(text: &'a [u8]) -> Result<Self, PatchError> {
        let unreadable = |_| PatchError::malformed("The resource to be patched is not JSON.");
        let tree = Tree::parse(text).map_err(unreadable)?;
        let protected = protected(&tree).map(Option::<&Tree<'_>>::cloned);
        let budget = Budget { work: WORK_MAX, bytes: OUTPUT_MAX };
        Ok(Self { tree, budget, removed: false, protected })
    }

    /// Refuses what the last operation did if it changed what only the server may change.
    pub(super) fn guard(&mut self) -> Result<(), PatchError> {
        for object in [Some(&self.tree), self.tree.get("meta")] {
            if let Some(Tree::Object(members)) = object {
                self.budget.pass(members.len())?;
            }
        }
        let now = protected(&self.tree);
        let mut changed = PROTECTED.iter().zip(self.protected.iter().zip(now));
        let Some((name, _)) = changed.find(|(_, (before, now))| before.as_ref() != *now) else {
            return Ok(());
        };
        let sentence = format!("A patch may not change {name}.");
        Err(PatchError::new(PatchErrorKind::Protected, sentence))
    }

    /// The new text.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, PatchError> {
        if self.removed {
            prune(&mut self.tree, false);
        }
        let mut out = Vec::new();
        self.tree.write(&mut out);
        if out.len() > OUTPUT_MAX {
            return Err(too_long());
        }
        if depth(&out) > DEPTH_MAX {
            return Err(too_deep());
        }
        Ok(out)
    }
}

fn too_long() -> PatchError {
    PatchError::too_large(format!("A patch may not make more than {OUTPUT_MAX} bytes."))
}

fn too_deep() -> PatchError {
    PatchError::too_large(format!("A resource may be nested {DEPTH_MAX} deep."))
}

fn protected<'t, 'a>(tree: &'t Tree<'a>) -> [Option<&'t Tree<'a>>; 4] {
    PROTECTED.map(|name| match name.split_once('.') {
        Some((object, member)) => tree.get(object)?.get(member),
        None => tree.get(name),
    })
}

/// Drops what is empty, from the inside out. An item beside a primitive becomes null, so that the others stay
/// beside theirs.
fn prune(tree: &mut Tree<'_>, beside: bool) {
    match tree {
        Tree::Array(items) if beside => {
            for item in items.iter_mut() {
                prune(item, false);
                if is_empty(item) {
                    *item = Tree::Null;
                }
            }
            if items.iter().all(|item| *item == Tree::Null) {
                items.clear();
            }
        }
        Tree::Array(items) => {
            for item in items.iter_mut() {
                prune(item, false);
            }
            items.retain(|item| !is_empty(item));
        }
        Tree::Object(members) => {
            for (name, value) in members.iter_mut() {
                prune(value, name.starts_with('_'));
            }
            members.retain(|(_, value)| !is_empty(value));
        }
        _ => {}
    }
}

fn is_empty(tree: &Tree<'_>) -> bool {
    match tree {
        Tree::Array(items) => items.is_empty(),
        Tree::Object(members) => members.is_empty(),
        _ => false,
    }
}
