//! Tests the reports of tests that do not end.
//!
//! * [`hung`] and [`others`] contain scenarios: tests that hang, fail or panic. They do so only in a child process that
//!   sets an environment variable, and pass at once otherwise.
//! * The other modules start such child processes and check their output.

mod failing;
mod hung;
mod others;
mod reports;
mod signals;
mod support;
mod verdicts;
