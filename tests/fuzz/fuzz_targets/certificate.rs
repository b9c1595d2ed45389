//! See `watchkeeper_fuzz::certificate`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(certificate);
