//! /etc/subuid and maps of ids.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| launcher_fuzz::check("idmap", data));
