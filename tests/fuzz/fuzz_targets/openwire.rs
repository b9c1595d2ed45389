//! See `watchkeeper_fuzz::openwire`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(openwire);
