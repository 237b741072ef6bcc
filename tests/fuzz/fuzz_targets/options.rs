//! A command line and an environment.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| launcher_fuzz::check("options", data));
