//! The watchdog: what it reports, and what not.
//!
//! All tests share a process, so each looks only at what is reported of its own tasks.

mod blocked;
mod guard;
mod healthy;
mod starved;
mod support;
