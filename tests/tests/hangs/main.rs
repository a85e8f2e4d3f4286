//! Tests that do not end say why.
//!
//! * [`hung`], [`others`]: tests that hang, or do something else that takes a process of its own. They do so
//!   in such a process only, and nothing otherwise.
//! * The others start it, and look at what it says.

mod failing;
mod hung;
mod others;
mod reports;
mod signals;
mod support;
mod verdicts;
