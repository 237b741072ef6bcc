//! The first bytes of a program.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| launcher_fuzz::check("interpreter", data));
