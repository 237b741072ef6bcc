//! The value of an option.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| launcher_fuzz::check("values", data));
