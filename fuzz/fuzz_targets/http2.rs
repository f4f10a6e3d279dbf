#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oxicorn_http::fuzzing::http2(data));
