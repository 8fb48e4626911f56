//! JSON Patch. <https://www.rfc-editor.org/rfc/rfc6902>

use super::draft::Draft;
use super::equal::equal;
use super::pointer::{Pointer, index};
use super::{PatchError, PatchErrorKind, count_is_bounded};
use crate::tree::Tree;

/// One operation.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    path: Pointer,
    action: Action<'a>,
}

#[derive(Debug)]
enum Action<'a> {
    Add(Tree<'a>),
    Remove,
    Replace(Tree<'a>),
    Move(Pointer),
    Copy(Pointer),
    Test(Tree<'a>),
}

/// Reads all operations before any is applied.
pub(super) fn read(patch: &[u8]) -> Result<Vec<Operation<'_>>, PatchError> {
    let unreadable = |error| PatchError::malformed(format!("The patch is not JSON: {error}."));
    let Tree::Array(operations) = Tree::parse(patch).map_err(unreadable)? else {
        return Err(PatchError::malformed("A JSON Patch is an array of operations."));
    };
    count_is_bounded(operations.len())?;
    let operations = operations.into_iter().enumerate();
    operations.map(|(i, operation)| Operation::read(operation).map_err(|e| e.of(i))).collect()
}

impl<'a> Operation<'a> {
    fn read(mut operation: Tree<'a>) -> Result<Self, PatchError> {
        let pointer = |operation: &Tree<'a>, name| match operation.text(name) {
            Some(path) => Pointer::read(path),
            None => Err(PatchError::malformed(format!("{name} is required, and a string."))),
        };
        let value = |operation: &mut Tree<'a>| {
            let value = operation.remove("value");
            value.ok_or_else(|| PatchError::malformed("value is required."))
        };
        let path = pointer(&operation, "path")?;
        let action = match operation.text("op") {
            Some("add") => Action::Add(value(&mut operation)?),
            Some("remove") => Action::Remove,
            Some("replace") => Action::Replace(value(&mut operation)?),
            Some("move") => Action::Move(pointer(&operation, "from")?),
            Some("copy") => Action::Copy(pointer(&operation, "from")?),
            Some("test") => Action::Test(value(&mut operation)?),
            _ => {
                let sentence = "op must be add, remove, replace, move, copy or test.";
                return Err(PatchError::malformed(sentence));
            }
        };
        Ok(Self { path, action })
    }
}

/// Applies one operation.
pub(super) fn apply<'a>(draft: &mut Draft<'a>, operation: Operation<'a>) -> Result<(), PatchError> {
    let Operation { path, action } = operation;
    match action {
        Action::Add(value) => add(draft, &path, value),
        Action::Remove => remove(draft, &path).map(|_| ()),
        Action::Replace(value) => {
            draft.budget.measure(&value, path.tokens.len())?;
            *path.find(&mut draft.tree, &mut draft.budget)? = value;
            Ok(())
        }
        Action::Move(from) if path.is_within(&from) => {
            Err(PatchError::malformed("A value cannot be moved into itself."))
        }
        Action::Move(from) if path == from => {
            path.find(&mut draft.tree, &mut draft.budget).map(|_| ())
        }
        Action::Move(from) => {
            let value = remove(draft, &from)?;
            add(draft, &path, value)
        }
        Action::Copy(from) => {
            let value = from.find(&mut draft.tree, &mut draft.budget)?;
            draft.budget.copy(value, path.tokens.len())?;
            let value = value.clone();
            add(draft, &path, value)
        }
        Action::Test(value) => {
            let found = path.find(&mut draft.tree, &mut draft.budget)?;
            if equal(found, &value) {
                return Ok(());
            }
            let sentence = "The resource has another value there than the one to be tested for.";
            Err(PatchError::new(PatchErrorKind::TestFailed, sentence))
        }
    }
}

fn add<'a>(draft: &mut Draft<'a>, path: &Pointer, value: Tree<'a>) -> Result<(), PatchError> {
    draft.budget.measure(&value, path.tokens.len())?;
    let Some((holder, token)) = path.holder(&mut draft.tree, &mut draft.budget)? else {
        draft.tree = value;
        return Ok(());
    };
    match holder {
        Tree::Object(members) => {
            draft.budget.pass(members.len())?;
            holder.set(token.to_owned().into(), value);
        }
        Tree::Array(items) => {
            let index = index(token, items.len())?;
            if index > items.len() {
                return Err(PatchError::not_found("The index lies beyond the end of the array."));
            }
            draft.budget.pass(items.len() - index)?;
            items.insert(index, value);
        }
        _ => return Err(path.nothing()),
    }
    Ok(())
}

fn remove<'a>(draft: &mut Draft<'a>, path: &Pointer) -> Result<Tree<'a>, PatchError> {
    let Some((holder, token)) = path.holder(&mut draft.tree, &mut draft.budget)? else {
        return Err(PatchError::malformed("The whole resource cannot be removed by a patch."));
    };
    draft.removed = true;
    let removed = match holder {
        Tree::Object(members) => {
            draft.budget.pass(members.len())?;
            holder.remove(token)
        }
        Tree::Array(items) => {
            let index = index(token, items.len())?;
            draft.budget.pass(items.len())?;
            (index < items.len()).then(|| items.remove(index))
        }
        _ => None,
    };
    removed.ok_or_else(|| path.nothing())
}
