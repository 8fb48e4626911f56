//! Patches that are made to cost much, and patches of anything at all.

use proptest::prelude::*;

use super::super::*;
use super::{json_patch, told};
use crate::tree::Tree;

#[test]
fn copies_of_copies_are_refused_before_they_fill_the_memory() {
    let long = "x".repeat(1 << 10);
    let deep = r#"{"op":"copy","from":"","path":"/a"}"#;
    let wide = r#"{"op":"copy","from":"/a","path":"/a/-"}"#;
    let list = r#"{"op":"copy","from":"/a/0","path":"/a/-"},{"op":"copy","from":"/a","path":"/b"},{"op":"move","from":"/b","path":"/a/0"}"#;
    for (operation, count) in [(deep, 100), (wide, 30), (list, 30)] {
        let patch = format!("[{}]", vec![operation; count].join(","));
        let told = json_patch(&format!(r#"{{"a":["{long}"]}}"#), &patch);
        assert!(told.starts_with("TooLarge"), "{told:.99}");
    }
}

#[test]
fn a_patch_has_a_bounded_number_of_operations_and_paths_of_bounded_length() {
    let test = r#"{"op":"test","path":"/a","value":1}"#;
    let patch = |count| format!("[{}]", vec![test; count].join(","));
    assert_eq!(json_patch(r#"{"a":1}"#, &patch(OPERATIONS_MAX)), r#"{"a":1}"#);
    assert_eq!(json_patch(r#"{"a":1}"#, &patch(OPERATIONS_MAX + 1)), "TooLarge 0");
    let path = format!(r#"[{{"op":"remove","path":"/{}"}}]"#, "a".repeat(PATH_MAX));
    assert_eq!(json_patch("{}", &path), "TooLarge 0");
}

#[test]
fn a_path_that_walks_everything_for_everything_is_stopped() {
    let names = vec![r#"{"family":"x"}"#; 2_000].join(",");
    let text = format!(r#"{{"resourceType":"Patient","name":[{names}]}}"#);
    let path =
        "Patient.name.where(%resource.name.where(%resource.name.where(use='x').exists()).empty())";
    let patch = format!(
        r#"{{"resourceType":"Parameters","parameter":[{{"name":"operation","part":[{{"name":"type","valueCode":"delete"}},{{"name":"path","valueString":"{path}"}}]}}]}}"#
    );
    let told = told(apply_fhirpath(text.as_bytes(), ResourceType::PATIENT, patch.as_bytes()));
    assert_eq!(told, "TooLarge 0");
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "\"[a-z~/é ]{0,4}\"",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::btree_map("[a-d_]{1,2}", inner, 0..4).prop_map(|members| {
                let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// Every pointer into a tree, with the text of what it leads to.
fn pointers(tree: &Tree<'_>, at: &str, found: &mut Vec<(String, String)>) {
    let mut text = Vec::new();
    tree.write(&mut text);
    found.push((at.to_owned(), String::from_utf8(text).unwrap()));
    match tree {
        Tree::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), found);
            }
        }
        Tree::Object(members) => {
            for (name, value) in members {
                pointers(value, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_test_and_a_replacement_by_the_same_leave_every_byte(text in any_json()) {
        let tree = Tree::parse(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        pointers(&tree, "", &mut found);
        for (path, value) in found {
            let patch = format!(r#"[{{"op":"test","path":"{path}","value":{value}}},{{"op":"replace","path":"{path}","value":{value}}}]"#);
            prop_assert_eq!(json_patch(&text, &patch), &*text);
        }
    }

    #[test]
    fn any_operations_on_any_text_end_well(
        text in any_json(),
        operations in prop::collection::vec(
            ("add|remove|replace|move|copy|test", "(/[a-d_0-3-]{1,2}){0,3}", "(/[a-d_0-3-]{1,2}){0,3}", any_json()),
            0..6,
        ),
    ) {
        let operations = operations.iter().map(|(op, path, from, value)| {
            format!(r#"{{"op":"{op}","path":"{path}","from":"{from}","value":{value}}}"#)
        });
        let patch = format!("[{}]", operations.collect::<Vec<_>>().join(","));
        if let Ok(patched) = apply_json(text.as_bytes(), patch.as_bytes()) {
            prop_assert!(Tree::parse(&patched).is_ok());
        }
    }

    #[test]
    fn any_path_is_read_or_refused(path in "(Patient|name|given|where|exists|[.()\\[\\]=!']|[01]| and | or |first|'a'|@2000|%resource|\\\\|é){0,12}") {
        let mut text = Vec::new();
        crate::json::push_string(&mut text, &path);
        let path = String::from_utf8(text).unwrap();
        for action in ["delete", "replace"] {
            let patch = format!(
                r#"{{"resourceType":"Parameters","parameter":[{{"name":"operation","part":[{{"name":"type","valueCode":"{action}"}},{{"name":"path","valueString":{path}}},{{"name":"value","valueString":"z"}}]}}]}}"#
            );
            let patient = br#"{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{"id":"b"}]}]}"#;
            if let Ok(patched) = apply_fhirpath(patient, ResourceType::PATIENT, patch.as_bytes()) {
                prop_assert!(Tree::parse(&patched).is_ok());
            }
        }
    }
}
