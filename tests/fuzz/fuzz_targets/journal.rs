//! See `watchkeeper_fuzz::journal`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(journal);
