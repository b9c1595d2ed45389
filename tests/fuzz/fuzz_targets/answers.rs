//! See `watchkeeper_fuzz::answers`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(answers);
