//! The demo's control socket: one plain line asks, the answer ends with `ok` or `error: ...`.
