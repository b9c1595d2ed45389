//! See `watchkeeper_fuzz::etcd`.

#![cfg_attr(fuzzing, no_main)]

watchkeeper_fuzz::program!(etcd);
