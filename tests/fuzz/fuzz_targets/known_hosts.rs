//! See `watchkeeper_fuzz::known_hosts`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(known_hosts);
