//! What the scenarios in `tests/` share.

pub mod probe;
