//! See `watchkeeper_fuzz::mark`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(mark);
