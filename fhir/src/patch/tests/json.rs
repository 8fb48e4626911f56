//! JSON Patch: first the examples of RFC 6902, then what FHIR adds.

use super::json_patch;

#[test]
fn the_examples_of_the_rfc_come_out_as_it_says() {
    for (text, patch, expected) in [
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux"}]"#,
            r#"{"foo":"bar","baz":"qux"}"#,
        ),
        (
            r#"{"foo":["bar","baz"]}"#,
            r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
            r#"{"foo":["bar","qux","baz"]}"#,
        ),
        (r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"remove","path":"/baz"}]"#, r#"{"foo":"bar"}"#),
        (
            r#"{"foo":["bar","qux","baz"]}"#,
            r#"[{"op":"remove","path":"/foo/1"}]"#,
            r#"{"foo":["bar","baz"]}"#,
        ),
        (
            r#"{"baz":"qux","foo":"bar"}"#,
            r#"[{"op":"replace","path":"/baz","value":"boo"}]"#,
            r#"{"baz":"boo","foo":"bar"}"#,
        ),
        (
            r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#,
        ),
        (
            r#"{"foo":["all","grass","cows","eat"]}"#,
            r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            r#"{"foo":["all","cows","eat","grass"]}"#,
        ),
        (
            r#"{"baz":"qux","foo":["a",2,"c"]}"#,
            r#"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
            r#"{"baz":"qux","foo":["a",2,"c"]}"#,
        ),
        (r#"{"baz":"qux"}"#, r#"[{"op":"test","path":"/baz","value":"bar"}]"#, "TestFailed 0"),
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#,
            r#"{"foo":"bar","child":{"grandchild":{}}}"#,
        ),
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#,
            r#"{"foo":"bar","baz":"qux"}"#,
        ),
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#, "NotFound 0"),
        (
            r#"{"/":9,"~1":10}"#,
            r#"[{"op":"test","path":"/~01","value":10},{"op":"test","path":"/~1","value":9.0}]"#,
            r#"{"/":9,"~1":10}"#,
        ),
        (r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":"10"}]"#, "TestFailed 0"),
        (
            r#"{"foo":["bar"]}"#,
            r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
            r#"{"foo":["bar",["abc","def"]]}"#,
        ),
    ] {
        assert_eq!(json_patch(text, patch), expected, "{text} {patch}");
    }
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1","lastUpdated":"2020","tag":[{"code":"a"}]},"name":[{"family":"x","given":["a","b"],"_given":[null,{"id":"g"}]}],"position":1.00}"#;

#[test]
fn what_is_not_touched_keeps_its_digits_and_order() {
    let patch = r#"[{"op":"replace","path":"/name/0/family","value":"y"},{"op":"copy","from":"/position","path":"/copy"}]"#;
    let expected = PATIENT.replace(r#""x""#, r#""y""#).replace("1.00}", r#"1.00,"copy":1.00}"#);
    assert_eq!(json_patch(PATIENT, patch), expected);
}

#[test]
fn what_only_the_server_may_change_is_refused() {
    for operation in [
        r#"{"op":"replace","path":"/id","value":"q"}"#,
        r#"{"op":"remove","path":"/id"}"#,
        r#"{"op":"replace","path":"/resourceType","value":"Person"}"#,
        r#"{"op":"replace","path":"/meta/versionId","value":"2"}"#,
        r#"{"op":"remove","path":"/meta/lastUpdated"}"#,
        r#"{"op":"remove","path":"/meta"}"#,
        r#"{"op":"replace","path":"","value":{"resourceType":"Patient"}}"#,
        r#"{"op":"move","from":"/id","path":"/x"}"#,
        r#"{"op":"move","from":"/name","path":""}"#,
        r#"{"op":"copy","from":"/name/0/family","path":"/id"}"#,
    ] {
        let patch = format!(r#"[{{"op":"test","path":"/id","value":"p"}},{operation}]"#);
        assert_eq!(json_patch(PATIENT, &patch), "Protected 1", "{operation}");
    }
    let same =
        r#"[{"op":"replace","path":"/id","value":"p"},{"op":"remove","path":"/meta/tag/0"}]"#;
    assert_eq!(json_patch(PATIENT, same), PATIENT.replace(r#","tag":[{"code":"a"}]"#, ""));
}

#[test]
fn what_a_removal_empties_is_dropped_at_the_end() {
    let text = r#"{"a":[{"b":"c"}],"given":["x","y"],"_given":[{"extension":[{"url":"u"}]},{"id":"i"}],"z":1}"#;
    for (patch, expected) in [
        (r#"[{"op":"remove","path":"/a/0"}]"#, text.replace(r#""a":[{"b":"c"}],"#, "")),
        (r#"[{"op":"remove","path":"/a/0/b"}]"#, text.replace(r#""a":[{"b":"c"}],"#, "")),
        (
            r#"[{"op":"remove","path":"/a/0"},{"op":"add","path":"/a/-","value":1}]"#,
            text.replace(r#"[{"b":"c"}]"#, "[1]"),
        ),
        (
            r#"[{"op":"remove","path":"/_given/0/extension/0"}]"#,
            text.replace(r#"{"extension":[{"url":"u"}]}"#, "null"),
        ),
        (
            r#"[{"op":"remove","path":"/_given/0/extension"},{"op":"remove","path":"/_given/1/id"}]"#,
            text.replace(r#""_given":[{"extension":[{"url":"u"}]},{"id":"i"}],"#, ""),
        ),
    ] {
        assert_eq!(json_patch(text, patch), expected, "{patch}");
    }
}

#[test]
fn faults_are_told_apart_and_name_their_operation() {
    for (operation, expected) in [
        (r#"{"op":"remove","path":"/name/1"}"#, "NotFound 1"),
        (r#"{"op":"remove","path":"/name/-"}"#, "NotFound 1"),
        (r#"{"op":"replace","path":"/none","value":1}"#, "NotFound 1"),
        (r#"{"op":"test","path":"/none","value":null}"#, "NotFound 1"),
        (r#"{"op":"add","path":"/name/2","value":1}"#, "NotFound 1"),
        (r#"{"op":"add","path":"/id/x","value":1}"#, "NotFound 1"),
        (r#"{"op":"move","from":"/none","path":"/none"}"#, "NotFound 1"),
        (r#"{"op":"add","path":"/name/00","value":1}"#, "Malformed 1"),
        (r#"{"op":"add","path":"/name/+1","value":1}"#, "Malformed 1"),
        (r#"{"op":"add","path":"name","value":1}"#, "Malformed 1"),
        (r#"{"op":"add","path":"/a~2","value":1}"#, "Malformed 1"),
        (r#"{"op":"add","path":"/a"}"#, "Malformed 1"),
        (r#"{"op":"add","value":1}"#, "Malformed 1"),
        (r#"{"op":"move","path":"/a"}"#, "Malformed 1"),
        (r#"{"op":"move","from":"/name","path":"/name/0"}"#, "Malformed 1"),
        (r#"{"op":"remove","path":""}"#, "Malformed 1"),
        (r#"{"op":"merge","path":"/a"}"#, "Malformed 1"),
        ("1", "Malformed 1"),
    ] {
        let patch = format!(r#"[{{"op":"test","path":"/id","value":"p"}},{operation}]"#);
        assert_eq!(json_patch(PATIENT, &patch), expected, "{operation}");
    }
    for patch in ["{}", "", "[", r#"{"op":"add"}"#] {
        assert_eq!(json_patch(PATIENT, patch), "Malformed 0", "{patch}");
    }
}
