//! See [`fuzz::json_patch`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::json_patch(input);
});
