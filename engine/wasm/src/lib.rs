//! watchkeeper-wasm
