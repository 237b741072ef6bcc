//! /proc/self/mountinfo and /proc/self/cgroup.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| launcher_fuzz::check("mountinfo", data));
