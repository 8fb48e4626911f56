//! No change of a valid resource makes the validator panic, or lose its place.

use proptest::prelude::*;

use super::super::validate;

/// Valid resources that between them reach every rule with a value.
const RESOURCES: [&str; 4] = [
    r##"{"resourceType":"Patient","id":"a","meta":{"versionId":"1"},"language":"en-GB","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" style=\"color:red\"><!-- a --><a href='&#x68;ttp://a'>&amp;urn:x \u00e9</a><img src=\"data:image/png,a\"/><\/div>"},"contained":[{"resourceType":"Organization","id":"o","name":"O","telecom":[{"system":"phone","value":"1","use":"work"}]}],"name":[{"period":{"start":"2000-01-01T00:00:00+01:00","end":"2001"}}],"gender":"female","managingOrganization":{"reference":"#o"},"extension":[{"url":"a","valueTiming":{"repeat":{"duration":1.5,"durationUnit":"h","offset":1,"when":["ACM"]}}}]}"##,
    r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Condition","meta":{"versionId":"2"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"resolved"}]},"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}]},"subject":{"reference":"Patient/a"},"onsetAge":{"value":1,"system":"http://unitsofmeasure.org","code":"a"},"abatementDateTime":"2000"}},{"fullUrl":"urn:b","resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"a","code":"b"}]},"component":[{"code":{"coding":[{"system":"a","code":"b"}]},"valueRange":{"low":{"value":1},"high":{"value":2}}}]}}]}"#,
    r#"{"resourceType":"List","status":"current","mode":"changes","entry":[{"item":{"display":"a"},"deleted":true}],"_title":{"extension":[{"url":"a","valueCode":"b"}]}}"#,
    r#"{"resourceType":"Appointment","status":"booked","start":"2000-01-01T00:00:00Z","end":"2000-01-01T01:00:00Z","participant":[{"status":"accepted","actor":{"reference":"Patient/a"}}]}"#,
];

#[test]
fn the_resources_are_valid_before_they_are_changed() {
    for text in RESOURCES {
        assert!(validate(text.as_bytes()).unwrap().issues.is_empty(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_put_anywhere_make_it_panic(
        which in 0..RESOURCES.len(),
        at in any::<prop::sample::Index>(),
        length in 0..8_usize,
        with in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        changed(which, at, length, &with);
    }

    #[test]
    fn no_markup_put_anywhere_makes_it_panic(
        which in 0..RESOURCES.len(),
        at in any::<prop::sample::Index>(),
        length in 0..60_usize,
        with in "[<>/&;#!?'=\\-\\[\\]{}:,\"a-z0-9é😀\\\\ ]{0,10}",
    ) {
        changed(which, at, length, with.as_bytes());
    }
}

fn changed(which: usize, at: prop::sample::Index, length: usize, with: &[u8]) {
    let mut bytes = RESOURCES[which].as_bytes().to_vec();
    let at = at.index(bytes.len());
    bytes.splice(at..(at + length).min(bytes.len()), with.iter().copied());
    if let Ok(survey) = validate(&bytes) {
        for found in survey.references {
            assert_eq!((bytes[found.start - 1], bytes[found.end]), (b'"', b'"'));
        }
    }
}
