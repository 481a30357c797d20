#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| camera_node::fuzz::control(bytes));
