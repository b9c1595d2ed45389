//! See `watchkeeper_fuzz::secrets`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(secrets);
