//! Reports hangs and panics automatically.
//!
//! * [`signal`]: dumps tasks on a signal.
//! * [`test`]: reports tests that do not end.
//! * [`panic`]: prints the async stack of a panic.
//! * [`mod@file`]: writes the files of reports.
//! * [`watchdog`]: reports tasks that make no progress.
#![forbid(unsafe_code)]

pub(crate) mod file;
pub(crate) mod panic;
pub(crate) mod signal;
pub(crate) mod test;
pub(crate) mod watchdog;
