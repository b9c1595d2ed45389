//! Keeps the documentation true: what is generated in `docs/` is compared with its source, and what is
//! shown there is built, loaded and asked. The tests are in `tests/`; `UPDATE_DOCS=1` rewrites
//! what is generated.
