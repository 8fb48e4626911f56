//! Profiles, security labels and tags, added to a resource or taken from it. Pure.
//!
//! A label is the same as another if system and code are; nothing else of a resource is touched.

use std::borrow::Cow;

use fhir::tree::Tree;

const LISTS: [&str; 3] = ["profile", "security", "tag"];
/// Extensions of the profiles, place by place.
const BESIDE_PROFILES: &str = "_profile";

/// Adds what is in `given` and not yet in the resource's `meta`; whether there was any.
pub fn add<'a>(resource: &mut Tree<'a>, given: &Tree<'a>) -> bool {
    let Some(meta) = resource.get_mut("meta") else { return false };
    let mut changed = false;
    for name in LISTS {
        for label in labels(given, name) {
            if labels(meta, name).iter().any(|there| same(there, label)) {
                continue;
            }
            changed = true;
            if let (true, Some(Tree::Array(beside))) =
                (name == "profile", meta.get_mut(BESIDE_PROFILES))
            {
                beside.push(Tree::Null);
            }
            match meta.get_mut(name) {
                Some(Tree::Array(there)) => there.push(label.clone()),
                _ => meta.set(Cow::Borrowed(name), Tree::Array(vec![label.clone()])),
            }
        }
    }
    changed
}

/// Takes what is in `given` out of the resource's `meta`; whether there was any.
pub fn delete<'a>(resource: &mut Tree<'a>, given: &Tree<'a>) -> bool {
    let Some(meta) = resource.get_mut("meta") else { return false };
    let mut changed = false;
    for name in LISTS {
        let unwanted = labels(given, name);
        let keep = |there: &Tree<'_>| !unwanted.iter().any(|label| same(there, label));
        let kept: Vec<bool> = labels(meta, name).iter().map(keep).collect();
        if kept.iter().all(|keep| *keep) {
            continue;
        }
        changed = true;
        retain(meta, name, &kept);
        if name == "profile" {
            retain(meta, BESIDE_PROFILES, &kept);
        }
    }
    changed
}

/// Keeps those items of a list; a list without any goes as a whole, as FHIR has no empty ones.
fn retain(meta: &mut Tree<'_>, name: &str, kept: &[bool]) {
    let Some(Tree::Array(items)) = meta.get_mut(name) else { return };
    let mut keep = kept.iter();
    items.retain(|_| keep.next().copied().unwrap_or(true));
    if items.iter().all(|item| *item == Tree::Null) {
        meta.remove(name);
    }
}

fn labels<'t, 'a>(meta: &'t Tree<'a>, name: &str) -> &'t [Tree<'a>] {
    meta.get(name).map_or(&[], Tree::items)
}

fn same(a: &Tree<'_>, b: &Tree<'_>) -> bool {
    match (a, b) {
        (Tree::Object(_), Tree::Object(_)) if a.text("code").is_some() => {
            a.text("code") == b.text("code") && a.text("system") == b.text("system")
        }
        _ => a == b,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    type Edit = for<'a> fn(&mut Tree<'a>, &Tree<'a>) -> bool;

    fn edited(edit: Edit, meta: &str, given: &str) -> Option<String> {
        let text = format!(r#"{{"x":1.00,"meta":{meta},"y":[2.50]}}"#);
        let mut tree = Tree::parse(text.as_bytes()).unwrap();
        let given = Tree::parse(given.as_bytes()).unwrap();
        edit(&mut tree, &given).then(|| {
            let mut out = Vec::new();
            tree.write(&mut out);
            let out = String::from_utf8(out).unwrap();
            let meta = out.strip_prefix(r#"{"x":1.00,"meta":"#).unwrap();
            meta.strip_suffix(r#","y":[2.50]}"#).unwrap().to_owned()
        })
    }

    #[test]
    fn what_is_missing_is_added_once() {
        for (meta, given, expected) in [
            (
                r#"{"versionId":"1"}"#,
                r#"{"profile":["p"]}"#,
                r#"{"versionId":"1","profile":["p"]}"#,
            ),
            (
                r#"{"tag":[{"system":"s","code":"a"}]}"#,
                r#"{"tag":[{"code":"a"},{"system":"s","code":"a","display":"A"}],"source":"x"}"#,
                r#"{"tag":[{"system":"s","code":"a"},{"code":"a"}]}"#,
            ),
            (
                r#"{"profile":["p"],"_profile":[{"id":"i"}]}"#,
                r#"{"profile":["q","q"]}"#,
                r#"{"profile":["p","q"],"_profile":[{"id":"i"},null]}"#,
            ),
        ] {
            assert_eq!(edited(add, meta, given).as_deref(), Some(expected), "{meta} {given}");
        }
        let there = r#"{"security":[{"system":"s","code":"R","display":"other"}]}"#;
        let given = r#"{"security":[{"system":"s","code":"R"}],"versionId":"9"}"#;
        assert_eq!(edited(add, there, given), None);
    }

    #[test]
    fn what_is_named_is_taken_away_with_what_belongs_to_it() {
        for (meta, given, expected) in [
            (r#"{"a":1,"tag":[{"code":"a"}]}"#, r#"{"tag":[{"code":"a"}]}"#, r#"{"a":1}"#),
            (
                r#"{"profile":["p","q"],"_profile":[null,{"id":"i"}]}"#,
                r#"{"profile":["q"]}"#,
                r#"{"profile":["p"]}"#,
            ),
            (
                r#"{"security":[{"system":"s","code":"R"},{"code":"R"}]}"#,
                r#"{"security":[{"code":"R"}]}"#,
                r#"{"security":[{"system":"s","code":"R"}]}"#,
            ),
        ] {
            assert_eq!(edited(delete, meta, given).as_deref(), Some(expected), "{meta} {given}");
        }
        assert_eq!(edited(delete, r#"{"tag":[{"code":"a"}]}"#, r#"{"tag":[{"code":"b"}]}"#), None);
    }
}
