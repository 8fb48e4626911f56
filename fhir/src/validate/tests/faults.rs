//! One fault each, and what is said of it.

use super::issues;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of faults, one a line, with no logic")]
fn faults_of_structure_are_named_where_they_are() {
    for (text, expected) in [
        (r#"{"id":"a"}"#, "Resource required"),
        (r#"{"resourceType":7}"#, "Resource required"),
        (r#"{"resourceType":"Bogus"}"#, "Resource structure"),
        (r#"{"resourceType":"DomainResource"}"#, "Resource structure"),
        (r#"{"resourceType":"Patient","nam":[]}"#, "Patient structure"),
        (r#"{"id":"a","resourceType":"Patient","resourceType":"Patient"}"#, "Patient structure"),
        (r#"{"resourceType":"Patient","id":"a","id":"b"}"#, "Patient.id structure"),
        (
            r#"{"resourceType":"Patient","active":true,"a\u0063tive":true}"#,
            "Patient.active structure",
        ),
        (r#"{"resourceType":"Patient","name":{"text":"a"}}"#, "Patient.name structure"),
        (r#"{"resourceType":"Patient","birthDate":["2000"]}"#, "Patient.birthDate structure"),
        (r#"{"resourceType":"Patient","name":[["a"]]}"#, "Patient.name[0] structure"),
        (r#"{"resourceType":"Patient","name":[]}"#, "Patient.name structure"),
        (r#"{"resourceType":"Patient","name":[{}]}"#, "Patient.name[0] structure"),
        (r#"{"resourceType":"Patient","name":[null]}"#, "Patient.name[0] structure"),
        (r#"{"resourceType":"Patient","name":["a"]}"#, "Patient.name[0] structure"),
        (r#"{"resourceType":"Patient","active":null}"#, "Patient.active structure"),
        (
            r#"{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2000"}"#,
            "Patient.deceased structure",
        ),
        (
            r#"{"resourceType":"Patient","_deceasedBoolean":{"id":"a"},"deceasedDateTime":"2000"}"#,
            "Patient.deceased structure",
        ),
        (r#"{"resourceType":"Patient","_name":[{"id":"a"}]}"#, "Patient.name structure"),
        (r#"{"resourceType":"Patient","_birthDate":{}}"#, "Patient.birthDate structure"),
        (
            r#"{"resourceType":"Patient","_birthDate":{"id":"a","value":"b"}}"#,
            "Patient.birthDate structure",
        ),
        (r#"{"resourceType":"Observation","status":"final"}"#, "Observation.code required"),
        (
            r#"{"resourceType":"Observation","status":"final","code":{"text":"a"},"component":[{"code":{"text":"a"}},{}]}"#,
            "Observation.component[1] structure|Observation.component[1].code required",
        ),
        (
            r#"{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"display":"a"}}"#,
            "MedicationRequest.medication required",
        ),
        (
            r#"{"resourceType":"Patient","extension":[{"valueString":"a"}]}"#,
            "Patient.extension[0].url required",
        ),
        (
            r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"id":"a"}}]}"#,
            "Bundle.entry[0].resource required",
        ),
        (
            r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":[]}]}"#,
            "Bundle.entry[0].resource structure",
        ),
        (
            r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"id":"a b","resourceType":"Patient"}}]}"#,
            "Bundle.entry[0].resource.id value",
        ),
        (
            r#"{"resourceType":"Patient","contained":[{"resourceType":"Patient"}]}"#,
            "Patient.contained[0].id required",
        ),
        (
            r##"{"resourceType":"Patient","link":[{"type":"refer","other":{"reference":"#a"}}],"contained":[{"resourceType":"Patient","id":"a","contained":[{"resourceType":"Patient","id":"b"}]}]}"##,
            "Patient.contained[0].contained invariant",
        ),
        (
            r#"{"resourceType":"Patient","contained":{"resourceType":"Patient","id":"a"}}"#,
            "Patient.contained structure",
        ),
    ] {
        assert_eq!(issues(text).join("|"), expected, "{text}");
    }
}

#[test]
fn faults_of_values_are_named_where_they_are() {
    for (text, expected) in [
        (r#"{"resourceType":"Patient","active":"true"}"#, "Patient.active value"),
        (r#"{"resourceType":"Patient","active":1}"#, "Patient.active value"),
        (r#"{"resourceType":"Patient","birthDate":2000}"#, "Patient.birthDate value"),
        (r#"{"resourceType":"Patient","birthDate":{"value":"2000"}}"#, "Patient.birthDate value"),
        (r#"{"resourceType":"Patient","gender":""}"#, "Patient.gender value"),
        (r#"{"resourceType":"Patient","gender":"a  b"}"#, "Patient.gender value"),
        (r#"{"resourceType":"Patient","gender":" a"}"#, "Patient.gender value"),
        (
            r#"{"resourceType":"Patient","name":[{"text":"a\u0000b"}]}"#,
            "Patient.name[0].text value",
        ),
        (
            r#"{"resourceType":"Patient","name":[{"given":["a","b\u0001"]}]}"#,
            "Patient.name[0].given[1] value",
        ),
        (r#"{"resourceType":"Patient","multipleBirthInteger":1.5}"#, "Patient.multipleBirth value"),
        (
            r#"{"resourceType":"Patient","multipleBirthInteger":2147483648}"#,
            "Patient.multipleBirth value",
        ),
        (r#"{"resourceType":"Patient","multipleBirthInteger":"1"}"#, "Patient.multipleBirth value"),
        (r#"{"resourceType":"Patient","telecom":[{"rank":0}]}"#, "Patient.telecom[0].rank value"),
        (r#"{"resourceType":"Bundle","type":"searchset","total":-1}"#, "Bundle.total value"),
        (
            r#"{"resourceType":"Patient","managingOrganization":{"reference":"Patient/1"}}"#,
            "Patient.managingOrganization.reference value",
        ),
        (
            r#"{"resourceType":"Patient","managingOrganization":{"reference":"Patient?identifier=a"}}"#,
            "Patient.managingOrganization.reference value",
        ),
        (
            r#"{"resourceType":"Patient","managingOrganization":{"reference":"Bogus/1"}}"#,
            "Patient.managingOrganization.reference value",
        ),
        (
            r#"{"resourceType":"Patient","managingOrganization":{"reference":"an organisation"}}"#,
            "Patient.managingOrganization.reference value",
        ),
        (
            r#"{"resourceType":"Patient","text":{"status":"generated","div":"hello"}}"#,
            "Patient.text.div invariant",
        ),
        (
            r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div><script>a</script></div>"}}"#,
            "Patient.text.div invariant",
        ),
    ] {
        assert_eq!(issues(text).join("|"), expected, "{text}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of formats, one a line, with no logic")]
fn formats_are_those_of_r4() {
    let cases: [(&str, &[&str], &[&str]); 12] = [
        (
            "Date",
            &["2000", "2000-02", "2000-02-29", "0001-01-01"],
            &[
                "2001-02-29",
                "2000-13",
                "2000-00",
                "2000-04-31",
                "0000",
                "2000-1-1",
                "20000101",
                "2000-01-01T00:00:00Z",
            ],
        ),
        (
            "DateTime",
            &["2000", "2000-01-01T23:59:60.123456789+14:00", "2000-01-01T00:00:00Z"],
            &[
                "2000-01T00:00:00Z",
                "2000-01-01T00:00Z",
                "2000-01-01T00:00:00",
                "2000-01-01T24:00:00Z",
                "2000-01-01T00:00:00+14:01",
                "2000-01-01T00:00:00.Z",
                "2000-01-01 00:00:00Z",
                "2000-01-01T00:00:00+0100",
            ],
        ),
        ("Instant", &["2000-01-01T00:00:00.1-05:00"], &["2000-01-01", "2000"]),
        ("Time", &["00:00:00", "23:59:59.5"], &["24:00:00", "00:00", "00:00:00Z", "0:00:00"]),
        (
            "Id",
            &["a-b.C1"],
            &["a_b", "a/b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        ),
        ("Uri", &["a", "urn:x", "http://a/b"], &["a b", " a"]),
        ("Canonical", &["http://a|1"], &["http://a | 1"]),
        (
            "Oid",
            &["urn:oid:1.2.0.34"],
            &["urn:oid:3.1", "urn:oid:1", "urn:oid:1.02", "1.2.3", "urn:oid:1..2"],
        ),
        (
            "Uuid",
            &["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
            &[
                "urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
                "c757873d-ec9a-4326-a141-556f43239520",
            ],
        ),
        ("Code", &["a", "a b", "é"], &["a ", "a\u{a0} b"]),
        (
            "Base64Binary",
            &["YQ==", "YWJj", "YW Jj"],
            &["YQ", "YQ=", "Y===", "%%%%", "YQ==YQ==", " "],
        ),
        ("String", &[" a ", "\u{1f600}"], &[""]),
    ];
    for (data_type, right, wrong) in cases {
        let of = |value: &str| {
            issues(&format!(
                r#"{{"resourceType":"Patient","extension":[{{"url":"a","value{data_type}":"{value}"}}]}}"#
            ))
        };
        for value in right {
            assert!(of(value).is_empty(), "{data_type} {value}");
        }
        for value in wrong {
            assert_eq!(of(value), ["Patient.extension[0].value value"], "{data_type} {value}");
        }
    }
}

#[test]
fn arrays_of_primitives_and_what_is_beside_them_fill_each_others_gaps() {
    for (name, expected) in [
        (r#""given":["a",null],"_given":[null,{"id":"x"}]"#, ""),
        (r#""_given":[null,{"id":"x"}],"given":["a",null]"#, ""),
        (r#""given":["a","b"],"_given":[{"id":"x"},null]"#, ""),
        (r#""_given":[{"id":"x"}]"#, ""),
        (r#""given":["a",null]"#, "Patient.name[0].given[1] structure"),
        (r#""given":[null],"_given":[null]"#, "Patient.name[0].given[0] structure"),
        (r#""_given":[null,{"id":"x"}]"#, "Patient.name[0].given[0] structure"),
        (r#""given":["a","b"],"_given":[{"id":"x"}]"#, "Patient.name[0].given structure"),
        (r#""given":["a"],"_given":{"id":"x"}"#, "Patient.name[0].given structure"),
        (r#""given":["a"],"_given":[{}]"#, "Patient.name[0].given[0] structure"),
        (r#""given":["a"],"_given":["b"]"#, "Patient.name[0].given[0] structure"),
        (r#""family":"a","_family":{"extension":[{"url":"a","valueCode":"b"}]}"#, ""),
        (r#""family":"a","_family":null"#, "Patient.name[0].family structure"),
    ] {
        let text = format!(r#"{{"resourceType":"Patient","name":[{{{name}}}]}}"#);
        assert_eq!(issues(&text).join("|"), expected, "{text}");
    }
}

#[test]
fn well_formed_resources_of_odd_shape_pass() {
    for text in [
        r#"{"resourceType":"Patient"}"#,
        r#" { "id" : "a" , "resourceType" : "Patient" } "#,
        r#"{"resource\u0054ype":"Patient","\u0069d":"a"}"#,
        r#"{"resourceType":"Pa\u0074ient"}"#,
        r#"{"resourceType":"Observation","_status":{"extension":[{"url":"a","valueCode":"b"}]},"code":{"text":"a"},"valueQuantity":{"value":1e2}}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"meta":{"versionId":"1"},"resourceType":"Patient"}}]}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":[{"\u0072esource":{"resourceType":"Patient"}}]}"#,
        r##"{"resourceType":"Patient","managingOrganization":{"reference":"#o"},"contained":[{"id":"o","name":"O","resourceType":"Organization"}]}"##,
        r#"{"resourceType":"Patient","name":[{"text":"\ud83d\ude00\n"}]}"#,
    ] {
        assert_eq!(issues(text), [""; 0], "{text}");
    }
}
