//! See [`fuzz::resource`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::resource(input);
});
