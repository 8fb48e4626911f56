//! A patch and a resource.

use fhir::patch::{PatchError, apply_fhirpath, apply_json};
use fhir::tree::Tree;
use fhir::validate::validate;

/// What is patched, one for each first byte.
const RESOURCES: [(&str, &str); 3] = [
    (
        "Patient",
        r#"{"resourceType":"Patient","id":"a","active":true,"name":[{"use":"official","family":"Ode","given":["Ann","Bea"]},{"family":"Old"}],"birthDate":"1970-01-01","_birthDate":{"extension":[{"url":"urn:x","valueDateTime":"1970-01-01T10:00:00Z"}]},"contact":[{"telecom":[{"system":"phone","value":"1"}]}]}"#,
    ),
    (
        "Observation",
        r#"{"resourceType":"Observation","id":"a","meta":{"tag":[{"code":"t"}]},"status":"final","code":{"coding":[{"system":"urn:s","code":"c"},{"code":"d"}],"text":"x"},"valueQuantity":{"value":1.00,"unit":"mg"},"component":[{"code":{"text":"p"},"valueString":"q"},{"code":{"text":"r"},"valueInteger":2}]}"#,
    ),
    (
        "List",
        r#"{"resourceType":"List","id":"a","status":"current","mode":"working","contained":[{"resourceType":"Basic","id":"b","code":{"text":"x"}}],"entry":[{"item":{"reference":"Patient/1"}},{"deleted":true,"item":{"reference":"Patient/2"}},{"item":{"reference":"Patient/3"}}]}"#,
    ),
];

/// Applies a JSON Patch; whether it could be.
pub fn json_patch(input: &[u8]) -> bool {
    patched(input, |_, text, patch| apply_json(text, patch))
}

/// Applies a FHIRPath Patch; whether it could be.
pub fn fhirpath_patch(input: &[u8]) -> bool {
    patched(input, |resource_type, text, patch| {
        apply_fhirpath(text, resource_type.parse().expect("R4 has these types"), patch)
    })
}

fn patched(
    input: &[u8],
    apply: impl Fn(&str, &[u8], &[u8]) -> Result<Vec<u8>, PatchError>,
) -> bool {
    let Some((&byte, patch)) = input.split_first() else { return false };
    let (resource_type, text) = RESOURCES[usize::from(byte) % RESOURCES.len()];
    let patched = apply(resource_type, text.as_bytes(), patch);
    match &patched {
        Ok(new) => {
            let tree = Tree::parse(new).expect("what comes out is JSON");
            assert_eq!(tree.text("resourceType"), Some(resource_type));
            assert_eq!(tree.text("id"), Some("a"));
            assert!(validate(new).is_ok(), "what comes out cannot be validated");
        }
        Err(error) => assert!(error.sentence.len() > 10, "{error:?}"),
    }
    patched.is_ok()
}
