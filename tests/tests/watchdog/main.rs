//! Tests what a watchdog reports, and what it does not report.
//!
//! All tests share a process, so each test reads only the reports on its own tasks.

mod blocked;
mod guard;
mod healthy;
mod starved;
mod support;
