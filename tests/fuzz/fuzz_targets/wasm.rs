//! See `watchkeeper_fuzz::wasm`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(wasm);
