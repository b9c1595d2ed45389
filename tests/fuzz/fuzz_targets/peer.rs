//! See `watchkeeper_fuzz::peer`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(peer);
