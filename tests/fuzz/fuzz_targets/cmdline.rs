//! /proc/cmdline, and /etc/launcher.conf.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| launcher_fuzz::check("cmdline", data));
