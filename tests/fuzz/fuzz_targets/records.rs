//! See `watchkeeper_fuzz::records`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(records);
