//! watchkeeper-core
