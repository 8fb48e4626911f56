//! See [`fuzz::fhirpath_patch`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::fhirpath_patch(input);
});
