//! See `watchkeeper_fuzz::config`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(config);
