//! watchkeeper-sdk
