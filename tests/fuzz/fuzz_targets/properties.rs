//! See `watchkeeper_fuzz::properties`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(properties);
