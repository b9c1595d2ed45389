//! Snapshots in a line, and scenario cases, for native tests.
