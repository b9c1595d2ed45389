//! watchkeeper
