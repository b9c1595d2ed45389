//! What `wit-bindgen` makes of the contract in `sdk/wit`. Authors see the parts of it that
//! [`crate::policy`] and [`crate::notifier`] hand on, with helpers beside them.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    unsafe_code,
    unreachable_pub,
    rust_2018_idioms,
    reason = "generated"
)]

/// The world of policies.
#[cfg(feature = "policy")]
pub mod policy {
    wit_bindgen::generate!({
        path: "../wit/policy",
        world: "policy",
        pub_export_macro: true,
        default_bindings_module: "watchkeeper_sdk::bindings::policy",
        additional_derives: [PartialEq],
    });
}

/// The world of notifiers.
#[cfg(feature = "notifier")]
pub mod notifier {
    wit_bindgen::generate!({
        path: "../wit/notifier",
        world: "notifier",
        pub_export_macro: true,
        default_bindings_module: "watchkeeper_sdk::bindings::notifier",
        additional_derives: [PartialEq],
    });
}
