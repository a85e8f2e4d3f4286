//! Hangs that explain themselves: what asks on its own, and tells.
//!
//! * [`signal`]: dumps that are asked for with a signal.
//! * [`test`]: tests that do not end.
//! * [`panic`]: panics that tell where they are.
//! * [`mod@file`]: where reports are written to.
//! * [`watchdog`]: tasks that do not go on.
#![forbid(unsafe_code)]

pub(crate) mod file;
pub(crate) mod panic;
pub(crate) mod signal;
pub(crate) mod test;
pub(crate) mod watchdog;
