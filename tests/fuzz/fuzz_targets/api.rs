//! See `watchkeeper_fuzz::api`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(api);
