//! JSON Merge Patch. <https://www.rfc-editor.org/rfc/rfc7396>

use super::PatchError;
use super::draft::Draft;
use crate::tree::Tree;
use crate::validate::DEPTH_MAX;

/// Reads a patch: the members to be set, and those to be taken away as `null`.
pub(super) fn read(patch: &[u8]) -> Result<Tree<'_>, PatchError> {
    let unreadable = |error| PatchError::malformed(format!("The patch is not JSON: {error}."));
    match Tree::parse(patch).map_err(unreadable)? {
        object @ Tree::Object(_) => Ok(object),
        _ => Err(PatchError::malformed("A JSON Merge Patch is an object.")),
    }
}

/// Applies a patch.
pub(super) fn apply<'a>(draft: &mut Draft<'a>, patch: Tree<'a>) -> Result<(), PatchError> {
    draft.budget.measure(&patch, 0)?;
    draft.removed = true;
    merge(&mut draft.tree, patch, 0);
    Ok(())
}

fn merge<'a>(target: &mut Tree<'a>, patch: Tree<'a>, depth: usize) {
    let Tree::Object(members) = patch else {
        *target = patch;
        return;
    };
    if !matches!(target, Tree::Object(_)) {
        *target = Tree::Object(Vec::new());
    }
    for (name, value) in members {
        if value == Tree::Null {
            target.remove(&name);
        } else if let Some(found) = target.get_mut(&name).filter(|_| depth < DEPTH_MAX) {
            merge(found, value, depth + 1);
        } else {
            let mut fresh = Tree::Null;
            merge(&mut fresh, value, depth + 1);
            target.set(name, fresh);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::apply_merge;

    fn merged(text: &str, patch: &str) -> String {
        String::from_utf8(apply_merge(text.as_bytes(), patch.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_cases_of_the_rfc() {
        for (text, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"e":1.00}"#, r#"{"a":1}"#, r#"{"e":1.00,"a":1}"#),
            (r#"{"x":1}"#, r#"{"a":{"bb":{"ccc":null},"d":2}}"#, r#"{"x":1,"a":{"d":2}}"#),
        ] {
            assert_eq!(merged(text, patch), expected, "{text} {patch}");
        }
    }

    #[test]
    fn what_is_the_servers_stays() {
        let text = br#"{"resourceType":"Patient","id":"a","meta":{"versionId":"1"}}"#;
        for patch in [r#"{"id":"b"}"#, r#"{"meta":{"versionId":null}}"#, r#"{"meta":null}"#, "[]"] {
            assert!(apply_merge(text, patch.as_bytes()).is_err(), "{patch}");
        }
        assert!(apply_merge(text, br#"{"id":"a","active":true}"#).is_ok());
    }
}
