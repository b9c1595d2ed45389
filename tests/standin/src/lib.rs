//! watchkeeper-standin
